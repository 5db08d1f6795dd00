"""Panels: what they sell to resellers, from an API v2 `services` answer that somebody saved.

We never ask for one: that takes an account and its key. Public tables of prices are read by pricetable.py.
"""

import hashlib
import json
import logging
import re
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from crawler.market.fields import one_line, short
from crawler.market.listing import text_blocks
from crawler.page import MAX_BODY, Capture, NotAPage, Offer, Page, decode, digest
from data.domains import registrable_domain

log = logging.getLogger(__name__)
KNOWN = frozenset("service name type category rate min max refill cancel dripfeed description desc".split())
SECRET = frozenset({"key", "apikey", "action"})  # parameters of a panel's interface
PER = 1000  # pieces that `rate` is for; the interface says so, and names no currency


def read_services(capture: Capture) -> Page | None:
    """The page of a saved API v2 `services` answer (JSON); None when it is none.

    `capture.url` is the panel's address, as the user gave it. Raises NotAPage with a line for people: bad-services for
    an answer that holds an error or cannot be read, no-address where the address is none of a panel.
    """
    if len(capture.body) > MAX_BODY or capture.body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] not in (b"{", b"["):
        return None
    try:
        answer = json.loads(decode(capture.body, "")[0], parse_float=str)  # "0.90" stays "0.90"
    except (ValueError, RecursionError):
        return None
    if isinstance(answer, dict) and isinstance(answer.get("error"), str):
        raise NotAPage("bad-services", f"the panel answered with an error: {short(answer['error'])}")
    services = answer.get("services", answer.get("data")) if isinstance(answer, dict) else answer
    if not isinstance(services, list) or not services:
        return None
    if not isinstance(services[0], dict) or not {"service", "name", "rate"} <= services[0].keys():
        return None
    if urlsplit(capture.url).scheme not in ("http", "https"):
        raise NotAPage(
            "no-address", "whose services these are does not stand in them: give the panel's address (--url)"
        )
    if is_interface(capture.url):
        raise NotAPage("no-address", "an address with a key or an action is a secret: give the panel's address alone")
    return _page(capture, services)


def offer_key(url: str, service: str, name: str) -> str:
    """The same for one offer of a panel over time: ids are reused, so that the name counts too, but for its case."""
    host = urlsplit(url).hostname or ""
    parts = [registrable_domain(host) or host, service, " ".join(name.casefold().split())]
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:16]


def is_interface(url: str) -> bool:
    """Whether an address speaks to a panel's interface: it has a key, or an action such as an order."""
    query = urlsplit(url).query.replace(";", "&")
    return any(re.sub(r"[\W_]", "", name.lower()) in SECRET for name, _ in parse_qsl(query, keep_blank_values=True))


def _page(capture: Capture, services: list[Any]) -> Page:
    parts: list[tuple[str, str]] = []
    offers: list[Offer] = []
    unknown: set[str] = set()
    for number, fields in enumerate(services, 1):
        try:
            if not isinstance(fields, dict):
                raise ValueError(f"{short(fields)} is no service")
            offer = _offer(fields, capture.url)
        except ValueError as error:
            raise NotAPage("bad-services", f"entry {number}: {error}") from None
        offers.append(offer)
        unknown |= fields.keys() - KNOWN
        parts += [("heading", offer.category or ""), ("item", offer.name)]
        parts.append(("text", shown(fields.get("description") or fields.get("desc"))))
    if unknown:
        log.warning("%s: fields left unread: %s", capture.url, short(", ".join(sorted(unknown))))
    blocks = text_blocks(parts)
    return Page(capture, "utf-8", None, blocks, text_sha256=digest(blocks), kind="panel", offers=offers)


def _offer(fields: dict[str, Any], url: str) -> Offer:
    """One service. Raises ValueError, with field and value, where it has no id, no name or no rate."""
    service, rate = fields.get("service"), fields.get("rate")
    if isinstance(service, bool) or not re.fullmatch(r"[\w.-]{1,40}", str(service)) or service is None:
        raise ValueError(f"service {short(service)} is no id")
    name = " ".join(block.text for block in text_blocks([("item", shown(fields.get("name")))]))
    if not name:
        raise ValueError(f"name {short(fields.get('name'))} is no name")
    if isinstance(rate, bool) or not re.fullmatch(r"\d{1,12}([.,]\d{1,20})?(e[+-]?\d{1,3})?", str(rate).strip(), re.I):
        raise ValueError(f"rate {short(rate)} is no decimal number")
    return Offer(
        key=offer_key(url, str(service), name),
        name=name,
        category=one_line(shown(fields.get("category")))[:500] or None,
        service=str(service),
        price=str(rate).strip(),
        per=PER,
        least=_whole(fields.get("min"), "min"),
        most=_whole(fields.get("max"), "max"),
        refill=_flag(fields.get("refill")),
        cancel=_flag(fields.get("cancel")),
    )


def shown(text: Any) -> str:
    """What a reader sees of a text in which somebody wrote HTML: without its tags, one line a line; "" for no text."""
    if not isinstance(text, str):
        return ""
    lines = re.sub(r"</?(?:br|p|li|div)\b[^<>]{0,500}>", "\n", unescape(text), flags=re.I)
    return re.sub(r"</?[a-z][^<>]{0,500}>", " ", lines, flags=re.I)  # "< 1000 >" is no tag


def _whole(value: Any, name: str) -> int | None:
    """An int, or the same as text; null where it is not said. What else stands there is told, and not guessed."""
    if value in (None, ""):
        return None
    if not isinstance(value, bool) and re.fullmatch(r"\d{1,18}", text := str(value).strip()):
        return int(text)
    log.warning("%s %s is no whole number: left out", name, short(value))
    return None


def _flag(value: Any) -> bool | None:
    """A missing flag is not "no": panels leave out what they do not use."""
    return {"true": True, "1": True, "false": False, "0": False}.get(str(value).lower())
