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
        self.crawl_delay: dict[str, float] = {}  # by host, from robots.txt
        self._said: dict[str, dict[str, float]] = {}  # by host and site: each of http, https and port has a robots.txt
        crawler.signals.connect(self.robots_parsed, signal=signals.robots_parsed)
        crawler.signals.connect(self.adjust, signal=signals.request_reached_downloader)
        crawler.signals.connect(self.again, signal=signals.request_reached_downloader)
        crawler.signals.connect(self.response_downloaded, signal=signals.response_downloaded)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        return cls(crawler)

    def robots_parsed(self, robotparser: RobotParser, request: Request) -> None:
        """Keep to the host's Crawl-delay here, and tell the other crawlers; also that there is none (any more)."""
        wanted = robotparser.crawl_delay("Fantomes") or 0.0
        delay = min(wanted, MAX_CRAWL_DELAY) if wanted > 0 else 0.0  # not for "nan"
        host = urlparse_cached(request).hostname or ""
        said = self._said.setdefault(host, {})
        said[f"{urlparse_cached(request).scheme}://{urlparse_cached(request).netloc}"] = delay
        self.crawl_delay[host] = max(said.values())
        cast(LeaseSpider, self.crawler.spider).frontier.slow(host, self.crawl_delay[host])

    def again(self, request: Request) -> None:
        """Redirects and retries are requests too: tell the frontier, which counts leases."""
        if "delay" in request.meta and ("redirect_times" in request.meta or "retry_times" in request.meta):
            host = urlparse_cached(request).hostname or ""
            cast(LeaseSpider, self.crawler.spider).frontier.spend(host, request.meta["delay"])

    def response_downloaded(self, response: Response, request: Request) -> None:
        self.adjust(request)

    def adjust(self, request: Request) -> None:
        """Raise the delay of the request's host to what the source (in the request's meta) and robots.txt ask for."""
        slots = self.crawler.engine.downloader.slots if self.crawler.engine else {}
        slot = slots.get(request.meta.get("download_slot", ""))
        if slot and "delay" in request.meta:
            least = max(request.meta["delay"], self.crawl_delay.get(urlparse_cached(request).hostname or "", 0.0))
            slot.delay = least if request.meta["loopback"] else max(slot.delay, least)
