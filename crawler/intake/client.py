"""A polite HTTP client for archives' interfaces: one request at a time, to addresses that were looked at first.

Scrapy is for pages; here a command asks a service and waits. As in scope.py, the address that was judged is the very
one that is connected to, and there are neither proxies nor redirects.
"""

import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

import httpx

from crawler.scope import is_public

RETRIED = (429, 500, 502, 503, 504)  # slow down, or try again
TRIES = 5
MAX_WAIT = 120.0  # seconds before a request is sent again, whatever the server asks for
MAX_TIME = 300.0  # seconds for one answer, so that a server that drips holds nobody up


class ClientError(Exception):
    """A request that got no answer that can be used; the message names the address."""


@dataclass(slots=True)
class Answer:
    """`body` as sent. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Client:
    """Asks as `agent`, which names whom to write to, and waits `delay` seconds after each answer (not on loopback).

    `trusted` are addresses that the user gave: where one names a loopback address, that host and port may be asked.
    """

    def __init__(self, agent: str, trusted: tuple[str, ...], delay: float = 1.0) -> None:
        self._loopback = {urlsplit(url).netloc for url in trusted if _is_loopback(urlsplit(url).hostname or "")}
        self._delay = 0.0 if len(self._loopback) == len({urlsplit(url).netloc for url in trusted}) else max(delay, 1.0)
        self._client = httpx.Client(
            headers={"User-Agent": agent, "Accept-Encoding": "identity"},
            timeout=60,
            trust_env=False,
            limits=httpx.Limits(max_keepalive_connections=0),  # one kept for a host might serve another at its address
        )
        self._free_at = 0.0

    def close(self) -> None:
        self._client.close()

    def get(
        self,
        url: str,
        limit: int,
        params: list[tuple[str, str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """The answer to a GET, tried again with growing pauses where the server is busy. Raises ClientError.

        An answer with more than `limit` bytes is refused as soon as that shows.
        """
        trouble = ""
        for tries in range(TRIES):
            time.sleep(max(0.0, self._free_at - time.monotonic()))
            wait = 2**tries * max(5 * self._delay, 0.02)
            try:
                answer = self._ask(url, limit, params, headers)
                if answer.status not in RETRIED:
                    return answer
                trouble = f"status {answer.status}"
                asked = answer.headers.get("retry-after", "")
                wait = max(wait, float(asked)) if asked.isascii() and asked.isdigit() else wait
            except httpx.TransportError as error:
                trouble = str(error) or type(error).__name__
            finally:
                self._free_at = time.monotonic() + self._delay
            self._free_at = time.monotonic() + min(wait, MAX_WAIT)
        raise ClientError(f"{url}: {trouble}, {TRIES} times")

    def _ask(
        self, url: str, limit: int, params: list[tuple[str, str]] | None, headers: Mapping[str, str] | None
    ) -> Answer:
        try:
            target = httpx.URL(url, params=params or None)
            address = self._address(target)
        except (ValueError, httpx.InvalidURL, UnicodeError) as error:
            raise ClientError(f"{url}: {error}") from error
        host = target.netloc.decode()
        deadline = time.monotonic() + MAX_TIME
        body = bytearray()
        with self._client.stream(
            "GET",
            target.copy_with(host=address),
            headers={"Host": host, **(headers or {})},
            extensions={"sni_hostname": target.host},
        ) as response:
            for part in response.iter_raw():
                body += part
                if len(body) > limit:
                    raise ClientError(f"{url}: answers {response.status_code} with more than {limit} bytes")
                if time.monotonic() > deadline:
                    raise ClientError(f"{url}: takes more than {MAX_TIME:.0f} seconds")
            return Answer(response.status_code, {k.lower(): v for k, v in response.headers.items()}, bytes(body))

    def _address(self, url: httpx.URL) -> str:
        """The IP address to connect to. Raises ClientError where the name leads to none that is public."""
        if url.scheme not in ("http", "https") or not url.host:
            raise ClientError(f"{url}: no http(s) address")
        port = url.port or {"http": 80, "https": 443}[url.scheme]
        try:
            found = [str(entry[4][0]) for entry in socket.getaddrinfo(url.host, port, type=socket.SOCK_STREAM)]
        except OSError as error:
            raise ClientError(f"{url}: {error.strerror or error}") from error
        known = url.netloc.decode() in self._loopback
        good = [address for address in found if is_public(address) or (known and _is_loopback(address))]
        if not good:
            raise ClientError(f"{url}: leads to a private address, {found[0]}")
        return good[0]


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
