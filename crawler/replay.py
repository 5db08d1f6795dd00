"""Replay: an answer read back out of the archive, for a server that says "nothing new" and for a mended parser."""

import hashlib
from io import BytesIO
from pathlib import Path

from warcio.archiveiterator import ArchiveIterator
from warcio.bufferedreaders import ChunkedDataReader
from warcio.recordloader import ArcWarcRecord

from crawler.archive import ArchiveError
from crawler.frontier import clean
from crawler.intake.encodings import decompress
from crawler.page import MAX_BODY, Capture, Record


def replay(archive: Path, url: str, fetched_at: str, record: Record) -> Capture:
    """The capture that `record` holds. Raises ArchiveError where it is not there, or is another one."""
    try:
        with (archive / record.warc).open("rb") as file:
            file.seek(record.offset)
            found = next(iter(ArchiveIterator(BytesIO(file.read(record.length)))))
            headers_of = found.http_headers or found.rec_headers
            payload = _payload(found)
            address = clean((found.rec_headers.get_header("WARC-Target-URI") or "").strip("<>"))
    except (OSError, StopIteration, ValueError) as error:
        raise ArchiveError(f"{archive / record.warc}: no record at {record.offset}: {error}") from error
    if address != url or hashlib.sha256(payload).hexdigest() != record.sha256:
        raise ArchiveError(f"{archive / record.warc}: the record at {record.offset} is not the capture of {url}")
    headers = {name.lower(): value for name, value in headers_of.headers}
    body = decompress(payload, headers.get("content-encoding", "") if found.http_headers else "")
    return Capture(url, fetched_at, 200, headers.get("content-type", ""), body, record, headers=headers)


def _payload(record: ArcWarcRecord) -> bytes:
    """The body as sent, without its transfer encoding: what the record's SHA-256 counts."""
    headers = record.http_headers
    chunked = headers is not None and (headers.get_header("Transfer-Encoding") or "").lower() == "chunked"
    stream = ChunkedDataReader(record.raw_stream) if chunked else record.raw_stream
    payload = bytearray()
    while len(payload) <= MAX_BODY and (part := stream.read(65_536)):
        payload += part
    return bytes(payload)
