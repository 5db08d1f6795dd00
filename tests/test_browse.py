"""Our pages over HTTP: every address in both languages, search, hostile text, headers, errors in words."""

import asyncio
import gzip
import re
import sqlite3
import sys
from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from catalog.errors import CatalogError
from catalog.highlight import marked, matched
from catalog.messages import LANGUAGES, messages, preferred
from catalog.records import read_yaml
from catalog.search import fts_expression
from catalog.serve import command
from tests.store import fill, served

PATHS = [
    *("", "vendors", "vendors?sort=real", "vendors?sort=name", "vendors?sort=latest", "vendors?sort=nonsense"),
    *("vendor/likeo_example", "vendor/crowdly_test", "capture/1", "capture/4", "labels", "about"),
    *("search", "search?q=fans", "search?q=zzz", "search?label=real&lang=fr&source=site&vendor=likeo_example"),
    *("search?page=2", "search?page=-1", "search?page=x", "search?page=99999999999999999999", "search?label=nonsense"),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def get(store):
    datasette = served(store)

    def fetch(path, **headers):
        return asyncio.run(datasette.client.get(path, headers=headers))

    return fetch


@pytest.fixture(scope="module")
def claims(get, store):
    connection = sqlite3.connect(store.folder / "catalog.db")
    connection.row_factory = sqlite3.Row
    return connection.execute("SELECT * FROM claims ORDER BY page_id, start").fetchall()


def text_of(response):
    return " ".join(LexborHTMLParser(response.text).body.text(separator=" ").split())


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("path", PATHS)
def test_every_page_answers_in_both_languages(get, lang, path):
    response = get(f"/{lang}/{path}")
    assert response.status_code == 200
    tree = LexborHTMLParser(response.text)
    assert tree.css_first("html").attributes["lang"] == lang
    assert len(tree.css("h1")) == 1
    other = "fr" if lang == "en" else "en"
    twin = tree.css_first("a.twin")
    assert twin.attributes["href"] == f"/{other}/{path}"
    assert get(twin.attributes["href"]).status_code == 200


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_claim_has_its_page(get, claims, lang):
    assert len(claims) == 14
    for claim in claims:
        response = get(f"/{lang}/claim/{claim['id']}")
        assert response.status_code == 200
        assert LexborHTMLParser(response.text).css_first(".block.here mark") is not None


@pytest.mark.parametrize(
    ("lang", "said", "fall", "decision"),
    [
        ("en", "On 20 November 2026 this page said:", "may fall under", "We know of no decision about this vendor."),
        (
            "fr",
            "Le 20 novembre 2026, cette page affirmait",
            "peut relever de",
            "Nous n’avons connaissance d’aucune décision",
        ),
    ],
)
def test_a_claim_is_worded_with_care(get, claims, lang, said, fall, decision):
    claim = next(claim for claim in claims if claim["quote"] == "Abonnés garantis à vie")
    text = text_of(get(f"/{lang}/claim/{claim['id']}"))
    for words in (said, "Abonnés garantis à vie", fall, decision, "95", "hxxp://likeo[.]example/"):
        assert words in text.replace("\u00a0", " "), words
    assert ("not reviewed by a person" if lang == "en" else "non relu par une personne") in text


def test_the_quote_is_marked_in_its_block(get, claims):
    claim = next(claim for claim in claims if claim["quote"] == "Abonnés garantis à vie")
    tree = LexborHTMLParser(get(f"/en/claim/{claim['id']}").text)
    here = tree.css_first(".block.here bdi")
    assert here.css_first("mark").text() == claim["quote"]
    assert here.text() == "Abonnés garantis à vie : un évènement unique !"
    assert len(tree.css(".blocks .block")) == 5


def test_rules_only_of_platforms_that_the_page_names(get, claims):
    by_quote = {claim["quote"]: claim["id"] for claim in claims}
    assert "Instagram Community Guidelines" in text_of(get(f"/en/claim/{by_quote['Abonnés garantis à vie']}"))
    wire = text_of(get(f"/en/claim/{by_quote['Les fans arrivent en une minute']}"))
    assert "names no platform" in wire
    assert "Instagram" not in wire


def test_the_capture_shows_all_blocks_and_marks_the_claims(get):
    tree = LexborHTMLParser(get("/fr/capture/1").text)
    assert len(tree.css(".block")) == 7
    marks = [mark.text() for mark in tree.css(".block mark")]
    assert marks == [
        "abonnés français",
        "livrés en 5 minutes",
        "Abonnés garantis à vie",
        "De vrais comptes",
        "sans mot de passe",
    ]
    assert tree.css_first('meta[name="robots"]').attributes["content"] == "noindex, nofollow"


@pytest.mark.parametrize("page", [1, 2, 4, 5])
def test_the_raw_record_is_a_download(get, store, page):
    response = get(f"/en/capture/{page}/record.warc.gz")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/warc"
    assert response.headers["content-disposition"] == f'attachment; filename="capture-{page}.warc.gz"'
    assert "content-encoding" not in response.headers
    assert gzip.decompress(response.content).startswith(b"WARC/1.1")


@pytest.mark.parametrize(
    "path",
    [
        "xyz",
        "claim/nope",
        "vendor/nope",
        "vendor/a'b",
        "capture/999",
        "capture/999/record.warc.gz",
        "capture/x",
        "claim/x/y",
        "../x",
    ],
)
@pytest.mark.parametrize("lang", LANGUAGES)
def test_nothing_there_is_said_in_words(get, lang, path):
    response = get(f"/{lang}/{path}")
    assert response.status_code == 404
    words = {"en": ("Not found", "no page"), "fr": ("Page introuvable", "n'y a")}[lang]
    assert any(word in response.text for word in words)
    assert "Traceback" not in response.text


@pytest.mark.parametrize("path", ["/nope", "/catalog/nope", "/catalog/claims/nope"])
def test_datasette_s_own_404_is_in_words_too(get, path):
    response = get(path)
    assert response.status_code == 404
    assert "Page introuvable" in response.text


def test_without_a_catalogue_there_is_a_clear_answer():
    from datasette.app import Datasette

    response = asyncio.run(Datasette(memory=True).client.get("/en/"))
    assert response.status_code == 503
    assert "No catalogue" in response.text


def test_the_front_page_speaks_the_browser_s_language(get):
    french, english = get("/", **{"accept-language": "fr-CA,fr;q=0.9,en;q=0.5"}), get("/")
    assert LexborHTMLParser(french.text).css_first("html").attributes["lang"] == "fr"
    assert LexborHTMLParser(english.text).css_first("html").attributes["lang"] == "en"
    assert "Accept-Language" in french.headers["vary"]
    assert LexborHTMLParser(french.text).css_first("a.twin").attributes["href"] == "/en/"


@pytest.mark.parametrize(
    ("header", "lang"),
    [
        ("", "en"),
        ("de", "en"),
        ("fr", "fr"),
        ("en;q=0.4, fr;q=0.8", "fr"),
        ("fr;q=x, en", "en"),
        ("FR-be", "fr"),
        ("fr;q=0", "en"),
    ],
)
def test_preferred(header, lang):
    assert preferred(header) == lang


# search


@pytest.mark.parametrize("query", ["evenement", "ÉVÉNEMENT", "évènement", "evenem", '"evenement unique"'])
def test_accents_case_and_endings_do_not_matter(get, query):
    tree = LexborHTMLParser(get(f"/fr/search?q={query}").text)
    assert len(tree.css("ol.claims > li")) == 1
    assert "évènement" in tree.css_first(".context mark").text()


def test_matches_in_a_quote_are_marked_and_come_first(get):
    tree = LexborHTMLParser(get("/en/search?q=abonn").text)
    first = tree.css("ol.claims > li")[0]
    assert first.css_first(".said mark") is not None


def test_filters_carry_their_counts(get):
    tree = LexborHTMLParser(get("/en/search?lang=en").text)
    options = [option.text() for option in tree.css("select#label option")]
    assert options[1] == "Real fans (2)"
    links = {link.text(): link.attributes["href"] for link in tree.css(".facet a")}
    assert text_of(get(links["Real fans"])).count("Crowdly") >= 2
    assert "2\u00a0claims found" in get(links["Real fans"]).text


def test_a_vendor_is_found_by_its_name(get):
    tree = LexborHTMLParser(get("/fr/search?q=likeo").text)
    assert tree.css_first(".note a").attributes["href"] == "/fr/vendor/likeo_example"


def test_results_go_on_as_csv_with_the_same_filters(get):
    tree = LexborHTMLParser(get("/en/search?q=abonnes&lang=fr").text)
    address = next(
        link.attributes["href"] for link in tree.css("a") if link.attributes["href"].startswith("/catalog/claims?")
    )
    rows = get(address.replace("/claims?", "/claims.csv?")).text.splitlines()
    assert len(rows) > 1
    assert all(",fr," in row for row in rows[1:])


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40))
def test_no_query_breaks_the_search_expression(words):
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE t USING fts5(x, tokenize='unicode61 remove_diacritics 2')")
    expression = fts_expression(words)
    connection.execute("SELECT * FROM t WHERE t MATCH ?", [expression or '""']).fetchall()


@pytest.mark.parametrize(
    "query",
    ['"', "'", "*", "a OR", "NEAR(a b)", "quote:x", "-fans", "%00", "\U0001f600", "a" * 5000, "<script>", "{x}"],
)
def test_signs_in_a_query_are_only_signs(get, query):
    response = asyncio_get(get, "/en/search", query)
    assert response.status_code == 200
    assert "<script" not in response.text


def asyncio_get(get, path, query):
    from urllib.parse import quote

    return get(f"{path}?q={quote(query)}")


# hostile text


def test_hostile_text_is_shown_and_does_nothing(get, claims):
    hostile = next(claim for claim in claims if claim["quote"] == "100% \x01 real fans" or "100%" in claim["quote"])
    pages = [
        "/en/",
        "/en/vendors",
        "/en/vendor/crowdly_test",
        "/en/capture/4",
        "/en/search?q=real",
        f"/en/claim/{hostile['id']}",
    ]
    pages += ["/catalog/claims", "/catalog/blocks", "/catalog/pages", "/catalog/pages/4", "/catalog/vendors"]
    for path in pages:
        response = get(path)
        tree = LexborHTMLParser(response.text)
        assert response.status_code == 200
        assert "alert(" not in " ".join(script.text() for script in tree.css("script"))
        assert tree.css_first("img[src=x]") is None
        assert tree.css_first("title").text().count("Fantômes") or path.startswith("/catalog")
        for node in tree.css("*"):
            assert not any(name.startswith("on") for name in node.attributes), (path, node.html)
    capture = get("/en/capture/4").text
    assert "&lt;script&gt;alert(1)" in capture
    assert "{{ 7*7 }}" in capture
    assert "\x01" not in capture


def test_every_quote_is_isolated_from_the_page_s_direction(get):
    tree = LexborHTMLParser(get("/en/capture/4").text)
    assert all(block.css_first("bdi") is not None for block in tree.css(".block"))


@given(st.text(max_size=30), st.lists(st.tuples(st.integers(-5, 40), st.integers(-5, 40), st.sampled_from("abc"))))
def test_marks_never_change_the_text(text, spans):
    html = str(marked(text, spans))
    bare = re.sub(r"</?mark[^>]*>", "", html)
    for sign, entity in (("<", "&lt;"), (">", "&gt;"), ("'", "&#39;"), ('"', "&#34;"), ("&", "&amp;")):
        bare = bare.replace(entity, sign)
    assert len(bare) == len(text)
    assert html.count("<mark") == html.count("</mark>")


@given(st.text(max_size=30))
def test_a_match_is_escaped(text):
    html = str(matched(f"<b>\ue000{text}\ue001</b>"))
    assert html.startswith("&lt;b&gt;<mark>")
    assert "<b>" not in html


# headers


@pytest.mark.parametrize("path", ["/", "/en/", "/fr/search?q=a", "/en/capture/1", "/en/claim/none", "/robots.txt"])
def test_our_pages_load_one_style_sheet_and_nothing_else(get, path):
    response = get(path)
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "unsafe" not in policy
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "set-cookie" not in response.headers
    tree = LexborHTMLParser(response.text)
    assert tree.css("script, style, [style], img, iframe") == []


@pytest.mark.parametrize(
    "path",
    [
        "/catalog",
        "/catalog/claims",
        "/catalog/claims.csv",
        "/catalog/who_promises?label=real",
        "/-/static-plugins/fantomes/catalog.css",
    ],
)
def test_datasette_s_pages_have_headers_too(get, path):
    response = get(path)
    assert response.status_code == 200
    scripts = response.headers["content-security-policy"].split("script-src")[1]
    assert "unsafe" not in scripts
    assert "set-cookie" not in response.headers


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("/en/", True),
        ("/en/vendor/likeo_example", True),
        ("/en/capture/1", False),
        ("/fr/search", False),
        ("/catalog/claims", False),
    ],
)
def test_who_may_index_what(get, path, kept):
    assert ("x-robots-tag" not in get(path).headers) is kept


# Datasette's own pages


@pytest.mark.parametrize("name", list(read_yaml(files("catalog") / "metadata.yaml")["databases"]["catalog"]["queries"]))
def test_the_ready_questions_have_answers(get, name):
    values = "label=real&vendor=lik"
    rows = get(f"/catalog/{name}.json?_shape=array&{values}").json()
    assert rows, name
    assert get(f"/catalog/{name}?{values}").status_code == 200


def test_the_claims_table_has_its_facets(get):
    tree = LexborHTMLParser(get("/catalog/claims").text)
    assert {"facet-label", "facet-lang", "facet-source_kind"} <= {
        node.attributes.get("data-column") and "facet-" + node.attributes["data-column"]
        for node in tree.css(".facet-info")
    }


def test_readers_may_ask_in_sql_but_not_write(get):
    assert get("/catalog.json?sql=select+count(*)+as+n+from+claims&_shape=array").json() == [{"n": 14}]
    assert get("/catalog.json?sql=delete+from+claims").status_code == 400
    slow = "with recursive n(i) as (select 1 union all select i+1 from n) select count(*) from n"
    assert get(f"/catalog.json?sql={slow}").status_code == 400


# messages and serving


def test_both_languages_say_the_same_things():
    def shape(value):
        if isinstance(value, dict):
            return {key: shape(member) for key, member in value.items()}
        return sorted(re.findall(r"{(\w+)}", value)) if isinstance(value, str) else len(value)

    english, french = (messages(lang).table for lang in LANGUAGES)
    assert {key: shape(value) for key, value in english.items()} == {key: shape(value) for key, value in french.items()}


def test_no_message_is_idle():
    sources = [path.read_text(encoding="utf-8") for path in (files("catalog") / "templates" / "catalog").iterdir()]
    sources += [(files("catalog") / f"{name}.py").read_text(encoding="utf-8") for name in ("browse", "messages")]
    code = "\n".join(sources)
    made = (
        "mark_",
        "severity_",
        "status_",
        "vendors_sort_",
        "search_label_",
        "search_lang_",
        "search_source_",
        "search_vendor_",
    )
    idle = [key for key in messages("en").table if key not in made and not key.startswith(made)]
    idle = [key for key in idle if not re.search(rf"""["']{key}["']""", code)]
    assert idle == []


@pytest.mark.parametrize(
    ("share", "shown"), [(0.8, "80%"), (0.95, "95%"), (0.997, "99.7%"), (1.0, "99.9%"), (0.3333, "33%")]
)
def test_a_probability_is_never_certainty(share, shown):
    assert messages("en").percent(share) == shown


def test_serving_needs_a_catalogue_of_the_right_name(store, tmp_path, get):
    argv = command(store.folder / "catalog.db", "127.0.0.1", 8001)
    assert argv[:5] == [sys.executable, "-m", "datasette", "serve", "-i"]
    with pytest.raises(CatalogError, match="fantomes publish"):
        command(tmp_path / "catalog.db")
    (tmp_path / "other.db").write_bytes(b"")
    with pytest.raises(CatalogError, match=r"catalog\.db"):
        command(tmp_path / "other.db")
