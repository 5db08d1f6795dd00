"""Feeds of every kind, broken ones too, lists, and a whole crawl of three wires over real HTTP."""

import gzip
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from crawling import run_crawl, write_source
from hypothesis import given
from hypothesis import strategies as st
from test_crawl import rows, server

from crawler.archive import Archive
from crawler.frontier import Lease
from crawler.page import Capture, Record
from crawler.press.copies import mark_copies
from crawler.sources import Source
from crawler.spiders.feed import entries, read, sitemaps
from crawler.spiders.listing import links, may_be
from data.migrations import open_store

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


RDF = b"""<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
xmlns:dc="http://purl.org/dc/elements/1.1/"><channel rdf:about="http://w.example/"><link>http://w.example/</link></channel>
<item rdf:about="http://w.example/a"><link>http://w.example/a</link><dc:date>2026-03-02T09:00Z</dc:date></item></rdf:RDF>"""
E = ("http://w.example/e", "2026-03-02T00:00:00Z")
A = ("http://w.example/a", "2026-03-02T09:00:00Z")


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (RSS, [A, ("http://w.example/b", None), ("http://w.example/c", "2026-03-02T15:00:00Z")]),
        (ATOM, [("http://w.example/d", "2026-03-02T09:00:00Z")]),
        (NEWS, [E]),
        (RDF, [A]),
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
    assert (None if answer is None else [(link.url, link.published_at) for link in answer]) == found


def test_an_entity_bomb_stays_small() -> None:
    bomb = b"<!DOCTYPE rss [<!ENTITY a 'http://w.example/x'>" + b"".join(
        b"<!ENTITY %c '%s'>" % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9)
    )
    start = time.process_time()
    entries(bomb + b"]><rss><item><link>&j;</link></item></rss>", "http://w.example/feed")
    assert time.process_time() - start < 1


def test_a_gzip_bomb_is_no_feed() -> None:
    assert entries(gzip.compress(b"<rss>" + b" " * 50_000_000), "http://w.example/feed") is None


def one_date(text: str) -> str | None:
    found = entries(f"<rss><item><link>/a</link><pubDate>{text}</pubDate></item></rss>".encode(), "http://w.example/")
    assert found
    return found[0].published_at


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("Mon, 02 Mar 2026 10:00:00 CET", "2026-03-02T09:00:00Z"),
        ("Mon, 02 Mar 2026 10:00:00 MESZ", "2026-03-02T08:00:00Z"),
        ("02 Mar 2026 10:00 PST", "2026-03-02T18:00:00Z"),
        ("Mon, 02 Mar 2026 10:00:00 +0100 (CET)", "2026-03-02T09:00:00Z"),
        ("2026-03-02", "2026-03-02T00:00:00Z"),
        ("2026-13-02", None),
        ("lundi 2 mars", None),
        (format_datetime(datetime.now(UTC) + timedelta(days=3)), None),
        ("Mon, 02 Mar 2099 10:00:00 GMT", None),
    ],
)
def test_dates_of_entries(text: str, date: str | None) -> None:
    assert one_date(text) == date


@given(st.text(max_size=60).filter(lambda text: not set(text) & set("<&")))
def test_a_date_is_read_or_is_none(text: str) -> None:
    date = one_date(text.encode("utf-8", "ignore").decode())
    assert date is None or datetime.fromisoformat(date) <= datetime.now(UTC) + timedelta(days=2)


@pytest.mark.parametrize(
    "body",
    [
        '<?xml version="1.0" encoding="utf-8"?><rss><item><link>/é</link></item></rss>'.encode("latin-1"),
        '<?xml version="1.0" encoding="iso-8859-1"?><rss><item><link>/é</link></item></rss>'.encode(),
        '<?xml version="1.0" encoding="no-such"?><rss><item><link>/é</link></item></rss>'.encode(),
        '<?xml version="1.0" encoding="utf-16"?><rss><item><link>/é</link></item></rss>'.encode("utf-16"),
        '\ufeff<?xml version="1.0"?><rss><item><link>/é</link></item></rss>'.encode(),
        '<?xml version="1.0"?><rss><item>\x0b&nbsp;<link>/é</link></item></rss>'.encode(),
    ],
)
def test_a_charset_that_lies(body: bytes) -> None:
    assert [link.url for link in entries(body, "http://w.example/") or []] == ["http://w.example/%C3%A9"]


def test_the_last_changed_come_first_and_an_archive_goes_on() -> None:
    entry = "<url><loc>/{}</loc><lastmod>{}</lastmod></url>"
    body = "<urlset>" + entry.format("old", "2024-01-01") + entry.format("new", "2026-01-01") + "</urlset>"
    assert [link.url[-3:] for link in entries(body.encode(), "http://w.example/") or []] == ["new", "old"]
    feed = (
        b'<feed><link rel="next" href="?page=2"/><entry><link href="/a"/><link rel="next" href="/no"/></entry></feed>'
    )
    assert [link.url for link in entries(feed, "http://w.example/f") or []] == [
        "http://w.example/a", "http://w.example/f?page=2",
    ]  # fmt: skip


def test_sitemaps_of_robots() -> None:
    body = (
        b"User-agent: *\nDisallow: /x\nSitemap: http://cdn.example/s.xml\n sitemap:/n.xml.gz # news\nSitemap: ftp://x\n"
    )
    assert [link.url for link in sitemaps(body, "http://w.example/robots.txt")] == [
        "http://cdn.example/s.xml", "http://w.example/n.xml.gz",
    ]  # fmt: skip


LIST = "<nav><a href=/a-page-about-us-1>A page about us</a></nav>" + "".join(
    f"<div><h3><a href=/pr/title-number-{n}-here.html>A title of three words {n}</a></h3><p>{'teaser ' * 20}</p></div>"
    for n in range(4)
)
PAGER = (
    "<a href=?page=2>2</a> <a href='?page=3'>page suivante</a> <a href=/other?page=9>next</a><a href=/terms>Terms</a>"
)


def test_a_list_gives_its_releases_and_its_next_pages() -> None:
    found = [link.url.removeprefix("http://w.example") for link in links(LIST + PAGER, "http://w.example/press")]
    assert found == [*(f"/pr/title-number-{n}-here.html" for n in range(4)), "/press?page=2", "/press?page=3"]


def test_a_release_with_related_links_is_no_list() -> None:
    assert not links(f"<p>{'The text of a release. ' * 60}</p>{LIST}{PAGER}", "http://w.example/press")
    assert not links(LIST.replace("/pr/", "http://elsewhere.example/pr/"), "http://w.example/press")


@pytest.mark.parametrize(
    ("url", "may"),
    [
        ("http://w.example/press?page=2", True),
        ("http://w.example/press/page/3/", True),
        ("http://w.example/press/4.html", True),
        ("http://w.example/press/likeo-opens-a-shop", False),
        ("http://w.example/", False),
        ("http://other.example/press", False),
    ],
)
def test_only_the_start_and_its_later_pages_are_taken_for_lists(url: str, may: bool) -> None:
    assert may_be(url, ("http://w.example/press",)) is may


SOURCE = Source("w", "feed", "T", "tests", ("http://w.example/press",), max_depth=2)


@pytest.mark.parametrize("body", [INDEX, NEWS, RSS, ATOM, LIST.encode(), b"Sitemap: /s.xml"])
def test_whatever_leads_on_ends_at_the_depth_of_the_source(body: bytes, tmp_path: Path) -> None:
    url = "http://w.example/robots.txt" if body.startswith(b"Site") else "http://w.example/press"
    capture = Capture(url, "2026-04-01T00:00:00Z", 200, "", body, Record("w", 0, 1, "0"))
    found = [read(capture, Lease(1, url, depth, None), SOURCE, Archive(tmp_path, "t")).links for depth in range(4)]
    assert found[0]
    assert found[0] == found[1]
    assert not found[2]
    assert not found[3]


def test_sitemaps_in_circles_end(tmp_path: Path) -> None:
    """Each of 50,000 names itself and others: the crawl holds max_pages of them and is done."""
    asked: list[str] = []

    def loop(handler: Any) -> None:
        asked.append(handler.path)
        number = int(handler.path.strip("/s.xml") or 0)
        names = [number, 0, *(number * 7 + n for n in range(1, 200))]
        body = "".join(f"<sitemap><loc>/s{n % 50_000}.xml</loc></sitemap>" for n in names)
        answer = f"<sitemapindex>{body}</sitemapindex>".encode()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(answer)))
        handler.end_headers()
        handler.wfile.write(answer)

    class Loops(dict[str, Any]):
        def get(self, path: str, default: Any = None) -> Any:
            return default if path == "/robots.txt" else loop

    write_source(tmp_path, "loops", ["http://w.example/s0.xml"], "feed", "max_pages: 30\nmax_depth: 50\n")
    with server(Loops()) as port:
        result = run_crawl(tmp_path, ["loops"], LOOPBACK_HOSTS={"w.example": port})
    assert result["finished"]
    assert len(asked) == len(set(asked)) == 30


TEXT = (
    "<p>Les abonnés de Likéo sont choisis un par un dans le canton du client, assure la société, qui en livre entre"
    " cent et dix mille par commande et les remplace pendant une année entière lorsque certains viennent à manquer.</p>"
    "<p>La gérante explique que les commerçants du village voient leur boutique se remplir dès la première semaine, et"
    " que personne ne remarque rien, parce que la croissance est lente et régulière comme celle d'un potager.</p>"
)


def release(wire: int, intro: str = "", more: str = "") -> bytes:
    return (
        "<html><title>Likéo livre des abonnés du canton</title><body><h1>Likéo livre des abonnés du canton</h1>"
        f"{intro}<p>BRÉVIGNY, le 2 mars 2026 /Fil {wire}/ -- Likéo lance son offre.</p>{TEXT}{more}"
        "<p><b>À propos de Likéo</b><br>Likéo est une société de Brévigny.</p></body></html>"
    ).encode()


def test_a_crawl_of_wires_finds_copies_dates_and_the_site_advertised(tmp_path: Path) -> None:
    site = '<p>Informations : <a href="http://likeo.example/offre?utm_source=fil">likeo.example</a></p>'
    rss = "<rss><channel>{}</channel></rss>"
    item = "<item><link>/c{}</link><pubDate>Tue, 0{} Mar 2026 08:00:00 GMT</pubDate></item>"
    news = (
        "<urlset><url><loc>/d{}</loc><lastmod>2026-03-20</lastmod><n:news xmlns:n='n'>"
        "<n:publication_date>2026-03-0{}T06:00:00+01:00</n:publication_date></n:news></url></urlset>"
    )
    card = "<h3><a href=/p/likeo-livre-des-abonnes-{0}>Likéo livre des abonnés, n° {0}</a></h3><p>Un résumé.</p>"
    pages: dict[str, Any] = {
        "/rss.xml": rss.format("".join(item.format(n, n + 1) for n in range(3, 7))).encode(),
        "/robots.txt": b"User-agent: *\nSitemap: http://wire.example/news.xml.gz",
        "/news.xml.gz": gzip.compress(news.format(1, 3).encode()),
        "/press": f"{''.join(map(card.format, (0, 1, 2)))}<a href='/press?page=2'>page suivante</a>".encode(),
        "/press?page=2": "".join(map(card.format, (7, 8, 9))).encode(),
        "/d1": release(1, more=site),
        **{f"/c{n}": release(n, more=site if n % 2 else "") for n in range(3, 7)},
        **{f"/p/likeo-livre-des-abonnes-{n}": release(n, f"<p>À lire sur le fil {n}.</p>") for n in (0, 1, 2, 7, 8)},
        "/p/likeo-livre-des-abonnes-9": b"<title>x</title><h1>Conditions</h1><p>Le fil publie ce qu'on lui envoie.</p>",
    }  # fmt: skip
    start = ["http://wire.example/rss.xml", "http://wire.example/robots.txt", "http://wire.example/press"]
    write_source(tmp_path, "wires", start, "feed")
    with server(pages) as port, server({"/": b"<h1>Likeo</h1><a href=/more>more</a><p>Real fans.</p>"}) as shop:
        result = run_crawl(tmp_path, ["wires"], LOOPBACK_HOSTS={"wire.example": port, "likeo.example": shop})
    assert result["finished"]
    kinds = dict(rows(tmp_path, "SELECT replace(replace(url, 'http://', ''), 'wire.example', ''), kind FROM pages"))
    assert kinds.pop("likeo.example/") == "page"  # visited, and not followed further
    assert kinds.pop("/p/likeo-livre-des-abonnes-9") == "page"
    assert set(kinds.values()) == {"release"}
    assert len(kinds) == 10
    counts = mark_copies(open_store(tmp_path / "fantomes.db"))
    assert (counts["originals"], counts["copies"]) == (1, 9)
    joined = "published_at FROM releases JOIN pages ON pages.id = page_id"
    assert rows(tmp_path, f"SELECT {joined} WHERE original_id IS NULL") == [("2026-03-02",)]
    dates = dict(rows(tmp_path, f"SELECT replace(url, 'http://wire.example', ''), {joined}"))
    assert dates["/d1"] == "2026-03-03T05:00:00Z"
    assert dates["/c4"] == "2026-03-05T08:00:00Z"
    assert dates["/p/likeo-livre-des-abonnes-7"] == "2026-03-02"  # the date line's
