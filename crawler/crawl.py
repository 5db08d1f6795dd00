"""One crawl: from source files to pages in the store, going on where an earlier one was cut short."""

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from scrapy.crawler import AsyncCrawlerProcess
from sqlite_utils import Database

from crawler import health, samples
from crawler.archive import SOFTWARE, Archive
from crawler.chromium import browser
from crawler.discovery import Discovery, Judge
from crawler.evidence.stored import remember_head
from crawler.frontier import Frontier, SqliteFrontier
from crawler.press.copies import mark_copies
from crawler.settings import SETTINGS
from crawler.sources import Source
from crawler.spiders.lease import LeaseSpider
from crawler.store import save_source
from data.migrations import write
from data.problem import Problem


class CrawlError(Problem):
    """A crawl that could not start or had to stop; what was stored stays. The message says why."""


def crawl(
    db: Database,
    archive: Path,
    sources: list[Source],
    contact: str | None = None,
    log_file: Path | None = None,
    progress: Callable[[int], None] = lambda visits: None,
    overrides: Mapping[str, Any] | None = None,
    redis: str | None = None,
    judge: Judge | None = None,
) -> dict[str, Any]:
    """Crawl `sources`; returns counts by outcome and whether all runs came to their end. Once a process (Twisted).

    `contact`, an address or page where a site's keeper finds who crawls, goes into the user agent; it is required
    unless all sources are on loopback. `progress` is called with the number of addresses done.
    `redis` is the address of a frontier shared with other hosts; each has a store and archive of its own.
    `judge` says how likely pages are promotion (crawler.discovery); sources with `discover: true` need it.
    `overrides` replace our Scrapy settings (tests: shorter waits, another server on loopback).

    Raises CrawlError, FrontierError, BrowserError.
    """
    if not contact and not all(source.loopback for source in sources):
        raise CrawlError("say who crawls: set FANTOMES_CONTACT (or --contact) to an e-mail address or a page about you")
    if judge is None and (wanting := [source.id for source in sources if source.discover]):
        raise CrawlError(f"{wanting[0]}: `discover: true` needs a trained model: run `fantomes train`")
    overrides = overrides or {}
    settings = {**SETTINGS, **overrides}
    frontier = _frontier(db, redis, settings["FRONTIER_ALIVE"], settings["FRONTIER_PER_HOST"])
    return _crawl(db, frontier, archive, sources, contact, log_file, progress, settings, overrides, judge)


def _frontier(db: Database, redis: str | None, alive: float, per_host: int) -> Frontier:
    if redis is None:
        return SqliteFrontier(db, alive, per_host)
    try:
        from crawler.redis_frontier import RedisFrontier
    except ModuleNotFoundError as error:
        raise CrawlError("a frontier on Redis needs the extra `cluster`: pip install -e '.[cluster]'") from error
    return RedisFrontier(redis, db, alive, per_host)


def _crawl(
    db: Database,
    frontier: Frontier,
    archive: Path,
    sources: list[Source],
    contact: str | None,
    log_file: Path | None,
    progress: Callable[[int], None],
    settings: Mapping[str, Any],
    overrides: Mapping[str, Any],
    judge: Judge | None,
) -> dict[str, Any]:
    runs: dict[int, Source] = {}
    for source in sources:
        with write(db):
            save_source(db, source.id, source.kind, source.start[0], source.title)
        runs[frontier.begin(source.id, list(source.start))] = source
    if any(source.render for source in sources):
        settings = {**settings, **browser.settings(settings), **overrides}
    trouble: list[str] = []
    paused: dict[int, str] = {}
    records = Archive(archive, SOFTWARE)
    with ExitStack() as stack:
        hosts = {_host(url) for source in sources if source.loopback for url in source.start}
        port = stack.enter_context(samples.serving()) if hosts else 0
        process = AsyncCrawlerProcess(
            {
                "USER_AGENT": f"{SOFTWARE} (reads public pages for a catalogue of claims; {contact or 'sample web'})",
                "LOOPBACK_HOSTS": dict.fromkeys(hosts, port),
                "LOG_FILE": str(log_file) if log_file else None,
                "LOG_ENABLED": log_file is not None,
                **settings,
            }
        )
        if log_file is None:
            logging.getLogger("scrapy").addHandler(logging.NullHandler())
        crawler = process.create_crawler(LeaseSpider)
        loopback = frozenset(crawler.settings.getdict("LOOPBACK_HOSTS"))
        task = process.crawl(
            crawler,
            db=db,
            frontier=frontier,
            archive=records,
            runs=runs,
            progress=progress,
            trouble=trouble,
            paused=paused,
            discovery=Discovery(db, judge, sources, loopback) if judge else None,
        )
        process.start()
        if task.done() and not task.cancelled() and (error := task.exception()):
            trouble.append(str(error))
    if trouble:
        raise CrawlError(trouble[0])
    mark_copies(db)
    with write(db):
        remember_head(db, records.head())
    records.close()
    left = frontier.finish(list(runs))
    if paused:
        raise CrawlError("\n".join(paused.values()))
    outcomes = health.outcomes(health.counts(db, list(runs)))
    return {"outcomes": outcomes, "waiting": left, "finished": left == 0}


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""
