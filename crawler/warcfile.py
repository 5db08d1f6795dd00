"""WARC files that others made: from their records to captures, without store or network."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from fastwarc.warc import HeaderMap
from warcio.bufferedreaders import ChunkedDataReader

from crawler.archive import now
from crawler.encodings import decompress
from crawler.frontier import clean
from crawler.page import Capture, NotAPage, Record
from crawler.records import Raw, records

COUNTED = ("revisit", "conversion", "continuation")  # other captures than whole answers


def captures(path: str | Path, name: str) -> Iterator[Capture | str]:
    """The captures of a WARC file, a path or any address that fsspec knows; a word to count by for what gives none.

    `name` is what the captures' records call the file: its name in the archive. Raises OSError for a file that cannot
    be read, WarcError (crawler.records) where it breaks off; what stands before has been given by then.
    """
    with _open(path) as file:
        for raw in records(file):
            kind = raw.record.headers.get("WARC-Type") or ""
            if kind in ("response", "resource"):
                yield _capture(name, kind, raw)
            elif kind in COUNTED:
                yield kind


def _open(path: str | Path) -> BinaryIO:
    if "://" not in str(path):
        return Path(path).open("rb")
    import fsspec  # comes with the extra `cluster`

    return fsspec.open(str(path), "rb").open()


def _capture(name: str, kind: str, raw: Raw) -> Capture | str:
    headers = raw.record.headers
    url, http = (headers.get("WARC-Target-URI") or "").strip("<>"), None  # as old wgets write it
    try:
        if kind == "response" and url[:4].lower() == "http":
            raw.record.is_http = True  # some writers leave out the Content-Type that says so
            raw.record.parse_http(quirks_mode=True)
            http = raw.record.http_headers
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
    payload = raw.record.reader.read()
    if _header(http, "Transfer-Encoding").lower() == "chunked":
        payload = b"".join(iter(ChunkedDataReader(BytesIO(payload)).read, b""))  # as it is where it is not chunked
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


def _header(headers: HeaderMap | None, name: str) -> str:
    """All values of a header, as one."""
    return ", ".join(headers.get_multiple(name)) if headers is not None else ""


def _seconds(date: str) -> str:
    """A WARC-Date to the second. Raises ValueError for what is none, or lies in the future."""
    read = datetime.fromisoformat(date).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if not date.isascii() or not date.endswith("Z") or read > now():
        raise ValueError(f"no date of a capture: {date!r}")
    return read
