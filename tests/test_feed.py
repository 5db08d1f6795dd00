"""Feeds of every kind, broken ones too."""

import gzip
import time

import pytest

from crawler.spiders.feed import entries

RSS = b"""<?xml version="1.0"?><rss version="2.0"><channel><link>http://w.example/</link>
<item><link>http://w.example/a?utm_source=rss#top</link><pubDate>Mon, 02 Mar 2026 10:00:00 +0100</pubDate></item>
<item><guid isPermaLink="true">http://w.example/b</guid><pubDate>yesterday</pubDate></item>
<item><guid isPermaLink="false">b-2</guid></item>
<item><link>/c</link><pubDate>Mon, 02 Mar 2026 10:00:00 EST</pubDate></item></channel></rss>"""
ATOM = b"""<feed xmlns="http://www.w3.org/2005/Atom"><link href="http://w.example/"/><entry>
<link rel="edit" href="/edit"/><link rel="alternate" href="/d"/><updated>2026-03-03T00:00:00Z</updated>
<published>2026-03-02T10:00:00+01:00</published></entry><entry><link href="javascript:x"/></entry></feed>"""
NEWS = b"""<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" 
xmlns:news="http://www.google.com/schemas/sitemap-news/0.9">
<url><loc> http://w.example/e </loc><lastmod>2026-03-05</lastmod>
<news:news><news:publication_date>2026-03-02</news:publication_date>
</news:news></url></urlset>"""
INDEX = b"""<sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"><sitemap><loc>http://w.example/s1.xml</loc>
</sitemap></sitemapindex>"""


E = ("http://w.example/e", "2026-03-02T00:00:00Z")
A = ("http://w.example/a", "2026-03-02T09:00:00Z")


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (RSS, [A, ("http://w.example/b", None), ("http://w.example/c", "2026-03-02T15:00:00Z")]),
        (ATOM, [("http://w.example/d", "2026-03-02T09:00:00Z")]),
        (NEWS, [E]),
        (INDEX, [("http://w.example/s1.xml", None)]),
        (gzip.compress(NEWS), [("http://w.example/e", "2026-03-02T00:00:00Z")]),
        (RSS[: RSS.index(b"<item><guid isPermaLink=\"true\"")], [A]),
        (NEWS.replace(b"<url>", b'<url><x:link xmlns:x="http://www.w3.org/1999/xhtml" href="/de"/>'), [E]),
        (b"<rss><item><link>http://w.example/a</link><pubDate>0001-01-01T00:00:00+14:00</pubDate></item></rss>",
         [("http://w.example/a", None)]),
        (b"<rss><item><x:link/><:y/><link><!-- z -->/a</link></item></rss>", [("http://w.example/a", None)]),
        (b"<rss><item><link>http://w.example:99999/</link></item></rss>", []),
        (gzip.compress(NEWS)[:40] + b"noise" * 9, None),
        (b"<rss><channel></channel></rss>", []),
        (b"<rss", None),
        (b"<html><body>no feed</body></html>", None),
        (b"\x1f\x8bbroken", None),
        (b"", None),
    ],
)  # fmt: skip
def test_entries(body: bytes, found: list[tuple[str, str | None]] | None) -> None:
    answer = entries(body, "http://w.example/feed")
    assert (None if answer is None else [tuple(link) for link in answer]) == found


def test_an_entity_bomb_stays_small() -> None:
    bomb = b"<!DOCTYPE rss [<!ENTITY a 'http://w.example/x'>" + b"".join(
        b"<!ENTITY %c '%s'>" % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9)
    )
    start = time.process_time()
    entries(bomb + b"]><rss><item><link>&j;</link></item></rss>", "http://w.example/feed")
    assert time.process_time() - start < 1


def test_a_gzip_bomb_is_no_feed() -> None:
    assert entries(gzip.compress(b"<rss>" + b" " * 50_000_000), "http://w.example/feed") is None
