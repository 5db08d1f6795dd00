"""Blocks of a page: every sentence-sized piece of text that a visitor (or a search engine) is shown.

A pure function html -> page text, no network, no Scrapy in it, so that a mended parser can read archived pages again.
News extractors drop lists, tables, cards and buttons, which is where sellers put their promises; hence a walker of our
own over selectolax (measured against trafilatura and resiliparse: README, map). It never recurses: a page may nest
100,000 elements deep.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape
from typing import Any
from urllib.parse import urljoin

from selectolax.lexbor import LexborHTMLParser, LexborNode

KINDS = ("title", "meta", "heading", "text", "item", "cell", "button", "link", "alt", "option", "data", "quote")
MAX_BLOCK = 5_000  # characters; a longer run of text is cut at a space, nothing is dropped
MAX_BLOCKS = 20_000  # per page
MAX_LINKS = 5_000  # per page
MAX_OPTIONS = 40  # a longer <select> is a list of countries or years, not an offer

SKIPPED = frozenset(
    "script style template noscript svg math head iframe object embed canvas audio video map textarea datalist"
    " del s strike".split()  # crossed out: said no longer
)
BLOCK_TAGS = {
    **dict.fromkeys("h1 h2 h3 h4 h5 h6 summary legend caption".split(), "heading"),
    **dict.fromkeys("li dt dd".split(), "item"),
    **dict.fromkeys("td th".split(), "cell"),
    "blockquote": "quote",
    "button": "button",
    "option": "option",
    **dict.fromkeys(  # block-level, but they say nothing about the kind
        "address article aside body center details dialog div dl fieldset figcaption figure footer form header hgroup"
        " hr html main menu nav ol p pre section select table tbody tfoot thead tr ul label marquee".split(),
        "",
    ),
}
INHERITED = frozenset({"heading", "item", "cell", "quote", "button"})  # a <p> inside a <li> is still an item
BUTTON_CLASS = re.compile(r"(?:^|[\s_-])(?:btn|button|cta|badge|chip|tag|pill|label)(?:$|[\s_\d-])", re.I)
ICON_CLASS = re.compile(
    r"(?:^|\s)material-(?:icons|symbols)(?:-(?:outlined|round(?:ed)?|sharp|two-tone))?(?:$|\s)", re.I
)  # their ligatures ("star_border") are pictures
HIDDEN_STYLE = re.compile(r"(?<![\w-])(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.I)
BULLET = re.compile(r"\n(?=[•·▪►▶✓✔✅☑➤➜★⭐→»*\U0001F300-\U0001FAFF☀-➿-])")
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
JSON_TEXT = frozenset(
    "name headline alternativeHeadline description text reviewBody slogan disambiguatingDescription".split()
)
JSON_NOT_TEXT = frozenset(  # things whose "name" is no sentence shown to the reader
    "BreadcrumbList ListItem ImageObject PostalAddress Country Person Brand WebSite Organization SearchAction".split()
)


@dataclass(slots=True)
class Block:
    """A piece of text and what it was on the page (one of KINDS)."""

    kind: str
    text: str


@dataclass(slots=True)
class PageText:
    """What a page shows: `blocks` in reading order without repeats, `links` as (absolute address, anchor text)."""

    title: str | None = None
    blocks: list[Block] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)
    published_at: str | None = None  # as the page gives it


def page_text(html: str, url: str) -> PageText:
    """Read `html`, found at `url` (for relative links). Bad HTML never raises; an empty page gives no blocks.

    Ask depth.too_deep first when the HTML comes from a stranger.
    """
    tree = LexborHTMLParser(html)
    page = PageText()
    found: dict[str, Block] = {}  # by text: repeats (og: tags, mobile copies of a list) count once
    base = _base(tree, url)
    for kind, raw in _head(tree, page):
        _keep(found, kind, raw)
    if tree.body is not None:
        for kind, raw in _walk(tree.body, base, page.links):
            _keep(found, kind, raw)
            if len(found) >= MAX_BLOCKS:
                break
    for raw in _json_ld(tree, page):
        _keep(found, "data", raw)
    page.blocks = list(found.values())[:MAX_BLOCKS]
    return page


def _keep(found: dict[str, Block], kind: str, raw: str) -> None:
    # stripped lines, so that the pattern has nothing to try twice
    parts = BULLET.split("\n".join(filter(None, map(str.strip, raw.split("\n"))))) if "\n" in raw.strip() else (raw,)
    for part in parts:
        text = " ".join(part.split())
        if not text.isprintable():
            text = " ".join(_sound(part).split())
        if len(text) <= MAX_BLOCK:
            if len(text) > 1 or text.isalnum():
                found.setdefault(text, Block(kind, text))
            continue
        start = 0
        while start < len(text):
            end = start + MAX_BLOCK
            if end < len(text) and (space := text.rfind(" ", start + 1, end)) > 0:
                end = space
            piece = text[start:end].strip()
            start = end
            if any(c.isalnum() for c in piece) or len(piece) > 1:
                found.setdefault(piece, Block(kind, piece))


def _sound(text: str) -> str:
    """Without control characters and halves of surrogate pairs, which no table and no file can hold."""
    return CONTROL.sub(" ", text).encode("utf-8", "replace").decode("utf-8")


def _base(tree: LexborHTMLParser, url: str) -> str:
    node = tree.css_first("base[href]")
    href = node.attributes.get("href") if node else None
    return _absolute(url, href) or url if href else url


def _absolute(base: str, href: str) -> str | None:
    href = href.strip()
    if href.startswith(("https://", "http://")) and "[" not in href:
        return href
    try:
        return urljoin(base, href) if href else None
    except ValueError:  # "http://[": a broken address is no link
        return None


def _head(tree: LexborHTMLParser, page: PageText) -> Iterator[tuple[str, str]]:
    title = tree.css_first("head > title") or tree.css_first("body title")
    if title is not None:
        page.title = " ".join(_sound(title.text()).split()) or None
        yield "title", title.text()
    for node in tree.css("meta[content]"):
        content = node.attributes.get("content") or ""
        name = (node.attributes.get("name") or node.attributes.get("property") or "").lower()
        if name in ("description", "og:title", "og:description", "twitter:title", "twitter:description"):
            yield "meta", content
        elif name in ("article:published_time", "date", "datepublished", "dc.date") and not page.published_at:
            page.published_at = _sound(content).strip() or None


def _walk(body: LexborNode, base: str, links: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Depth first, text gathered through inline elements and let go at the edges of block elements."""
    text: list[str] = []  # what the open block has said so far
    kinds = ["text"]  # one entry an open block element: what its text is
    anchors: list[tuple[str, int, int]] = []  # one entry an open <a>: its address, and where its text starts
    block = 0  # how many blocks were let go: the anchor's text starts in this one, or at the beginning of a later one
    stack: list[tuple[LexborNode, str | None, bool]] = [(body, "", False)]  # node, its own kind, is it being closed?
    while stack:
        node, own, closing = stack.pop()
        tag = node.tag or ""
        if closing:
            if tag == "a":
                href, started, start = anchors.pop()
                if len(links) < MAX_LINKS and (address := _absolute(base, href)):
                    words = "".join(text[start if started == block else 0 :])
                    links.append((_sound(address), " ".join(_sound(words).split())[:200]))
            elif tag == "q":
                text.append("”")
            if own is not None:
                kind = kinds.pop()
                if text:
                    yield kind, "".join(text)
                    text.clear()
                block += 1
            continue
        if stack and (sibling := node.next) is not None:  # body, the first, has none that is read
            stack.append((sibling, None, False))
        if tag == "-text":
            text.append(node.text_content or "")
        elif tag == "br":
            text.append("\n")
        elif tag in SKIPPED or tag.startswith("-") or _hidden(node):
            continue
        elif tag == "img":
            yield "alt", node.attributes.get("alt") or ""
        elif tag == "input":
            if (node.attributes.get("type") or "").lower() in ("submit", "button"):
                yield "button", node.attributes.get("value") or ""
        elif tag != "select" or len(node.css("option")) <= MAX_OPTIONS:
            own = _own_kind(node, tag)
            if own is not None:
                if text:
                    yield kinds[-1], "".join(text)
                    text.clear()
                block += 1
                kinds.append(own or (kinds[-1] if kinds[-1] in INHERITED else "text"))
            elif tag == "span" and text and node.prev is not None and node.prev.tag == "span":
                text.append(_gap(text[-1][-1:], node.text()[:1]))
            if tag == "a":
                anchors.append((node.attributes.get("href") or "", block, len(text)))
            elif tag == "q":
                text.append("“")  # browsers show it; who quotes does not assert
            stack.append((node, own, True))
            if (child := node.child) is not None:
                stack.append((child, None, False))


def _own_kind(node: LexborNode, tag: str) -> str | None:
    """The kind this element gives its text; "" for a block element without one; None for an inline element."""
    if tag in BLOCK_TAGS:
        return BLOCK_TAGS[tag]
    if tag in ("a", "span", "em", "strong", "b", "small"):
        classes = node.attributes.get("class")
        if classes and BUTTON_CLASS.search(classes) and not _in_running_text(node):
            return "button"
        if tag == "a" and node.parent is not None and node.parent.tag in ("nav", "footer", "header"):
            return "link"
    return None


def _in_running_text(node: LexborNode) -> bool:
    """Whether text stands right beside the element: then it is a word of a sentence ("<b class=badge>not</b> true")."""
    return any(
        other is not None and other.tag == "-text" and any(map(str.isalnum, other.text_content or ""))
        for other in (node.prev, node.next)
    )


def _gap(before: str, after: str) -> str:
    """What stands between two neighbouring spans: nothing inside a word, a space between pieces of a card."""
    return "" if before.isalpha() and after.isalpha() and after.islower() else " "


def _hidden(node: LexborNode) -> bool:
    attributes = node.attributes
    if not attributes:
        return False
    if "hidden" in attributes and (attributes["hidden"] or "").lower() != "until-found":
        return True
    style, classes = attributes.get("style"), attributes.get("class")
    return bool((style and HIDDEN_STYLE.search(style)) or (classes and ICON_CLASS.search(classes)))


def _json_ld(tree: LexborHTMLParser, page: PageText) -> Iterator[str]:
    for script in tree.css('script[type="application/ld+json"]'):
        try:
            stack: list[Any] = [json.loads(script.text())]
        except (ValueError, RecursionError):
            continue  # about one in ten is malformed on real sites; the raw page stays in the archive
        while stack:
            value = stack.pop()
            if isinstance(value, list):
                stack.extend(reversed(value))
            elif isinstance(value, dict):
                published = value.get("datePublished")
                if isinstance(published, str) and not page.published_at:
                    page.published_at = _sound(published)
                named = value.get("@type") not in JSON_NOT_TEXT if isinstance(value.get("@type"), str) else True
                for key, inner in value.items():
                    if isinstance(inner, str) and key in JSON_TEXT and (named or key != "name"):
                        yield re.sub(r"<[^<>]{0,500}>", " ", unescape(inner))
                stack.extend(reversed([inner for inner in value.values() if isinstance(inner, dict | list)]))
