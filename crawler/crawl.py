"""One crawl: from source files to pages in the store, going on where an earlier one was cut short."""

import fcntl
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from scrapy.crawler import AsyncCrawlerProcess
from scrapy.settings import Settings
from sqlite_utils import Database

from crawler import frontier, samples
from crawler.archive import Archive
from crawler.settings import SETTINGS
from crawler.sources import Source
from crawler.spiders.lease import LeaseSpider
from crawler.store import save_source
from data.migrations import write

SOFTWARE = "Fantomes/0.1"


class CrawlError(Exception):
    """A crawl that could not start or had to stop; what was stored stays. The message says why."""


def crawl(
    db: Database,
    archive: Path,
    sources: list[Source],
    contact: str | None = None,
    log_file: Path | None = None,
    progress: Callable[[int], None] = lambda visits: None,
    overrides: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Crawl `sources`; returns counts by outcome and whether all runs came to their end. Once a process (Twisted).

    `contact`, an address or page where a site's keeper finds who crawls, goes into the user agent; it is required
    unless all sources are on loopback. `progress` is called with the number of addresses done.
    `overrides` replace our Scrapy settings (tests: shorter waits, another server on loopback). Raises CrawlError.
    """
    if not contact and not all(source.loopback for source in sources):
        raise CrawlError("say who crawls: set FANTOMES_CONTACT (or --contact) to an e-mail address or a page about you")
    with _alone(db):
        return _crawl(db, archive, sources, contact, log_file, progress, overrides or {})


@contextmanager
def _alone(db: Database) -> Iterator[None]:
    """One crawl a store at a time: two would take each other's leases, and ask the same host twice as often."""
    path = db.execute("SELECT file FROM pragma_database_list WHERE name = 'main'").fetchone()[0]
    with open(f"{path}.crawl.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CrawlError(f"{path}: another crawl is at work on this store") from None
        yield


def _crawl(
    db: Database,
    archive: Path,
    sources: list[Source],
    contact: str | None,
    log_file: Path | None,
    progress: Callable[[int], None],
    overrides: Mapping[str, Any],
) -> dict[str, Any]:
    runs: dict[int, Source] = {}
    for source in sources:
        with write(db):
            save_source(db, source.id, source.kind, source.start[0], source.title)
        runs[frontier.begin(db, source.id, list(source.start))] = source
    trouble: list[str] = []
    with ExitStack() as stack:
        hosts = {_host(url) for source in sources if source.loopback for url in source.start}
        port = stack.enter_context(samples.serving()) if hosts else 0
        settings = Settings(
            {
                **SETTINGS,
                "USER_AGENT": f"{SOFTWARE} (reads public pages for a catalogue of claims; {contact or 'sample web'})",
                "LOOPBACK_HOSTS": dict.fromkeys(hosts, port),
                "LOG_FILE": str(log_file) if log_file else None,
                "LOG_ENABLED": log_file is not None,
                **overrides,
            }
        )
        if log_file is None:
            logging.getLogger("scrapy").addHandler(logging.NullHandler())
        process = AsyncCrawlerProcess(settings)
        task = process.crawl(
            LeaseSpider, db=db, archive=Archive(archive, SOFTWARE), runs=runs, progress=progress, trouble=trouble
        )
        process.start()
        if task.done() and not task.cancelled() and (error := task.exception()):
            trouble.append(str(error))
    if trouble:
        raise CrawlError(trouble[0])
    with write(db):
        frontier.finish(db, list(runs))
    waiting = frontier.open_work(db, list(runs))
    return {"outcomes": frontier.outcomes(db, list(runs)), "waiting": waiting, "finished": waiting == 0}


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""
