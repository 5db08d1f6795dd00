"""html -> blocks: what a visitor is shown, and nothing else."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.blocks import KINDS, MAX_BLOCK, page_text
from crawler.depth import too_deep

URL = "http://shop.example/a/"


def shown(html: str) -> list[tuple[str, str]]:
    return [(block.kind, block.text) for block in page_text(html, URL).blocks]


@pytest.mark.parametrize(
    ("html", "blocks"),
    [
        ("<p>100 % <b>real</b> fans</p>", [("text", "100 % real fans")]),
        ("<h2>Fans <em>locaux</em></h2>", [("heading", "Fans locaux")]),
        ("<ul><li>One<li><p>Two</p></ul>", [("item", "One"), ("item", "Two")]),
        ("<li>outer<ul><li>inner</li></ul>tail</li>", [("item", "outer"), ("item", "inner"), ("item", "tail")]),
        ("<table><tr><td>HQ [R30]<td>0.90</table>", [("cell", "HQ [R30]"), ("cell", "0.90")]),
        ('<a class="btn-primary" href="/x">Buy now</a><p>or wait', [("button", "Buy now"), ("text", "or wait")]),
        ("<p>We never sell <b class=badge>real fans</b>.</p>", [("text", "We never sell real fans.")]),
        ("<p>They say <q>real fans</q></p>", [("text", "They say “real fans”")]),
        ("<p>We sell <s>fake</s> real fans</p>", [("text", "We sell real fans")]),
        ("<p><span>fan</span><span>s</span><span>Fast</span></p>", [("text", "fans Fast")]),
        ("<p style='backface-visibility: hidden'>fans</p>", [("text", "fans")]),
        ("<body class='material-icons-loaded'><p>fans", [("text", "fans")]),
        ('<input type=submit value="Get fans">', [("button", "Get fans")]),
        ('<img alt="4.9 of 5 stars" src=x>', [("alt", "4.9 of 5 stars")]),
        ("<blockquote><p>free fans!</p></blockquote>", [("quote", "free fans!")]),
        ("<details><summary>Safe?</summary>Yes.</details>", [("heading", "Safe?"), ("text", "Yes.")]),
        ("<div><span>1 000 fans</span><span>9,90 €</span></div>", [("text", "1 000 fans 9,90 €")]),
        ("<p>Why us<br>✅ real<br>✅ fast</p>", [("text", "Why us"), ("text", "✅ real"), ("text", "✅ fast")]),
        ("<p>one<br>line</p>", [("text", "one line")]),
        ("<nav><a href=/a>Home</a><a href=/b>Prices</a></nav>", [("link", "Home"), ("link", "Prices")]),
        ("<p>twice</p><p>twice</p>", [("text", "twice")]),
        ("<p>unclosed <b>bold<p>next</b>", [("text", "unclosed bold"), ("text", "next")]),
        ("<select><option>1000 fans<option>5000 fans</select>", [("option", "1000 fans"), ("option", "5000 fans")]),
    ],
)
def test_kinds_and_edges(html: str, blocks: list[tuple[str, str]]) -> None:
    assert shown(html) == blocks


@pytest.mark.parametrize(
    "html",
    [
        "<p style='display: none'>x1 fans</p>", "<p style='visibility:hidden'>x1 fans</p>", "<p hidden>x1 fans</p>",
        "<script>x1 fans</script>", "<style>x1 fans</style>", "<template>x1 fans</template>",
        "<noscript>x1 fans</noscript>", "<svg><text>x1 fans</text></svg>", "<!-- x1 fans -->",
        "<i class='material-icons'>star_border</i>", "<textarea>x1 fans</textarea>",
        "<select>" + "<option>Country</option>" * 60 + "</select>",
    ],
)  # fmt: skip
def test_what_no_reader_sees_is_no_block(html: str) -> None:
    assert shown(f"<body>{html}") == []


def test_head_and_json_ld() -> None:
    html = """<head><title>Fans &amp; co</title><meta name="description" content="Real fans">
        <meta property="og:title" content="Fans &amp; co">
        <script type="application/ld+json">{"@type": "FAQPage", "datePublished": "2026-01-02", "mainEntity": [
          {"@type": "Question", "name": "Safe?", "acceptedAnswer": {"@type": "Answer", "text": "<p>Always</p>"}}],
          "publisher": {"@type": "Organization", "name": "Shop"}}</script>
        <script type="application/ld+json">{broken</script></head>"""
    page = page_text(html, URL)
    assert page.title == "Fans & co"
    assert page.published_at == "2026-01-02"
    assert [(block.kind, block.text) for block in page.blocks] == [
        ("title", "Fans & co"), ("meta", "Real fans"), ("data", "Safe?"), ("data", "Always"),
    ]  # fmt: skip


def test_links_are_absolute_and_keep_their_words() -> None:
    html = '<base href="/b/"><p>See <a href="c?d=1">the <b>prices</b></a> <a href="mailto:x@y.example">x</a><a>none</a>'
    assert page_text(html, URL).links == [
        ("http://shop.example/b/c?d=1", "the prices"), ("mailto:x@y.example", "x"),
    ]  # fmt: skip


def test_broken_addresses_are_no_links() -> None:
    assert page_text('<a href="http://[">x</a><a href="  ">y</a>', URL).links == []


def test_a_long_text_is_cut_at_spaces_and_loses_no_word() -> None:
    words = [f"word{n}" for n in range(3000)]
    blocks = page_text(f"<p>{' '.join(words)}</p>", URL).blocks
    assert len(blocks) > 1
    assert all(len(block.text) <= MAX_BLOCK for block in blocks)
    assert " ".join(block.text for block in blocks).split() == words


@given(
    st.lists(
        st.text(st.characters(categories=("L", "N")), min_size=2, max_size=12), min_size=1, max_size=20, unique=True
    )
)
def test_every_paragraph_comes_out_once_and_in_order(words: list[str]) -> None:
    html = "".join(f"<div><p>{word}</p></div>" for word in words)
    assert [text for _, text in shown(html)] == words


PIECES = ["<p>", "</div>", "<b>", "<a href=x>", "<td>", "</a>", "x ", "<", "&amp;", "<select>", "<svg>", "]]>"]


@given(st.text(max_size=300) | st.lists(st.sampled_from(PIECES)).map("".join))
def test_any_text_gives_clean_blocks(html: str) -> None:
    for kind, text in shown(html):
        assert kind in KINDS
        assert text == " ".join(text.split())
        assert 0 < len(text) <= MAX_BLOCK


@pytest.mark.parametrize(
    "html",
    [
        "<div>" * 100_000,
        "<div>" * 50_000 + "</div>" * 50_000,
        "<div></b>" * 50_000,  # strangers' closing tags close nothing
        "<div><!-- </div> -->" * 50_000,
        "".join(f"<font a={n}>" for n in range(1000)) + "<p>x" * 4000,  # 28 kB that would fill 1.6 GB
    ],
)
def test_what_the_parser_would_choke_on_is_seen_before(html: str) -> None:
    assert too_deep(html)


@pytest.mark.parametrize(
    "html",
    [
        "<div><p>x</p></div>" * 50_000,
        "<p>one<br>" * 50_000,
        "<svg>" + '<path d="M0 0"/><g x="1"/>' * 21_000 + "</svg><p>real fans",
        "<script>" + "for(i=0;i<n;i++)" * 21_000 + "</script><p>real fans",
        "<div><span>x</div>" * 20_000,
        "<li><a href=x><b>y</b></a>" * 20_000,
        "<!--" * 20_000,
    ],
)
def test_a_long_page_is_not_a_deep_one(html: str) -> None:
    assert not too_deep(html)


@pytest.mark.parametrize(
    "unit",
    [
        "\n",
        "<br>",
        " \n",
        "x ",
        "x",
        "<a href=x>y</a>",
        "<a href=x><marquee>",
        "<td>",
        "&amp;",
        "✅",
        "<b>",
        "<p a='",
        "<hr>",
    ],
)
def test_time_grows_with_the_page_and_not_with_its_square(unit: str) -> None:
    def seconds(size: int) -> float:
        html = f"<body><p>{unit * (size // len(unit))}"
        start = time.process_time()
        if not too_deep(html):
            page_text(html, URL)
        return time.process_time() - start

    seconds(50_000)
    assert seconds(800_000) < 16 * max(seconds(100_000), 0.02)


def test_halves_of_surrogate_pairs_are_replaced() -> None:
    html = '<script type="application/ld+json">{"description": "fans \\ud83d", "datePublished": "\\ud83d"}</script>'
    page = page_text(html, URL)
    assert [block.text for block in page.blocks] == ["fans ?"]
    assert page.published_at == "?"


def test_a_deep_page_that_is_let_through_is_read_in_time() -> None:
    start = time.process_time()
    assert shown("<div>" * 4_900 + "fans") == [("text", "fans")]
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    "hidden",
    ["<!--{}-->", "<script>{}</script>", "<style>{}</style>", "<b></b>{}"],
    ids=["comment", "script", "style", "text"],
)
def test_ends_that_close_nothing_hide_no_bomb(hidden: str) -> None:
    ends = "</b>" if "<b>" not in hidden else "</u>"
    assert too_deep("<i>" * 1000 + hidden.format(ends * 1000) + "<p>x" * 4000)
    assert not too_deep("<i>x</i>" * 1000 + hidden.format(ends * 1000) + "<p>x</p>" * 1000)
