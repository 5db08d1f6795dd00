"""Health: what each run brought, in Scrapy's own stats, kept in the store; whether a source still gives anything."""

import time
from collections.abc import Iterator
from datetime import date
from statistics import median
from typing import Any

from scrapy.statscollectors import StatsCollector
from sqlite_utils import Database

from crawler.frontier import ALIVE, is_gone
from crawler.sources import KINDS, Source
from data.migrations import write

PREFIX = "source/"  # source/<id>/<name>: what is counted for one source
NORMAL = frozenset(  # outcomes that need nobody's attention; whatever is not named here is an error
    "stored unchanged redirected feed empty-feed list ads no-ads smaller robots.txt robots not-text empty"
    " too-deep".split()
)
VALIDLY_EMPTY = frozenset({"empty-feed", "no-ads"})  # "nothing new" is an answer: a news sitemap holds two days only
SILENT_AFTER = 7  # days; the slowest wires write weekly
COMPARED = 5  # finished runs before the last one, whose median it is compared with
DROP = 0.5  # of that median; less is a sudden drop
HEALTH = {  # worst first; the first that holds is said
    "never": "no page ever came from it",
    "failing": "the last run came to its end without a page",
    "silent": "no page, new or unchanged, for too many days",
    "incomplete": "the last run was cut short and nobody is at work on it: crawl again to go on",
    "below-floor": "the last run brought less than the source file asks for, or than half of what its runs brought",
    "ok": "the last run brought what was expected, or is under way",
}


def save_stats(db: Database, crawler: str, runs: dict[int, Source], stats: StatsCollector) -> None:
    """Keep what this process has counted so far for its runs, and that it is alive, whichever frontier it has."""
    counted = stats.get_stats()
    with write(db):
        db.execute("INSERT OR REPLACE INTO crawlers (id, seen_at) VALUES (?, ?)", [crawler, time.time()])
        for run, source in runs.items():
            prefix = f"{PREFIX}{source.id}/"
            rows = [(run, crawler, key.removeprefix(prefix), n) for key, n in counted.items() if key.startswith(prefix)]
            db.conn.executemany("INSERT OR REPLACE INTO run_stats VALUES (?, ?, ?, ?)", rows)


def counts(db: Database, runs: list[int]) -> dict[str, int]:
    """What runs have counted, summed over their processes: pages, blocks, links, offers, outcome/<word>."""
    marks = ", ".join("?" * len(runs))
    query = f"SELECT name, sum(count) FROM run_stats WHERE run_id IN ({marks}) GROUP BY 1 ORDER BY 2 DESC"
    return dict(db.execute(query, runs).fetchall())


def outcomes(counted: dict[str, Any]) -> dict[str, int]:
    """The outcomes among `counts`, the most frequent first."""
    return {name.removeprefix("outcome/"): n for name, n in counted.items() if name.startswith("outcome/")}


def report(
    db: Database, sources: list[Source], today: date, silent_after: int = SILENT_AFTER, others: bool = True
) -> list[dict[str, Any]]:
    """The state of each source, those with a file first; with `others` also what the store has from elsewhere.

    A row: id, kind, title, health (a word of HEALTH), alarm (somebody should look), state (running, incomplete,
    finished; None = never crawled), started_at, finished_at, pages, blocks, offers, links (of the last run), outcomes,
    errors (those of the outcomes that are none of NORMAL), missed ({name, wanted, got, by}: by "floor" or "median"),
    gave (the last day with a page, new or unchanged, ISO 8601), days (since then), runbook.
    """
    rows = [_of_file(db, source, today, silent_after) for source in sources]
    named = {source.id for source in sources}
    if others:
        stored = db.query("SELECT id, kind, title FROM sources ORDER BY id")
        rows += [_of_store(db, row, today, silent_after) for row in stored if row["id"] not in named]
    return rows


def _of_file(db: Database, source: Source, today: date, silent_after: int) -> dict[str, Any]:
    runs: list[dict[str, Any]] = []
    for run in _runs(db, source.id):
        runs.append(run)
        if sum(bool(one["finished_at"]) for one in runs) > COMPARED and any(one["gave"] for one in runs):
            break
    last, before = (runs[0] if runs else None), runs[1:]
    gave = next((run["gave"] for run in (last, *before) if run and run["gave"]), None)
    row = _row(source.id, source.kind, source.title, gave, today) | {"runbook": source.runbook.strip()}
    if last is None:
        return row
    shown = ("state", "started_at", "finished_at", "pages", "blocks", "offers", "links", "outcomes", "errors")
    row |= {name: last[name] for name in shown}
    judged = next((run for run in (last, *before) if run["state"] == "finished"), None)
    if judged:
        finished = [run for run in before if run["state"] == "finished" and run["id"] < judged["id"]]
        row["missed"] = list(_missed(judged, source.floors, finished[:COMPARED]))
    holds = {
        "never": gave is None,
        "failing": judged is not None and not judged["pages"] and not _validly_empty(judged),
        "silent": row["days"] is not None and row["days"] > silent_after,
        "incomplete": last["state"] == "incomplete",
        "below-floor": bool(row["missed"]),
        "ok": True,
    }
    row["health"] = next(word for word in HEALTH if holds[word])
    row["alarm"] = row["health"] != "ok" and not (row["health"] == "never" and last["state"] == "running")
    return row


def _of_store(db: Database, stored: dict[str, Any], today: date, silent_after: int) -> dict[str, Any]:
    """A source without a file: given to us once (an archive, saved pages), or given up: no alarm."""
    if stored["kind"] in KINDS:
        source = Source(stored["id"], stored["kind"], stored["title"] or "", "", ())
        return _of_file(db, source, today, silent_after) | {"alarm": False}
    [(pages, blocks, seen)] = db.execute(
        "SELECT count(DISTINCT pages.id), count(blocks.id), max(last_seen_at) FROM pages"
        " LEFT JOIN blocks ON blocks.page_id = pages.id WHERE source_id = ?",
        [stored["id"]],
    ).fetchall()
    row = _row(stored["id"], stored["kind"], stored["title"], seen, today) | {"pages": pages, "blocks": blocks}
    return row | {"health": "ok" if pages else "never", "alarm": False}


def _row(source: str, kind: str, title: str | None, gave: str | None, today: date) -> dict[str, Any]:
    """A source that was never crawled: such a one is an alarm, or it would be forgotten."""
    days = max(0, (today - date.fromisoformat(gave[:10])).days) if gave else None
    none = dict.fromkeys(("state", "started_at", "finished_at"))
    zero: dict[str, Any] = dict.fromkeys(("pages", "blocks", "offers", "links"), 0)
    more: dict[str, Any] = {"outcomes": {}, "errors": {}, "missed": [], "gave": gave and gave[:10], "days": days}
    return (
        {"id": source, "kind": kind, "title": title, "health": "never", "alarm": True, "runbook": ""}
        | none
        | zero
        | more
    )


def _runs(db: Database, source: str) -> Iterator[dict[str, Any]]:
    """The runs of a source, the last one first."""
    alive = [
        crawler
        for crawler, seen_at in db.execute("SELECT id, seen_at FROM crawlers").fetchall()
        if seen_at > time.time() - ALIVE and not is_gone(crawler)
    ]
    rows = db.execute("SELECT id, started_at, finished_at FROM runs WHERE source_id = ? ORDER BY id DESC", [source])
    for run, started_at, finished_at in rows.fetchall():
        counted = counts(db, [run])
        words = outcomes(counted)
        visits, seen = _given(db, run)
        # the stats of a process that was killed end up to ten seconds before it, addresses are counted as they end
        pages = max(counted.get("pages", 0), visits)
        given = min(filter(None, (seen or finished_at or started_at, finished_at)), default=None) if pages else None
        yield {
            "id": run,
            "started_at": started_at,
            "finished_at": finished_at,
            "state": "finished" if finished_at else "running" if _is_worked_on(db, run, alive) else "incomplete",
            "pages": pages,
            **{name: counted.get(name, 0) for name in ("blocks", "offers", "links")},
            "outcomes": words,
            "errors": {word: n for word, n in words.items() if word not in NORMAL},
            "gave": given,
        }


def _given(db: Database, run: int) -> tuple[int, str | None]:
    """How many addresses of a run gave a page, and when the last did so (or later, if another source asked too)."""
    visits, seen = db.execute(
        "SELECT count(*), max(last_seen_at) FROM frontier LEFT JOIN addresses ON addresses.url = frontier.url"
        " WHERE run_id = ? AND frontier.outcome IN ('stored', 'unchanged')",
        [run],
    ).fetchone()
    return visits, seen


def _is_worked_on(db: Database, run: int, alive: list[str]) -> bool:
    """Whether a living crawler holds addresses of the run or, as between two requests it holds none, counts for it."""
    marks = ", ".join("?" * len(alive))
    query = (
        f"SELECT 1 FROM frontier WHERE run_id = ? AND state = 'leased' AND owner IN ({marks})"
        f" UNION SELECT 1 FROM run_stats WHERE run_id = ? AND crawler IN ({marks}) LIMIT 1"
    )
    return db.execute(query, [run, *alive, run, *alive]).fetchone() is not None


def _missed(run: dict[str, Any], floors: dict[str, int], before: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for name, wanted in floors.items():
        if run[name] < wanted:
            yield {"name": name, "wanted": wanted, "got": run[name], "by": "floor"}
    usual = median(one["pages"] for one in before) if before else 0
    if run["pages"] < usual * DROP and not _validly_empty(run):
        yield {"name": "pages", "wanted": round(usual * DROP), "got": run["pages"], "by": "median"}


def _validly_empty(run: dict[str, Any]) -> bool:
    return bool(VALIDLY_EMPTY & run["outcomes"].keys()) and not run["errors"]


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Lines for people: what `report` gives, one source a line."""
    cells = [("source", "kind", "health", "last run", "pages", "blocks", "errors", "days")]
    for row in rows:
        errors = ", ".join(f"{n} {word}" for word, n in row["errors"].items())
        health = row["health"] + (" (running)" if row["state"] == "running" else "")
        started = (row["started_at"] or "")[:16].replace("T", " ")
        days = "" if row["days"] is None else str(row["days"])
        cells.append(
            (row["id"], row["kind"], health, started, f"{row['pages']:,}", f"{row['blocks']:,}", errors or "none", days)
        )
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    for line in cells:
        numbers = {4, 5, 7}
        padded = [
            cell.rjust(width) if place in numbers else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        yield "".join(char if char.isprintable() else "\ufffd" for char in "  ".join(padded).rstrip())
