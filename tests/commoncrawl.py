"""A stand-in for Common Crawl on loopback: collinfo.json, an index server for each crawl, WARC files by range."""

import base64
import gzip
import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

PAGE_SIZE = 2  # captures in a page of the index


@dataclass
class Server:
    """What the stand-in knows and how it misbehaves; `asked` are the requests that it got, in order."""

    crawls: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    busy: int = 0  # how many requests are answered 503 first
    down: tuple[str, ...] = ()  # crawls whose index answers 500
    ranges: bool = True  # False: Range is ignored, and the whole file sent
    collinfo: str = ""  # what is sent instead of the list of crawls
    url: str = ""

    def add(self, crawl: str, url: str, timestamp: str, body: bytes, /, **more: str) -> dict[str, str]:
        """A capture of `url`; `more` replaces what the index says of it."""
        name = f"crawl-data/{crawl}/segments/1/warc/{crawl}-00000.warc.gz"
        file = io.BytesIO()
        writer = WARCWriter(file, gzip=True)
        date = (
            f"{timestamp[:4]}-{timestamp[4:6]}-{timestamp[6:8]}T{timestamp[8:10]}:{timestamp[10:12]}:{timestamp[12:]}Z"
        )
        http = StatusAndHeaders("200 OK", [("Content-Type", "text/html")], protocol="HTTP/1.1")
        writer.write_record(
            writer.create_warc_record(
                url, "response", io.BytesIO(body), warc_headers_dict={"WARC-Date": date}, http_headers=http
            )
        )
        before = self.files.setdefault(name, gzip.compress(b"WARC/1.0\r\nContent-Length: 0\r\n\r\n\r\n\r\n"))
        self.files[name] = before + file.getvalue()
        line = {
            "urlkey": urlkey(url), "timestamp": timestamp, "url": url, "mime": "text/html", "status": "200",
            "digest": base64.b32encode(hashlib.sha1(body).digest()).decode(), "length": str(len(file.getvalue())),
            "offset": str(len(before)), "filename": name, "languages": "eng", **more,
        }  # fmt: skip
        self.crawls.setdefault(crawl, []).append(line)
        return line


def urlkey(url: str) -> str:
    parts = urlsplit(url)
    return ",".join(reversed((parts.hostname or "").split("."))) + ")" + parts.path


class Handler(BaseHTTPRequestHandler):
    server: "_Http"

    def do_GET(self) -> None:
        known = self.server.known
        parts = urlsplit(self.path)
        known.asked.append((self.path, {key.lower(): value for key, value in self.headers.items()}))
        if known.busy:
            known.busy -= 1
            self.send(503, b"<html>SlowDown</html>", {"Retry-After": "0"})
        elif parts.path == "/collinfo.json":
            self.send(200, (known.collinfo or json.dumps(self.collinfo())).encode())
        elif parts.path.endswith("-index"):
            self.index(parts.path[1:].removesuffix("-index"), parse_qs(parts.query))
        elif (body := known.files.get(parts.path[1:])) is not None:
            self.file(body)
        else:
            self.send(404, b"<Error><Code>NoSuchKey</Code></Error>")

    def collinfo(self) -> list[dict[str, str]]:
        """Newest first, as Common Crawl lists them."""
        return [
            {"id": name, "name": name, "cdx-api": f"{self.server.known.url}{name}-index"}
            for name in sorted(self.server.known.crawls, reverse=True)
        ]

    def index(self, crawl: str, query: dict[str, list[str]]) -> None:
        if crawl in self.server.known.down:
            self.send(500, b"Internal Server Error")
            return
        key, match = query["url"][0], query.get("matchType", ["exact"])[0]
        if match == "domain":
            prefix = ",".join(reversed(key.split(".")))
            found = [e for e in self.server.known.crawls[crawl] if e["urlkey"].startswith((f"{prefix})", f"{prefix},"))]
        elif key.endswith("*"):
            found = [e for e in self.server.known.crawls[crawl] if e["urlkey"].startswith(urlkey(key[:-1]))]
        else:
            found = [e for e in self.server.known.crawls[crawl] if e["urlkey"] == urlkey(key)]
        pages = -(-len(found) // PAGE_SIZE)
        page = int(query.get("page", ["0"])[0])
        if not found:
            self.send(404, json.dumps({"message": f"No Captures found for: {key}"}).encode())
        elif "showNumPages" in query:
            self.send(200, json.dumps({"pages": pages, "pageSize": 5, "blocks": pages}).encode())
        elif page >= pages:
            self.send(
                400, json.dumps({"message": f"Page {page} invalid: First Page is 0, Last Page is {pages - 1}"}).encode()
            )
        else:
            lines = found[page * PAGE_SIZE : (page + 1) * PAGE_SIZE]
            self.send(200, "".join(json.dumps(line) + "\n" for line in lines).encode())

    def file(self, body: bytes) -> None:
        if not self.server.known.ranges:
            self.send(200, body, {"Content-Length": "1000000000"})
            return
        first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
        self.send(206, body[first : last + 1], {"Content-Range": f"bytes {first}-{last}/{len(body)}"})

    def send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Http(ThreadingHTTPServer):
    known: Server


@contextmanager
def serving() -> Iterator[Server]:
    """A stand-in that runs."""
    http = _Http(("127.0.0.1", 0), Handler)
    http.known = Server(url=f"http://127.0.0.1:{http.server_port}/")
    Thread(target=http.serve_forever, daemon=True, kwargs={"poll_interval": 0.05}).start()
    try:
        yield http.known
    finally:
        http.shutdown()
        http.server_close()
