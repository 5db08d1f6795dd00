"""Scrapy's side of the archive: every answer goes into the WARC as it came over the wire."""

from typing import Self, cast

from scrapy import Request, signals
from scrapy.crawler import Crawler
from scrapy.exceptions import IgnoreRequest
from scrapy.http import Response
from scrapy.utils.httpobj import urlparse_cached
from scrapy.utils.python import to_bytes
from scrapy.utils.response import response_status_message

from crawler.archive import ArchiveError, now
from crawler.spiders.lease import LeaseSpider


class WarcMiddleware:
    """Stands below redirect (600) and decompression (590), so that it sees each hop and the bytes as sent.

    Leaves `record` and `fetched_at` in the request's meta for the spider.
    """

    def __init__(self, spider: LeaseSpider) -> None:
        self.spider = spider

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        middleware = cls(cast(LeaseSpider, crawler.spider))
        crawler.signals.connect(middleware.close, signal=signals.spider_closed)
        return middleware

    def close(self) -> None:
        self.spider.archive.close()

    def process_response(self, request: Request, response: Response) -> Response:
        date = now()
        request.meta["fetched_at"] = date
        try:
            request.meta["record"] = self.spider.archive.response(
                response.url,
                date,
                head=_head(f"{response.protocol or 'HTTP/1.1'} {response_status_message(response.status)}", response),
                payload=response.body,
                request=_head(f"{request.method} {_target(request)} HTTP/1.1", request),
                ip_address=str(response.ip_address) if response.ip_address else None,
            )
        except ArchiveError as error:  # what cannot be archived is not evidence: stop
            self.spider.stop_because(str(error))
            raise IgnoreRequest("no-archive") from error
        return response


def _head(first_line: str, message: Request | Response) -> bytes:
    """Status or request line and headers. The payload is archived byte for byte; the headers are as Twisted parsed
    them: all values, but with names in its own case, and without those of the connection (RFC 9112, 7.6.1)."""
    host = b"Host: " + urlparse_cached(message).netloc.encode() + b"\r\n" if isinstance(message, Request) else b""
    return to_bytes(first_line) + b"\r\n" + host + message.headers.to_string() + b"\r\n\r\n"


def _target(request: Request) -> str:
    parts = urlparse_cached(request)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
