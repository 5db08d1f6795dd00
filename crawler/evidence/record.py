"""One record of a WARC file by itself: its raw bytes out of the archive, and what they say."""

import re
from io import BytesIO
from itertools import islice
from pathlib import Path

from crawler.evidence.cdxj import Entry, read_entry
from crawler.intake.records import MAX_RECORD, WarcError, records
from data.problem import Problem


class EvidenceError(Problem):
    """Evidence that cannot be found, read or written; the message is one line that names it."""


def read_raw(archive: Path, warc: str, offset: int, length: int) -> bytes:
    """`length` bytes at `offset` of the file `warc` below `archive`. Raises EvidenceError."""
    path = archive / warc
    if not path.resolve().is_relative_to(archive.resolve()):
        raise EvidenceError(f"{warc}: not below the archive folder {archive}")
    if not 0 < length <= 2 * MAX_RECORD or offset < 0:
        raise EvidenceError(f"{path}: {length} bytes at byte {offset} cannot be a record, or are too many to be read")
    try:
        with path.open("rb") as file:
            file.seek(offset)
            raw = file.read(length)
    except (OSError, OverflowError) as error:
        raise EvidenceError(f"{path}: cannot be read: {error}") from error
    if len(raw) != length:
        raise EvidenceError(f"{path}: ends before the {length} bytes of the record at byte {offset}")
    return raw


def parse(raw: bytes) -> tuple[Entry, dict[str, str]]:
    """What the one record in `raw`, packed or not, says of itself, and its WARC headers (names in small letters).

    Raises ValueError when there is none, half of one, or more than one, and when its digests or length do not hold.
    """
    try:
        found = list(islice(records(BytesIO(raw)), 2))
    except WarcError as error:
        raise ValueError(f"no whole WARC record: {error}") from error
    [first, *more] = found
    if more or raw[first.length :].strip(b"\r\n"):
        raise ValueError("more than one WARC record")
    if not first.whole:
        raise ValueError(f"more than {MAX_RECORD} bytes, too many to be read")
    head = {name.lower(): value for name, value in first.record.headers}
    entry = read_entry(first.record)
    if entry.broken not in ("", "WARC-Payload-Digest"):  # some count the transfer encoding in (webrecorder/warcio#74)
        raise ValueError(f"its {entry.broken} does not hold")
    return entry, head


def is_packed(raw: bytes) -> bool:
    """Whether a record is a gzip member."""
    return raw.startswith(b"\x1f\x8b")


def stamp(date: str) -> str:
    """A WARC-Date as the 14 digits of an index."""
    return re.sub("[^0-9]", "", date)[:14].ljust(14, "0")
