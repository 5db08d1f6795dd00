"""Feeds: RSS, Atom, sitemaps and news sitemaps; from an entry to the page that it announces."""

import re
import zlib
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin

from lxml import etree
from scrapy.utils.gz import gunzip

from crawler.archive import Archive
from crawler.found import Found
from crawler.frontier import Lease, Link, clean
from crawler.page import MAX_BODY, Capture, read_page
from crawler.sources import Source

MAX_ENTRIES = 50_000  # what a sitemap may hold (https://www.sitemaps.org/protocol.html)


def read(capture: Capture, lease: Lease, source: Source, archive: Archive) -> Found:
    """The entries of a feed; or a release, which leads nowhere. Raises NotAPage."""
    if (found := entries(capture.body, capture.url)) is not None:
        return Found("feed" if found else "empty-feed", links=found)
    page = read_page(capture)
    page.kind = "release"
    return Found(pages=[page])


def entries(body: bytes, url: str) -> list[Link] | None:
    """The entries of the feed found at `url`, newest rules of its own order kept; None when it is no feed.

    A sitemap index gives its sitemaps. Broken XML gives what could be read of it. Entities are never resolved, so that
    an entity bomb stays a few bytes.
    """
    if body[:2] == b"\x1f\x8b":
        try:
            body = gunzip(body, max_size=MAX_BODY)
        except (OSError, EOFError, ValueError, zlib.error):
            return None
    if not re.search(rb"<(?:\w+:)?(?:rss|feed|RDF|urlset|sitemapindex)[\s>]", body[:4096]):
        return None
    parser = etree.XMLParser(resolve_entities=False, no_network=True, recover=True, load_dtd=False, huge_tree=False)
    root = etree.fromstring(body, parser)
    if root is None:
        return []
    found: dict[str, Link] = {}
    for element in root.iter():
        if isinstance(element.tag, str) and _name(element) in ("item", "entry", "url", "sitemap"):
            if (address := _address(element)) and (absolute := _join(url, address)):
                found.setdefault(absolute, Link(absolute, _date(element)))
            if len(found) >= MAX_ENTRIES:
                break
    return list(found.values())


def _name(element: etree._Element) -> str:
    return str(element.tag).rpartition("}")[2].rpartition(":")[2]  # also of a prefix that was never declared


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


def _date(entry: etree._Element) -> str | None:
    """When the entry says it was published (not: changed), as UTC in ISO 8601; None where it is not readable."""
    for child in entry.iter(tag=etree.Element):
        if _name(child) in ("pubDate", "published", "publication_date", "date") and (
            text := (child.text or "").strip()
        ):
            try:
                read = datetime.fromisoformat(text) if text[:4].isdigit() else parsedate_to_datetime(text)
                return read.replace(tzinfo=read.tzinfo or UTC).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            except (ValueError, OverflowError):
                return None
    return None


def _join(base: str, address: str) -> str | None:
    try:
        joined = urljoin(base, address)
        return clean(joined) if joined.startswith(("http://", "https://")) else None
    except ValueError:
        return None
