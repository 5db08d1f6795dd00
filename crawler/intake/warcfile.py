"""WARC files that others made: from their records to captures, without store or network."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from fastwarc.warc import HeaderMap, WarcRecord

from crawler.archive import now
from crawler.evidence.cdxj import is_http, message
from crawler.frontier import clean
from crawler.intake.encodings import decompress
from crawler.intake.records import Raw, records
from crawler.page import Capture, NotAPage, Record

ONCE = ("WARC-Type", "WARC-Target-URI", "WARC-Date", "Content-Type")  # twice: readers would not agree which
COUNTED = ("revisit", "conversion", "continuation")  # other captures than whole answers


def captures(path: str | Path, name: str) -> Iterator[Capture | str]:
    """The captures of a WARC file, a path or any address that fsspec knows; a word to count by for what gives none.

    `name` is what the captures' records call the file: its name in the archive. Raises OSError for a file that cannot
    be read, WarcError (crawler.intake.records) where it breaks off; what stands before has been given by then.
    """
    with _open(path) as file:
        for raw in records(file):
            kind = raw.record.headers.get("WARC-Type") or ""
            if any(len(raw.record.headers.get_multiple(name)) > 1 for name in ONCE):
                yield "bad-record"
            elif kind in ("response", "resource"):
                yield read_capture(name, kind, raw)
            elif kind in COUNTED:
                yield kind


def _open(path: str | Path) -> BinaryIO:
    if "://" not in str(path):
        return Path(path).open("rb")
    import fsspec  # comes with the extra `cluster`

    return fsspec.open(str(path), "rb").open()


def read_capture(name: str, kind: str, raw: Raw) -> Capture | str:
    """The capture of one record of the file `name`; a word to count by for what gives none."""
    headers = raw.record.headers
    url, http = (headers.get("WARC-Target-URI") or "").strip("<>"), None
    payload = raw.record.reader.read()
    try:
        if is_http(kind, url, _header(headers, "Content-Type")):
            head, payload = message(payload)
            http = _http(head)
            if http is None or http.status_code is None:
                return "bad-record"
            if http.status_code != 200:
                return f"http-{http.status_code}"
        fetched_at = _seconds(headers.get("WARC-Date") or "")
        url = clean(url)
    except OSError:  # fastwarc's word for headers that are none, or too long
        return "bad-record"
    except (ValueError, OverflowError):
        return "no-address-or-date"
    if not raw.whole:
        return "too-large"
    try:
        body = decompress(payload, _header(http, "Content-Encoding"))
    except NotAPage as none:
        return none.reason
    return Capture(
        url=url,
        fetched_at=fetched_at,
        status=200,
        content_type=_header(http or headers, "Content-Type"),
        body=body,
        record=Record(name, raw.offset, raw.length, hashlib.sha256(payload).hexdigest()),
        headers={key.lower(): value for key, value in http.to_tuples()} if http else {},
    )


def _http(head: bytes) -> HeaderMap | None:
    """Status and headers of an HTTP answer. Raises OSError."""
    record = WarcRecord()
    record.set_bytes_content(head)
    record.is_http = True
    record.parse_http(quirks_mode=True)
    return record.http_headers


def _header(headers: HeaderMap | None, name: str) -> str:
    """All values of a header, as one."""
    return ", ".join(headers.get_multiple(name)) if headers is not None else ""


def _seconds(date: str) -> str:
    """A WARC-Date to the second. Raises ValueError for what is none, or lies in the future."""
    read = datetime.fromisoformat(date).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if not date.isascii() or not date.endswith("Z") or read > now():
        raise ValueError(f"no date of a capture: {date!r}")
    return read
