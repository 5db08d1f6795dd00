"""Pages that need JavaScript, for sources that say `render: true`.

A page is fetched, judged, archived and unpacked like any other; only then its answer is given to a browser, which runs
the scripts. The DOM that they leave is archived as a `conversion` of that answer, and takes its place from here on.
What the scripts fetched is not archived: the conversion is our own testimony, the answer is the server's.
"""

import asyncio
import itertools
from contextlib import suppress
from typing import Self, cast

from playwright.async_api import Browser, Error
from playwright.async_api import TimeoutError as TooSlow
from scrapy import Request, signals
from scrapy.crawler import Crawler
from scrapy.downloadermiddlewares.redirect import BaseRedirectMiddleware
from scrapy.exceptions import IgnoreRequest
from scrapy.http import HtmlResponse, Response
from scrapy_playwright.handler import ScrapyPlaywrightDownloadHandler
from scrapy_playwright.page import PageMethod
from scrapy_playwright.provider import PlaywrightBrowserProvider

from crawler.archive import ArchiveError, now
from crawler.chromium.browser import BrowserError
from crawler.chromium.proxy import Proxy
from crawler.chromium.rendering import WIDTH, Done, NotRendered, Rendering
from crawler.page import HTML_TYPES
from crawler.spiders.lease import LeaseSpider

AT_ONCE = 2  # pages in the browser


class RenderMiddleware(BaseRedirectMiddleware):
    """Stands above decompression (590) and below meta refresh (580). A script that leads elsewhere is a redirect."""

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler.settings)
        self.crawler, self.spider = crawler, cast(LeaseSpider, crawler.spider)
        self.handler = ScrapyPlaywrightDownloadHandler.from_crawler(crawler)
        self.seconds = crawler.settings.getfloat("RENDER_SECONDS")
        self.memory = crawler.settings.getint("RENDER_MEMORY")
        self.turn = asyncio.Semaphore(AT_ONCE)
        self.names = itertools.count()

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        middleware = cls(crawler)
        crawler.signals.connect(middleware._engine_started, signal=signals.engine_started)
        crawler.signals.connect(middleware.handler.close, signal=signals.spider_closed)
        return middleware

    async def process_response(self, request: Request, response: Response) -> Request | Response:
        kind = (response.headers.get("Content-Type") or b"").decode("latin-1").partition(";")[0].strip().lower()
        if not request.meta.get("render") or response.status != 200 or kind not in HTML_TYPES:
            return response
        rendering = Rendering(response, bool(request.meta.get("screenshot")), self.seconds, self.memory)
        try:
            async with self.turn:
                await self._browse(rendering)
        except BrowserError as error:
            self.spider.stop_because(str(error))
            raise IgnoreRequest("no-browser") from error
        except (TimeoutError, TooSlow) as error:
            raise IgnoreRequest("render-timeout") from error
        except NotRendered as error:
            raise IgnoreRequest(str(error)) from error
        except Error as error:
            self.spider.logger.warning("%s: cannot be rendered: %s", response.url, error)
            raise IgnoreRequest("render-failed") from error
        if rendering.leads_to is not None:
            target = self._build_redirect_request(request, response, url=rendering.leads_to)
            return self._redirect(target, request, "script")
        return self._shown(request, response, rendering)

    async def _browse(self, rendering: Rendering) -> None:
        settings = self.crawler.settings
        name = f"page-{next(self.names)}"  # a context of its own: nothing is left of the page before
        async with Proxy(settings.getdict("LOOPBACK_HOSTS")) as proxy:
            request = Request(
                rendering.response.url,
                meta={
                    "playwright": True,
                    "playwright_include_page": True,  # closed here, with its context
                    "playwright_context": name,
                    "playwright_context_kwargs": {
                        "accept_downloads": False,
                        "locale": "fr",
                        "proxy": {"server": f"http://127.0.0.1:{proxy.port}", "bypass": "<-loopback>"},
                        "service_workers": "block",
                        "user_agent": settings["USER_AGENT"],
                        "viewport": {"width": WIDTH, "height": 1000},
                    },
                    "playwright_page_goto_kwargs": {"wait_until": "commit", "timeout": self.seconds * 1000},
                    "playwright_page_init_callback": rendering.prepare,
                    "playwright_page_methods": [PageMethod(rendering.read)],
                },
            )
            try:
                with suppress(Done):
                    await asyncio.wait_for(self.handler.download_request(request), 2 * self.seconds)
            finally:
                if wrapper := self.handler.context_wrappers.get(name):
                    with suppress(Error):  # the browser has died, and the context with it
                        await wrapper.context.close()
                for reason, count in proxy.refused.items():
                    self.handler.stats.inc_value(f"render/refused/{reason}", count)

    def _shown(self, request: Request, response: Response, rendering: Rendering) -> Response:
        dom, kind = rendering.dom.encode("utf-8", "replace"), "text/html; charset=utf-8"
        archive, answer = self.spider.archive, request.meta["record"]
        try:
            request.meta["record"] = archive.conversion(response.url, now(), kind, dom, of=answer)
            if rendering.png:
                archive.resource(f"urn:screenshot:{response.url}", now(), "image/png", rendering.png, of=answer)
        except ArchiveError as error:  # what cannot be archived is not evidence: stop
            self.spider.stop_because(str(error))
            raise IgnoreRequest("no-archive") from error
        headers = response.headers.copy()
        headers["Content-Type"] = kind
        return HtmlResponse(
            response.url, response.status, headers, dom, request=request, encoding="utf-8", flags=["rendered"]
        )


class Provider(PlaywrightBrowserProvider):
    """Says clearly when the browser does not start."""

    async def launch_browser(self) -> Browser:
        try:
            return await super().launch_browser()
        except Error as error:
            first = str(error).strip().splitlines()[0]
            raise BrowserError(f"pages cannot be rendered: no browser starts ({first}); install chromium") from error
