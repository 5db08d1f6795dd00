"""From a capture to a page: decoding, blocks, links, digest; one station for crawled, ingested and replayed pages."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from w3lib.encoding import html_body_declared_encoding, http_content_type_encoding, read_bom, resolve_encoding

from crawler.blocks import Block, page_text
from crawler.depth import too_deep
from crawler.walls import wall

MAX_BODY = 10_000_000  # bytes after decompression; the largest real page of this trade seen so far has 1.2 MB
CONTROL = bytes(byte for byte in range(32) if not 9 <= byte <= 13 and byte != 27)
HTML_TYPES = ("text/html", "application/xhtml+xml")


NOT_WEB = ("undefined", "unicode-escape", "raw-unicode-escape", "punycode", "idna", "utf-7")  # Python's own codecs


class NotAPage(Exception):
    """A capture that holds no page; `reason` is a short word to count by (not-text, empty, challenge ...)."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


@dataclass(slots=True)
class Record:
    """Where the evidence of a capture lies: `length` bytes at `offset` of the file `warc` in the archive folder."""

    warc: str
    offset: int
    length: int
    sha256: str  # hex, of the payload as archived
    id: str = ""  # WARC-Record-ID, for records that refer to this one


@dataclass(slots=True)
class Capture:
    """One answer of a server, or one saved file. `body` is free of content encodings; `fetched_at` is UTC, ISO 8601."""

    url: str
    fetched_at: str
    status: int
    content_type: str
    body: bytes
    record: Record
    published_at: str | None = None  # as the feed that led here gave it
    checked_at: str = ""  # when the server repeated what `record` holds since fetched_at; empty = this is the record
    etag: str | None = None  # what the server wants to be asked with next time
    modified: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)  # of the answer, names in lower case

    @property
    def repeats(self) -> bool:
        """Whether an earlier record holds the payload."""
        return bool(self.checked_at)

    @property
    def seen_at(self) -> str:
        """When the page was there: fetched_at, or later if the server repeated it."""
        return self.checked_at or self.fetched_at


@dataclass(slots=True)
class Release:
    """What a press release says of itself; see the table `releases`."""

    wire: str
    headline: str | None
    issuer: str | None
    place: str | None
    dated: str | None
    about: str | None
    contact: str | None
    body: str
    signature: bytes
    advertised: str | None = None


@dataclass(slots=True)
class Ad:
    """What an ad library says of an ad; see the table `ads`."""

    library: str
    ad: str
    advertiser: str | None = None
    advertiser_id: str | None = None
    payer: str | None = None
    started: str | None = None
    stopped: str | None = None
    landing: str | None = None
    countries: list[str] = field(default_factory=list)
    platforms: list[str] = field(default_factory=list)
    reach: str | None = None
    spend: str | None = None


@dataclass(slots=True)
class Offer:
    """Something for sale, as its page words it; see the table `offers`. `key` is the same for one offer over time."""

    key: str
    name: str
    category: str | None = None
    service: str | None = None
    price: str | None = None
    per: int | None = None
    currency: str | None = None
    least: int | None = None
    most: int | None = None
    refill: bool | None = None
    cancel: bool | None = None


@dataclass(slots=True)
class Page:
    """What a capture shows, ready to be stored."""

    capture: Capture
    charset: str
    title: str | None
    blocks: list[Block]
    links: list[tuple[str, str]] = field(default_factory=list)  # absolute http(s) addresses, anchor text
    published_at: str | None = None
    text_sha256: str = ""
    kind: str = "page"  # or release, ad, panel, app
    release: Release | None = None
    ad: Ad | None = None
    offers: list[Offer] = field(default_factory=list)


def read_page(capture: Capture) -> Page:
    """Read a capture. Raises NotAPage when there is nothing to read in it."""
    if len(capture.body) > MAX_BODY:
        raise NotAPage("too-large", f"{len(capture.body)} bytes, the limit is {MAX_BODY}")
    media_type = capture.content_type.partition(";")[0].strip().lower()
    if media_type not in ("", *HTML_TYPES) or _is_binary(capture.body):
        raise NotAPage("not-text", media_type or "binary data")
    html, charset = decode(capture.body, capture.content_type)
    if too_deep(html):
        raise NotAPage("too-deep", "elements nest too deep to be parsed")
    shown = page_text(html, capture.url)
    if kind := wall(shown, html, capture.status, capture.headers):
        raise NotAPage(kind, "stands in the way of a page")
    if not shown.blocks:
        raise NotAPage("empty", "no text on the page")
    return Page(
        capture,
        charset,
        shown.title,
        shown.blocks,
        links=[(url, text) for url, text in shown.links if url.startswith(("https://", "http://"))],
        published_at=capture.published_at or shown.published_at,
        text_sha256=digest(shown.blocks),
    )


def decode(body: bytes, content_type: str) -> tuple[str, str]:
    """Text of an HTML body and the charset that fitted; a declared charset that lies is found out.

    Bytes that hold and read as UTF-8 beyond ASCII are UTF-8, whatever is declared: the reverse happens by chance
    about never. See https://html.spec.whatwg.org/multipage/parsing.html#encoding-sniffing-algorithm for the rest.
    """
    bom, mark = read_bom(body)
    declared = bom or http_content_type_encoding(content_type) or html_body_declared_encoding(body)
    body = body.removeprefix(mark or b"")
    named = [name for name in (bom, "utf-8", declared and resolve_encoding(declared)) if name and name not in NOT_WEB]
    for name in named:
        try:
            return body.decode(name), name
        except (UnicodeError, LookupError):
            if name == "utf-8" and (text := _nearly_utf8(body)):
                return text, name
    return body.decode("cp1252", errors="replace"), "cp1252"


def _nearly_utf8(body: bytes) -> str | None:
    """UTF-8 with a few bytes broken, as where a text was cut by bytes; None where it is another charset."""
    text = body.decode("utf-8", errors="replace")
    broken = text.count("\ufffd")
    beyond_ascii = sum(map(len, re.findall(r"[^\x00-\x7f]+", text)))
    return text if broken * 20 < beyond_ascii else None


def _is_binary(body: bytes) -> bool:
    head = body[:2048]
    if head.startswith((b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")):  # UTF-16 and UTF-32 are full of zero bytes
        return False
    control = len(head) - len(head.translate(None, CONTROL))
    return head.startswith((b"%PDF-", b"PK\x03\x04", b"\x1f\x8b")) or control > len(head) * 0.05


def digest(blocks: list[Block]) -> str:
    """SHA-256 over kinds and texts in order: equal digests show the reader the same words."""
    sha = hashlib.sha256()
    for block in blocks:
        sha.update(f"{block.kind}\t{block.text}\n".encode("utf-8", "surrogatepass"))
    return sha.hexdigest()
