"""Common Crawl: what a page said before we existed, out of its index of captures and its WARC files.

The index is asked for the captures of a domain or a page; the records of the first and the last capture of each address
are read by range, checked against the index, and kept as they are.
"""

import base64
import hashlib
import re
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urljoin, urlsplit

from sqlite_utils import Database
from warcio.warcwriter import WARCWriter

from crawler.archive import SOFTWARE
from crawler.frontier import clean
from crawler.intake.cdx import Entry, search
from crawler.intake.client import Client, ClientError
from crawler.intake.ingest import ingest
from crawler.intake.records import MAX_RECORD, Raw, WarcError, records
from data.problem import Problem

INDEX = "https://index.commoncrawl.org/"
DATA = "https://data.commoncrawl.org/"
MOST = 200  # captures fetched at a time, unless the user wants more
MAX_BYTES = 500_000_000  # of records in one run


class CommonCrawlError(Problem):
    """A question that Common Crawl could not be asked, or did not answer; the message says which."""


def commoncrawl(
    db: Database,
    archive: Path,
    what: str,
    contact: str | None,
    index: str = INDEX,
    data: str = DATA,
    most: int = MOST,
    progress: Callable[[int], None] = lambda captures: None,
) -> dict[str, Any]:
    """Bring the first and the last capture of each address of a domain (or of one address) into the store.

    `most` is how many captures are fetched at most: of the addresses with the shortest paths. Captures that the store
    has are not fetched again. Returns counts and warnings, one line each. Raises CommonCrawlError, and IngestError.
    """
    if not contact:
        raise CommonCrawlError("say who asks: set FANTOMES_CONTACT (or --contact) to an e-mail address or a page")
    client = Client(f"{SOFTWARE} (reads public pages for a catalogue of claims; {contact})", (index, data))
    warnings: list[str] = []
    try:
        found = search(client, what, index, warnings)
        wanted = [entry for entry in chosen(found) if not _held(db, entry)]
        if len(wanted) > most:
            warnings.append(f"{what}: {len(wanted) - most} more captures were left out, the limit is {most}")
        with tempfile.TemporaryDirectory() as folder:
            name = re.sub(r"[^\w.-]", "_", what)[:60]
            path = Path(folder, f"commoncrawl-{datetime.now(UTC):%Y%m%d%H%M%S}-{name}.warc.gz")
            with path.open("wb") as file:
                fetched = _fetch(client, wanted[:most], data, file, warnings, progress)
            result = ingest(db, archive, [path]) if fetched else {"outcomes": {}, "warnings": []}
    except ClientError as error:
        raise CommonCrawlError(str(error)) from error
    finally:
        client.close()
    return {
        "captures": sum(len(entries) for entries in found.values()),
        "fetched": fetched,
        "outcomes": result["outcomes"],
        "warnings": warnings + result["warnings"],
    }


def chosen(found: dict[str, list[Entry]]) -> list[Entry]:
    """The first capture of each address, then the last of each; short paths first, as they say most of a seller."""
    order = sorted(found, key=lambda url: (urlsplit(url).path.count("/"), len(url), url))
    firsts = [min(found[url], key=lambda entry: entry.date) for url in order]
    lasts = [max(found[url], key=lambda entry: entry.date) for url in order]
    return list(dict.fromkeys(firsts + lasts))


def _held(db: Database, entry: Entry) -> bool:
    query = "SELECT 1 FROM pages WHERE url = ? AND fetched_at = ?"
    return db.execute(query, [entry.url, entry.date]).fetchone() is not None


def _fetch(
    client: Client,
    entries: list[Entry],
    data: str,
    file: BinaryIO,
    warnings: list[str],
    progress: Callable[[int], None],
) -> int:
    """Write the records of `entries` to `file` as they are, each with a note where it is from. Returns how many."""
    writer = WARCWriter(file, gzip=True, warc_version="WARC/1.1")
    writer.write_record(writer.create_warcinfo_record(None, {"software": SOFTWARE, "format": "WARC/1.1"}))
    fetched = size = 0
    for entry in entries:
        address = urljoin(data.rstrip("/") + "/", entry.filename)
        last = entry.offset + entry.length - 1
        size += entry.length if entry.length <= MAX_RECORD else 0
        try:
            if entry.length > MAX_RECORD or size > MAX_BYTES:
                raise WarcError(f"{entry.length} bytes are too much, of {MAX_RECORD} a record and {MAX_BYTES} in all")
            if urlsplit(address).netloc != urlsplit(data).netloc:
                raise WarcError("leads to another server")
            answer = client.get(address, entry.length, headers={"Range": f"bytes={entry.offset}-{last}"})
            if answer.status != 206 or not answer.headers.get("content-range", "").startswith(
                f"bytes {entry.offset}-{last}/"
            ):
                raise WarcError(f"status {answer.status}, and not the bytes asked for")
            record = _checked(answer.body, entry)
        except ClientError as error:
            warnings.append(str(error))
        except WarcError as error:
            warnings.append(f"{address}: the record at byte {entry.offset}: {error}")
        else:
            fetched += 1
            file.write(answer.body)
            _note(writer, record, f"source: {address}\r\noffset: {entry.offset}\r\nlength: {entry.length}\r\n")
        progress(1)
    return fetched


def _checked(member: bytes, entry: Entry) -> Raw:
    """The one record that `member` is, if it is the capture that the index speaks of. Raises WarcError."""
    first, *more = records(BytesIO(member))
    headers = first.record.headers
    if more or not member.startswith(b"\x1f\x8b") or headers.get("WARC-Type") != "response":
        raise WarcError("not one response in one gzip member")
    try:
        same = clean(headers.get("WARC-Target-URI") or "") == entry.url
        first.record.parse_http(quirks_mode=True)
    except (ValueError, OSError) as error:
        raise WarcError(str(error)) from error
    if not same or (headers.get("WARC-Date") or "")[:19] != entry.date[:19]:
        raise WarcError("another capture than the index says")
    digest = base64.b32encode(hashlib.sha1(first.record.reader.read(), usedforsecurity=False).digest()).decode()
    if digest != entry.digest:
        raise WarcError(f"the payload has the digest {digest}, the index says {entry.digest[:80]}")
    return first


def _note(writer: WARCWriter, of: Raw, text: str) -> None:
    """Where the record came from, for whoever wants to read it there."""
    headers = of.record.headers
    writer.write_record(
        writer.create_warc_record(
            headers.get("WARC-Target-URI"),
            "metadata",
            payload=BytesIO(text.encode()),
            warc_content_type="application/warc-fields",
            warc_headers_dict={"WARC-Refers-To": headers.get("WARC-Record-ID") or ""},
        )
    )
