"""The sample web: invented sites served on loopback under their own host names, odd answers included.

For `make run`, for tests, and for whoever wants to see the crawler at work without touching anybody's server.
"""

import gzip
import mimetypes
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

from data import DATA

SAMPLES = Path(str(DATA / "samples"))


@contextmanager
def serving(folder: Path = SAMPLES, port: int = 0) -> Iterator[int]:
    """Serve `folder` (a folder a host) on 127.0.0.1 while the context lasts; gives the port."""
    responses = folder / "responses.yml"
    odd: dict[str, dict[str, Any]] = (yaml.safe_load(responses.read_text("utf-8")) or {}) if responses.exists() else {}

    hosts = {place.name for place in folder.iterdir() if place.is_dir()}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            host = (self.headers.get("Host") or "").partition(":")[0]
            path = unquote(urlsplit(self.path).path)
            rule = odd.get(f"{host}{path}", {})
            time.sleep(rule.get("delay", 0))
            file = _file(folder / host, path) if host in hosts else None
            status = rule.get("status", 200 if file else 404)
            body = file.read_bytes() if file else b"<h1>404</h1>"
            kind = rule.get("type") or (mimetypes.guess_type(file.name)[0] if file else None) or "text/html"
            if kind.startswith("text/") or kind.endswith("xml"):
                kind += f"; charset={rule.get('charset', 'utf-8')}"
            self.send_response(status)
            if "location" in rule:
                self.send_header("Location", rule["location"])
            if rule.get("encoding") == "gzip":
                body = gzip.compress(body, mtime=0)
                self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet: the crawler keeps the log."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def _file(host: Path, path: str) -> Path | None:
    """The file behind a path: itself, with .html, or its index; never one outside the host's folder."""
    base = host / path.lstrip("/")
    for candidate in (base, base.with_name(base.name + ".html") if base.name else base, base / "index.html"):
        if candidate.is_file() and candidate.resolve().is_relative_to(host.resolve()):
            return candidate
    return None
