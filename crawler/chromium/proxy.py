"""The one way out for a browser: a proxy on loopback that connects to public addresses only, within a budget a page.

A browser follows redirects, frames, sockets and workers of its own, which no hook in it sees in full; so the scope is
kept outside of it. Names are looked up here, and the address that was judged is the very one that is connected to.
"""

import asyncio
import logging
import struct
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from socket import SO_LINGER, SOCK_STREAM, SOL_SOCKET
from typing import Self
from urllib.parse import urlsplit, urlunsplit

import h11

from crawler.scope import is_public

log = logging.getLogger(__name__)
MAX_HEAD = 65_536  # bytes of a request's head
MAX_BYTES = 30_000_000  # sent to one page: three times the largest page, for scripts and pictures
PATIENCE = 15.0  # seconds to look up a name and connect, or for a request's head to come in
METHODS = (b"CONNECT", b"GET", b"HEAD", b"OPTIONS")  # nothing that changes something at the other end
OWN = (b"host", b"connection", b"keep-alive", b"te", b"trailer", b"upgrade", b"content-length", b"transfer-encoding")


class _Refused(Exception):
    """A request that is not passed on; `str()` of it is a short word to count by."""


class Proxy:
    """Serves one page while the context lasts, on `port` of 127.0.0.1; at its end all its connections are closed.

    `loopback` maps the hosts of our sample web to their port. `refused` counts, by reason, what was not passed on.
    """

    def __init__(self, loopback: Mapping[str, int], max_bytes: int = MAX_BYTES) -> None:
        self.loopback, self.left = loopback, max_bytes
        self.refused: Counter[str] = Counter()
        self.port = 0
        self._open: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=MAX_HEAD)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            try:
                await self._pass_on(reader, writer)
            except _Refused as reason:
                self.refused[str(reason)] += 1
                writer.write(f"HTTP/1.1 403 {reason}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
                await writer.drain()
        except (OSError, TimeoutError, EOFError, asyncio.LimitOverrunError):
            _reset(writer)
        finally:
            writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        host, port, request = _parse(head)
        from_server, to_server = await asyncio.wait_for(self._connect(host, port), PATIENCE)
        if request:
            to_server.write(request)
        else:
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        ways = [asyncio.ensure_future(self._pump(*way)) for way in ((from_server, writer), (reader, to_server))]
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)  # the other has no use then
            for way in done:
                way.result()
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            to_server.close()

    async def _connect(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the first public address of `host` that answers. Raises _Refused, OSError."""
        if host in self.loopback:
            return await asyncio.open_connection("127.0.0.1", self.loopback[host])
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=SOCK_STREAM)
        public = [str(address[0]) for *_, address in found if is_public(str(address[0]))]
        if len(public) < len(found):
            log.warning("refused: %s resolves to a private address", host)
        for address in public:
            with suppress(OSError):
                return await asyncio.open_connection(address, port)
        raise _Refused("no-connection" if public else "private-address")

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            self.left -= len(data)
            if self.left < 0:
                self.refused["too-large"] += 1
                raise ConnectionAbortedError
            sink.write(data)
            await sink.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Break the connection off: a mere end would make what came so far look whole."""
    with suppress(OSError):
        writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _parse(head: bytes) -> tuple[str, int, bytes]:
    """Host, port, and the request as the server shall see it; empty for a tunnel (CONNECT). Raises _Refused."""
    try:
        browser = h11.Connection(h11.SERVER)
        browser.receive_data(head)
        asked = browser.next_event()
        if not isinstance(asked, h11.Request) or asked.method not in METHODS:
            raise _Refused("method")
        tunnel = asked.method == b"CONNECT"
        url = urlsplit(("https://" if tunnel else "") + asked.target.decode("ascii"))
        if url.scheme != ("https" if tunnel else "http") or not url.hostname:
            raise _Refused("bad-address")
        if tunnel:
            return url.hostname, url.port or 443, b""
        target = urlunsplit(("", "", url.path or "/", url.query, ""))
        headers = [(name, value) for name, value in asked.headers if name not in OWN and not name.startswith(b"proxy-")]
        headers += [(b"host", url.netloc.rpartition("@")[2].encode()), (b"connection", b"close")]
        request = h11.Request(method=asked.method, target=target, headers=headers)
        return url.hostname, url.port or 80, h11.Connection(h11.CLIENT).send(request) or b""
    except (h11.ProtocolError, ValueError):
        raise _Refused("bad-request") from None
