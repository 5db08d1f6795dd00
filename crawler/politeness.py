"""Politeness: no host is asked more often than its robots.txt and its source allow."""

from typing import Self, cast

from scrapy import Request, signals
from scrapy.crawler import Crawler
from scrapy.http import Response
from scrapy.robotstxt import RobotParser
from scrapy.utils.httpobj import urlparse_cached

from crawler.spiders.lease import LeaseSpider

MAX_CRAWL_DELAY = 60.0  # seconds; a site that asks for more is visited once a minute


class Politeness:
    """Holds AutoThrottle, which knows one least delay for all hosts, to a least delay for each.

    Scrapy reads Crawl-delay and leaves it at that; here it is applied. The sample web asks for no delay at all.
    """

    def __init__(self, crawler: Crawler) -> None:
        self.crawler = crawler
        sources = cast(LeaseSpider, crawler.spider).runs.values()
        hosts = [(urlparse_cached(Request(url)).hostname, source) for source in sources for url in source.start]
        self.least: dict[str | None, float] = {host: source.delay for host, source in hosts}
        self.fixed = {host for host, source in hosts if source.loopback}
        crawler.signals.connect(self.robots_parsed, signal=signals.robots_parsed)
        crawler.signals.connect(self.response_downloaded, signal=signals.response_downloaded)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        return cls(crawler)

    def robots_parsed(self, robotparser: RobotParser, request: Request) -> None:
        if wanted := robotparser.crawl_delay("Fantomes"):
            host = urlparse_cached(request).hostname
            self.least[host] = max(self.least.get(host, 0.0), min(wanted, MAX_CRAWL_DELAY))

    def response_downloaded(self, response: Response, request: Request) -> None:
        host = urlparse_cached(request).hostname
        slots = self.crawler.engine.downloader.slots if self.crawler.engine else {}
        slot = slots.get(request.meta.get("download_slot", ""))
        if slot and host in self.least:
            slot.delay = self.least[host] if host in self.fixed else max(slot.delay, self.least[host])
