"""Holdings: the records of the archive that belong to a proof, by the chain where there is one, else by reading."""

import hashlib
from bisect import bisect
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urljoin

from selectolax.lexbor import LexborHTMLParser
from warcio.archiveiterator import ArchiveIterator

from crawler.depth import too_deep
from crawler.evidence.cdxj import Entry, read_entry
from crawler.evidence.manifest import MANIFEST, ArchiveError, entries
from crawler.evidence.proof import Proof, Row
from crawler.evidence.record import EvidenceError, is_packed, parse, read_raw
from crawler.frontier import clean, host_of
from crawler.intake.records import WarcError, records
from crawler.page import HTML_TYPES, MAX_BODY, decode
from data.domains import registrable_domain

EMBEDDED = ("image/", "text/css")
SCREENSHOT = "urn:screenshot:"  # and the address of the page, as crawler/chromium/render.py names a picture of it
MAX_BACK = 1_000  # records looked at for the one that a conversion was made from

Place = tuple[str, int]  # file and offset: what tells records apart


class Spot(NamedTuple):
    """A record of the archive that was not read yet."""

    warc: str
    offset: int
    length: int
    url: str
    kind: str = ""
    date: str = ""
    sha256: str = ""  # of its raw bytes, and its line, as the chain has it
    line: str = ""


@dataclass(slots=True)
class Holding:
    """A record to be exported, without its bytes."""

    spot: Spot
    entry: Entry
    id: str
    refers_to: str
    concurrent_to: str
    record_sha256: str  # hex, of the raw bytes
    packed: bool  # a gzip member
    captured: bool = False  # one of the captures to be shown, not what only goes with them


def gather(archive: Path, proof: Proof) -> list[Holding]:
    """The records of `proof`, each once: for each capture what it was made from, itself, its request, the images and
    style sheets that it shows (of the same site, nearest in time); then the revisits that found it unchanged.

    Raises EvidenceError where a record is not what the store says: an export proves all that it lists, or is not made.
    """
    captures: list[Holding] = []
    shown: dict[Place, set[str]] = {}
    for page in proof.pages:
        spot = Spot(page["warc"], page["warc_offset"], page["warc_length"], page["url"])
        holding, raw = read(archive, spot, page)
        captures.append(holding)
        shown[spot[:2]] = embedded(holding.entry, raw)
    around = _around(archive, captures, set().union(*shown.values()))
    chained = {spot[:2]: spot for spot in around if spot.line}
    at_url: dict[str, list[Spot]] = {}
    for spot in around:
        at_url.setdefault(spot.url, []).append(spot)
    beside = _beside(archive, around)
    origins = _origins(archive, captures, around)
    kept: dict[Place, Holding] = {}

    def keep(holding: Holding | None) -> None:
        """With what was recorded beside it."""
        for one in (holding, *beside.get(holding.id, []), *beside.get(holding.concurrent_to, [])) if holding else ():
            one.spot = chained.get(one.spot[:2], one.spot)
            if one.spot.sha256 not in ("", one.record_sha256):
                raise EvidenceError(f"{archive / one.spot.warc} at byte {one.spot.offset}: not the record of the chain")
            kept.setdefault(one.spot[:2], one)

    for holding in captures:
        keep(origins.get(holding.refers_to))
        keep(holding)
        for url in sorted(shown[holding.spot[:2]]):
            keep(_nearest(archive, holding.entry.date, at_url.get(url, [])))
    if proof.kind != "claim":  # a claim is proven by its own capture
        payloads = {(holding.entry.url, holding.entry.payload) for holding in captures}
        seen_again = [_beyond(archive, spot) for spot in around if spot.kind == "revisit"]
        for again in sorted(filter(None, seen_again), key=lambda one: (one.entry.url, one.entry.date, one.spot)):
            if (again.entry.url, again.entry.payload) in payloads:
                keep(again)
    return list(kept.values())


def read(archive: Path, spot: Spot, page: Row | None = None) -> tuple[Holding, bytes]:
    """The record at `spot` and its raw bytes. Raises EvidenceError when it is broken, or does not fit `page`."""
    raw = read_raw(archive, *spot[:3])
    try:
        entry, head = parse(raw)
        if page is not None:
            _check(entry, page)
    except ValueError as error:
        where = f"{archive / spot.warc} at byte {spot.offset}"
        raise EvidenceError(f"{where}: not the evidence of {spot.url}: {error}") from error
    id_, refers_to, concurrent_to = (
        head.get(f"warc-{name}", "") for name in ("record-id", "refers-to", "concurrent-to")
    )
    return Holding(
        spot=spot,
        entry=entry,
        id=id_,
        refers_to=refers_to,
        concurrent_to=concurrent_to,
        record_sha256=hashlib.sha256(raw).hexdigest(),
        packed=is_packed(raw),
        captured=page is not None,
    ), raw


def _beyond(archive: Path, spot: Spot) -> Holding | None:
    """A record that goes with a capture; None for a broken one in a file of others, which never was evidence."""
    try:
        return read(archive, spot)[0]
    except EvidenceError:
        if spot.line:
            raise
        return None


def _check(entry: Entry, page: Row) -> None:
    if entry.kind not in ("response", "resource", "conversion"):
        raise ValueError(f"a record of kind {entry.kind or 'unknown'}")
    if clean(entry.url) != clean(page["url"]):
        raise ValueError(f"a record of {entry.url}")
    if entry.payload != page["sha256"]:
        raise ValueError(f"its payload has SHA-256 {entry.payload}, the store says {page['sha256']}")


def embedded(entry: Entry, raw: bytes) -> set[str]:
    """Addresses of the images and style sheets that an HTML page shows from its own site."""
    if entry.mime.lower() not in HTML_TYPES:
        return set()
    record = next(ArchiveIterator(BytesIO(raw)))
    html, _ = decode(record.content_stream().read(MAX_BODY), "")
    if too_deep(html):
        return set()
    tree = LexborHTMLParser(html)
    found = [node.attributes.get("src") for node in tree.css("img[src]")]
    found += [node.attributes.get("href") for node in tree.css('link[rel~="stylesheet" i][href]')]
    home, urls = registrable_domain(host_of(entry.url)), set()
    for reference in found:
        try:
            url = clean(urljoin(entry.url, reference or ""))
            if home is not None and registrable_domain(host_of(url)) == home:
                urls.add(url)
        except ValueError:
            continue  # no address: nothing that could have been fetched
    return urls


def _around(archive: Path, captures: list[Holding], shown: set[str]) -> list[Spot]:
    """What may belong to the captures: records of their addresses and of what they show, and what stands before a
    conversion in its file."""
    urls = {holding.entry.url for holding in captures}
    urls |= {f"{SCREENSHOT}{url}" for url in urls} | shown
    made = {holding.spot.warc for holding in captures if holding.entry.kind == "conversion"}
    unlisted = {holding.spot.warc for holding in captures}
    found: list[Spot] = []

    def wanted(spot: Spot) -> bool:
        return spot.url in urls or (spot.warc in made and spot.kind in ("response", "resource"))

    for spot in _chain(archive):
        unlisted.discard(spot.warc)
        if wanted(spot):
            found.append(spot)
    for warc in sorted(unlisted):
        with (archive / warc).open("rb") as file, suppress(WarcError):  # what stands before a break is evidence too
            for raw in records(file):
                entry = read_entry(raw.record)
                if wanted(spot := Spot(warc, raw.offset, raw.length, entry.url, entry.kind, entry.date)):
                    found.append(spot)
    return found


def _chain(archive: Path) -> Iterator[Spot]:
    """The records that the chain lists one by one; a file copied in has one line for all. Raises EvidenceError."""
    if not (archive / MANIFEST).exists():
        return
    try:
        for line, row in entries(archive):
            if row["url"]:
                place = (row["warc"], row["offset"], row["length"])
                yield Spot(*place, row["url"], row["kind"], row["date"], row["sha256"], line.decode())
    except ArchiveError as error:
        raise EvidenceError(str(error)) from error


def _beside(archive: Path, around: list[Spot]) -> dict[str, list[Holding]]:
    """What was recorded together with an answer, its request above all: by the id that it names, and by its own, since
    some writers let the answer name the request."""
    found: dict[str, list[Holding]] = {}
    for spot in around:
        other = _beyond(archive, spot) if spot.kind == "request" or spot.url.startswith(SCREENSHOT) else None
        if other is not None:
            for id_ in filter(None, (other.concurrent_to, other.id)):
                found.setdefault(id_, []).append(other)
    return found


def _origins(archive: Path, captures: list[Holding], around: list[Spot]) -> dict[str, Holding]:
    """By their ids, the records that conversions were made from; each stands before them in the same file."""
    found: dict[str, Holding] = {}
    answers = sorted(spot for spot in around if spot.kind in ("response", "resource"))
    seen: set[Place] = set()
    for made in captures:
        if made.entry.kind != "conversion":
            continue
        before = bisect(answers, made.spot)
        for spot in reversed(answers[max(0, before - MAX_BACK) : before]):
            if made.refers_to in found or spot.warc != made.spot.warc:
                break
            if spot[:2] not in seen:
                seen.add(spot[:2])
                if origin := _beyond(archive, spot):
                    found[origin.id] = origin
    return found


def _nearest(archive: Path, date: str, spots: list[Spot]) -> Holding | None:
    """The first capture of an image or style sheet from `date` on, or else the last one before."""
    found = sorted((spot for spot in spots if spot.kind == "response"), key=lambda spot: spot.date)
    nearest = next((spot for spot in found if spot.date >= date), found[-1] if found else None)
    holding = _beyond(archive, nearest) if nearest else None
    return holding if holding and holding.entry.mime.startswith(EMBEDDED) else None
