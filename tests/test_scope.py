"""Which addresses may be touched."""

import pytest
from scrapy import Request

from crawler.scope import Refused, ScopeMiddleware, is_public
from data.domains import registrable_domain


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
