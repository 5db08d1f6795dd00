"""The frontier: which addresses a run has still to fetch, kept in the store so that a killed crawl goes on.

A spider leases addresses; the lease is given back by `done` in the transaction that stores the page, or runs out.
Measured: a kill -9 loses nothing, where Scrapy's own JOBDIR lost 378 of 600 pages (README, map).
"""

import re
import time
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

from sqlite_utils import Database
from w3lib.url import safe_url_string, url_query_cleaner

from crawler.archive import now
from data.migrations import write

LEASE = 900.0  # seconds; longer than PER_HOST downloads in a row with their retries may take
MAX_TRIES = 3  # leases that ran out before an address is given up
PER_HOST = 4  # addresses of one host leased at a time, so that a slow host does not hold the others
TRACKING = (
    "utm_source utm_medium utm_campaign utm_term utm_content utm_id gclid fbclid msclkid dclid"
    " mc_cid mc_eid igshid yclid _ga ref_src"
).split()


def clean(url: str) -> str:
    """The address as we fetch and store it: without fragment, tracking parameters, user name and password.

    Raises ValueError for what is no address. The query keeps its order and spelling: servers may care.
    """
    parts = urlsplit(safe_url_string(url_query_cleaner(url, TRACKING, remove=True, unique=False)))
    port = f":{parts.port}" if parts.port and parts.port != {"http": 80, "https": 443}.get(parts.scheme) else ""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    if re.search(r"[\s\"'<>\\^`{|}]", host):  # what no host name holds, and other places might stumble over
        raise ValueError(f"no host name: {host[:200]!r}")
    if parts.scheme not in ("http", "https", "file") or (not host and parts.scheme != "file"):
        raise ValueError(f"no address of a page: {url[:200]!r}")
    return urlunsplit((parts.scheme, host + port, parts.path or "/", parts.query, ""))


class Link(NamedTuple):
    """An address to fetch, with the date that a feed gives its entry."""

    url: str
    published_at: str | None = None


class Lease(NamedTuple):
    """An address that is ours to fetch for the run `run`; `depth` 0 is a start address of the source."""

    run: int
    url: str
    depth: int
    published_at: str | None


def begin(db: Database, source_id: str, start: list[str]) -> int:
    """The unfinished run of a source, or a new one with the addresses `start`. Returns its id."""
    with write(db):
        row = db.execute("SELECT id FROM runs WHERE source_id = ? AND finished_at IS NULL", [source_id]).fetchone()
        if row:  # what another process had leased when it died is free at once
            db.execute("UPDATE frontier SET leased_until = 0 WHERE run_id = ? AND state = 'leased'", [row[0]])
            run = row[0]
        else:
            run = db.execute("INSERT INTO runs (source_id, started_at) VALUES (?, ?)", [source_id, now()]).lastrowid
        add(db, run, [Link(clean(url)) for url in start], depth=0)
    return int(run)


def add(db: Database, run: int, links: list[Link], depth: int, limit: int | None = None) -> None:
    """Enter addresses that the run has not seen; `limit` caps how many addresses the run may hold in all."""
    held = db.execute("SELECT count(*) FROM frontier WHERE run_id = ?", [run]).fetchone()[0] if limit else 0
    for link in links:
        if limit and held >= limit:
            break
        held += db.execute(
            "INSERT OR IGNORE INTO frontier (run_id, url, host, depth, published_at) VALUES (?, ?, ?, ?, ?)",
            [run, link.url, urlsplit(link.url).hostname, depth, link.published_at],
        ).rowcount


def lease(db: Database, runs: list[int], count: int) -> list[Lease]:
    """Up to `count` addresses of `runs`, shallow ones first, now ours for LEASE seconds."""
    at = time.time()
    marks = ", ".join("?" * len(runs))
    with write(db):
        db.execute(
            "UPDATE frontier SET state = iif(tries >= ?, 'failed', 'waiting'),"
            " outcome = iif(tries >= ?, 'given-up', NULL)"
            f" WHERE run_id IN ({marks}) AND state = 'leased' AND leased_until < ?",
            [MAX_TRIES, MAX_TRIES, *runs, at],
        )
        rows = db.execute(
            f"""
            SELECT run_id, url, depth, published_at FROM (
                SELECT *, row_number() OVER (PARTITION BY host ORDER BY depth, url) AS turn FROM frontier
                WHERE run_id IN ({marks}) AND state = 'waiting'
            ) AS ready WHERE turn <= ? - (
                SELECT count(*) FROM frontier AS busy WHERE busy.run_id IN ({marks}) AND busy.state = 'leased'
                AND busy.host = ready.host
            ) ORDER BY depth, turn LIMIT ?""",
            [*runs, PER_HOST, *runs, count],
        ).fetchall()
        db.conn.executemany(
            "UPDATE frontier SET state = 'leased', leased_until = ?, tries = tries + 1 WHERE run_id = ? AND url = ?",
            [(at + LEASE, run, url) for run, url, *_ in rows],
        )
    return [Lease(*row) for row in rows]


def done(db: Database, lease: Lease, outcome: str, failed: bool = False) -> None:
    """Give a lease back for good: `outcome` is "stored", "unchanged" or the reason why there is no page."""
    db.execute(
        "UPDATE frontier SET state = ?, outcome = ?, leased_until = NULL WHERE run_id = ? AND url = ?",
        ["failed" if failed else "done", outcome, lease.run, lease.url],
    )


def open_work(db: Database, runs: list[int]) -> int:
    """How many addresses of `runs` are waiting or leased."""
    marks = ", ".join("?" * len(runs))
    query = f"SELECT count(*) FROM frontier WHERE run_id IN ({marks}) AND state IN ('waiting', 'leased')"
    return int(db.execute(query, runs).fetchone()[0])


def finish(db: Database, runs: list[int]) -> None:
    """Close the runs that have no work left."""
    for run in runs:
        if open_work(db, [run]) == 0:
            db.execute("UPDATE runs SET finished_at = ? WHERE id = ?", [now(), run])


def outcomes(db: Database, runs: list[int]) -> dict[str, int]:
    """How many addresses of `runs` ended how."""
    marks = ", ".join("?" * len(runs))
    query = f"SELECT outcome, count(*) FROM frontier WHERE run_id IN ({marks}) AND outcome IS NOT NULL GROUP BY 1"
    return dict(db.execute(f"{query} ORDER BY 2 DESC", runs).fetchall())
