"""Lists: a wire's archive as HTML, page after page; from a list to the releases it announces and to its next pages."""

import re
from urllib.parse import urljoin, urlsplit

from selectolax.lexbor import LexborHTMLParser, LexborNode

from crawler.frontier import Link, clean
from crawler.traps import is_trap
from data.domains import registrable_domain

MIN_ENTRIES = 3  # fewer links to articles make no list
MAX_LINKS = 5_000  # a page
AROUND = frozenset("nav footer aside".split())
SLUG = re.compile(r"[^\W_]{2,}(?:[-_][^\W_]+){2,}|\d{4,}|(?:^|[=-])\d+(?:$|[-_])")  # three words, or a number
PAGE_NUMBER = re.compile(r"(?:[/_-]?(?:page|seite|pagina|página|p))?[/_=-]?\d+(?=/?$|\.\w+$)|/?$|\.\w{2,5}$", re.I)
NEXT = re.compile(
    r"\W*(?:next(?: page)?|older(?: \w+)?|more (?:news|releases)|(?:page )?suivante?s?(?: page)?|plus anciens?"
    r"|(?:nächste|weitere)(?: seite| meldungen)?|ältere(?: \w+)?|weiter|siguientes?|página siguiente|anteriores"
    r"|(?:pagina )?(?:successiv[ao]|seguente)|(?:próxima|seguinte)(?: página)?|mais antig[oa]s|\d{1,4})\W*|[›»→>]+",
    re.I,
)


def may_be(url: str, start: tuple[str, ...]) -> bool:
    """Whether `url` is a start address of the source or a later page of one: the same address but for a page number."""
    return any(_stem(url) == _stem(first) for first in start)


def links(html: str, url: str) -> list[Link]:
    """The releases that the list at `url` announces, then its other pages; nothing when it is no list.

    A list has MIN_ENTRIES links to articles, and no stretch between them that holds half of the text, as a release has
    above its related links.
    """
    articles: dict[str, None] = {}
    pages: dict[str, None] = {}
    stretches = [0]
    for text, href, rel in _pieces(html):
        address = _join(url, href) if href else None
        if address is None:
            stretches[-1] += len(text)
        elif rel or (NEXT.fullmatch(text) and may_be(address, (url,))):
            pages[address] = None
        elif _is_article(address, text):
            if address not in articles:
                stretches.append(0)
            articles[address] = None
    if len(articles) < MIN_ENTRIES or max(stretches) * 2 > sum(stretches) + sum(map(len, articles)):
        return []
    here = clean(url)
    return [
        Link(address) for address in [*articles, *(page for page in pages if page not in articles)] if address != here
    ]


def _pieces(html: str) -> list[tuple[str, str | None, bool]]:
    """(text, address, says rel=next) of links, and the texts outside them, in order and without navigation."""
    tree = LexborHTMLParser(html)
    found: list[tuple[str, str | None, bool]] = [
        ("", node.attributes.get("href"), True) for node in tree.css('link[rel="next"][href], a[rel~="next"][href]')
    ]
    stack: list[LexborNode] = [tree.body] if tree.body is not None else []
    while stack and len(found) < MAX_LINKS * 10:
        node = stack.pop()
        if node.next is not None and node.tag != "body":
            stack.append(node.next)
        if node.tag == "-text":
            if text := (node.text_content or "").strip():
                found.append((text, None, False))
        elif node.tag == "a" and node.attributes.get("href"):
            found.append((" ".join(node.text().split()), node.attributes["href"], False))
        elif node.child is not None and node.tag not in AROUND and node.tag not in ("script", "style", "noscript"):
            stack.append(node.child)
    return found


def _is_article(url: str, text: str) -> bool:
    """Whether a link looks like one to a release: an address with a title or a number in it, and words to click on."""
    parts = urlsplit(url)
    if is_trap(url):
        return False
    last = parts.path.rstrip("/").rpartition("/")[2] + ("?" + parts.query if parts.query else "")
    return bool(SLUG.search(last)) and len(text) >= 15 and len(text.split()) >= 3


def _stem(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    path, shorter = parts.path, None
    while path != shorter:  # /press/2026/page/3.html
        shorter, path = path, PAGE_NUMBER.sub("", path)
    return parts.hostname or "", path


def _join(base: str, href: str) -> str | None:
    """The address of a link within the registered domain; None for others."""
    try:
        address = clean(urljoin(base, href.strip()))
        same = registrable_domain(urlsplit(address).hostname or "") == registrable_domain(urlsplit(base).hostname or "")
        return address if same and address.startswith("http") else None
    except ValueError:
        return None
