"""The bytes that prove a page: one WARC record out of the archive, and the check that it is the right one."""

import hashlib
import io
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from warcio.archiveiterator import ArchiveIterator
from warcio.bufferedreaders import ChunkedDataReader
from warcio.exceptions import ArchiveLoadFailed

from catalog.errors import CatalogError


def read_member(archive: Path, name: str, offset: int, length: int) -> bytes:
    """The raw gzip member of one record, `length` bytes at `offset` of the file `name` below `archive`.

    Raises CatalogError when the file is absent, too short, or not below `archive`.
    """
    path = (archive / name).resolve()
    if not path.is_relative_to(archive.resolve()):
        raise CatalogError(f"{name}: not below the archive folder {archive}")
    try:
        with path.open("rb") as file:
            file.seek(offset)
            member = file.read(length)
    except OSError as error:
        raise CatalogError(f"{path}: cannot read the archive: {error.strerror or error}") from error
    if not member or len(member) != length:
        raise CatalogError(f"{path}: no record of {length} bytes at {offset}")
    return member


def check_member(member: bytes, url: str, sha256: str, fetched_at: str) -> None:
    """Check that the record is of `url`'s host and of that time, and that its payload has the hash of the page's row.

    The payload is the body after removing the transfer encoding and before removing the content encoding, as WARC
    payload digests are counted. Raises CatalogError.
    """
    try:
        record = next(iter(ArchiveIterator(io.BytesIO(member))), None)
        if record is None or record.rec_type not in ("response", "resource", "conversion"):
            raise CatalogError("the bytes are no WARC response")
        found = hashlib.sha256(_payload(record)).hexdigest()
        address = record.rec_headers.get_header("WARC-Target-URI") or ""
        date = datetime.fromisoformat(record.rec_headers.get_header("WARC-Date") or "").astimezone(UTC)
    except (ArchiveLoadFailed, EOFError, OSError, ValueError) as error:
        raise CatalogError("the bytes are no whole WARC record") from error
    if found != sha256:
        raise CatalogError(f"the archived payload has SHA-256 {found}, the page says {sha256}")
    if urlsplit(address.strip("<>")).hostname != urlsplit(url).hostname:
        raise CatalogError(f"the archived record is of {address}, the page of {url}")
    made = 3600 if record.rec_type == "conversion" else 0  # seconds: what was made from an answer came after it
    if not 0 <= (date - datetime.fromisoformat(fetched_at)).total_seconds() < made + 1:
        raise CatalogError(f"the archived record is of {date:%Y-%m-%d %H:%M:%S}, the page says {fetched_at}")


def hash_program(member: bytes) -> str:
    """A Python program of one line that prints the payload's SHA-256 of the record file named as its argument."""
    record = next(iter(ArchiveIterator(io.BytesIO(member))))
    payload = "warcio.bufferedreaders.ChunkedDataReader(r.raw_stream)" if _chunked(record) else "r.raw_stream"
    return (
        "import sys,hashlib,warcio; r=next(iter(warcio.ArchiveIterator(open(sys.argv[1],'rb')))); "
        f"print(hashlib.sha256({payload}.read()).hexdigest())"
    )


def _chunked(record: object) -> bool:
    headers = record.http_headers  # type: ignore[attr-defined]
    return headers is not None and (headers.get_header("transfer-encoding") or "").strip().lower() == "chunked"


def _payload(record: object) -> bytes:
    stream = record.raw_stream  # type: ignore[attr-defined]
    # warcio's own content_stream() would remove the content encoding too
    return ChunkedDataReader(stream, decomp_type=None).read() if _chunked(record) else stream.read()
