"""Health: what each run brought, in Scrapy's own stats, kept in the store."""

from typing import Any

from scrapy.statscollectors import StatsCollector
from sqlite_utils import Database

from crawler.sources import Source
from data.migrations import write

PREFIX = "source/"  # source/<id>/<name>: what is counted for one source


def save_stats(db: Database, crawler: str, runs: dict[int, Source], stats: StatsCollector) -> None:
    """Keep what this process has counted so far for its runs."""
    counted = stats.get_stats()
    with write(db):
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
