"""A web server on loopback that answers what a test tells it, byte for byte if need be."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

Answer = Callable[[BaseHTTPRequestHandler], Any]


@contextmanager
def server(pages: Mapping[str, Any] | Answer) -> Iterator[int]:
    """Serves path -> body, (status, headers, body), or a function of the handler, on 127.0.0.1.

    A function in place of the mapping answers every path. Gives the port.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = pages if callable(pages) else pages.get(self.path, (404, {}, b""))
            with suppress(ConnectionError):  # the crawler hangs up
                if callable(answer):
                    answer(self)
                else:
                    send(self, answer)

        def log_message(self, *args: Any) -> None:
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web.daemon_threads = True
    Thread(target=web.serve_forever, daemon=True).start()
    try:
        yield web.server_address[1]
    finally:
        web.shutdown()
        web.server_close()


def send(handler: BaseHTTPRequestHandler, answer: Any) -> None:
    """Answer with a body, or (status, headers, body)."""
    status, headers, body = (200, {}, answer) if isinstance(answer, bytes) else answer
    handler.send_response(status)
    for name, value in {"Content-Type": "text/html", "Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def raw(*parts: bytes) -> Answer:
    """An answer that is these bytes, status line and all."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        for part in parts:
            handler.wfile.write(part)

    return answer
