"""The one spider: leases addresses from the frontier, fetches them, says what became of them.

What an answer holds depends on the kind of its source and stands in a module of its own (site, feed ...): functions
over a capture, so that a new kind is a new function and not a subclass.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

import scrapy
from scrapy import signals
from scrapy.crawler import Crawler
from scrapy.http import Response
from sqlite_utils import Database
from twisted.python.failure import Failure

from crawler import discovery, health
from crawler.archive import Archive, ArchiveError, now
from crawler.discovery import Discovery
from crawler.evidence.stored import remember_head
from crawler.found import Found
from crawler.frontier import Frontier, FrontierError, Lease, Link, clean, crawler_id
from crawler.market.panels import is_interface
from crawler.page import Capture, NotAPage, Page, Record, read_page
from crawler.replay import replay
from crawler.scope import outcome_of
from crawler.sources import Source
from crawler.spiders import adlibrary, feed, panel, site
from crawler.store import held, unvisited
from data.domains import registrable_domain
from data.migrations import write

CHALLENGES = (401, 403, 429, 503)  # statuses that bot checks come with
IDLE = 0.2  # seconds until the next look into the frontier, unless a visit ends before


@dataclass(slots=True)
class Visit:
    """What became of a lease: pages or the reason why there is none, and the addresses it leads to."""

    lease: Lease
    source: Source
    outcome: str
    pages: list[Page] = field(default_factory=list, repr=False)  # Scrapy writes what it drops into the log
    links: list[Link] = field(default_factory=list, repr=False)
    final_url: str | None = None  # where redirects led
    failed: bool = False  # worth another look in the next run
    at: str = field(default_factory=now)


class LeaseSpider(scrapy.Spider):
    """Works off the unfinished runs `runs` (run id -> source) of the store `db`.

    Carries what the middlewares and the pipeline of this crawl share: settings cannot hold an open file or database.
    """

    name = "fantomes"
    readers: ClassVar[dict[str, Callable[[Capture, Lease, Source, Archive], Found]]] = {
        "site": site.read,
        "feed": feed.read,
        "ads": site.read,  # of depth 0: nothing is followed
        "adlibrary": adlibrary.read,
        "panel": panel.read,
        "discover": discovery.read,  # a site that says `discover: true`
    }

    def __init__(
        self,
        db: Database,
        frontier: Frontier,
        archive: Archive,
        runs: dict[int, Source],
        progress: Callable[[int], None],
        trouble: list[str],
        paused: dict[int, str],
        discovery: Discovery | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.db, self.frontier, self.archive, self.runs, self.progress = db, frontier, archive, runs, progress
        self.trouble = trouble  # why the crawl had to stop, for the user
        self.paused = paused  # runs that can give no more for now, and why: the others go on
        self._rechecked = False
        self.settled = asyncio.Event()  # a visit has ended: there may be new addresses, or room for more
        self.discovery = discovery
        self.out = self.offered = 0  # leases we hold; candidates entered since we leased last, to be leased next

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> Self:
        spider = super().from_crawler(crawler, *args, **kwargs)
        crawler.signals.connect(spider.live, signal=signals.spider_opened)
        crawler.signals.connect(spider.end, signal=signals.spider_closed)
        return spider

    def live(self) -> None:
        self._life = asyncio.ensure_future(self._beat(self.crawler.settings.getfloat("FRONTIER_ALIVE") / 6))

    def end(self) -> None:
        self._life.cancel()
        with suppress(sqlite3.Error, ArchiveError):  # then it is known already what cannot be written
            self._tell()

    async def _beat(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                self.frontier.beat()
                self._tell()
            except (sqlite3.Error, FrontierError, ArchiveError) as error:
                self.stop_because(error)

    def _tell(self) -> None:
        health.save_stats(self.db, crawler_id(), self.runs, self.crawler.stats)
        with write(self.db):
            remember_head(self.db, self.archive.head())

    def stop_because(self, error: Exception | str) -> None:
        """End the crawl in good order; leases that are still out return, and nothing stored is lost."""
        reason = f"the store cannot be written: {error}" if isinstance(error, sqlite3.Error) else str(error)
        if not self.trouble and self.crawler.engine:
            self._closing = asyncio.ensure_future(self.crawler.engine.close_spider_async(reason=reason))
        self.trouble.append(reason)

    async def start(self) -> AsyncIterator[Any]:
        delays = {run: source.delay for run, source in self.runs.items()}
        batch = self.crawler.settings.getint("CONCURRENT_REQUESTS")
        while not self.trouble and self._has_work():
            engine = self.crawler.engine
            leases: list[Lease] = []
            self.settled.clear()
            try:
                if engine is not None and not engine.needs_backout():
                    open_ = {run: delay for run, delay in delays.items() if run not in self.paused}
                    leases = self.frontier.lease(open_, batch)
                    self.out, self.offered = self.out + len(leases), 0
            except (sqlite3.Error, FrontierError) as error:  # disk full, store locked, Redis gone for good
                self.stop_because(error)
            for lease in leases:
                source = self.runs[lease.run]
                if self.discovery and source.discover and self.discovery.enough(lease.run, source, lease.url):
                    yield Visit(lease, source, "enough")
                    continue
                try:
                    yield self._request(lease)
                except ValueError:
                    yield Visit(lease, self.runs[lease.run], "bad-address")
                except adlibrary.Stopped as stop:
                    self.paused[lease.run] = str(stop)
            if not leases:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.settled.wait(), IDLE)

    def _has_work(self) -> bool:
        runs = [run for run in self.runs if run not in self.paused]
        if self.frontier.has_work(runs) or self._rechecked:
            return self.frontier.has_work(runs)
        self._rechecked = True  # a page is mostly taken down together with the links to it: look at those too
        for run in runs:
            source = self.runs[run]
            if source.kind in ("site", "panel") and (known := unvisited(self.db, source.id, run, source.max_pages)):
                self.frontier.begin(source.id, known, source.max_depth)
        return self.frontier.has_work(runs)

    def _request(self, lease: Lease) -> scrapy.Request:
        source = self.runs[lease.run]
        # a start address may redirect to another domain (a shop that moved); a link inside a site may not leave it
        meta: dict[str, Any] = {"delay": source.delay, "loopback": source.loopback}  # redirects take it along
        if lease.depth and source.kind != "feed":
            meta["stay_on"] = registrable_domain(urlsplit(lease.url).hostname or "")
        headers: dict[str, str] = {}
        if source.render:  # unconditionally: the answer may be the same while what its scripts load has changed
            meta |= {"render": True, "screenshot": source.screenshot}
        elif (known := held(self.db, lease.url)) and (self.archive.folder / str(known["warc"])).exists():
            meta["known"] = known
            if known["etag"]:  # a date alone would hide that a server went back to an older file
                conditions = {"If-None-Match": known["etag"], "If-Modified-Since": known["modified"]}
                headers = {name: str(value) for name, value in conditions.items() if value}
        if source.kind == "adlibrary":
            signature, secret = adlibrary.signed(lease.url, source)
            headers, meta = headers | signature, meta | secret
        if source.kind == "panel" and is_interface(lease.url):
            raise ValueError("an address of a panel's interface is never asked")
        return scrapy.Request(
            lease.url,
            callback=self.parse,
            errback=self.failed,
            headers=headers,
            cb_kwargs={"lease": lease},
            meta=meta,
            dont_filter=True,
        )

    # lists, not generators: of a generator Scrapy parses the source anew for each answer, to warn of a `return`
    def parse(self, response: Response, lease: Lease) -> list[Visit]:
        source = self.runs[lease.run]
        visit = Visit(lease, source, f"http-{response.status}", final_url=response.url)
        if response.status in (200, 304) or source.kind == "adlibrary":  # Meta's errors are answers too
            try:
                reader = self.readers["discover" if source.discover else source.kind]
                found = reader(self._capture(response, lease), lease, source, self.archive)
                visit.outcome, visit.pages, visit.links = found.outcome, found.pages, found.links
                visit.failed = found.failed
            except adlibrary.Stopped as stop:
                self.paused[lease.run] = str(stop)
                if stop.again:
                    return []  # the lease stays out: the next crawl goes on with this very address
                visit.outcome, visit.failed = stop.outcome, True
            except NotAPage as none:
                visit.outcome = none.reason
                self.logger.info("%s: %s", response.url, none)
            except Exception:  # a page that we cannot read must not hold its lease: it is counted, and archived
                visit.outcome, visit.failed = "unreadable", True
                self.logger.exception("%s: cannot be read", response.url)
        elif response.status in CHALLENGES and self._is_challenge(response, lease):
            visit.outcome = "challenge"
        busy = response.status >= 500 or response.status == 429
        visit.failed = visit.failed or (busy and not visit.links)  # Meta's 500 that leads on is dealt with
        return [visit]

    def _is_challenge(self, response: Response, lease: Lease) -> bool:
        try:
            read_page(self._capture(response, lease))
        except NotAPage as none:
            return none.reason == "challenge"
        except Exception:  # as above: what cannot be read is counted by its status
            self.logger.exception("%s: cannot be read", response.url)
        return False

    def failed(self, failure: Failure) -> list[Visit]:
        lease: Lease = failure.request.cb_kwargs["lease"]  # type: ignore[attr-defined]
        outcome = outcome_of(failure.value, failure.request.url)  # type: ignore[attr-defined]
        self.logger.info("%s: %s (%s)", lease.url, outcome, failure.getErrorMessage())
        if self.trouble:  # it may have failed for that, as what cannot be archived: the lease returns
            return []
        return [Visit(lease, self.runs[lease.run], outcome, failed=True)]

    def _capture(self, response: Response, lease: Lease) -> Capture:
        """The answer; or, where the server repeats what it said before, what we have of that."""
        headers = {
            name.decode("latin-1").lower(): b", ".join(values).decode("latin-1")
            for name, values in response.headers.items()
        }
        known = response.meta.get("known")
        record: Record = response.meta["record"]
        if response.meta.get("revisit") and known:
            kept = Record(known["warc"], known["warc_offset"], known["warc_length"], known["sha256"])
            if response.status == 304:
                capture = replay(self.archive.folder, known["url"], known["captured_at"], kept)
                return replace(capture, published_at=lease.published_at, checked_at=response.meta["fetched_at"])
            record, fetched_at, checked_at = kept, known["captured_at"], response.meta["fetched_at"]
        else:
            fetched_at, checked_at = response.meta["fetched_at"], ""
        return Capture(
            url=clean(response.url),
            fetched_at=fetched_at,
            status=response.status,
            content_type=headers.get("content-type", ""),
            body=response.body,
            record=record,
            published_at=lease.published_at,
            checked_at=checked_at,
            etag=headers.get("etag"),
            modified=headers.get("last-modified"),
            headers=headers,
        )
