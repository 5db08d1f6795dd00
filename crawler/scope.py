"""Scope: which addresses the crawler may touch.

Vendors control their links, redirects and name servers; none of these may lead the crawler to a private network. The
check sits in the resolver, whose answer is the very address that is connected to, so that a name cannot change between
the look and the call (https://owasp.org/www-community/attacks/Server_Side_Request_Forgery). Scrapy's proxies stay off
for the same reason: a proxy would look names up by itself.
"""

import logging
from collections.abc import Sequence
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.exceptions import IgnoreRequest
from twisted.internet.address import IPv4Address as TwistedIPv4
from twisted.internet.interfaces import IHostnameResolver, IHostResolution, IResolutionReceiver
from zope.interface import implementer

from data.domains import registrable_domain

log = logging.getLogger(__name__)
GLOBAL = IPv6Network("2000::/3")  # what is given out for the internet at large, as of today
NAT64 = IPv6Network("64:ff9b::/96")
MAX_ADDRESS = 8_000  # characters, what servers take at most; longer ones come from redirects that want to do harm


class Refused(IgnoreRequest):
    """A request that must not be sent; `str()` of it is a short word to count by."""


def is_public(address: str) -> bool:
    """Whether an IP address is one that the whole internet may reach, also when it hides an IPv4 one inside."""
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in NAT64:
            inner = ip_address(int(ip) & 0xFFFFFFFF)  # type: ignore[assignment]
        if inner is not None and not is_public(str(inner)):
            return False
        if inner is None and ip not in GLOBAL:
            return False
    return ip.is_global and not ip.is_multicast


@implementer(IResolutionReceiver)  # zope interfaces say nothing to mypy: hence Any below
class _PublicOnly:
    """Passes on the public addresses of a name, and remembers a name that had none."""

    def __init__(self, receiver: Any, host: str) -> None:
        self.receiver, self.host = receiver, host
        self.passed = self.refused = 0

    def resolutionBegan(self, resolution: Any) -> None:
        self.receiver.resolutionBegan(resolution)

    def addressResolved(self, address: Any) -> None:
        if is_public(address.host):
            self.passed += 1
            self.receiver.addressResolved(address)
        else:
            self.refused += 1
            log.warning("refused: %s resolves to %s", self.host, address.host)

    def resolutionComplete(self) -> None:
        if self.refused and not self.passed:
            Resolver.refused.add(self.host.rstrip("."))
        self.receiver.resolutionComplete()


@implementer(IHostnameResolver)
class Resolver:
    """Scrapy's DNS_RESOLVER: the system's answers without private addresses; sample hosts go to their loopback port."""

    refused: ClassVar[set[str]] = set()  # hosts that had only private addresses, for the error's name

    def __init__(self, reactor: Any, loopback: dict[str, int]) -> None:
        self.reactor, self.loopback = reactor, loopback
        self.system: Any = reactor.nameResolver

    @classmethod
    def from_crawler(cls, crawler: Crawler, reactor: Any) -> Self:
        return cls(reactor, crawler.settings.getdict("LOOPBACK_HOSTS"))

    def install_on_reactor(self) -> None:
        self.reactor.installNameResolver(self)

    def resolveHostName(
        self,
        resolutionReceiver: Any,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type] | None = None,
        transportSemantics: str = "TCP",
    ) -> Any:
        port = self.loopback.get(hostName)
        if port is None:
            return self.system.resolveHostName(
                _PublicOnly(resolutionReceiver, hostName), hostName, portNumber, addressTypes, transportSemantics
            )
        resolution = _Resolved(hostName)
        resolutionReceiver.resolutionBegan(resolution)
        resolutionReceiver.addressResolved(TwistedIPv4("TCP", "127.0.0.1", port))
        resolutionReceiver.resolutionComplete()
        return resolution


@implementer(IHostResolution)
class _Resolved:
    def __init__(self, name: str) -> None:
        self.name = name

    def cancel(self) -> None:
        """Nothing to cancel: it is resolved already."""


class ScopeMiddleware:
    """Refuses what an address alone gives away: other schemes, private IP addresses, redirects off the site.

    Runs for every request, redirects included, before robots.txt is asked for.
    """

    def process_request(self, request: Request) -> None:
        try:
            parts = urlsplit(request.url)
            host = (parts.hostname or "").rstrip(".")
        except ValueError:
            raise Refused("bad-address") from None
        sound = all(0 < len(label) < 64 for label in host.split("."))
        if parts.scheme not in ("http", "https") or not sound or "@" in parts.netloc or len(request.url) > MAX_ADDRESS:
            raise Refused("bad-address")
        try:
            if not is_public(host):
                raise Refused("private-address")
        except ValueError:
            pass  # a name: the resolver decides
        home = request.meta.get("stay_on")
        if home is not None and registrable_domain(host) != home:
            raise Refused("off-site")


OUTCOMES = {
    "DownloadTimeoutError": "timeout",
    "ResponseDataLossError": "cut-short",
    "DownloadConnectionRefusedError": "no-connection",
    "DownloadCancelledError": "too-large",
    "DownloadFailedError": "connection-lost",
    "BadAnswerError": "bad-answer",
    "BadGzipFile": "bad-encoding",
    "error": "bad-encoding",  # so brotli and zlib call theirs
    "ZstdError": "bad-encoding",
    "EOFError": "bad-encoding",
    "ValueError": "bad-address",  # Scrapy's and Twisted's for what redirects lead to
    "UnicodeError": "bad-address",
}
REASONS = {"robots.txt": "robots", "redirect": "redirects", "DOWNLOAD_MAXSIZE": "too-large"}  # in Scrapy's own words


def outcome_of(error: BaseException | None, url: str) -> str:
    """The short word under which a failed request is counted."""
    if isinstance(error, IgnoreRequest):
        return next((word for part, word in REASONS.items() if part in str(error)), str(error))
    name = type(error).__name__
    if name == "CannotResolveHostError":
        return "private-address" if (urlsplit(url).hostname or "").rstrip(".") in Resolver.refused else "unknown-host"
    return OUTCOMES.get(name, name)
