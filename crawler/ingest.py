"""Ingest: files that others captured (WARC, saved HTML) through the same stations as a crawl, without network.

A WARC file is copied into the archive byte for byte, so that its records are evidence as they are; a saved page becomes
a `resource` record. A file that is broken somewhere gives what stands before the break.
"""

import hashlib
import re
import sqlite3
import zlib
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import brotli
from backports import zstd
from sqlite_utils import Database
from warcio.archiveiterator import ArchiveIterator
from warcio.bufferedreaders import ChunkedDataReader
from warcio.exceptions import ArchiveLoadFailed
from warcio.recordloader import ArcWarcRecord

from crawler.archive import Archive, ArchiveError, now
from crawler.crawl import SOFTWARE
from crawler.frontier import clean
from crawler.page import MAX_BODY, Capture, NotAPage, Record, read_page
from crawler.store import save_page, save_source
from data.migrations import write

SAVED_FROM = re.compile(rb"<!--\s*saved from url=\(\d+\)(https?://[^\s<>]+)\s*-->", re.I)
NOT_HTML = re.compile(rb"filedesc://|From: <Saved by|MIME-Version:", re.I)  # ARC, MHTML
BUFFER = 65_536  # bytes; a gzip bomb unpacks to at most a thousand times this before it is noticed


class IngestError(Exception):
    """Files that could not be read, wholly or in part; what could be read is stored. One line a file."""

    def __init__(self, problems: list[str], result: dict[str, Any]) -> None:
        super().__init__("\n".join(problems))
        self.result = result


def ingest(
    db: Database,
    archive: Path,
    paths: list[Path],
    url: str | None = None,
    progress: Callable[[int], None] = lambda records: None,
) -> dict[str, Any]:
    """Read `paths` into the store; returns counts by outcome. Raises IngestError after all files were tried.

    `url` is the address of a saved page, for somebody who knows it.
    """
    counts: Counter[str] = Counter()
    problems: list[str] = []
    writer = Archive(archive, SOFTWARE)
    for path in paths:
        try:
            with path.open("rb") as file:
                head = file.read(512)
                file.seek(0)
                if is_warc(head):
                    _warc(db, writer, path, file, counts, progress)
                else:
                    counts[_saved_page(db, writer, path, url)] += 1
                    progress(1)
        except (OSError, ArchiveError, sqlite3.Error, UnicodeError, _Broken) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            problems.append(reason if str(path) in reason else f"{path}: {reason}")
    writer.close()
    result = {"outcomes": dict(counts.most_common()), "files": len(paths), "broken": len(problems)}
    if problems:
        raise IngestError(problems, result)
    return result


def is_warc(head: bytes) -> bool:
    """Whether a file that starts with these bytes is a WARC file, compressed or not."""
    return head.startswith((b"WARC/", b"\x1f\x8b"))


WARCIO_FAILS = (ArchiveLoadFailed, EOFError, ValueError, AttributeError, OverflowError, zlib.error)


class _Broken(Exception):
    """A file that ends or breaks off too early."""


def _warc(
    db: Database, archive: Archive, path: Path, file: BinaryIO, counts: Counter[str], progress: Callable[[int], None]
) -> None:
    source = f"warc:{path.name}"
    with write(db):
        save_source(db, source, "archive", None, path.name)
    name = archive.keep(path)
    records = ArchiveIterator(file)
    seen = 0
    try:
        for record in records:
            seen += 1
            if record.rec_type in ("response", "resource"):
                try:
                    counts[_record(db, source, name, records, record)] += 1
                except (ValueError, OverflowError):  # one odd record is no reason to leave the others unread
                    counts["bad-record"] += 1
            progress(1)
        if not seen:
            raise _Broken("holds no WARC record")
    except (
        ArchiveLoadFailed,
        EOFError,
        ValueError,
        AttributeError,
        OverflowError,
        zlib.error,
    ) as error:  # warcio's ways to fail
        raise _Broken(f"breaks off after {seen} records: {' '.join(str(error).split())}") from error


def _record(db: Database, source: str, name: str, records: ArchiveIterator, record: ArcWarcRecord) -> str:
    """Store the page of one record; returns the outcome to count. Raises _Broken when its bytes end too early."""
    http = record.http_headers
    url = record.rec_headers.get_header("WARC-Target-URI") or ""
    date = record.rec_headers.get_header("WARC-Date") or ""
    kind = (http.get_header("Content-Type") if http else record.rec_headers.get_header("Content-Type")) or ""
    if http and http.get_statuscode() != "200":
        return f"http-{http.get_statuscode()}"
    try:
        url, date = clean(url), _seconds(date)
    except ValueError:
        return "no-address-or-date"
    chunked = http is not None and (http.get_header("Transfer-Encoding") or "").lower() == "chunked"
    payload = _read(ChunkedDataReader(record.raw_stream) if chunked else record.raw_stream)
    whole = len(payload) > MAX_BODY or record.raw_stream.limit <= 0  # else bytes are promised that the file has not
    offset, length = records.get_record_offset(), records.get_record_length()  # both read on to the record's end
    if not whole:
        raise _Broken(f"the record at byte {offset} is cut short")
    try:
        capture = Capture(
            url=url,
            fetched_at=date,
            status=200,
            content_type=kind,
            body=_decompress(payload, (http.get_header("Content-Encoding") or "") if http else ""),
            record=Record(name, offset, length, hashlib.sha256(payload).hexdigest()),
        )
        page = read_page(capture)
    except NotAPage as none:
        return none.reason
    with write(db):
        return "stored" if save_page(db, source, page) else "unchanged"


def _seconds(date: str) -> str:
    """A WARC-Date to the second. Raises ValueError for what is none, or lies in the future."""
    read = datetime.fromisoformat(date).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if not date.isascii() or not date.endswith("Z") or read > now():
        raise ValueError(f"no date of a capture: {date!r}")
    return read


def _read(stream: Any, limit: int = MAX_BODY) -> bytes:
    """At most a little more than `limit` bytes: enough to see that it is too much."""
    parts: list[bytes] = []
    size = 0
    while size <= limit and (part := stream.read(BUFFER)):
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def _decompress(payload: bytes, encodings: str) -> bytes:
    """The body without its content encodings, and never much more than MAX_BODY of it."""
    for encoding in reversed([name.strip().lower() for name in encodings.split(",")]):
        if encoding in ("", "identity"):
            continue
        if encoding not in DECOMPRESS:
            raise NotAPage("unknown-encoding", encoding)
        try:
            payload = DECOMPRESS[encoding](payload)
        except (zlib.error, brotli.error, zstd.ZstdError, EOFError) as error:
            raise NotAPage("bad-encoding", f"{encoding}: {error}") from error
    return payload


def _inflate(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(47).decompress(data, MAX_BODY + 1)  # 47: gzip or zlib, whichever it is
    except zlib.error:
        return zlib.decompressobj(-15).decompress(data, MAX_BODY + 1)  # raw deflate, as some servers send it


DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": _inflate,
    "x-gzip": _inflate,
    "deflate": _inflate,
    "br": lambda data: brotli.Decompressor().process(data, output_buffer_limit=MAX_BODY + 1),
    "zstd": lambda data: zstd.ZstdFile(BytesIO(data)).read(MAX_BODY + 1),
}


def _saved_page(db: Database, archive: Archive, path: Path, url: str | None) -> str:
    """A page saved by a browser: its address is `url`, or the one that the browser wrote into it, or the file's own.

    A `canonical` link is not believed: any page may name any other there.
    """
    body = _read(path.open("rb"))
    if len(body) > MAX_BODY:
        raise _Broken(f"too-large: the limit is {MAX_BODY} bytes")
    saved = SAVED_FROM.search(body[:4096])
    if NOT_HTML.match(body):
        raise _Broken("not-text: an archive of another kind; save the page as HTML, or convert it to WARC")
    try:
        address = clean(url or (saved[1].decode("ascii", "replace") if saved else path.resolve().as_uri()))
    except ValueError as error:
        raise _Broken(f"bad address: {error}") from error
    date = now()  # when we saw it; the file's own date proves nothing
    with write(db):
        save_source(db, "files", "file", None, "Saved pages")
    record = archive.resource(address, date, "text/html", body)
    try:
        page = read_page(Capture(address, date, 200, "text/html", body, record))
    except NotAPage as none:
        raise _Broken(str(none)) from none
    with write(db):
        return "stored" if save_page(db, "files", page) else "unchanged"
