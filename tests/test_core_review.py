"""What a second reading of the crawl's core found: each test fails as long as its fault is there."""

import asyncio
import logging
import sqlite3
import time
from inspect import signature
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from backports import zstd
from crawling import run_crawl, write_source
from redis import Redis
from redis_server import redis_server
from serving import server
from store import StoreBuilder

from catalog.vendors import assign_vendors
from crawler.archive import Archive, ArchiveError
from crawler.frontier import SqliteFrontier
from crawler.redis_frontier import RedisFrontier
from crawler.replay import replay
from crawler.spiders.lease import LeaseSpider
from crawler.store import save_check, save_source
from data.migrations import open_store, write

CLAIM = [("text", "100% real fans, guaranteed", {"real": "100% real fans", "guarantee": "guaranteed"})]
DAYS = [f"2026-11-{day:02}T00:00:00Z" for day in range(1, 31)]


def rows(folder: Path, query: str) -> list[Any]:
    with sqlite3.connect(folder / "fantomes.db") as db:
        return db.execute(query).fetchall()


@pytest.mark.parametrize("outcome", ["redirected", "parked"])
def test_what_leads_elsewhere_is_gone(tmp_path: Path, outcome: str) -> None:
    db = open_store(tmp_path / "f.db")
    with write(db):
        save_check(db, "http://a.example/x", DAYS[0], "stored", seen=True)
        save_check(db, "http://a.example/x", DAYS[4], outcome)
    assert next(db.query("SELECT gone_since FROM addresses"))["gone_since"] == DAYS[4]


def test_what_was_not_asked_was_not_checked(tmp_path: Path) -> None:
    allow = {"yes": True}

    def robots(handler: Any) -> None:
        body = b"User-agent: *\nDisallow:\n" if allow["yes"] else b"User-agent: *\nDisallow: /\n"
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    write_source(tmp_path, "shop", ["http://shop.example/"])
    with server({"/": b"<p>real fans for all</p>", "/robots.txt": robots}) as port:
        run_crawl(tmp_path, ["shop"], LOOPBACK_HOSTS={"shop.example": port})
        before = rows(tmp_path, "SELECT last_checked_at FROM addresses WHERE url = 'http://shop.example/'")
        allow["yes"] = False
        time.sleep(1.1)
        result = run_crawl(tmp_path, ["shop"], LOOPBACK_HOSTS={"shop.example": port})
    assert result["outcomes"] == {"robots": 1}
    assert rows(tmp_path, "SELECT last_checked_at FROM addresses WHERE url = 'http://shop.example/'") == before


def test_a_page_taken_down_with_its_link_is_found_missing(tmp_path: Path) -> None:
    pages: dict[str, Any] = {"/": b"<p>fans</p><a href=/promise>promise</a>", "/promise": b"<p>real fans for all</p>"}
    write_source(tmp_path, "shop", ["http://shop.example/"])
    with server(pages) as port:
        run_crawl(tmp_path, ["shop"], LOOPBACK_HOSTS={"shop.example": port})
    time.sleep(1.1)
    with server({"/": b"<p>fans, and nothing else</p>"}) as port:
        run_crawl(tmp_path, ["shop"], LOOPBACK_HOSTS={"shop.example": port})
    gone = rows(tmp_path, "SELECT gone_since IS NOT NULL FROM addresses WHERE url = 'http://shop.example/promise'")
    assert gone == [(1,)]


def test_a_front_page_that_a_release_led_to_makes_no_wire(tmp_path: Path) -> None:
    store = StoreBuilder(tmp_path)
    front = store.page("http://likeo.example/", CLAIM, source="feed")
    store.db.execute("UPDATE pages SET kind = 'page' WHERE id = ?", [front])
    release = store.page("http://wire.example/7", CLAIM, source="feed")
    row = {"page_id": release, "wire": "wire.example", "body": "b", "signature": b""}
    store.db.table("releases").insert(row | {"advertised": "http://likeo.example/"})
    assign_vendors(store.db)
    owners = {row["page_id"]: row["vendor_id"] for row in store.db["claims"].rows}
    assert owners == {front: "likeo_example", release: "likeo_example"}


def test_a_source_without_its_token_does_not_stop_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FANTOMES_META_TOKEN", raising=False)
    write_source(tmp_path, "ads", ["http://graph.example/ads_archive?q=fans"], "adlibrary")
    write_source(tmp_path, "shop", ["http://shop.example/"])
    pages = {"/": b"<p>fans</p><a href=/b>b</a>", "/b": b"<p>more fans</p>"}
    with server(pages) as port:
        run_crawl(tmp_path, ["ads", "shop"], LOOPBACK_HOSTS={"shop.example": port, "graph.example": port})
    assert rows(tmp_path, "SELECT count(*) FROM pages") == [(2,)]


def test_the_beat_goes_on_or_says_why(tmp_path: Path) -> None:
    class Broken:
        def head(self) -> None:
            raise ArchiveError("manifest.jsonl: cannot be written")

    parts: Any = {"frontier": SimpleNamespace(beat=lambda: None), "archive": Broken(), "runs": {}, "trouble": []}
    if "paused" in signature(LeaseSpider).parameters:  # of the mended spider
        parts["paused"] = {}
    spider = LeaseSpider(db=open_store(tmp_path / "f.db"), progress=print, **parts)
    spider.crawler = cast(Any, SimpleNamespace(engine=None, stats=SimpleNamespace(get_stats=dict)))

    async def some() -> None:
        task = asyncio.ensure_future(spider._beat(0.01))
        await asyncio.sleep(0.1)
        assert not task.done(), task.exception()
        task.cancel()

    asyncio.run(some())
    assert spider.trouble


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"


def test_replay_refuses_another_record(tmp_path: Path) -> None:
    archive = Archive(tmp_path, "t")
    one = archive.response("http://a.example/", DAYS[0], HEAD, b"<p>one</p>")
    two = archive.response("http://b.example/", DAYS[0], HEAD, b"<p>two</p>")
    one.offset, one.length = two.offset, two.length
    with pytest.raises(ArchiveError):
        replay(tmp_path, "http://a.example/", DAYS[0], one)


def test_replay_unpacks_what_the_crawler_accepts(tmp_path: Path) -> None:
    archive = Archive(tmp_path, "t")
    head = HEAD[:-2] + b"Content-Encoding: zstd\r\n\r\n"
    record = archive.response("http://a.example/", DAYS[0], head, zstd.compress(b"<p>one</p>"))
    assert replay(tmp_path, "http://a.example/", DAYS[0], record).body == b"<p>one</p>"


def test_work_is_found_without_looking_at_what_is_done(tmp_path: Path) -> None:
    db = open_store(tmp_path / "f.db")
    with write(db):
        save_source(db, "s", "site", None, None)
    frontier = SqliteFrontier(db)
    run = frontier.begin("s", [])
    with write(db):
        db.conn.executemany(
            "INSERT INTO frontier (run_id, url, host, depth, state) VALUES (?, ?, 'a.example', 0, 'done')",
            [(run, f"http://a.example/{n}") for n in range(100_000)],
        )
    start = time.perf_counter()
    for _ in range(20):
        assert not frontier.has_work([run])
    assert time.perf_counter() - start < 0.1


def test_the_password_of_a_redis_is_told_to_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    db = open_store(tmp_path / "f.db")
    with redis_server(tmp_path) as found, caplog.at_level(logging.WARNING):
        Redis(port=found.port).config_set("appendonly", "no")
        Redis(port=found.port).config_set("requirepass", "s3cret-word")
        RedisFrontier(f"redis://:s3cret-word@127.0.0.1:{found.port}/0", db)
    assert "appendonly" in caplog.text
    assert "s3cret-word" not in caplog.text
