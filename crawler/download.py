"""Scrapy's parts of a download, with the limits and the caution that they lack.

The limits are kept below all middlewares: a head without end would fill the memory before any of them sees it, and a
thousand gzip layers of ten megabytes each would hold all other hosts up for a minute.
"""

import asyncio
from typing import Any

from scrapy import Request
from scrapy.core.downloader.handlers.http11 import (
    HTTP11DownloadHandler,
    _LenientHTTP11ClientFactory,
    _LenientHTTP11ClientProtocol,
)
from scrapy.crawler import Crawler
from scrapy.downloadermiddlewares.redirect import MetaRefreshMiddleware
from scrapy.downloadermiddlewares.robotstxt import RobotsTxtMiddleware
from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadCancelledError,
    DownloadConnectionRefusedError,
    DownloadFailedError,
)
from scrapy.http import Response
from scrapy.robotstxt import RobotParser
from scrapy.utils.httpobj import urlparse_cached
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web._newclient import HEADER, STATUS

MAX_HEAD = 262_144  # bytes of status line and headers, interim answers (1xx) included; servers send some hundreds
MAX_ENCODINGS = 2  # layers of Content-Encoding; even two are a mistake
MAX_ROBOTS = 512_000  # bytes; a crawler must read this much and need not read more (RFC 9309, 2.5)
STAY_AWAY = b"User-agent: *\nDisallow: /\n"


class HeadTooLarge(Exception):
    """An answer whose head goes on and on."""


class BadAnswerError(Exception):
    """An answer with a status code that HTTP does not have."""


class Handler(HTTP11DownloadHandler):
    """Scrapy's HTTP, with limits. Raises DownloadCancelledError where an answer breaks them, BadAnswerError."""

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self._pool._factory = _Factory

    async def download_request(self, request: Request) -> Response:
        try:
            response = await super().download_request(request)
        except DownloadFailedError as error:
            reasons = getattr(error.__cause__, "reasons", [])
            if any(reason.check(HeadTooLarge) for reason in reasons):
                raise DownloadCancelledError(f"{request.url}: a head of more than {MAX_HEAD} bytes") from error
            raise
        if not 200 <= response.status <= 999:
            raise BadAnswerError(f"{request.url}: status {response.status}")
        layers = b",".join(response.headers.getlist("Content-Encoding")).count(b",") + 1
        if layers > MAX_ENCODINGS:
            raise DownloadCancelledError(f"{request.url}: {layers} encodings, one in the other")
        return response


class _Factory(_LenientHTTP11ClientFactory):
    def buildProtocol(self, addr: Any) -> "_Protocol":
        return _Protocol(self._quiescentCallback)


class _Protocol(_LenientHTTP11ClientProtocol):
    _head = 0  # bytes received while the head of the current answer was not complete

    def request(self, request: Any) -> Any:
        self._head = 0
        return super().request(request)

    def dataReceived(self, data: bytes) -> None:
        if self._parser is not None and self._parser.state in (STATUS, HEADER):
            self._head += len(data)
            if self._head > MAX_HEAD:
                self._giveUp(Failure(HeadTooLarge()))
                return
        super().dataReceived(data)


class MetaRefresh(MetaRefreshMiddleware):
    """Follows <meta http-equiv=refresh>; a page whose charset ("zip") or refresh is nonsense is taken as it stands."""

    def process_response(self, request: Request, response: Response, spider: Any = None) -> Request | Response:
        try:
            return super().process_response(request, response)
        except (LookupError, ValueError):
            return response


class Robots(RobotsTxtMiddleware):
    """A robots.txt that cannot be had means "stay away", one that is not there means "welcome" (RFC 9309, 2.3.1).

    Scrapy takes both for "welcome". What fails on the way counts too: bombs, circles of redirects, private addresses.
    No answer is made up for it, which the archive would take for the server's.
    """

    async def robot_parser(self, request: Request) -> RobotParser | None:
        """Scrapy's own gives "no rules" to the third who waits for them: Deferred.asFuture leaves None behind."""
        while isinstance(self._parsers.get(urlparse_cached(request).netloc), Deferred):
            await asyncio.sleep(0.02)
        return await super().robot_parser(request)

    async def _parse_robots(self, response: Response, netloc: str, request: Request) -> None:
        missing = 400 <= response.status < 500 and response.status != 429
        rules = response.body[:MAX_ROBOTS] if response.status == 200 else b"" if missing else STAY_AWAY
        await super()._parse_robots(response.replace(body=rules), netloc, request)

    def _robots_error(self, exc: Exception, netloc: str) -> None:
        if isinstance(exc, CannotResolveHostError | DownloadConnectionRefusedError):
            # no server answers at all: the page's own request will fail too, and for the true reason
            super()._robots_error(exc, netloc)
            return
        waiting: Any = self._parsers[netloc]
        self._parsers[netloc] = self._parserimpl.from_crawler(self.crawler, STAY_AWAY)
        waiting.callback(self._parsers[netloc])
