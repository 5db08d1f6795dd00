"""Several crawlers, each with a store and archive of its own, share a frontier on a real Redis."""

import json
import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from crawling import run_crawl, start_crawl, write_source
from redis import Redis
from redis_server import redis_server
from serving import server

from crawler.archive import Archive
from crawler.evidence.verify import verify
from crawler.intake.merge import merge
from crawler.page import Ad, Capture, Offer, Release, read_page
from crawler.press.copies import signature
from crawler.store import save_check, save_page, save_source
from data.migrations import open_store, write

COUNT = 60


def site(slowly: float = 0.0) -> tuple[dict[str, Any], list[tuple[float, str]]]:
    """A front page with COUNT pages behind it, and who asked for what when."""
    asked: list[tuple[float, str]] = []

    def answer(handler: Any) -> None:
        asked.append((time.monotonic(), handler.path))
        time.sleep(slowly)
        body = b"".join(b"<a href=/p%d>x</a>" % n for n in range(COUNT)) if handler.path == "/" else b""
        handler.send_response(200)
        handler.send_header("Content-Type", "text/html")
        handler.end_headers()
        handler.wfile.write(body + b"<p>fans of " + handler.path.encode())

    return {"/": answer, **{f"/p{n}": answer for n in range(COUNT)}}, asked


def stored(folder: Path) -> set[str]:
    path = folder / "fantomes.db"
    if not path.exists():
        return set()
    try:
        with closing(sqlite3.connect(path)) as db:
            return {url for (url,) in db.execute("SELECT url FROM pages")}
    except sqlite3.Error:
        return set()


def hosts(folder: Path, count: int) -> list[Path]:
    places = [folder / f"host{n}" for n in range(count)]
    for place in places:
        place.mkdir()
        write_source(place, "shop", ["http://shop.example/"])
    return places


def test_two_hosts_share_the_work_and_the_rate(tmp_path: Path) -> None:
    pages, asked = site()
    one, two = hosts(tmp_path, 2)
    for place in (one, two):
        write_source(place, "shop", ["http://shop.example/"], more="delay: 0.1\n")
    with redis_server(tmp_path) as redis, server(pages) as port:
        settings = {"LOOPBACK_HOSTS": {"shop.example": port}, "REDIS": redis.address, "DOWNLOAD_TIMEOUT": 30}
        crawls = [start_crawl(place, ["shop"], **settings) for place in (one, two)]
        results = [json.loads(crawl.communicate(timeout=60)[0]) for crawl in crawls]
    assert [result["finished"] for result in results] == [True, True]
    assert len(stored(one) | stored(two)) == COUNT + 1
    times = [at for at, path in asked if path != "/robots.txt"]
    if not stored(one) & stored(two):  # else one had finished before the other began
        # a busy machine delays the one or the other request, but not the rate: 10 a second
        assert min(after - before for before, after in zip(times, times[13:], strict=False)) > 1


def test_a_killed_host_loses_nothing(tmp_path: Path) -> None:
    pages, asked = site(0.01)
    one, two = hosts(tmp_path, 2)
    with redis_server(tmp_path) as redis, server(pages) as port:
        settings = {
            "LOOPBACK_HOSTS": {"shop.example": port},
            "REDIS": redis.address,
            "FRONTIER_ALIVE": 2,
            "DOWNLOAD_TIMEOUT": 30,
        }
        victim = start_crawl(one, ["shop"], **settings)
        while len(stored(one)) < 10:
            time.sleep(0.01)
        os.kill(victim.pid, signal.SIGKILL)
        victim.communicate()
        result = run_crawl(two, ["shop"], **settings)
    assert result["finished"]
    assert len(stored(one) | stored(two)) == COUNT + 1
    assert len(asked) <= COUNT + 1 + 8  # of the leased ones some are fetched twice
    for _ in range(2):  # the second time adds nothing
        merge(open_store(one / "fantomes.db"), one / "archive", two / "fantomes.db", two / "archive")
        assert len(stored(one)) == COUNT + 1
    for place in (one, two):
        assert not verify(place / "archive", open_store(place / "fantomes.db")).problems


def test_merging_brings_what_only_some_pages_have(tmp_path: Path) -> None:
    mine, theirs = (open_store(tmp_path / name / "f.db") for name in ("mine", "theirs"))
    archive = Archive(tmp_path / "theirs" / "archive", "test")
    url, release = (
        "http://wire.example/1",
        Release("wire.example", "H", None, None, None, None, None, "b", signature("b")),
    )
    offer, ad = Offer("k", "1000 likes", price="0.9", refill=True), Ad("meta", "7", countries=["FR"], landing=None)
    with write(theirs):
        save_source(theirs, "s", "feed", None, None)
        for number, at in enumerate(("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z")):
            body = b"<p>real fans %d</p>" % (number // 2)  # the second repeats the first
            capture = Capture(url, at, 200, "text/html", body, archive.resource(url, at, "text/html", body))
            page = read_page(capture)
            page.kind, page.release, page.ad, page.offers = "release", release, ad, [offer]
            save_page(theirs, "s", page)
        save_check(theirs, url, "2026-04-01T00:00:00Z", "http-404")
        save_check(theirs, url, "2026-05-01T00:00:00Z", "http-404")
    archive.close()
    for name in ("first", "second"):
        result = merge(
            mine, tmp_path / "mine" / "archive", tmp_path / "theirs" / "f.db", tmp_path / "theirs" / "archive"
        )
        assert result == {"stored": 2, "unchanged": 0} if name == "first" else {"stored": 0, "unchanged": 2}
        for table in ("pages", "blocks", "releases", "ads", "offers", "addresses"):
            own = {"warc", "captured_at"}  # files have other names here
            rows = [
                [
                    {key: value for key, value in row.items() if key not in own}
                    for row in db.query(f"SELECT * FROM {table}")
                ]
                for db in (theirs, mine)
            ]
            assert rows[0] == rows[1], table
    assert not verify(tmp_path / "mine" / "archive", mine).problems


def test_redis_gone_and_back_loses_nothing(tmp_path: Path) -> None:
    pages, _ = site(0.02)
    (one,) = hosts(tmp_path, 1)
    with redis_server(tmp_path) as redis, server(pages) as port:
        settings = {
            "LOOPBACK_HOSTS": {"shop.example": port},
            "REDIS": redis.address,
            "FRONTIER_ALIVE": 5,
            "DOWNLOAD_TIMEOUT": 30,
        }
        crawl = start_crawl(one, ["shop"], **settings)
        for wanted in (5, 25):
            while len(stored(one)) < wanted:
                time.sleep(0.01)
            redis.kill()
            time.sleep(1)
            redis.start()
        result = json.loads(crawl.communicate(timeout=120)[0])
    assert result["finished"]
    assert len(stored(one)) == COUNT + 1


def test_without_redis_the_crawl_says_so(tmp_path: Path) -> None:
    (one,) = hosts(tmp_path, 1)
    result = run_crawl(one, ["shop"], LOOPBACK_HOSTS={"shop.example": 9}, REDIS="http://nowhere.example")
    assert "http://nowhere.example: no address of a Redis" in result["error"]
    with redis_server(tmp_path) as redis:
        Redis(port=redis.port).config_set("requirepass", "right")
        wrong = redis.address.replace("//", "//:secret@")
        start = time.monotonic()
        for address in (wrong, "redis://127.0.0.1:1/0"):
            result = run_crawl(one, ["shop"], LOOPBACK_HOSTS={"shop.example": 9}, REDIS=address)
            assert "no Redis answers there" in result["error"]
            assert "secret" not in result["error"]
        assert time.monotonic() - start < 20
