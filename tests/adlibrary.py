"""A stand-in for Meta's `ads_archive` on loopback: pages, cursors, the token check, and each known error on demand.

Fields, paging and errors as Radlibrary and Meta's own script repository show them; the firms are invented.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

PATH = "/v23.0/ads_archive"
TOKEN = "EAAstandinTOKEN0123456789"
NEEDED = ("ad_reached_countries", "fields")


def ad(number: int, **fields: Any) -> dict[str, Any]:
    """An ad as the interface gives it, the snapshot with the token of whoever asked."""
    return {
        "id": str(700_000_000_000_000 + number),
        "ad_creation_time": "2026-09-30",
        "ad_creative_bodies": [f"Offer {number}: real fans from next door, delivered tonight."],
        "ad_creative_link_titles": [f"Fans, lot {number}"],
        "ad_creative_link_captions": ["fans-du-coin.example"],
        "ad_delivery_start_time": "2026-10-01",
        "page_id": "112233",
        "page_name": "Fans du Coin",
        "publisher_platforms": ["facebook", "instagram"],
        "eu_total_reach": None,
        **fields,
    }


@dataclass
class AdLibrary:
    """What the server holds and how it misbehaves."""

    ads: list[dict[str, Any]]
    token: str = TOKEN
    most: int = 1000  # ads an answer at most, whatever `limit` says
    least: int = 1  # and at least: a limit that is not honoured
    too_much: int = 10_000  # a limit above it is too much data
    overlap: int = 0  # ads that the next page repeats
    errors: dict[int, tuple[int, Any]] = field(default_factory=dict)  # the nth request (from 1) -> status, answer
    next_host: str | None = None  # where paging.next leads instead
    asked: list[str] = field(default_factory=list)  # paths of the requests

    def answer(self, host: str, path: str, header: str | None) -> tuple[int, Any]:
        """HTTP status and JSON answer."""
        parts = urlsplit(path)
        if parts.path != PATH:
            return 404, error(2500, f"Unknown path components: {parts.path}")
        self.asked.append(path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        given = query.pop("access_token", None) or (header or "").removeprefix("Bearer ")
        if len(self.asked) in self.errors:
            return self.errors[len(self.asked)]
        if not given:
            return 400, error(104, "An access token is required to request this resource.")
        if given != self.token:
            return 400, error(190, f"Malformed access token {given}", error_subcode=463)
        if missing := [name for name in NEEDED if name not in query]:
            return 400, error(100, f"The parameter {missing[0]} is required.")
        limit = int(query.get("limit", 25))
        if limit > self.too_much:
            return 500, error(1, "Please reduce the amount of data you're asking for, then retry your request")
        start = int(urlsafe_b64decode(query["after"])) if "after" in query else 0
        end = start + max(self.least, min(limit, self.most))
        shown = [self._signed(one, given) for one in self.ads[start:end]]
        answer: dict[str, Any] = {"data": shown}
        if end < len(self.ads):
            after = urlsafe_b64encode(str(end - self.overlap).encode()).decode()
            again = urlencode({"access_token": given, **query, "after": after})
            answer["paging"] = {
                "cursors": {"after": after},
                "next": f"http://{self.next_host or host}{PATH}?{again}",
            }
        return 200, answer

    @staticmethod
    def _signed(one: dict[str, Any], token: str) -> dict[str, Any]:
        snapshot = f"https://www.facebook.com/ads/archive/render_ad/?id={one['id']}&access_token={token}"
        return {**one, "ad_snapshot_url": snapshot}


def error(code: int, message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": "OAuthException", "code": code, **more, "fbtrace_id": "Astandin"}}


@contextmanager
def serving(library: AdLibrary) -> Iterator[int]:
    """Serve `library` on 127.0.0.1 while the context lasts; gives the port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, answer = library.answer(self.headers["Host"], self.path, self.headers["Authorization"])
            # as Meta writes it: slashes and ampersands escaped
            body = answer if isinstance(answer, bytes) else json.dumps(answer).replace("/", "\\/").encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json; charset=UTF-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
