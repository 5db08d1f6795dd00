"""Health: a source that gives nothing is an alarm, whatever else looks green; a run cut short says so."""

import signal
import time
from collections.abc import Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from crawling import run_crawl, start_crawl, write_source
from serving import send, server
from sqlite_utils import Database

from crawler.frontier import crawler_id
from crawler.health import HEALTH, report, table
from crawler.sources import Source, load_source
from crawler.store import save_source
from data.migrations import open_store

TODAY = date(2026, 11, 20)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    db = open_store(tmp_path / "fantomes.db")
    save_source(db, "shop", "site", "http://brume.example/", "Shop")
    yield db
    db.close()


def source(**changes: Any) -> Source:
    return Source(
        **{"id": "shop", "kind": "site", "title": "Shop", "contact": "me", "start": ("http://a.test/",)} | changes
    )


def ran(db: Database, day: int, pages: int, finished: bool = True, crawler: str = "gone/1/1", **counts: int) -> int:
    """A run of this day of November; `counts` with _ for - and __ for /."""
    at = f"2026-11-{day:02}T10:00:00Z"
    row = {"source_id": "shop", "started_at": at, "finished_at": at if finished else None}
    run = int(db.table("runs").insert(row).last_pk)
    found = {"pages": pages, "blocks": 10 * pages, "outcome/stored": pages}
    found |= {name.replace("__", "/").replace("_", "-"): n for name, n in counts.items()}
    db.table("run_stats").insert_all(
        {"run_id": run, "crawler": crawler, "name": name, "count": n} for name, n in found.items() if n
    )
    return run


def state(db: Database, silent_after: int = 7, **changes: Any) -> dict[str, Any]:
    [row] = report(db, [source(**changes)], TODAY, silent_after)
    assert row["health"] in HEALTH
    return row


def test_a_good_run_is_ok(db: Database) -> None:
    ran(db, 19, 30, links=12, outcome__http_404=2, outcome__redirected=3)
    row = state(db, floors={"pages": 30, "blocks": 300}, runbook="Call Ann.\n")
    assert (row["health"], row["alarm"], row["state"]) == ("ok", False, "finished")
    assert (row["pages"], row["blocks"], row["offers"], row["links"]) == (30, 300, 0, 12)
    assert row["outcomes"] == {"stored": 30, "redirected": 3, "http-404": 2}
    assert row["errors"] == {"http-404": 2}
    assert (row["gave"], row["days"], row["runbook"]) == ("2026-11-19", 1, "Call Ann.")


def test_never(db: Database) -> None:
    assert (state(db)["health"], state(db)["alarm"], state(db)["state"]) == ("never", True, None)
    ran(db, 19, 0, outcome__unknown_host=1)
    assert (state(db)["health"], state(db)["errors"]) == ("never", {"unknown-host": 1})


def test_green_although_broken(db: Database) -> None:
    """A run that came to its end without a page."""
    ran(db, 18, 30)
    ran(db, 19, 0, outcome__challenge=1)
    row = state(db)
    assert (row["health"], row["alarm"], row["state"], row["days"]) == ("failing", True, "finished", 2)


def test_nothing_new_on_a_wire_is_no_failure_until_it_lasts(db: Database) -> None:
    ran(db, 15, 3)
    ran(db, 19, 0, outcome__empty_feed=1)
    assert state(db)["health"] == "ok"
    assert state(db, silent_after=4)["health"] == "silent"
    ran(db, 20, 0, outcome__empty_feed=1, outcome__timeout=1)
    assert state(db)["health"] == "failing"


def test_silence_is_an_alarm_though_the_last_run_was_good(db: Database) -> None:
    ran(db, 12, 30)
    assert (state(db)["health"], state(db)["days"]) == ("silent", 8)
    ran(db, 19, 5, finished=False)
    assert state(db)["health"] == "incomplete"


def test_floors_are_named(db: Database) -> None:
    ran(db, 19, 30)
    row = state(db, floors={"pages": 31, "blocks": 300, "offers": 1})
    assert (row["health"], row["alarm"]) == ("below-floor", True)
    assert row["missed"] == [
        {"name": "pages", "wanted": 31, "got": 30, "by": "floor"},
        {"name": "offers", "wanted": 1, "got": 0, "by": "floor"},
    ]


@pytest.mark.parametrize(("last", "health"), [(15, "ok"), (14, "below-floor")])
def test_a_sudden_drop(db: Database, last: int, health: str) -> None:
    for day, pages in ((11, 500), (12, 30), (13, 30), (14, 31), (15, 2), (16, 29)):
        ran(db, day, pages)
    ran(db, 19, last)
    row = state(db)
    assert row["health"] == health
    assert row["missed"] == ([{"name": "pages", "wanted": 15, "got": 14, "by": "median"}] if last == 14 else [])


def test_who_is_at_work(db: Database) -> None:
    ran(db, 10, 30)
    run = ran(db, 20, 1, finished=False, crawler=crawler_id())
    assert (state(db)["state"], state(db)["health"]) == ("incomplete", "incomplete")
    db.execute("INSERT INTO crawlers VALUES (?, ?)", [crawler_id(), time.time()])
    assert (state(db)["state"], state(db)["health"], state(db)["alarm"]) == ("running", "ok", False)
    db.execute("UPDATE crawlers SET seen_at = seen_at - 61")
    assert state(db)["state"] == "incomplete"
    db.execute("DELETE FROM run_stats WHERE run_id = ?", [run])
    db.execute("UPDATE crawlers SET seen_at = seen_at + 61")
    assert state(db)["state"] == "incomplete"  # alive, and at work on something else
    lease = [run, "http://a.test/", "a.test", 0, "leased", crawler_id()]
    db.execute("INSERT INTO frontier (run_id, url, host, depth, state, owner) VALUES (?, ?, ?, ?, ?, ?)", lease)
    assert state(db)["state"] == "running"


def test_what_was_given_as_a_file_is_no_alarm(db: Database) -> None:
    save_source(db, "warc:a.warc.gz", "archive", None, "a.warc.gz")
    rows = report(db, [source()], TODAY)
    assert [(row["id"], row["health"], row["alarm"]) for row in rows] == [
        ("shop", "never", True),
        ("warc:a.warc.gz", "never", False),
    ]
    assert len(report(db, [source()], TODAY, others=False)) == 1
    ran(db, 2, 30)
    [row, _] = report(db, [], TODAY)  # its file was taken away
    assert (row["id"], row["health"], row["alarm"], row["pages"]) == ("shop", "silent", False, 30)


def test_people_see_one_line_a_source(db: Database) -> None:
    ran(db, 19, 1200, outcome__http_404=2, outcome__timeout=1)
    save_source(db, "warc:\x1b[31m.gz", "archive", None, None)
    lines = list(table(report(db, [source()], TODAY)))
    assert len({len(line) for line in lines[:2]}) == 1
    assert lines[1].split() == ["shop", "site", "ok", *"2026-11-19 10:00 1,200 12,000 2 http-404, 1 timeout 1".split()]
    assert all(line.isprintable() for line in lines)


def test_a_killed_crawl_is_incomplete_until_it_is_taken_up(tmp_path: Path) -> None:
    """kill -9: addresses that came in count though the process could not say so; a second crawl changes nothing."""
    links = b"".join(b"<a href='/%d'>more fans</a>" % n for n in range(30))
    slow = [0.15]

    def answer(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(slow[0] if handler.path != "/robots.txt" else 0)
        send(
            handler, (404, {}, b"") if handler.path == "/robots.txt" else b"<p>fans %s" % handler.path.encode() + links
        )

    def now(**changes: Any) -> dict[str, Any]:
        shop = load_source(tmp_path / "shop.yml")
        [row] = report(open_store(tmp_path / "fantomes.db"), [shop], date.today(), others=False)
        return row

    with server(answer) as port:
        write_source(tmp_path, "shop", ["http://brume.example/"], more="floors: {pages: 31}\n")
        options = {"LOOPBACK_HOSTS": {"brume.example": port}}
        process = start_crawl(tmp_path, ["shop"], **options)
        for _ in range(200):
            time.sleep(0.05)
            if (tmp_path / "fantomes.db").exists() and now()["pages"] >= 5:
                break
        assert (now()["state"], now()["health"]) == ("running", "ok")
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed = now()
        assert 5 <= killed["pages"] < 31
        assert (killed["state"], killed["health"], killed["alarm"]) == ("incomplete", "incomplete", True)
        slow[0] = 0
        assert run_crawl(tmp_path, ["shop"], **options)["finished"]
        assert (now()["state"], now()["health"], now()["pages"], now()["days"]) == ("finished", "ok", 31, 0)
        assert run_crawl(tmp_path, ["shop"], **options)["outcomes"] == {"unchanged": 31}
        assert (now()["health"], now()["pages"], now()["days"]) == ("ok", 31, 0)
