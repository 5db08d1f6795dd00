"""The frontier: which addresses a run has still to fetch, kept in the store so that a killed crawl goes on.

Spiders lease addresses; a lease is given back in the transaction that stores the page, or when its owner is gone. Any
number of processes on one host share the frontier of a store; several hosts share one on Redis (redis_frontier.py).
Both keep one polite rate a host, whatever the number of crawlers.
Measured: a kill -9 loses nothing, where Scrapy's own JOBDIR lost 378 of 600 pages (README, map).
"""

import os
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit, urlunsplit

from sqlite_utils import Database
from w3lib.url import safe_url_string, url_query_cleaner

from crawler.archive import now
from data.migrations import write
from data.problem import Problem

ALIVE = (
    60.0  # seconds after which a crawler that gave no sign of life is taken for dead; it gives one every sixth of it
)
MAX_TRIES = 5  # crawlers that died over an address before it is given up
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


def host_of(url: str) -> str:
    """The host whose rate an address counts against."""
    return urlsplit(url).hostname or ""


class Link(NamedTuple):
    """An address to fetch, with the date that a feed gives its entry; more `priority` is sooner."""

    url: str
    published_at: str | None = None
    priority: float = 0.0


class Lease(NamedTuple):
    """An address that is ours to fetch for the run `run`; `depth` 0 is a start address of the source."""

    run: int
    url: str
    depth: int
    published_at: str | None


class FrontierError(Problem):
    """The frontier cannot be used; the message says why. What was stored stays."""


class Settled(NamedTuple):
    """How a lease ended: the word to count it by, and whether the next run should look again."""

    outcome: str
    failed: bool = False


class Frontier(Protocol):
    """What the spider and its pipeline ask of a frontier."""

    def begin(self, source_id: str, start: list[str], depth: int = 0) -> int:
        """The unfinished run of a source, or a new one; enters the addresses `start`. Returns its id in the store."""

    def lease(self, delays: dict[int, float], count: int) -> list[Lease]:
        """Up to `count` addresses of the runs `delays` (run -> seconds between two requests to a host), now ours."""

    def settle(
        self, lease: Lease, store: Callable[[], Settled], links: list[Link], limit: int, final_url: str | None = None
    ) -> Settled:
        """Enter `links` (`limit` addresses a run in all), call `store` in a transaction of the store, end the lease.

        `final_url` is where redirects led: it ends like the lease, which is counted as "redirected".
        """

    def slow(self, host: str, delay: float) -> None:
        """Remember the seconds that a host's robots.txt asks for."""

    def spend(self, host: str, delay: float) -> None:
        """A host was asked once more than leased (a redirect, a retry): the next lease of it waits as much longer."""

    def beat(self) -> None:
        """Give a sign of life."""

    def has_work(self, runs: list[int]) -> bool:
        """Whether addresses of `runs` are waiting or leased, by whomever."""

    def finish(self, runs: list[int]) -> int:
        """Say goodbye and close the runs that have no work left. Returns how many addresses wait or are leased."""


class SqliteFrontier:
    """The frontier of one store, for all processes of its host."""

    def __init__(self, db: Database, alive: float = ALIVE, per_host: int = PER_HOST) -> None:
        self.db, self.alive, self.per_host = db, alive, per_host
        self.me = crawler_id()
        self._reclaimed = 0.0

    def begin(self, source_id: str, start: list[str], depth: int = 0) -> int:
        self.beat()
        with write(self.db):
            run = open_run(self.db, source_id)
            self._add(run, [Link(clean(url)) for url in start], depth)
        return run

    def lease(self, delays: dict[int, float], count: int) -> list[Lease]:
        at = time.time()
        found: list[tuple[float, Lease]] = []
        with write(self.db):
            if at - self._reclaimed > 1:
                self._reclaim(at)
                self._reclaimed = at
            for run in delays:
                for host, busy, delay in self._ready(run, at):
                    wait = max(delay, delays[run])
                    rows = self.db.execute(
                        "SELECT priority, url, depth, published_at FROM frontier WHERE run_id = ? AND host = ?"
                        " AND state = 'waiting' ORDER BY priority DESC, depth, url LIMIT ?",
                        [run, host, 1 if wait else self.per_host - busy],
                    )
                    found += [(-priority, Lease(run, url, depth, date)) for priority, url, depth, date in rows]
            found.sort(key=lambda entry: (entry[0], entry[1].depth))
            leases: list[Lease] = []
            asked: set[str] = set()
            for _, lease in found:
                host = host_of(lease.url)
                if len(leases) == count or host in asked:
                    continue
                if wait := self._wait(host, delays[lease.run]):
                    asked.add(host)  # two runs may want the same host
                    self.db.execute(
                        "INSERT INTO hosts (host, next_at) VALUES (?, ?)"
                        " ON CONFLICT (host) DO UPDATE SET next_at = excluded.next_at",
                        [host, at + wait],
                    )
                leases.append(lease)
            self.db.conn.executemany(
                "UPDATE frontier SET state = 'leased', owner = ?, tries = tries + 1 WHERE run_id = ? AND url = ?",
                [(self.me, lease.run, lease.url) for lease in leases],
            )
        return leases

    def settle(
        self, lease: Lease, store: Callable[[], Settled], links: list[Link], limit: int, final_url: str | None = None
    ) -> Settled:
        with write(self.db):
            self._add(lease.run, links, lease.depth + 1, limit)
            settled = store()
            if final_url and final_url != lease.url:
                self._add(lease.run, [Link(final_url)], lease.depth)  # no need to fetch it again
                self._done(lease._replace(url=final_url), settled)
                self._done(lease, Settled("redirected"))
            else:
                self._done(lease, settled)
        return settled

    def slow(self, host: str, delay: float) -> None:
        with write(self.db):
            self.db.execute(
                "INSERT INTO hosts (host, delay) VALUES (?, ?) ON CONFLICT (host) DO UPDATE SET delay = excluded.delay",
                [host, delay],
            )

    def spend(self, host: str, delay: float) -> None:
        with write(self.db):
            if wait := self._wait(host, delay):
                at = time.time()
                self.db.execute(
                    "INSERT INTO hosts (host, next_at) VALUES (?, ?)"
                    " ON CONFLICT (host) DO UPDATE SET next_at = max(next_at, ?) + ?",
                    [host, at + wait, at, wait],
                )

    def beat(self) -> None:
        with write(self.db):
            self.db.execute("INSERT OR REPLACE INTO crawlers (id, seen_at) VALUES (?, ?)", [self.me, time.time()])

    def has_work(self, runs: list[int]) -> bool:
        # by name: left to itself SQLite takes the primary key, and reads all that is done
        query = "SELECT 1 FROM frontier INDEXED BY {} WHERE run_id = ? AND state = '{}' LIMIT 1"
        queries = query.format("frontier_open", "waiting"), query.format("frontier_leased", "leased")
        return any(self.db.execute(query, [run]).fetchone() for run in runs for query in queries)

    def finish(self, runs: list[int]) -> int:
        left = 0
        with write(self.db):
            self.db.execute("DELETE FROM crawlers WHERE id = ?", [self.me])
            for run in runs:
                query = "SELECT count(*) FROM frontier WHERE run_id = ? AND state IN ('waiting', 'leased')"
                open_work = self.db.execute(query, [run]).fetchone()[0]
                if not open_work:
                    close_run(self.db, run)
                left += open_work
        return left

    def _add(self, run: int, links: list[Link], depth: int, limit: int | None = None) -> None:
        held = before = self.db.execute("SELECT held FROM runs WHERE id = ?", [run]).fetchone()[0]
        for link in links:
            if limit and held >= limit:
                break
            held += self.db.execute(
                "INSERT OR IGNORE INTO frontier (run_id, url, host, depth, published_at, priority)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                [run, link.url, host_of(link.url), depth, link.published_at, link.priority],
            ).rowcount
        if held != before:
            self.db.execute("UPDATE runs SET held = ? WHERE id = ?", [held, run])

    def _done(self, lease: Lease, settled: Settled) -> None:
        self.db.execute(
            "UPDATE frontier SET state = ?, outcome = ?, owner = NULL WHERE run_id = ? AND url = ?",
            ["failed" if settled.failed else "done", settled.outcome, lease.run, lease.url],
        )

    def _ready(self, run: int, at: float) -> list[tuple[str, int, float]]:
        """(host, addresses leased, delay) of the hosts that may be asked now; jumps through the index, host by host."""
        return self.db.execute(
            """
            WITH RECURSIVE waiting (host) AS (
                SELECT min(host) FROM frontier WHERE run_id = :run AND state = 'waiting'
                UNION ALL
                SELECT (SELECT min(host) FROM frontier WHERE run_id = :run AND state = 'waiting'
                    AND host > waiting.host) FROM waiting WHERE waiting.host IS NOT NULL
            ), ready AS (
                SELECT waiting.host, coalesce(delay, 0) AS delay,
                    (SELECT count(*) FROM frontier WHERE state = 'leased' AND host = waiting.host) AS busy
                FROM waiting LEFT JOIN hosts ON hosts.host = waiting.host
                WHERE waiting.host IS NOT NULL AND coalesce(next_at, 0) <= :at
            ) SELECT host, busy, delay FROM ready WHERE busy < :most""",
            {"run": run, "at": at, "most": self.per_host},
        ).fetchall()

    def _wait(self, host: str, delay: float) -> float:
        asked = self.db.execute("SELECT delay FROM hosts WHERE host = ?", [host]).fetchone()
        return max(delay, asked[0] if asked else 0.0)

    def _reclaim(self, at: float) -> None:
        """Take back what dead crawlers had leased. We are not dead, whatever another one thought of a long silence."""
        self.db.execute("INSERT OR REPLACE INTO crawlers (id, seen_at) VALUES (?, ?)", [self.me, at])
        for owner, seen_at in self.db.execute("SELECT id, seen_at FROM crawlers").fetchall():
            if owner != self.me and (seen_at < at - self.alive or is_gone(owner)):
                self.db.execute("DELETE FROM crawlers WHERE id = ?", [owner])
        self.db.execute(
            "UPDATE frontier SET owner = NULL, state = iif(tries >= :most, 'failed', 'waiting'),"
            " outcome = iif(tries >= :most, 'given-up', NULL)"
            " WHERE state = 'leased' AND (owner IS NULL OR owner NOT IN (SELECT id FROM crawlers))",
            {"most": MAX_TRIES},
        )


def crawler_id() -> str:
    """Names this process on this host; a later process with the same number has another name."""
    return f"{socket.gethostname()}/{os.getpid()}/{_started(os.getpid())}"


def is_gone(crawler: str) -> bool:
    """Whether a crawler of this host has ended; False where that cannot be told."""
    host, pid, started = crawler.rsplit("/", 2)
    return host == socket.gethostname() and Path("/proc/self/stat").exists() and _started(int(pid)) != started


def _started(pid: int) -> str:
    try:  # field 22, counted after the command's name, which may hold anything: man 5 proc_pid_stat
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def open_run(db: Database, source_id: str) -> int:
    """The unfinished run of a source in the store, or a new one. To be called within a transaction."""
    row = db.execute("SELECT id FROM runs WHERE source_id = ? AND finished_at IS NULL", [source_id]).fetchone()
    if row is None:
        row = db.execute("INSERT INTO runs (source_id, started_at) VALUES (?, ?) RETURNING id", [source_id, now()])
        row = row.fetchone()
    return int(row[0])


def close_run(db: Database, run: int) -> None:
    """Mark a run as come to its end. To be called within a transaction."""
    db.execute("UPDATE runs SET finished_at = ? WHERE id = ? AND finished_at IS NULL", [now(), run])
