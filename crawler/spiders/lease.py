"""The one spider: leases addresses from the frontier, fetches them, says what became of them.

What a page leads to depends on the kind of its source and stands in a module of its own (site, feed): functions over a
response, so that a new kind is a new function and not a subclass.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import urlsplit

import scrapy
from scrapy.http import Response
from scrapy.utils.asyncio import sleep
from sqlite_utils import Database
from twisted.python.failure import Failure

from crawler import frontier
from crawler.archive import Archive
from crawler.found import Found
from crawler.frontier import Lease, Link
from crawler.page import Capture, NotAPage, Page
from crawler.scope import outcome_of
from crawler.sources import Source
from crawler.spiders import feed, site
from data.domains import registrable_domain

IDLE = 0.05  # seconds between looks into the frontier while all that is left is on its way


@dataclass(slots=True)
class Visit:
    """What became of a lease: pages or the reason why there is none, and the addresses it leads to."""

    lease: Lease
    source: Source
    outcome: str
    pages: list[Page] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    final_url: str | None = None  # where redirects led
    failed: bool = False  # worth another look in the next run


class LeaseSpider(scrapy.Spider):
    """Works off the unfinished runs `runs` (run id -> source) of the store `db`.

    Carries what the middlewares and the pipeline of this crawl share: settings cannot hold an open file or database.
    """

    name = "fantomes"
    readers: ClassVar[dict[str, Callable[[Capture, Lease, Source, Archive], Found]]] = {
        "site": site.read,
        "feed": feed.read,
        "ads": site.read,  # of depth 0: nothing is followed
    }

    def __init__(
        self,
        db: Database,
        archive: Archive,
        runs: dict[int, Source],
        progress: Callable[[int], None],
        trouble: list[str],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.db, self.archive, self.runs, self.progress = db, archive, runs, progress
        self.trouble = trouble  # why the crawl had to stop, for the user

    def stop_because(self, reason: str) -> None:
        """End the crawl in good order; leases that are still out run out, and nothing stored is lost."""
        if not self.trouble and self.crawler.engine:
            self._closing = asyncio.ensure_future(self.crawler.engine.close_spider_async(reason=reason))
        self.trouble.append(reason)

    async def start(self) -> AsyncIterator[Any]:
        while not self.trouble and frontier.open_work(self.db, list(self.runs)):
            engine = self.crawler.engine
            leases: list[Lease] = []
            try:
                if engine is not None and not engine.needs_backout():
                    leases = frontier.lease(self.db, list(self.runs), 16)
            except sqlite3.Error as error:  # disk full, store locked
                self.stop_because(f"the store cannot be written: {error}")
            for lease in leases:
                try:
                    yield self._request(lease)
                except ValueError:
                    yield Visit(lease, self.runs[lease.run], "bad-address")
            if not leases:
                await sleep(IDLE)

    def _request(self, lease: Lease) -> scrapy.Request:
        source = self.runs[lease.run]
        # a start address may redirect to another domain (a shop that moved); a link inside a site may not leave it
        meta: dict[str, Any] = {"delay": source.delay, "loopback": source.loopback}  # redirects take it along
        if lease.depth and source.kind != "feed":
            meta["stay_on"] = registrable_domain(urlsplit(lease.url).hostname or "")
        return scrapy.Request(
            lease.url, callback=self.parse, errback=self.failed, cb_kwargs={"lease": lease}, meta=meta, dont_filter=True
        )

    def parse(self, response: Response, lease: Lease) -> Iterator[Visit]:
        source = self.runs[lease.run]
        visit = Visit(lease, source, f"http-{response.status}", final_url=response.url)
        if response.status == 200:
            try:
                found = self.readers[source.kind](self._capture(response, lease), lease, source, self.archive)
                visit.outcome, visit.pages, visit.links = found.outcome, found.pages, found.links
                visit.failed = found.failed
            except NotAPage as none:
                visit.outcome = none.reason
                self.logger.info("%s: %s", response.url, none)
            except Exception:  # a page that we cannot read must not hold its lease: it is counted, and archived
                visit.outcome, visit.failed = "unreadable", True
                self.logger.exception("%s: cannot be read", response.url)
        visit.failed = visit.failed or response.status >= 500 or response.status == 429
        yield visit

    def failed(self, failure: Failure) -> Iterator[Visit]:
        lease: Lease = failure.request.cb_kwargs["lease"]  # type: ignore[attr-defined]
        outcome = outcome_of(failure.value, failure.request.url)  # type: ignore[attr-defined]
        self.logger.info("%s: %s (%s)", lease.url, outcome, failure.getErrorMessage())
        yield Visit(lease, self.runs[lease.run], outcome, failed=True)

    @staticmethod
    def _capture(response: Response, lease: Lease) -> Capture:
        return Capture(
            url=frontier.clean(response.url),
            fetched_at=response.meta["fetched_at"],
            status=response.status,
            content_type=(response.headers.get("Content-Type") or b"").decode("latin-1"),
            body=response.body,
            record=response.meta["record"],
            published_at=lease.published_at,
        )
