"""What the store says of its evidence, held against the records; part of the check of all evidence (verify.py)."""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from io import BytesIO
from typing import Any

from sqlite_utils import Database

from crawler.archive import now
from crawler.blocks import Block
from crawler.evidence.cdxj import Entry
from crawler.evidence.manifest import Head
from crawler.evidence.said import unsaid
from crawler.frontier import clean
from crawler.intake.records import records
from crawler.intake.warcfile import read_capture
from crawler.page import digest

MADE_WITHIN = 3600  # seconds from an answer to what a browser made of it
EVIDENCE = ("response", "resource", "conversion")  # kinds of record that may prove a page: a revisit holds no body


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and where: the file of the archive, the offset in it, the address concerned, where known."""

    what: str
    file: str = ""
    offset: int | None = None
    url: str = ""

    def __str__(self) -> str:
        place = self.file + (f" at byte {self.offset}" if self.offset is not None else "")
        return ": ".join(part for part in (place, self.what) if part) + (f" ({self.url})" if self.url else "")


@dataclass(slots=True)
class Report:
    """What was looked at and what is wrong with it; `notes` are things to know that are no fault."""

    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    head: str = ""  # hash of the last line of the chain

    def add(self, what: str, file: str = "", offset: int | None = None, url: str = "") -> None:
        self.problems.append(Problem(what, file, offset, url))

    def as_json(self) -> dict[str, Any]:
        found = [asdict(problem) | {"text": str(problem)} for problem in self.problems]
        return {"ok": not found, "problems": found, "notes": self.notes, "head": self.head, **self.counts}


def remember_head(db: Database, head: Head) -> None:
    """Note in the store where the chain stands, so that cutting off its end shows. An empty chain has no head."""
    if head.seq >= 0:
        row = [head.hash, head.seq, now()]
        db.execute("INSERT OR IGNORE INTO chain_heads (hash, seq, seen_at) VALUES (?, ?, ?)", row)


class Stored:
    """The store's rows: what each page says of its evidence, its text and its claims."""

    def __init__(self, db: Database | None, report: Report) -> None:
        self.db, self.report = db, report
        self.evidence: dict[str, dict[int, list[tuple[Any, ...]]]] = defaultdict(lambda: defaultdict(list))
        self.heads: dict[str, tuple[int, str]] = {}
        query = (
            "SELECT warc, warc_offset, warc_length, sha256, url, fetched_at, kind, id FROM pages"
            " WHERE typeof(warc_offset) = 'integer' AND typeof(warc_length) = 'integer'"  # others only after damage
        )
        for warc, offset, *row in self._rows(query):
            self.evidence[warc][offset].append(tuple(row))
        for hash_, seq, seen_at in self._rows("SELECT hash, seq, seen_at FROM chain_heads"):
            self.heads[hash_] = (seq, seen_at)
        if db is not None and not self.heads:
            report.notes.append("the store remembers no head of the chain: lines cut off its end would not show")

    def compare(self, name: str, offset: int, length: int, entry: Entry | None, raw: bytes) -> None:
        """Check what rows say of the record at `offset` of the file `name`, whose bytes are `raw`."""
        for warc_length, sha256, url, fetched_at, kind, page in self.evidence[name].pop(offset, []):
            self.report.counts["pages"] += 1
            if entry is None or warc_length != length:
                what = f"no record of {warc_length} bytes here, as page {page} says"
            elif entry.kind not in EVIDENCE:
                what = f"page {page} leads to a record of kind {entry.kind!r}, which proves nothing"
            elif entry.payload != sha256:
                what = f"the payload has SHA-256 {entry.payload}, page {page} says {sha256}"
            elif entry.url != url and _clean(entry.url) != url:
                what = f"the record is of {entry.url}, page {page} of another address"
            elif not _same_time(entry, fetched_at):
                what = f"the record is of {entry.date}, page {page} says {fetched_at}"
            elif text := self._unsaid(page, kind, name, raw):
                what = f"page {page} has a claim on words that the record does not hold: {text[:100]!a}"
            else:
                continue
            self.report.add(what, name, offset, url)

    def _unsaid(self, page: int, kind: str, name: str, raw: bytes) -> str:
        """The first block with a claim of a page that its record does not hold; "" for none."""
        query = f"SELECT DISTINCT text FROM blocks JOIN claims ON block_id = blocks.id WHERE claims.page_id = {page}"
        texts = [text for (text,) in self._rows(query) if isinstance(text, str)]
        if not texts:
            return ""
        (record,) = records(BytesIO(raw))
        capture = read_capture(name, record.record.headers.get("WARC-Type") or "", record)
        found = [] if isinstance(capture, str) else unsaid(capture, kind, texts)  # str: a clock that was set back
        return found[0] if found else ""

    def has(self, name: str, offset: int) -> bool:
        """Whether a page leads to what stands at `offset` of the file `name`."""
        return offset in self.evidence.get(name, ())

    def wanted(self, name: str) -> list[tuple[int, int]]:
        """Offset and length of records in the file `name` that pages lead to and nobody has compared yet."""
        return [(offset, row[0]) for offset, rows in sorted(self.evidence[name].items()) for row in rows[:1]]

    def check_rest(self) -> None:
        """The store itself, and what is in it; pages whose file is not there."""
        for warc, offsets in self.evidence.items():
            for offset, rows in offsets.items():
                for _, _, url, *_, page in rows:
                    self.report.add(f"page {page} leads to a file that is not in the archive", warc, offset, url)
        for check in (self._check_store, self._check_texts, self._check_claims):
            try:
                check()
            except (TypeError, AttributeError) as error:  # a value that its column cannot hold
                self.report.add(f"the store is damaged: {error}")

    def _check_store(self) -> None:
        for (text,) in self._rows("PRAGMA integrity_check"):
            if text != "ok":
                self.report.add(f"the store is damaged: {text}")
        for table, row, parent, _ in self._rows("PRAGMA foreign_key_check"):
            self.report.add(f"the store is damaged: row {row} of {table} leads to no row of {parent}")

    def _check_claims(self) -> None:
        query = (
            'SELECT claims.id, url, text, start, "end", quote, blocks.page_id = claims.page_id FROM claims'
            " JOIN blocks ON blocks.id = block_id JOIN pages ON pages.id = claims.page_id"
        )
        for claim, url, text, start, end, quote, same_page in self._rows(query):
            self.report.counts["claims"] += 1
            if text[start:end] != quote or start < 0:
                self.report.add(f"claim {claim}: its quote is not what its block says at {start}:{end}", url=url)
            if not same_page:
                self.report.add(f"claim {claim}: its block is on another page", url=url)

    def _check_texts(self) -> None:
        query = "SELECT page_id, kind, text FROM blocks ORDER BY page_id, position"
        shown = self._rows("SELECT id, url, text_sha256 FROM pages ORDER BY id")
        blocks = self._rows(query)
        block = next(blocks, None)
        for page, url, sha256 in shown:
            texts: list[Block] = []
            while block and block[0] <= page:
                if block[0] == page:
                    texts.append(Block(block[1], block[2]))
                block = next(blocks, None)
            if digest(texts) != sha256:
                self.report.add(f"page {page}: its blocks are not those of its digest", url=url)

    def _rows(self, query: str) -> Iterator[tuple[Any, ...]]:
        try:
            if self.db is not None:
                yield from self.db.execute(query)
        except sqlite3.Error as error:
            self.report.add(f"the store cannot be read: {error}")


def _same_time(entry: Entry, fetched_at: str) -> bool:
    """Whether a page of `fetched_at` may have that record; what was made from an answer is younger than the answer."""
    try:
        late = (datetime.fromisoformat(entry.date) - datetime.fromisoformat(fetched_at)).total_seconds()
    except (ValueError, TypeError):
        return False
    return abs(late) < MADE_WITHIN if entry.kind == "conversion" else 0 <= late < 1  # abs: clocks are set back


def _clean(url: str) -> str:
    try:
        return clean(url)
    except ValueError:
        return ""
