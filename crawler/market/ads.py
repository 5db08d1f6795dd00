"""Ads out of ad libraries: files exported from Meta's and from Google's library, and how an ad becomes a page."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from crawler.archive import Archive
from crawler.market.fields import plain, short
from crawler.market.listing import Listing, google, meta
from crawler.page import MAX_BODY, Capture, NotAPage, Page, decode, digest

META_FIELDS = frozenset(
    "adcreativebodies adcreativebody adsnapshoturl addeliverystarttime adcreativelinktitles".split()
)
TOKEN = re.compile(r"access_token(?:=|%3D)[^&\"'\\\s<>,;%]*(?:&|%26|\\u0026)?", re.I)
TOKEN_BYTES = re.compile(  # also in UTF-16, where each letter has a zero byte beside it
    rb"(" + rb"\x00?".join(re.escape(bytes([letter])) for letter in b"access_token") + rb"\x00?(?:=|%3D)\x00?)"
    rb"((?:[A-Za-z0-9_.|-]\x00?)+)",
    re.I,
)


@dataclass(slots=True)
class Export:
    """What an exported file holds; `warnings` are whole lines for people, to be shown and not to stop for."""

    listings: list[Listing] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read_export(body: bytes, name: str) -> Export | None:
    """The ads of an exported file, CSV or JSON; None when it is no export of an ad library.

    `name` is how messages call the file. Raises NotAPage: too-large, or bad-export with a line for people.
    """
    if len(body) > MAX_BODY:
        raise NotAPage("too-large", f"{len(body)} bytes, the limit is {MAX_BODY}")
    text = without_token(decode(body, "")[0])
    rows = _json_rows(text, name) if text.lstrip()[:1] in ("{", "[") else _csv_rows(text, name)
    found: dict[str, Listing] = {}
    warnings: Counter[str] = Counter()
    first: dict[str, str] = {}
    read: Callable[[dict[str, Any]], Listing] | None = None
    for number, fields in rows:
        read = read or library(fields)
        if read is None:
            return None
        try:
            listing = read(fields)
        except (ValueError, RecursionError) as error:
            raise NotAPage("bad-export", f"{name}: row {number}: {error}") from None
        found.setdefault(listing.url, listing)
        for column in listing.unknown:
            warnings[warning := f"unknown column {short(column)} is left unread"] += 1
            first.setdefault(warning, f"row {number}")
        for column, value in listing.odd:
            warnings[warning := f"column {short(column)} cannot be read"] += 1
            first.setdefault(warning, f"row {number}: {value}")
    if read is None:
        return None
    return Export(
        list(found.values()), [f"{name}: {line} in {n} rows, first in {first[line]}" for line, n in warnings.items()]
    )


def library(fields: dict[str, Any]) -> Callable[[dict[str, Any]], Listing] | None:
    """Which library's ad has these fields: the function that reads it, or None."""
    names = {plain(name) for name in fields}
    if names & META_FIELDS:
        return meta
    if {"advertiserid", "creativeid"} <= names or "gatclink" in names:
        return google
    return None


def pages(listings: Iterable[Listing], answer: Capture, archive: Archive) -> list[Page]:
    """The ads as pages, each archived as a `conversion` of the record of `answer`, the file or answer that held it."""
    return [_page(listing, answer, archive) for listing in listings]


def without_token(text: str, secret: str = "") -> str:
    """Text of a library without the access token of who asked: a parameter of addresses, or `secret` anywhere."""
    text = TOKEN.sub("", text)
    return text.replace(secret, "x" * len(secret)) if secret else text


def blotted(body: bytes) -> bytes:
    """The bytes of an export without access tokens, each overwritten with as many `x`: what may be archived of it."""
    return TOKEN_BYTES.sub(lambda found: found[1] + re.sub(rb"[^\x00]", b"x", found[2]), body)


def _page(listing: Listing, answer: Capture, archive: Archive) -> Page:
    record = archive.conversion(listing.url, answer.fetched_at, "application/json", listing.json, of=answer.record)
    capture = Capture(
        url=listing.url,
        fetched_at=answer.fetched_at,
        status=answer.status,
        content_type="application/json",
        body=listing.json,
        record=record,
        published_at=listing.ad.started,
    )
    return Page(
        capture,
        "utf-8",
        listing.title,
        listing.blocks,
        links=listing.links,
        published_at=listing.ad.started,
        text_sha256=digest(listing.blocks),
        kind="ad",
        ad=listing.ad,
    )


def _json_rows(text: str, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSON list, of an answer ({"data": [...]}), or of JSON Lines, numbered from 1."""
    try:
        data = json.loads(text)
    except RecursionError:
        return
    except ValueError as error:
        data = _json_lines(text, name)
        if data is None:
            if any(
                word in text[:65_536] for word in ("ad_creative_bod", "ad_snapshot_url", "creativeId", "creative_id")
            ):
                raise NotAPage("bad-export", f"{name}: cannot be read as JSON: {error}") from None
            return
    if isinstance(data, dict):
        data = next((data[key] for key in ("data", "ads", "items") if isinstance(data.get(key), list)), [data])
    for number, fields in enumerate(data, 1):
        if not isinstance(fields, dict):
            if number == 1:
                return  # a list of something else
            raise NotAPage("bad-export", f"{name}: row {number}: {short(fields)} is no ad")
        yield number, fields


def _json_lines(text: str, name: str) -> list[Any] | None:
    """One object a line; None where the first line is none."""
    found: list[Any] = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                found.append(json.loads(line))
            except (ValueError, RecursionError) as error:
                if not found:
                    return None
                raise NotAPage("bad-export", f"{name}: line {number}: cannot be read as JSON: {error}") from None
    return found


def _csv_rows(text: str, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a CSV file by column, numbered as a spreadsheet does; none when the first names no ad's fields."""
    lines = io.StringIO(text, newline="")
    start = 1
    if re.match(r"sep=.\r?\n", text, re.I):  # Excel's own first line
        lines.readline()
        start = 2
    head = lines.tell()
    header = lines.readline()
    delimiter = max(",;\t", key=header.count)
    lines.seek(head)
    csv.field_size_limit(MAX_BODY)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        columns = [column.strip() for column in next(reader, [])]
    except csv.Error:
        return  # a text that begins with a quote
    if library(dict.fromkeys(columns)) is None:
        return
    twice = [column for column, times in Counter(columns).items() if times > 1 and column]
    if twice:
        raise NotAPage("bad-export", f"{name}: column {short(twice[0])} stands twice")
    try:
        for number, cells in enumerate(reader, start + 1):
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(columns):
                raise NotAPage(
                    "bad-export", f"{name}: row {number}: {len(cells)} cells, the first row has {len(columns)} columns"
                )
            yield number, dict(zip(columns, cells, strict=True))
    except csv.Error as error:
        raise NotAPage("bad-export", f"{name}: line {start - 1 + reader.line_num}: {error}") from None
