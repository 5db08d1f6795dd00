"""Scrapy's side of the archive: every answer goes into the WARC as it came over the wire."""

import hashlib
import re
from typing import Any, Self, cast

from scrapy import Request, signals
from scrapy.crawler import Crawler
from scrapy.exceptions import IgnoreRequest
from scrapy.http import Response
from scrapy.utils.httpobj import urlparse_cached
from scrapy.utils.python import to_bytes
from scrapy.utils.response import response_status_message

from crawler.archive import NOT_MODIFIED, SAME_PAYLOAD, ArchiveError, now
from crawler.frontier import clean
from crawler.page import Record
from crawler.spiders.lease import LeaseSpider


class WarcMiddleware:
    """Stands below redirect (600) and decompression (590), so that it sees each hop and the bytes as sent.

    Leaves `record` and `fetched_at` in the request's meta for the spider, and `revisit` where the record only says that
    the payload is the one of `known`, the row of `addresses` in meta. A `secret` in meta, a token of ours, is blotted
    out of all that is written and all that goes on to the spider.
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

    def process_request(self, request: Request) -> None:
        if "redirect_urls" in request.meta:  # another address: a 304 from there would mean nothing
            request.headers.pop("If-None-Match", None)
            request.headers.pop("If-Modified-Since", None)
        if request.meta.get("secret"):  # in a compressed answer nobody could blot it out
            request.headers["Accept-Encoding"] = "identity"

    def process_response(self, request: Request, response: Response) -> Response:
        date = now()
        request.meta["fetched_at"] = date
        request_head = _head(f"{request.method} {_target(request)} HTTP/1.1", request)
        if secret := request.meta.get("secret"):
            request_head = blot(request_head, secret)
            response = _without(response, secret)
        try:
            request.meta["record"] = self._archive(request, response, date, request_head)
        except ArchiveError as error:  # what cannot be archived is not evidence: stop
            self.spider.stop_because(str(error))
            raise IgnoreRequest("no-archive") from error
        return response

    def _archive(self, request: Request, response: Response, date: str, request_head: bytes) -> Record:
        head = _head(f"{response.protocol or 'HTTP/1.1'} {response_status_message(response.status)}", response)
        ip_address = str(response.ip_address) if response.ip_address else None
        profile = _repeats(request.meta, response)
        request.meta["revisit"] = bool(profile)  # a retry or redirect has its own
        if profile:
            held = request.meta["known"]["sha256"], request.meta["known"]["captured_at"]
            return self.spider.archive.revisit(response.url, date, head, *held, request_head, ip_address, profile)
        redacted = "token of the request, by x" if request.meta.get("secret") else ""
        return self.spider.archive.response(response.url, date, head, response.body, request_head, ip_address, redacted)


def _repeats(meta: dict[str, Any], response: Response) -> str:
    """The profile of the revisit record that is enough for `response`; empty where it needs a full one."""
    known = meta.get("known")
    if not known or "redirect_urls" in meta or clean(response.url) != known["url"]:  # redirects take `known` along
        return ""
    if response.status == 304:
        return NOT_MODIFIED
    same = response.status == 200 and hashlib.sha256(response.body).hexdigest() == known["sha256"]
    return SAME_PAYLOAD if same else ""


def blot(data: bytes, secret: str) -> bytes:
    """`data` with as many x in the place of the secret, however its letters are escaped in addresses or JSON."""
    letters = ("|".join(_forms(byte)) for byte in secret.encode())
    return re.sub("".join(f"(?:{forms})" for forms in letters).encode(), lambda found: b"x" * len(found[0]), data)


def _forms(byte: int) -> list[str]:
    letter = re.escape(chr(byte)) if byte < 128 else f"\\x{byte:02x}"
    forms = [letter, f"(?i:%{byte:02x})", rf"(?i:\\u00{byte:02x})"]
    return [*forms, *{" ": [r"\+"], "/": [r"\\/"]}.get(chr(byte), [])]


def _without(response: Response, secret: str) -> Response:
    """The answer without the secret. Raises IgnoreRequest for one in which it could hide."""
    if (response.headers.get("Content-Encoding") or b"identity").lower() != b"identity":
        raise IgnoreRequest("unknown-encoding")
    headers = {name: [blot(value, secret) for value in values] for name, values in response.headers.items()}
    url = blot(response.url.encode(), secret).decode()
    return response.replace(url=url, headers=headers, body=blot(response.body, secret))


def _head(first_line: str, message: Request | Response) -> bytes:
    """Status or request line and headers. The payload is archived byte for byte; the headers are as Twisted parsed
    them: all values, but with names in its own case, and without those of the connection (RFC 9112, 7.6.1)."""
    host = b"Host: " + urlparse_cached(message).netloc.encode() + b"\r\n" if isinstance(message, Request) else b""
    headers = message.headers.to_string()
    return to_bytes(first_line) + b"\r\n" + host + headers + (b"\r\n" if headers else b"") + b"\r\n"


def _target(request: Request) -> str:
    parts = urlparse_cached(request)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
