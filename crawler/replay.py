"""Replay: an answer read back out of the archive, for a server that says "nothing new" and for a mended parser."""

from io import BytesIO
from pathlib import Path

from warcio.archiveiterator import ArchiveIterator

from crawler.archive import ArchiveError
from crawler.page import MAX_BODY, Capture, Record


def replay(archive: Path, url: str, fetched_at: str, record: Record) -> Capture:
    """The capture that `record` holds. Raises ArchiveError where it is not there, or is another one."""
    try:
        with (archive / record.warc).open("rb") as file:
            file.seek(record.offset)
            found = next(iter(ArchiveIterator(BytesIO(file.read(record.length)))))
            body = found.content_stream().read(MAX_BODY + 1)
    except (OSError, StopIteration, ValueError) as error:
        raise ArchiveError(f"{archive / record.warc}: no record at {record.offset}: {error}") from error
    head = found.http_headers.headers if found.http_headers else found.rec_headers.headers
    headers = {name.lower(): value for name, value in head}
    return Capture(url, fetched_at, 200, headers.get("content-type", ""), body, record, headers=headers)
