"""Which addresses may be touched, and how often."""

import math
from pathlib import Path
from types import SimpleNamespace

import pytest
from scrapy import Request, Spider
from scrapy.exceptions import CannotResolveHostError
from scrapy.utils.test import get_crawler
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IResolutionReceiver
from zope.interface import implementer

from crawler.frontier import SqliteFrontier
from crawler.politeness import Politeness
from crawler.scope import Refused, Resolver, ScopeMiddleware, is_public, outcome_of
from data.domains import registrable_domain
from data.migrations import open_store


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1",
        "224.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1",
        "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1",
        "64:ff9b:1::7f00:1", "::7f00:1", "fec0::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "2002:a9fe:a9fe::", "64:ff9b::7f00:1", "2001:db8::1",
    ],
)  # fmt: skip
def test_private_addresses_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("http://127.0.0.1/", "private-address"),
        ("http://[::1]:8000/", "private-address"),
        ("http://[::ffff:169.254.169.254]/", "private-address"),
        ("file:///etc/passwd", "bad-address"),
        ("http:///x", "bad-address"),
        ("http://127.0.0.1./", "private-address"),
        ("http://shop.example@127.0.0.1/", "bad-address"),
        ("http://user:pw@shop.example/", "bad-address"),
        ("http://a..example/", "bad-address"),
        ("http://" + "a" * 64 + ".example/", "bad-address"),
        ("http://shop.example/" + "a" * 8_000, "bad-address"),
    ],
)
def test_addresses_that_give_themselves_away(url: str, word: str) -> None:
    with pytest.raises(Refused, match=word):
        ScopeMiddleware().process_request(Request(url))


def test_a_link_may_not_leave_its_site() -> None:
    middleware = ScopeMiddleware()
    middleware.process_request(Request("http://www.shop.example/", meta={"stay_on": "shop.example"}))
    with pytest.raises(Refused, match="off-site"):
        middleware.process_request(Request("http://other.example/", meta={"stay_on": "shop.example"}))


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("www.shop.example", "shop.example"), ("shop.test.", "shop.test"), ("a.b.shop.co.uk", "shop.co.uk"),
        ("seller.github.io", "seller.github.io"), ("co.uk", None), ("localhost", None), ("8.8.8.8", None),
        ("[::1]", None),
        ("::1", None), ("", None), (".", None),
    ],
)  # fmt: skip
def test_registrable_domains(host: str, domain: str | None) -> None:
    assert registrable_domain(host) == domain


@implementer(IResolutionReceiver)
class Receiver:
    def __init__(self) -> None:
        self.addresses: list[str] = []
        self.ended = False

    def resolutionBegan(self, resolution: object) -> None:
        pass

    def addressResolved(self, address: IPv4Address) -> None:
        self.addresses.append(address.host)

    def resolutionComplete(self) -> None:
        self.ended = True


class NameServer:
    """Stands in for the system's resolver, and changes its mind: one list of addresses a question."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.nameResolver = self  # as a reactor has it

    def resolveHostName(self, receiver: Receiver, *rest: object) -> None:
        receiver.resolutionBegan(None)
        for host in self.answers.pop(0):
            receiver.addressResolved(IPv4Address("TCP", host, 80))
        receiver.resolutionComplete()


def ask(resolver: Resolver, host: str) -> list[str]:
    receiver = Receiver()
    resolver.resolveHostName(receiver, host)
    assert receiver.ended
    return receiver.addresses


def test_a_name_that_changes_its_address_is_judged_each_time() -> None:
    """DNS rebinding: what the resolver passes on is the very address that is connected to."""
    resolver = Resolver(NameServer(["8.8.8.8"], ["127.0.0.1"], ["8.8.8.8"]), {})
    assert ask(resolver, "rebind.example") == ["8.8.8.8"]
    assert "rebind.example" not in Resolver.refused
    assert ask(resolver, "rebind.example") == []
    assert outcome_of(CannotResolveHostError("x"), "http://rebind.example/") == "private-address"
    assert ask(resolver, "rebind.example") == ["8.8.8.8"]


def test_of_mixed_addresses_only_public_ones_are_passed_on() -> None:
    resolver = Resolver(NameServer(["10.0.0.1", "8.8.8.8", "::ffff:127.0.0.1", "fe80::1%eth0"]), {})
    assert ask(resolver, "mixed.example") == ["8.8.8.8"]


def test_sample_hosts_are_known_by_their_exact_name_alone() -> None:
    resolver = Resolver(NameServer(["127.0.0.1"], ["127.0.0.1"]), {"shop.example": 8000})
    assert ask(resolver, "shop.example") == ["127.0.0.1"]
    assert ask(resolver, "shop.example.") == ask(resolver, "www.shop.example") == []


class Rules:
    def __init__(self, delay: float | None) -> None:
        self.delay = delay

    def crawl_delay(self, agent: str) -> float | None:
        return self.delay


@pytest.mark.parametrize(
    ("asked", "kept"), [(None, 0.0), (7.5, 7.5), (1e9, 60.0), (math.inf, 60.0), (math.nan, 0.0), (-5.0, 0.0)]
)
def test_crawl_delay_has_an_end_and_is_told_to_the_frontier(tmp_path: Path, asked: float | None, kept: float) -> None:
    store = open_store(tmp_path / "fantomes.db")
    crawler = get_crawler(spidercls=Spider)
    crawler.spider = SimpleNamespace(frontier=SqliteFrontier(store))  # type: ignore[assignment]
    Politeness(crawler).robots_parsed(Rules(asked), Request("http://shop.example/x"))  # type: ignore[arg-type]
    assert store.execute("SELECT delay FROM hosts WHERE host = 'shop.example'").fetchone() == (kept,)
