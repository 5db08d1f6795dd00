"""Feeds: RSS, Atom, sitemaps, robots.txt and paged lists; from an entry to the release that it announces, and from the
release to the front page of the site that it advertises."""

import re
import zlib
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin, urlsplit

from lxml import etree
from scrapy.utils.gz import gunzip

from crawler.archive import Archive
from crawler.found import Found
from crawler.frontier import Lease, Link, clean
from crawler.page import MAX_BODY, Capture, decode, read_page
from crawler.press.releases import read_release
from crawler.sources import Source
from crawler.spiders import listing

MAX_ENTRIES = 50_000  # what a sitemap may hold (https://www.sitemaps.org/protocol.html)
TOLERANCE = timedelta(days=1)  # clocks differ; what is dated later than that was not published yet
DATES = ("pubDate", "published", "publication_date", "date")  # of RSS, Atom, news sitemaps, Dublin Core
ZONES = {  # RFC 822 names a few of America's; feeds of Europe use these too
    "CET": 1, "CEST": 2, "MET": 1, "MEST": 2, "MEZ": 1, "MESZ": 2, "WET": 0, "WEST": 1, "BST": 1, "EET": 2,
    "EEST": 3, "MSK": 3, "BRT": -3, "ART": -3,
}  # fmt: skip


def read(capture: Capture, lease: Lease, source: Source, archive: Archive) -> Found:
    """Where a feed or a list leads; or a release, and the front page it advertises; or another page and no more.

    Feeds and lists are followed down to source.max_depth, however they are chained. Raises NotAPage.
    """
    deep = lease.depth >= source.max_depth
    if urlsplit(capture.url).path == "/robots.txt":
        return Found("robots.txt", links=[] if deep else sitemaps(capture.body, capture.url))
    if (found := entries(capture.body, capture.url)) is not None:
        return Found(("feed" if found else "empty-feed") if not deep else "too-deep", links=[] if deep else found)
    page = read_page(capture)
    html, _ = decode(capture.body, capture.content_type)
    if listing.may_be(lease.url, source.start) and (listed := listing.links(html, capture.url)):
        return Found("list" if not deep else "too-deep", links=[] if deep else listed)
    if urlsplit(lease.url).path in ("", "/") or (judged := read_release(page, html)) is None:
        return Found(pages=[page])  # also a vendor's front page, which a release led to
    page.release, page.kind = judged, "release"
    return Found(pages=[page], links=[Link(judged.advertised)] if judged.advertised and source.max_depth else [])


def sitemaps(body: bytes, url: str) -> list[Link]:
    """The sitemaps that a robots.txt names, wherever they lie (RFC 9309, 2.2.4)."""
    found = re.findall(rb"(?im)^[ \t]*sitemap[ \t]*:[ \t]*(\S{1,2000})", body[:500_000])
    addresses = [_join(url, address.decode("utf-8", "replace")) for address in found]
    return [Link(address) for address in dict.fromkeys(addresses) if address]


def entries(body: bytes, url: str) -> list[Link] | None:
    """The entries of the feed found at `url`, and the feed's next page; None when it is no feed.

    A sitemap index gives its sitemaps. Where entries say when they were changed (`lastmod`) the last changed come
    first, others keep the feed's order: a source's max_pages cuts at the end. Broken XML gives what can be read of it.
    Entities are never resolved, so that an entity bomb stays a few bytes.
    """
    if body[:2] == b"\x1f\x8b":
        try:
            body = gunzip(body, max_size=MAX_BODY)
        except (OSError, EOFError, ValueError, zlib.error):
            return None
    if (root := _parse(body)) is None:
        return None
    found: dict[str, Link] = {}
    changed: dict[str, str] = {}
    following: dict[str, Link] = {}
    for element in root.iter(tag=etree.Element):
        name = _name(element)
        if name in ("item", "entry", "url", "sitemap"):
            if (address := _address(element)) and (absolute := _join(url, address)):
                found.setdefault(absolute, Link(absolute, _date(element, DATES)))
                changed.setdefault(absolute, _date(element, ("lastmod",)) or "")
            if len(found) >= MAX_ENTRIES:
                break
        elif name == "link" and _name(element.getparent()) in ("feed", "channel"):
            more = _join(url, element.get("href") or "")
            if more and element.get("rel") in ("next", "prev-archive"):  # RFC 5005
                following[more] = Link(more)
    newest = sorted(found.values(), key=lambda link: changed[link.url], reverse=True)  # stable
    return [*newest, *(link for link in following.values() if link.url not in found)]


def _parse(body: bytes) -> etree._Element | None:
    """The root of a feed, whatever charset it claims; None for what is none."""
    start = re.search(rb"<(?:\w+:)?(?:rss|feed|RDF|urlset|sitemapindex)[\s>]", body[:8192].replace(b"\0", b""))
    if not start or re.search(rb"(?i)<(?:html|body)[\s>]", body[: start.start()]):
        return None
    parser = etree.XMLParser(resolve_entities=False, no_network=True, recover=True, load_dtd=False, huge_tree=False)
    declared = re.match(rb"\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([\w.-]{1,40})", body)
    text, _ = decode(body, f"text/xml; charset={declared[1].decode()}" if declared else "text/xml")
    text = re.sub(r"^\s*<\?xml[^>]{0,300}\?>", "", text)  # what it says of the charset has been read
    root = etree.fromstring(text.encode("utf-8", "replace"), parser)
    return root if root is not None else etree.Element("rss")


def _name(element: etree._Element | None) -> str:
    tag = element.tag if element is not None else ""
    return str(tag).rpartition("}")[2].rpartition(":")[2]  # also of a prefix that was never declared


def _address(entry: etree._Element) -> str | None:
    """`link` of RSS (text) or Atom (href, rel alternate), a permanent `guid`, or `loc` of a sitemap."""
    fallback = None
    sitemap = _name(entry) in ("url", "sitemap")  # there a link is another language's page
    for child in entry.iterchildren(tag=etree.Element):
        name, text = _name(child), "".join(child.itertext(tag=etree.Element)).strip()
        if name == "loc" and text:
            return text
        if name == "link" and not sitemap:
            if child.get("href") and child.get("rel", "alternate") == "alternate":
                return child.get("href")
            if text:
                return text
        if name == "guid" and child.get("isPermaLink", "true") == "true" and text.startswith("http"):
            fallback = text
    return fallback


def _date(entry: etree._Element, names: tuple[str, ...]) -> str | None:
    """The first date under one of `names`, as UTC in ISO 8601; None where it is not readable, or lies ahead."""
    for child in entry.iter(tag=etree.Element):
        if _name(child) in names and (text := (child.text or "").strip()):
            try:
                read = datetime.fromisoformat(text) if text[:4].isdigit() else _rfc822(text)
                read = read.replace(tzinfo=read.tzinfo or UTC).astimezone(UTC)
                return read.strftime("%Y-%m-%dT%H:%M:%SZ") if read <= datetime.now(UTC) + TOLERANCE else None
            except (ValueError, OverflowError):
                return None
    return None


def _rfc822(text: str) -> datetime:
    """Raises ValueError. Zones that the standard library does not know it would take for UTC."""
    read = parsedate_to_datetime(text)
    zone = re.search(r"\b([A-Z]{3,4})\)?\s*$", text)
    if zone and zone[1] in ZONES:
        return read.replace(tzinfo=timezone(timedelta(hours=ZONES[zone[1]])))
    return read


def _join(base: str, address: str) -> str | None:
    try:
        joined = urljoin(base, address)
        return clean(joined) if joined.startswith(("http://", "https://")) else None
    except ValueError:
        return None
