"""The end of the line: one transaction of the store for each visit."""

import sqlite3
from typing import Self, cast

from scrapy.crawler import Crawler
from scrapy.exceptions import DropItem

from crawler.discovery import Look, save_look
from crawler.frontier import FrontierError, Settled, clean
from crawler.spiders.lease import LeaseSpider, Visit
from crawler.store import save_check, save_page


class StorePipeline:
    """Pages, new addresses and the end of the lease go in together, or not at all; counted in Scrapy's stats."""

    def __init__(self, crawler: Crawler) -> None:
        self.crawler = crawler
        self.spider = cast(LeaseSpider, crawler.spider)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        return cls(crawler)

    def process_item(self, visit: Visit) -> Visit:
        spider, source = self.spider, visit.source
        try:
            final_url = clean(visit.final_url) if visit.final_url else None
            looks = self._discover(visit)
            visit.outcome, visit.failed = spider.frontier.settle(
                visit.lease, lambda: self._store(visit, looks), visit.links, source.max_pages, final_url
            )
        except (sqlite3.Error, FrontierError) as error:  # disk full, store locked, Redis gone for good
            spider.stop_because(error)
            raise DropItem(str(error)) from error
        except Exception:  # whatever a stranger's page can hold that a table cannot: the lease must not stay out
            spider.logger.exception("%s: cannot be stored", visit.lease.url)
            visit.outcome, visit.failed, visit.pages = "unreadable", True, []
            spider.frontier.settle(visit.lease, lambda: Settled("unreadable", True), [], source.max_pages)
        spider.out -= 1
        self._count(visit)
        spider.settled.set()
        spider.progress(1)
        return visit

    def _discover(self, visit: Visit) -> list[Look]:
        """Judge the pages of a source that discovers; where to go next takes the place of the links."""
        spider, lease = self.spider, visit.lease
        if spider.discovery is None or not visit.source.discover:
            return []
        looks = [spider.discovery.look(lease.run, page) for page in visit.pages]
        room = self.crawler.settings.getint("CONCURRENT_REQUESTS") - (spider.out - 1) - spider.offered
        visit.links = spider.discovery.links(lease.run, visit.source, lease.depth, looks, room)
        spider.offered += len(visit.links)
        return looks

    def _store(self, visit: Visit, looks: list[Look]) -> Settled:
        if visit.outcome == "enough":  # nobody looked: nothing is known anew of the address
            return Settled(visit.outcome)
        url = clean(visit.final_url) if visit.final_url else visit.lease.url
        new = [save_page(self.spider.db, visit.source.id, page) for page in visit.pages]
        for look in looks:
            save_look(self.spider.db, visit.lease.run, look)
        outcome = "unchanged" if visit.outcome == "stored" and not any(new) else visit.outcome
        if url not in {page.capture.url for page in visit.pages}:
            save_check(self.spider.db, url, visit.at, outcome)
        if url != visit.lease.url:
            # to a login or an error: nobody knows; to a page: this address shows its own no more
            save_check(self.spider.db, visit.lease.url, visit.at, "redirected" if visit.pages else outcome)
        return Settled(outcome, visit.failed)

    def _count(self, visit: Visit) -> None:
        """Health in Scrapy's own stats, source by source: what brings a run's numbers together."""
        counts = {f"outcome/{visit.outcome}": 1}
        if visit.pages:  # unchanged ones too: what the run found, not what was new
            counts |= {"pages": len(visit.pages), "links": len(visit.links)}
            counts["blocks"] = sum(len(page.blocks) for page in visit.pages)
            counts["offers"] = sum(len(page.offers) for page in visit.pages)
        for name, count in counts.items():
            self.crawler.stats.inc_value(f"source/{visit.source.id}/{name}", count)
