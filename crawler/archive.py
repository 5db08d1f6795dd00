"""The archive: WARC 1.1 files of raw answers, below decompression, so that bytes and headers agree.

One file a process and run, opened on the first write and never reopened: a kill in the middle of a record spoils the
end of that file alone, and every offset already given out stays good.
"""

import base64
import hashlib
import os
import shutil
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from w3lib.url import safe_url_string
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from crawler.page import Record

MAX_FILE = 1_000_000_000  # bytes; then the next file begins (the size that archives use)


class ArchiveError(Exception):
    """The archive cannot be written or read; the message names the file."""


def now() -> str:
    """This second in UTC, as WARC-Date and all our tables write it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Archive:
    """Writes records into `folder`; thread-unsafe on purpose, one writer a process."""

    def __init__(self, folder: Path, software: str) -> None:
        self.folder, self.software = folder, software
        self._file: BinaryIO | None = None
        self._name = ""
        self._part = 0

    def response(
        self,
        url: str,
        date: str,
        head: bytes,
        payload: bytes,
        request: bytes | None = None,
        ip_address: str | None = None,
    ) -> Record:
        """Archive an answer and the request that it answers.

        `head` and `request` are status or request line and header lines, ending in an empty line; they are written
        as given, nothing is escaped.
        """
        extra = {"WARC-IP-Address": ip_address} if ip_address else {}
        record = self._write(url, "response", date, head, payload, extra)
        if request is not None:
            self._write(url, "request", date, request, b"", {"WARC-Concurrent-To": record.id})
        return record

    def resource(self, url: str, date: str, content_type: str, payload: bytes) -> Record:
        """Archive a saved file, for which no HTTP headers are known."""
        return self._write(url, "resource", date, None, payload, {"Content-Type": content_type})

    def conversion(self, url: str, date: str, content_type: str, payload: bytes, of: Record) -> Record:
        """Archive something taken out of, or made from, the record `of`: an ad of a list, a page after its scripts."""
        extra = {"Content-Type": content_type, "WARC-Refers-To": of.id}
        return self._write(url, "conversion", date, None, payload, extra)

    def keep(self, path: Path) -> str:
        """Copy a foreign WARC file into the archive, byte for byte, once. Returns its name there."""
        sha = hashlib.sha256()
        try:
            with path.open("rb") as source:
                while chunk := source.read(1 << 20):
                    sha.update(chunk)
            name = f"{sha.hexdigest()[:16]}-{path.name}"
            target = self.folder / name
            if not target.exists():
                self.folder.mkdir(parents=True, exist_ok=True)
                part = target.with_name(name + ".part")
                shutil.copyfile(path, part)
                os.replace(part, target)
        except OSError as error:
            raise ArchiveError(f"{path}: cannot be copied into the archive: {error}") from error
        return name

    def close(self) -> None:
        """Flush to disk and close; the archive may be written again afterwards (a new file begins)."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None

    def _write(
        self, url: str, kind: str, date: str, head: bytes | None, payload: bytes, extra: dict[str, str]
    ) -> Record:
        sha = hashlib.sha256(payload)
        http = _AsSent(head) if head is not None else None
        digest = "sha256:" + base64.b32encode(sha.digest()).decode()
        try:
            file = self._open()
            writer = WARCWriter(file, gzip=True, warc_version="WARC/1.1")
            record = writer.create_warc_record(
                safe_url_string(url),
                kind,
                payload=BytesIO(payload),
                length=len(payload),
                warc_headers_dict={"WARC-Date": date, "WARC-Payload-Digest": digest, **extra},
                http_headers=http,
            )
            offset = file.tell()
            writer.write_record(record)
            file.flush()
            end = file.tell()
        except OSError as error:
            raise ArchiveError(f"{self.folder / self._name}: cannot be written: {error}") from error
        record_id = record.rec_headers.get_header("WARC-Record-ID")
        return Record(self._name, offset, end - offset, sha.hexdigest(), record_id)

    def _open(self) -> BinaryIO:
        if self._file is not None and self._file.tell() > MAX_FILE:
            self.close()
        if self._file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._part += 1
            stamp = datetime.now(UTC).strftime("%Y%m%d%H%M%S%f")
            self._name = f"fantomes-{stamp}-{os.getpid()}-{self._part}.warc.gz"
            self._file = (self.folder / self._name).open("xb")
            writer = WARCWriter(self._file, gzip=True, warc_version="WARC/1.1")
            writer.write_record(
                writer.create_warcinfo_record(self._name, {"software": self.software, "format": "WARC/1.1"})
            )
        return self._file


class _AsSent(StatusAndHeaders):
    """HTTP head that is written as it is given; warcio's own would escape what is not ASCII."""

    def __init__(self, head: bytes) -> None:
        super().__init__("as sent", [])
        self._head = head

    def compute_headers_buffer(self, header_filter: object = None) -> None:
        self.headers_buff = self._head
