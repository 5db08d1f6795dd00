"""Apps: saved store pages (Google Play, Apple App Store) of apps that promise fans.

A store's page holds the words of many: of the developer, of users who rate, of the store, of other apps. Only what is
known to be the developer's is taken for blocks, beside the store's own counts; a walk over the page would not know.
"""

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs, urlsplit

from selectolax.lexbor import LexborHTMLParser

from crawler.blocks import Block, page_text
from crawler.depth import too_deep
from crawler.frontier import clean
from crawler.market.fields import one_line
from crawler.market.listing import text_blocks
from crawler.market.panels import offer_key, shown
from crawler.market.pricetable import CURRENCY
from crawler.page import MAX_BODY, Capture, NotAPage, Offer, Page, decode, digest
from data.domains import registrable_domain

TYPES = frozenset({"SoftwareApplication", "MobileApplication", "WebApplication", "VideoGame"})
STORES = frozenset({"google.com", "apple.com"})
NAMES = "h1[itemprop=name], h1 [itemprop=name], h1.product-header__title, h1"
SUBTITLES = ".product-header__subtitle, h2.subtitle"
DESCRIPTIONS = (
    "[data-g-id=description], div[itemprop=description], .section__description .we-truncate, .app-description"
)
DEVELOPERS = '.product-header__identity a, a[href*="/store/apps/dev"], [itemprop=author] [itemprop=name]'
SITE = re.compile(  # how a store words the link to the developer's site, in the six languages of the corpus
    r"^\W*(?:(?:developer|app)?['’s]*\s*web\s?-?site|site (?:web|internet)(?: du développeur)?"
    r"|website (?:des entwicklers|besuchen)|entwickler-?website|webseite|sitio web(?: del desarrollador)?"
    r"|sito web(?: dello sviluppatore)?|site do (?:desenvolvedor|programador))\b",
    re.I,
)
COUNTED = (
    r"(?:downloads?|téléchargements?|descargas|transferências|installs|installations|reviews?|ratings?|avis|notes"
    r"|rezensionen|bewertungen|reseñas|opiniones|valoraciones|calificaciones|recensioni|valutazioni|avaliações)"
)
AMOUNT = r"\d[\d.,\s\u202f]{0,20}(?:k|m|b|md|mio\.?|mrd\.?|mil)?\s?\+?"
COUNT = re.compile(rf"{AMOUNT}\s?{COUNTED}|\d[.,]\d\s?(?:★|stars?|étoiles?|sterne|estrellas|stelle|estrelas)", re.I)
IN_APP = re.compile(
    r"\W*(?:(?:contains ads|contient (?:des annonces|des pubs|de la publicité)|enthält werbung|contiene anuncios"
    r"|contiene annunci|contém anúncios)\W*)?(?:(?:offers )?in-app[ -](?:purchases|käufe)|achats intégrés"
    r"|compras (?:en|dentro de) la aplicación|acquisti in-app|compras (?:no|na) (?:app|aplicativo|aplicação))\W*",
    re.I,
)


def read_app(capture: Capture) -> Page | None:
    """The page of an app, from a saved page of a store; None when `capture.url` is no app's page in a store.

    Only what the developer and the store say of the app; never what users wrote. Raises NotAPage.
    """
    app = app_of(capture.url)
    if app is None:
        return None
    if len(capture.body) > MAX_BODY:
        raise NotAPage("too-large", f"{len(capture.body)} bytes, the limit is {MAX_BODY}")
    html, charset = decode(capture.body, capture.content_type)
    if too_deep(html):
        raise NotAPage("too-deep", "elements nest too deep to be parsed")
    tree = LexborHTMLParser(html)
    data = _application(tree)
    other = app_of(data["url"]) if isinstance(data.get("url"), str) else None
    if other not in (None, app):
        raise NotAPage("other-app", f"the page is of the app {other!r}, its address of {app!r}")
    name = _first(text_blocks([("title", shown(data.get("name"))), *_texts(tree, "title", NAMES)]))
    said = text_blocks(_descriptions(tree, data, capture.url))
    if not name or not said:
        raise NotAPage("empty", "no name or no description of an app on the page")
    stated = data.get("author")
    author: dict[str, Any] = stated if isinstance(stated, dict) else {}
    developer = _first(text_blocks([("data", shown(author.get("name"))), *_texts(tree, "data", DEVELOPERS)]))
    on_page = page_text(html, capture.url).blocks
    parts = [("title", name), ("data", developer), *((block.kind, block.text) for block in said)]
    blocks = text_blocks([*parts, *((block.kind, block.text) for block in _counts(on_page))])
    return Page(
        capture,
        charset,
        name,
        blocks,
        links=[(url, "website") for url in _sites(tree, author.get("url"))],
        text_sha256=digest(blocks),
        kind="app",
        offers=list(_offers(tree, data, on_page, capture.url, app, name)),
    )


def app_of(url: str) -> str | None:
    """The id of an app by the address of its page in a store; None for any other address."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.hostname == "play.google.com" and parts.path.startswith("/store/apps/details"):
        return next(
            (found for found in parse_qs(parts.query).get("id", []) if re.fullmatch(r"[\w.]{1,200}", found)), None
        )
    if parts.hostname in ("apps.apple.com", "itunes.apple.com"):
        return next(iter(re.findall(r"/id(\d{1,20})(?:/|$)", parts.path)), None)
    return None


def _application(tree: LexborHTMLParser) -> dict[str, Any]:
    """The first application that the page describes as JSON-LD; empty where there is none."""
    for script in tree.css('script[type="application/ld+json"]'):
        try:
            stack: list[Any] = [json.loads(script.text(), parse_float=str)]
        except (ValueError, RecursionError):
            continue
        while stack:
            value = stack.pop()
            if isinstance(value, list):
                stack.extend(reversed(value))
            elif isinstance(value, dict):
                types = value.get("@type")
                if any(
                    isinstance(name, str) and name in TYPES for name in (types if isinstance(types, list) else [types])
                ):
                    return value
                stack.extend(reversed([inner for inner in value.values() if isinstance(inner, dict | list)]))
    return {}


def _descriptions(tree: LexborHTMLParser, data: dict[str, Any], url: str) -> Iterator[tuple[str, str]]:
    """The developer's words, line by line. The meta description is the developer's on Google Play, Apple's at Apple."""
    yield from _texts(tree, "text", SUBTITLES)
    if urlsplit(url).hostname == "play.google.com" and (meta := tree.css_first("meta[name=description]")) is not None:
        yield "meta", meta.attributes.get("content") or ""
    for line in shown(data.get("description")).split("\n"):
        yield "text", line
    for node in tree.css(DESCRIPTIONS):
        lines = re.sub(r"<br\b[^<>]{0,200}>", "</div><div>", node.html or "")
        yield from ((block.kind, block.text) for block in page_text(lines, url).blocks)


def _texts(tree: LexborHTMLParser, kind: str, selector: str) -> list[tuple[str, str]]:
    return [(kind, node.text(separator=" ")) for node in tree.css(selector)[:5]]


def _first(blocks: list[Block]) -> str:
    return blocks[0].text if blocks else ""


def _counts(blocks: list[Block]) -> Iterator[Block]:
    """Installs, ratings and in-app purchases as the store shows them: a label with its number, or beside it."""
    for before, block in zip([Block("", ""), *blocks], blocks, strict=False):
        if COUNT.fullmatch(block.text) or IN_APP.fullmatch(block.text):
            yield block
        elif re.fullmatch(COUNTED, block.text, re.I) and re.fullmatch(AMOUNT, before.text, re.I):
            yield from (before, block)


def _sites(tree: LexborHTMLParser, author_url: Any) -> list[str]:
    """The developer's own site, by what the store says that the link is; a store is nobody's site."""
    found: dict[str, None] = {}
    addresses = [author_url] if isinstance(author_url, str) else []
    for anchor in tree.css("a[href]"):
        words = anchor.attributes.get("aria-label") or anchor.text(separator=" ").strip()[:100]
        if SITE.match(words):
            addresses.append(anchor.attributes.get("href") or "")
    for address in addresses:
        try:
            if urlsplit(address).hostname in ("www.google.com", "google.com") and urlsplit(address).path == "/url":
                address = parse_qs(urlsplit(address).query).get("q", [""])[0]  # Google's own redirect
            url = clean(address)
            home = registrable_domain(urlsplit(url).hostname or "")
        except ValueError:
            continue
        if url.startswith(("http://", "https://")) and home and home not in STORES:
            found[url] = None
    return list(found)


def _offers(
    tree: LexborHTMLParser, data: dict[str, Any], blocks: list[Block], url: str, app: str, name: str
) -> Iterator[Offer]:
    """The app itself at its price, and what is sold inside it."""
    stated = data.get("offers")
    first = next(iter(stated), None) if isinstance(stated, list) else stated
    if isinstance(first, dict) and isinstance(first.get("price"), str | int):
        currency = first.get("priceCurrency")
        price = one_line(str(first["price"]))[:40]
        yield _offer(url, app, name, price, one_line(currency)[:10] if isinstance(currency, str) else None)
    items = tree.css("li.list-with-numbers__item")[:200]
    for item in items:
        title, price_node = item.css_first(".list-with-numbers__item__title"), item.css_first("[class*=item__price]")
        if title is not None and price_node is not None and (words := _first(text_blocks([("item", title.text())]))):
            yield _offer(url, app, words, " ".join(price_node.text().split())[:100])
    for label, block in pairwise(blocks if not items else []):
        if IN_APP.fullmatch(label.text) and CURRENCY.search(block.text) and re.search(r"\d", block.text[:100]):
            yield _offer(url, app, label.text, block.text[:100])


def _offer(url: str, app: str, name: str, price: str, currency: str | None = None) -> Offer:
    seen = CURRENCY.search(price)
    return Offer(
        offer_key(url, app, name), name, service=app, price=price, currency=currency or (seen[0] if seen else None)
    )
