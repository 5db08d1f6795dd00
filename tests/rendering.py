"""Renders pages of tests/pages/render/ in a process of its own: a real browser, a web on loopback, a port nobody may
reach."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

PAGES = Path(__file__).parent / "pages" / "render"
SCRIPT = """
import json, sys, time
from pathlib import Path
import scrapy
from scrapy.crawler import AsyncCrawlerProcess
from crawler.chromium import browser
from crawler.archive import Archive
from crawler.scope import outcome_of
from crawler.settings import SETTINGS

folder, urls, meta, more = Path(sys.argv[1]), *map(json.loads, sys.argv[2:])

class Spider(scrapy.Spider):
    name = "rendered"
    archive = Archive(folder / "archive", "tests")

    def stop_because(self, reason):
        print(json.dumps({"asked": "stopped", "outcome": reason}), flush=True)

    async def start(self):
        for url in urls:
            asked = {"asked": url, "began": time.monotonic(), **meta}
            yield scrapy.Request(url, self.parse, meta=asked, errback=self.failed, dont_filter=True)

    def parse(self, response):
        record = response.meta["record"]
        self.tell(response, "page", text=response.text[:100_000], record=record.id, sha256=record.sha256)

    def failed(self, failure):
        self.tell(failure.request, outcome_of(failure.value, failure.request.url))

    def tell(self, at, outcome, **more):
        meta = at.meta
        seconds = time.monotonic() - meta["began"]
        told = {"asked": meta["asked"], "url": at.url, "outcome": outcome, "seconds": seconds, **more}
        print(json.dumps(told), flush=True)

settings = {**SETTINGS, "DOWNLOAD_DELAY": 0, "AUTOTHROTTLE_ENABLED": False, "RETRY_TIMES": 0, "EXTENSIONS": {},
            "ITEM_PIPELINES": {}, "CONCURRENT_REQUESTS_PER_DOMAIN": 8, "USER_AGENT": "Fantomes/tests",
            "LOG_FILE": str(folder / "log")}
if meta.get("render"):
    settings |= browser.settings(settings)
process = AsyncCrawlerProcess(settings | more)
process.crawl(Spider)
process.start()
"""


class Web:
    """Serves the pages under every host name; `asked` holds method and path of each request."""

    def __init__(self, port_of_nobody: int) -> None:
        self.asked: list[str] = []
        self.agents: set[str | None] = set()
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.asked.append(f"{self.command} {self.path}")
                web.agents.add(self.headers["User-Agent"])
                with suppress(ConnectionError):
                    self.answer(self.path.partition("?")[0])

            do_POST = do_PUT = do_GET

            def answer(self, path: str) -> None:
                page = PAGES / f"{path[1:]}.html"
                if path == "/to":
                    self.send_response(302)
                    self.send_header("Location", self.path.partition("?")[2])
                    self.end_headers()
                elif path == "/hang":
                    time.sleep(20)
                elif path == "/stream":
                    self.send_response(200)
                    self.end_headers()
                    for _ in range(1000):
                        self.wfile.write(b"x" * 1_000_000)
                elif path == "/robots.txt":
                    self.send("text/html", b"User-agent: *\nDisallow: /secret\n#<script>fetch('/robots-ran')</script>")
                elif path == "/offers.json":
                    self.send("application/json", b'["1,000 real fans from next door"]')
                elif path == "/file.zip":
                    self.send("application/zip", b"PK\x03\x04")
                elif page.exists():
                    self.send("text/html", page.read_bytes().replace(b"PORT", str(port_of_nobody).encode()))
                else:
                    self.send("text/plain", b"something")

            def send(self, kind: str, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]


@contextmanager
def serving() -> Iterator[tuple[Web, list[str]]]:
    """The web, and what came to a port of this machine that no page may reach, by TCP or UDP."""
    hits: list[str] = []
    tcp = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", tcp.getsockname()[1]))

    def record_tcp() -> None:
        with suppress(OSError):
            while True:
                visitor, _ = tcp.accept()
                with visitor, suppress(OSError):
                    visitor.settimeout(1)
                    hits.append(f"tcp {visitor.recv(100)!r}")

    def record_udp() -> None:
        with suppress(OSError):
            while packet := udp.recv(100):
                hits.append(f"udp {packet!r}")

    web = Web(tcp.getsockname()[1])
    for target in (record_tcp, record_udp, web.server.serve_forever):
        Thread(target=target, daemon=True).start()
    try:
        yield web, hits
    finally:
        web.server.shutdown()
        web.server.server_close()
        for port in (tcp, udp):
            with suppress(OSError):
                port.shutdown(socket.SHUT_RDWR)
            port.close()


def start(folder: Path, web: Web, pages: list[str], meta: dict[str, Any], **settings: Any) -> subprocess.Popen[str]:
    """Begin to crawl `pages` of seller.example, rendered if `meta` says so."""
    folder.mkdir(exist_ok=True)
    urls = [f"http://seller.example/{page}" for page in pages]
    settings = {"LOOPBACK_HOSTS": {"seller.example": web.port}, "RENDER_SECONDS": 2.5, **settings}
    argv = [sys.executable, "-c", SCRIPT, str(folder), *map(json.dumps, (urls, meta, settings))]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])


def outcomes(crawl: subprocess.Popen[str]) -> dict[str, Any]:
    """What became of each page: its name -> outcome, seconds, and for a page url, text, record."""
    out, _ = crawl.communicate(timeout=120)
    assert crawl.returncode == 0, out
    told = [json.loads(line) for line in out.splitlines()]
    return {entry["asked"].rpartition("/")[2]: entry for entry in told}


def family(pid: int) -> dict[int, int]:
    """The processes that `pid` started, and those that they did: number -> bytes of memory in use."""
    parents: dict[int, list[int]] = {}
    used: dict[int, int] = {}
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, parent = (place / "stat").read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                parents.setdefault(int(parent), []).append(int(place.name))
                pages = int((place / "statm").read_text().split()[1])
                used[int(place.name)] = pages * os.sysconf("SC_PAGE_SIZE")
    found, look = {}, [pid]
    while look:
        for child in parents.get(look.pop(), []):
            found[child] = used[child]
            look.append(child)
    return found
