"""The crawl over real HTTP: the sample web as a careful reader expects it, kill -9, a full disk."""

import gzip
import json
import os
import random
import resource
import signal
import sqlite3
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from crawling import run_crawl, start_crawl, write_source
from serving import server
from warcio.archiveiterator import ArchiveIterator

from crawler.evidence.verify import verify
from data import DATA
from data.migrations import open_store

SOURCES = [str(DATA / "sources" / f"sample-{name}.yml") for name in ("sites", "wires", "ads")]
PATIENT = {"DOWNLOAD_TIMEOUT": 30, "RETRY_TIMES": 2}  # the machine may be busy with other things
EXPECTED = yaml.safe_load((DATA / "samples" / "expected.yml").read_text("utf-8"))


def rows(folder: Path, query: str, *values: Any) -> list[Any]:
    with sqlite3.connect(folder / "fantomes.db") as db:
        return db.execute(query, values).fetchall()


def check_archive(folder: Path) -> dict[str, int]:
    """Every record of the archive verifies, but for a last one that a kill cut short; counts of URLs requested."""
    asked: dict[str, int] = {}
    for path in (folder / "archive").glob("*.warc.gz"):
        with path.open("rb") as file:
            for record in ArchiveIterator(file, check_digests="raise"):
                record.raw_stream.read()
                if record.rec_type == "request":
                    url = record.rec_headers.get_header("WARC-Target-URI")
                    asked[url] = asked.get(url, 0) + 1
    return asked


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sampled")
    result = run_crawl(folder, SOURCES, **PATIENT)
    assert result["finished"]
    return folder


def test_the_sample_web_has_the_pages_that_are_expected(sampled: Path) -> None:
    found: dict[str, set[str]] = {host: set() for host in EXPECTED["hosts"]}
    for (url,) in rows(sampled, "SELECT url FROM pages"):
        found[url.split("/")[2]].add(url)
    assert {host: len(urls) for host, urls in found.items()} == {
        host: expected["pages"] for host, expected in EXPECTED["hosts"].items()
    }


def test_what_robots_or_the_scope_forbid_is_never_asked_for(sampled: Path) -> None:
    asked = check_archive(sampled)
    assert len(asked) > 100
    assert not set(EXPECTED["never"]) & set(asked)
    assert not [url for url in asked if "127.0.0.1" in url or "169.254" in url]
    outcomes = dict(rows(sampled, "SELECT outcome, count(*) FROM frontier GROUP BY 1"))
    assert {"robots": 2, "private-address": 2, "redirects": 1, "http-404": 1}.items() <= outcomes.items()


def test_quotes_stand_in_blocks_and_hidden_text_does_not(sampled: Path) -> None:
    text: dict[str, str] = {}
    for url, block in rows(sampled, "SELECT url, text FROM blocks JOIN pages ON pages.id = page_id"):
        text[url] = f"{text.get(url, '')}\n{block}"
    missing = [
        entry for entry in EXPECTED["claims"] + EXPECTED["nothing"] if entry["quote"] not in text.get(entry["url"], "")
    ]
    assert not missing
    # what only a stylesheet hides may be a closed answer of an FAQ: it is read (README, limits)
    shown = [
        entry for entry in EXPECTED["hidden"] if entry["quote"] in text[entry["url"]] and entry["how"] != "stylesheet"
    ]
    assert not shown


def test_evidence_is_where_the_page_says(sampled: Path) -> None:
    for url, warc, offset, length in rows(sampled, "SELECT url, warc, warc_offset, warc_length FROM pages"):
        with (sampled / "archive" / warc).open("rb") as file:
            file.seek(offset)
            member = gzip.decompress(file.read(length))
        assert f"WARC-Target-URI: {url}\r\n".encode() in member


def test_feed_dates_reach_the_pages(sampled: Path) -> None:
    dated = rows(sampled, "SELECT count(*) FROM pages WHERE source_id = 'sample-wires' AND published_at IS NOT NULL")
    assert dated[0][0] >= 10


def test_a_second_crawl_stores_nothing_twice(sampled: Path) -> None:
    before = rows(sampled, "SELECT count(*), max(last_seen_at) FROM pages")
    time.sleep(1.1)
    result = run_crawl(sampled, SOURCES, **PATIENT)
    after = rows(sampled, "SELECT count(*), max(last_seen_at) FROM pages")
    assert result["finished"]
    assert after[0][0] == before[0][0]
    assert after[0][1] > before[0][1]
    assert "stored" not in dict(rows(sampled, "SELECT outcome, 1 FROM frontier WHERE run_id > 3"))


def test_a_name_with_private_addresses_is_refused_by_the_resolver(tmp_path: Path) -> None:
    """A start address may redirect anywhere: nothing but the resolver stands before localhost."""
    pages: dict[str, Any] = {"/": b"<p>secret fans</p>"}
    with server(pages) as port:
        pages["/go"] = (302, {"Location": f"http://localhost:{port}/"}, b"")
        write_source(tmp_path, "spy", ["http://spy.example/go", "http://spy.example/"], kind="ads")
        result = run_crawl(tmp_path, ["spy"], LOOPBACK_HOSTS={"spy.example": port})
    assert result["outcomes"] == {"stored": 1, "private-address": 1}


def test_all_who_wait_for_robots_txt_hear_what_it_says(tmp_path: Path) -> None:
    """Scrapy 2.19 tells it to the first two alone."""
    write_source(tmp_path, "shop", [f"http://shop.example/p{n}" for n in range(8)], kind="ads")
    slow = lambda handler: (time.sleep(0.3), answer(handler, b"User-agent: *\nDisallow: /p"))  # noqa: E731
    with server({"/robots.txt": slow, **{f"/p{n}": b"<p>fans</p>" for n in range(8)}}) as port:
        hosts = {"LOOPBACK_HOSTS": {"shop.example": port}, "FRONTIER_PER_HOST": 8}
        result = run_crawl(tmp_path, ["shop"], **hosts, CONCURRENT_REQUESTS_PER_DOMAIN=8, DOWNLOAD_TIMEOUT=10)
    assert result["outcomes"] == {"robots": 8}


@pytest.mark.parametrize(("status", "fetched"), [(503, False), (429, False), (404, True), (403, True)])
def test_robots_txt_that_fails_means_stay_away(tmp_path: Path, status: int, fetched: bool) -> None:
    write_source(tmp_path, "shop", ["http://shop.example/"])
    with server({"/": b"<p>fans</p>", "/robots.txt": (status, {}, b"User-agent: *\nDisallow: /")}) as port:
        run_crawl(tmp_path, ["shop"], LOOPBACK_HOSTS={"shop.example": port})
    assert [row[0] for row in rows(tmp_path, "SELECT outcome FROM frontier")] == ["stored" if fetched else "robots"]


def test_crawl_delay_is_kept(tmp_path: Path) -> None:
    write_source(tmp_path, "shop", ["http://shop.example/"])
    pages = {"/": b"<a href=/a>a</a><a href=/b>b</a>", "/a": b"<p>a1</p>", "/b": b"<p>b1</p>"}
    pages["/robots.txt"] = b"User-agent: *\nCrawl-delay: 0.7"
    times: list[float] = []

    def noted(body: bytes) -> Any:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            times.append(time.monotonic())
            handler.send_response(200)
            handler.send_header("Content-Type", "text/html")
            handler.end_headers()
            handler.wfile.write(body)

        return answer

    with server({path: noted(body) for path, body in pages.items()}) as port:
        run_crawl(tmp_path, ["shop"], LOOPBACK_HOSTS={"shop.example": port})
    assert rows(tmp_path, "SELECT count(*) FROM pages") == [(3,)]
    assert min(after - before for before, after in pairwise(times[1:])) > 0.65


def test_one_bad_page_holds_nothing_up(tmp_path: Path) -> None:
    pages: dict[str, Any] = {
        "/": b"<a href='http://shop.example:99999/'>x</a><a href=/half>x</a><a href=/good>x</a>",
        "/half": b'<script type="application/ld+json">{"description": "fan \\ud83d"}</script>',
        "/good": b"<p>real fans</p>",
    }
    write_source(tmp_path, "shop", ["http://shop.example/"])
    with server(pages) as port:
        result = run_crawl(tmp_path, ["shop"], LOOPBACK_HOSTS={"shop.example": port})
    assert (result["outcomes"], result["finished"]) == ({"stored": 3}, True)


def test_a_host_that_hangs_does_not_hold_the_others(tmp_path: Path) -> None:
    hosts = {f"h{n}.example" for n in range(4)}
    hang = {f"/p{n}": lambda handler: time.sleep(8) for n in range(8)}
    quick = {f"/p{n}": f"<p>fans {n}</p>".encode() for n in range(8)}
    write_source(tmp_path, "hang", [f"http://slow.example/p{n}" for n in range(8)], kind="ads")
    write_source(tmp_path, "quick", [f"http://{host}/p{n}" for host in sorted(hosts) for n in range(8)], kind="ads")
    with server(hang) as slow, server(quick) as port:
        process = start_crawl(
            tmp_path,
            ["hang", "quick"],
            LOOPBACK_HOSTS=dict.fromkeys(hosts, port) | {"slow.example": slow},
            DOWNLOAD_TIMEOUT=3,  # a busy machine is slow to answer too
        )
        start = time.monotonic()
        while _stored(tmp_path) < 32 and time.monotonic() - start < 20:
            time.sleep(0.05)
        waiting = rows(tmp_path, "SELECT count(*) FROM frontier WHERE host = 'slow.example' AND state != 'failed'")
        process.communicate(timeout=60)
    assert _stored(tmp_path) == 32
    assert waiting[0][0] >= 4  # all others were done long before the slow one


def test_two_crawls_share_one_store_and_its_rate(tmp_path: Path) -> None:
    asked: list[tuple[float, str]] = []

    def noted(handler: BaseHTTPRequestHandler) -> None:
        if handler.path != "/robots.txt":  # each process asks for itself
            asked.append((time.monotonic(), handler.path))
        answer(handler, b"".join(b"<a href=/p%d>x</a>" % n for n in range(12)) + handler.path.encode())

    write_source(tmp_path, "shop", ["http://shop.example/"], more="delay: 0.2\n")
    with server({"/": noted, **{f"/p{n}": noted for n in range(12)}}) as port:
        crawls = [start_crawl(tmp_path, ["shop"], LOOPBACK_HOSTS={"shop.example": port}) for _ in range(2)]
        results = [json.loads(crawl.communicate(timeout=60)[0]) for crawl in crawls]
    assert [result["finished"] for result in results] == [True, True]
    assert sorted({path for _, path in asked}) == sorted(["/", *(f"/p{n}" for n in range(12))])
    assert rows(tmp_path, "SELECT count(*) FROM pages") == [(13,)]
    if rows(tmp_path, "SELECT count(*) FROM runs") == [(1,)]:  # else the second began when the first was done
        assert len(asked) == 13
        workers = rows(tmp_path, "SELECT count(DISTINCT crawler) FROM run_stats WHERE name = 'pages'")
        assert workers == [(2,)]
    # a busy machine delays the one or the other request, but not the rate: 5 a second
    assert min(after - before for (before, _), (after, _) in zip(asked, asked[6:], strict=False)) > 0.8


def answer(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    for name, value in ({"Content-Type": "text/html"} | headers).items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def test_a_second_crawl_asks_for_what_changed_and_goes_on_from_what_did_not(tmp_path: Path) -> None:
    version = {"/a": b"<p>real fans</p>", "/same": b"<p>the same fans for all</p>", "/gone": b"<p>old fans</p>"}
    statuses: list[tuple[str, int]] = []

    def front(handler: BaseHTTPRequestHandler) -> None:
        known = handler.headers.get("If-None-Match") == '"v1"'
        statuses.append(("/", 304 if known else 200))
        links = b"".join(b"<li><a href=%s>x</a>" % path.encode() for path in ("/a", "/same", "/gone"))
        answer(handler, b"" if known else links, 304 if known else 200, ETag='"v1"')

    def page(handler: BaseHTTPRequestHandler) -> None:
        found = handler.path in version
        answer(handler, version.get(handler.path, b"<p>nothing here</p>"), 200 if found else 404)

    write_source(tmp_path, "shop", ["http://shop.example/"])
    with server({"/": front, "/a": page, "/same": page, "/gone": page}) as port:
        run_crawl(tmp_path, ["shop"], LOOPBACK_HOSTS={"shop.example": port})
        size = sum(path.stat().st_size for path in (tmp_path / "archive").glob("*.warc.gz"))
        version |= {"/a": b"<p>real local fans</p>"}
        del version["/gone"]
        time.sleep(1.1)
        second = run_crawl(tmp_path, ["shop"], LOOPBACK_HOSTS={"shop.example": port})
        time.sleep(1.1)
        third = run_crawl(tmp_path, ["shop"], LOOPBACK_HOSTS={"shop.example": port})
    assert statuses == [("/", 200), ("/", 304), ("/", 304)]
    assert second["outcomes"] == {"unchanged": 2, "stored": 1, "http-404": 1}
    assert third["outcomes"] == {"unchanged": 3, "http-404": 1}
    pages = rows(tmp_path, "SELECT url, count(*), min(fetched_at) < max(last_seen_at) FROM pages GROUP BY 1 ORDER BY 1")
    assert [(url[19:], count, later) for url, count, later in pages] == [
        ("/", 1, 1), ("/a", 2, 1), ("/gone", 1, 0), ("/same", 1, 1),
    ]  # fmt: skip
    kinds = [record.rec_type for record in records(tmp_path)]
    assert kinds.count("revisit") >= 4  # two of the front page, two of /same
    assert size < 10_000
    gone = rows(tmp_path, "SELECT url, gone_since > last_seen_at FROM addresses WHERE gone_since IS NOT NULL")
    assert gone == [("http://shop.example/gone", 1)]


def records(folder: Path) -> Iterator[Any]:
    for path in sorted((folder / "archive").glob("*.warc.gz")):
        with path.open("rb") as file:
            yield from ArchiveIterator(file)


def test_a_crawl_killed_twenty_times_loses_nothing(tmp_path: Path) -> None:
    count, chance = 120, random.Random(4)
    pages: dict[str, Any] = {f"/p{n}": f"<p>page {n} of fans</p>".encode() for n in range(count)}
    pages["/"] = "".join(f"<a href=/p{n}>x</a>" for n in range(count)).encode()

    def slowly(body: bytes) -> Any:
        def slow(handler: BaseHTTPRequestHandler) -> None:
            time.sleep(0.02)
            answer(handler, body)

        return slow

    write_source(tmp_path, "shop", ["http://shop.example/"])
    kills = 0
    with server({path: slowly(body) for path, body in pages.items()}) as port:
        settings = {"LOOPBACK_HOSTS": {"shop.example": port}, "DOWNLOAD_TIMEOUT": 20}
        while kills < 20:
            process = start_crawl(tmp_path, ["shop"], **settings)
            before, end = _stored(tmp_path), time.monotonic() + 30
            while process.poll() is None and _stored(tmp_path) < before + 1 and time.monotonic() < end:
                time.sleep(0.005)  # until it works, then at any moment of its work
            time.sleep(chance.random() / 20)
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            kills += 1
            query = "SELECT count(*) FROM pages WHERE NOT EXISTS (SELECT 1 FROM blocks WHERE page_id = pages.id)"
            assert rows(tmp_path, query) == [(0,)], "a page is stored by half"
        result = run_crawl(tmp_path, ["shop"], **settings)
    assert result["finished"]
    assert rows(tmp_path, "SELECT count(*), count(DISTINCT url) FROM pages") == [(count + 1, count + 1)]
    assert rows(tmp_path, "SELECT count(*) FROM runs") == [(1,)]
    report = verify(tmp_path / "archive", open_store(tmp_path / "fantomes.db"))
    assert not report.problems


def _stored(folder: Path) -> int:
    try:
        return int(rows(folder, "SELECT count(*) FROM pages")[0][0])
    except sqlite3.Error:
        return 0


def test_a_full_disk_stops_with_one_line_and_keeps_what_was_stored(tmp_path: Path) -> None:
    pages: dict[str, Any] = {f"/p{n}": f"<p>page {n} {'of many real fans ' * 3000}</p>".encode() for n in range(40)}
    pages["/"] = "".join(f"<a href=/p{n}>x</a>" for n in range(40)).encode()
    write_source(tmp_path, "shop", ["http://shop.example/"])
    with server(pages) as port:
        resource_limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        signal.signal(
            signal.SIGXFSZ, signal.SIG_IGN
        )  # inherited: a write beyond the limit is an error, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource_limit[1]))
        try:
            process = start_crawl(tmp_path, ["shop"], LOOPBACK_HOSTS={"shop.example": port})
            out, _ = process.communicate(timeout=60)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, resource_limit)
        assert "cannot be written" in out
        stored = _stored(tmp_path)
        assert 0 < stored < 41
        result = run_crawl(tmp_path, ["shop"], LOOPBACK_HOSTS={"shop.example": port})
    assert result["finished"]
    assert rows(tmp_path, "SELECT count(*) FROM pages") == [(41,)]
