"""One page in the browser: it is given the answer that the archive holds, its scripts run, its DOM is read.

The browser never fetches the page itself. What is shown is therefore what was archived, plus its scripts; and where
the scripts lead elsewhere, that is a redirect, which the crawler judges like any other. Nothing is clicked.
"""

import asyncio
import base64
import logging
import re
import resource
import time
from contextlib import suppress
from typing import Any
from urllib.parse import urldefrag, urlsplit

from playwright.async_api import CDPSession, Error, Page, Request, Route
from playwright.async_api import TimeoutError as TooSlow
from scrapy.http import Response

from crawler.frontier import clean
from crawler.page import MAX_BODY, decode

log = logging.getLogger(__name__)
MAX_REQUESTS = 200  # of one page, without what is not passed on; a heavy shop's page makes a hundred
GROWN = 1.5  # seconds after which a process of the browser has surely started
WIDTH, MAX_HEIGHT = 1280, 8000  # pixels of a screenshot
NEEDED = {"script", "xhr", "fetch", "stylesheet"}  # some applications stop where a stylesheet fails
SEEN = {"image", "font"}
# Of the answer's headers those that decide what its scripts may do. Nobody is reported to.
KEPT = ("Content-Security-Policy", "Referrer-Policy", "Permissions-Policy")
REPORTS = re.compile(r"report-(?:uri|to)[^;,]*", re.I)
# A second lock on ways past the proxy (the first: switches of the browser, whose names change).
UNNEEDED = "for (const name of ['RTCPeerConnection', 'webkitRTCPeerConnection', 'WebTransport']) delete window[name]"
# In a world of its own, where the page's scripts have not changed what these words mean.
READ_DOM = """(() => {
    const html = document.documentElement ? document.documentElement.outerHTML : ""
    const doctype = document.doctype ? new XMLSerializer().serializeToString(document.doctype) : ""
    return html.length > %d ? null : doctype + html
})()"""


class NotRendered(Exception):
    """A page that could not be rendered; `str()` of it is a short word to count by."""


class Done(Exception):
    """The page was read."""


class Rendering:
    """A page's way through the browser; afterwards either `dom` is there, or `leads_to`, where its scripts went.

    `seconds` is how long the page may take to be parsed, its scripts included, and half of it until its network is
    quiet; `memory` how many bytes its process may hold.
    """

    def __init__(self, response: Response, screenshot: bool, seconds: float, memory: int) -> None:
        self.response, self.timeout, self.memory = response, seconds * 1000, memory
        self.wanted = NEEDED | SEEN if screenshot else NEEDED
        self.screenshot = screenshot
        self.dom = ""
        self.leads_to: str | None = None
        self.png: bytes | None = None

    async def prepare(self, page: Page, _: Any) -> None:
        """Before the page is opened: whatever it asks for is judged first (scrapy-playwright's page_init_callback)."""
        self.passed = 0
        self.given = False
        self.left = asyncio.Event()
        self.closing: set[asyncio.Future[None]] = set()
        await page.route("**/*", self._judge)
        await page.context.route("**/*", _refuse)  # other windows
        page.context.on("page", self._close)
        await page.add_init_script(UNNEEDED)

    async def read(self, page: Page) -> None:
        """Wait until the page has settled, and read it (a PageMethod). Always raises: Done, NotRendered or Error.

        The handler would go on and read the page itself, for as long as a hostile page keeps it waiting.
        """
        if not self.given:
            raise NotRendered("not-prepared")
        limiting = asyncio.ensure_future(_limit_memory(page, self.memory))
        try:
            await self._settle(page)
            if self.left.is_set() and self.leads_to is None:
                raise NotRendered("left-page")  # by a form or to itself; neither is followed
            if self.leads_to is None:
                session = await page.context.new_cdp_session(page)
                self.dom = await self._dom(session)
                if self.screenshot:
                    self.png = await self._picture(session)
        finally:
            limiting.cancel()
            await asyncio.gather(limiting, return_exceptions=True)
        raise Done

    async def _judge(self, route: Route, request: Request) -> None:
        with suppress(Error):  # the page may be gone by now
            if request.is_navigation_request() and request.frame == request.frame.page.main_frame:
                await self._navigate(route, request)
            elif (
                request.method in ("GET", "HEAD")
                and request.resource_type in self.wanted
                and self.passed < MAX_REQUESTS
            ):
                self.passed += 1
                await route.continue_()
            else:
                await route.abort("blockedbyclient")

    def _close(self, window: Page) -> None:
        task = asyncio.ensure_future(window.close())
        self.closing.add(task)
        task.add_done_callback(self._closed)

    def _closed(self, task: asyncio.Future[None]) -> None:
        self.closing.discard(task)
        task.cancelled() or task.exception()  # gone with the page already

    async def _navigate(self, route: Route, request: Request) -> None:
        if not self.given:
            self.given = True
            await route.fulfill(status=200, headers=_headers(self.response), body=_html(self.response))
            return
        target = urldefrag(request.url).url
        if request.method == "GET" and target != urldefrag(self.response.url).url and self.leads_to is None:
            self.leads_to = target
        self.left.set()
        await route.abort("aborted")  # "aborted" keeps the page that is there

    async def _settle(self, page: Page) -> None:
        loading, leaving = asyncio.ensure_future(_load(page, self.timeout)), asyncio.ensure_future(self.left.wait())
        await asyncio.wait((loading, leaving), return_when=asyncio.FIRST_COMPLETED)
        loading.cancel()
        leaving.cancel()
        (error, _) = await asyncio.gather(loading, leaving, return_exceptions=True)
        if isinstance(error, Exception) and not self.left.is_set():  # leaving is an error of loading, too
            raise error

    async def _dom(self, session: CDPSession) -> str:
        frame = (await session.send("Page.getFrameTree"))["frameTree"]["frame"]
        if _origin(frame["url"]) != _origin(self.response.url):
            raise NotRendered("left-page")  # to a blob: or about: address
        world = await session.send("Page.createIsolatedWorld", {"frameId": frame["id"]})
        answer = await session.send(
            "Runtime.evaluate",
            {
                "expression": READ_DOM % MAX_BODY,
                "contextId": world["executionContextId"],
                "returnByValue": True,
                "timeout": self.timeout,
            },
        )
        dom = answer["result"].get("value")
        if not isinstance(dom, str):
            raise NotRendered("too-large")
        return dom

    async def _picture(self, session: CDPSession) -> bytes | None:
        size = (await session.send("Page.getLayoutMetrics"))["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": WIDTH, "height": min(size["height"], MAX_HEIGHT) or 1, "scale": 1}
        try:
            await session.send("Page.stopLoading")  # nothing is painted while a stylesheet is awaited
            painting = session.send(
                "Page.captureScreenshot", {"format": "png", "clip": clip, "captureBeyondViewport": True}
            )
            shot = await asyncio.wait_for(painting, self.timeout / 3000)
        except (Error, TimeoutError) as error:
            log.warning("%s: no screenshot: %s", self.response.url, error or "too slow")
            return None
        return base64.b64decode(shot["data"])


async def _refuse(route: Route) -> None:
    with suppress(Error):
        await route.abort("blockedbyclient")


async def _load(page: Page, timeout: float) -> None:
    await page.wait_for_load_state("domcontentloaded", timeout=timeout)
    with suppress(TooSlow):  # a page that never rests is taken as it stands
        await page.wait_for_load_state("networkidle", timeout=timeout / 2)


async def _limit_memory(page: Page, most: int) -> None:
    """Hold the browser's page processes to `most` bytes of data, for as long as this runs. Linux only.

    Not at once, and not by a limit that they inherit: while they start they reserve 4 GB for a moment, and would die.
    """
    browser = page.context.browser
    if browser is None or not hasattr(resource, "prlimit"):
        return
    session = await browser.new_browser_cdp_session()
    seen: dict[int, float] = {}
    while True:
        for process in (await session.send("SystemInfo.getProcessInfo"))["processInfo"]:
            began = seen.setdefault(process["id"], time.monotonic())
            if process["type"] == "renderer" and time.monotonic() - began > GROWN:
                with suppress(ProcessLookupError):
                    resource.prlimit(process["id"], resource.RLIMIT_DATA, (most, most))
        await asyncio.sleep(GROWN / 2)


def _html(response: Response) -> bytes:
    """The page in UTF-8, from the charset that we would read it in: browser and crawler shall read the same words."""
    text, _ = decode(response.body, (response.headers.get("Content-Type") or b"").decode("latin-1"))
    return text.encode("utf-8", "replace")


def _headers(response: Response) -> dict[str, str]:
    kept = {name: b", ".join(response.headers.getlist(name)).decode("latin-1") for name in KEPT}
    return {name: REPORTS.sub("", value) for name, value in kept.items() if value} | {
        "Content-Type": "text/html; charset=utf-8"
    }


def _origin(url: str) -> tuple[str, str] | None:
    try:
        parts = urlsplit(clean(url))
    except ValueError:
        return None
    return parts.scheme, parts.netloc
