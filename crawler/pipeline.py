"""The end of the line: one transaction of the store for each visit."""

import sqlite3
from typing import Self, cast

from scrapy.crawler import Crawler
from scrapy.exceptions import DropItem

from crawler import frontier
from crawler.frontier import Link, clean
from crawler.spiders.lease import LeaseSpider, Visit
from crawler.store import save_page
from data.migrations import write


class StorePipeline:
    """Page, new addresses and the end of the lease go in together, or not at all."""

    def __init__(self, spider: LeaseSpider) -> None:
        self.spider, self.db = spider, spider.db

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        return cls(cast(LeaseSpider, crawler.spider))

    def process_item(self, visit: Visit) -> Visit:
        lease = visit.lease
        try:
            with write(self.db):
                frontier.add(self.db, lease.run, visit.links, lease.depth + 1, visit.source.max_pages)
                new = [save_page(self.db, visit.source.id, page) for page in visit.pages]
                if visit.outcome == "stored" and not any(new):
                    visit.outcome = "unchanged"
                if visit.final_url and (final := clean(visit.final_url)) != lease.url:
                    frontier.add(self.db, lease.run, [Link(final)], lease.depth)  # no need to fetch it again
                    frontier.done(self.db, lease._replace(url=final), visit.outcome)
                    visit.outcome = "redirected"
                frontier.done(self.db, lease, visit.outcome, visit.failed)
        except sqlite3.Error as error:  # disk full, store locked
            self.spider.stop_because(f"the store cannot be written: {error}")
            raise DropItem(str(error)) from error
        except Exception:  # whatever a stranger's page can hold that a table cannot: the lease must not stay out
            self.spider.logger.exception("%s: cannot be stored", lease.url)
            with write(self.db):
                frontier.done(self.db, lease, "unreadable", failed=True)
        self.spider.progress(1)
        return visit
