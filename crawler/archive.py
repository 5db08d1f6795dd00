"""The archive: WARC 1.1 files of raw answers, below decompression, so that bytes and headers agree.

One file a process and run, never reopened. Each record is in the file and in the chain (`manifest.jsonl`) when the
caller gets it back: a kill -9 leaves at most bytes that no line of the chain knows, which the next Archive seals.
"""

import fcntl
import hashlib
import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from w3lib.url import safe_url_string

from crawler.evidence.cdxj import entry_line, index
from crawler.evidence.manifest import MANIFEST, WHOLE, ArchiveError, Chain, Head, covered, entries, entry, write_at
from crawler.evidence.member import Member, digest, member
from crawler.evidence.sorting import SortedLines
from crawler.page import Record

SOFTWARE = "Fantomes/0.1"  # as user agent, and in the header of every WARC file
MAX_FILE = 1_000_000_000  # bytes; then the next file begins (the size that archives use)
SYNC_EVERY = 5.0  # seconds between two fsync: what a power cut may take; a kill takes nothing that was given back
PART = ".part"  # ends the name of a file that is being written as a whole
NOT_MODIFIED = "http://netpreserve.org/warc/1.1/revisit/server-not-modified"
SAME_PAYLOAD = "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest"
MAX_NAME = 200  # characters of a foreign file's name that are kept, its end: file systems take 255
WRITTEN_LAST = (".cdxj", ".tsr", MANIFEST)  # files that get their name only when the chain knows them, and the chain


def now() -> str:
    """This second in UTC, as WARC-Date and all our tables write it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Archive:
    """Writes records into `folder`; thread-unsafe on purpose, one writer a process, any number of processes."""

    def __init__(self, folder: Path, software: str) -> None:
        self.folder, self.software = folder, software
        self._chain: Chain | None = None
        self._file = -1  # descriptor; locked as long as it is open, so that nobody takes its end for a torn one
        self._name = ""
        self._end = self._part = 0
        self._synced = 0.0
        self._index = SortedLines()  # of the open file

    def response(
        self,
        url: str,
        date: str,
        head: bytes,
        payload: bytes,
        request: bytes | None = None,
        ip_address: str | None = None,
        redacted: str = "",
    ) -> Record:
        """Archive an answer and the request that it answers.

        `head` and `request` are status or request line and header lines, ending in an empty line; they are written
        as given, nothing is escaped. `redacted` says what was taken out of all of them, if anything was.
        """
        extra = {"WARC-IP-Address": ip_address, "WARC-Redacted": redacted}
        return self._exchange(member(url, "response", date, head, payload, extra), request, redacted)

    def revisit(
        self,
        url: str,
        date: str,
        head: bytes,
        payload_sha256: str,
        refers_to_date: str,
        request: bytes | None = None,
        ip_address: str | None = None,
        profile: str = SAME_PAYLOAD,
    ) -> Record:
        """Archive an answer whose payload (SHA-256 in hex) an earlier record of the same address holds.

        `refers_to_date` is that record's date. `profile` is SAME_PAYLOAD, or NOT_MODIFIED for an answer of 304.
        """
        extra = {
            "WARC-Profile": profile,
            "WARC-Refers-To-Target-URI": safe_url_string(url),
            "WARC-Refers-To-Date": refers_to_date,
            "WARC-Payload-Digest": digest(bytes.fromhex(payload_sha256)),
            "WARC-IP-Address": ip_address,
        }
        made = member(url, "revisit", date, head, b"", extra)
        made.payload = payload_sha256
        return self._exchange(made, request)

    def resource(self, url: str, date: str, content_type: str, payload: bytes, of: Record | None = None) -> Record:
        """Archive a saved file, for which no HTTP headers are known; `of` is a record that it was made beside."""
        extra = {"Content-Type": content_type, "WARC-Concurrent-To": of and of.id}
        return self._append([member(url, "resource", date, None, payload, extra)])

    def conversion(self, url: str, date: str, content_type: str, payload: bytes, of: Record) -> Record:
        """Archive something taken out of, or made from, the record `of`: an ad of a list, a page after its scripts."""
        extra = {"Content-Type": content_type, "WARC-Refers-To": of.id}
        return self._append([member(url, "conversion", date, None, payload, extra)])

    def keep(self, path: Path) -> str:
        """Copy a foreign file into the archive, byte for byte, once. Returns its name there."""
        with self._errors(path, "cannot be copied into the archive"):
            chain = self._open_chain()
            sha256 = _file_sha256(path)
            name = f"{sha256[:16]}-{re.sub('[^A-Za-z0-9_.-]', '_', path.name[-MAX_NAME:])}"
            if not (self.folder / name).exists():
                with path.open("rb") as source:
                    self._add_file(chain, "kept", name, iter(lambda: source.read(1 << 20), b""), sha256)
                self._add_index(chain, name)
        return name

    def add(self, kind: str, name: str, data: bytes, **more: str) -> None:
        """Write a whole file that belongs to the archive, a time stamp for instance; `more` goes into its line."""
        with self._errors(self.folder / name):
            self._add_file(self._open_chain(), kind, name, iter([data]), None, **more)

    def head(self) -> Head:
        """The last line of the chain, whoever wrote it."""
        with self._errors(self.folder / MANIFEST):
            return self._open_chain().head()

    def close(self) -> None:
        """Flush to disk, index and close; the archive may be written again afterwards (a new file begins)."""
        chain, self._chain = self._chain, None
        if chain is None:
            return
        with self._errors(self.folder / self._name):
            try:
                if self._file >= 0:
                    self._finish(chain)
                os.fsync(chain.descriptor)
            finally:
                self._leave()
                chain.close()

    def _exchange(self, answer: Member, request: bytes | None, redacted: str = "") -> Record:
        made = [answer]
        if request is not None:
            extra = {"WARC-Concurrent-To": answer.id, "WARC-Redacted": redacted}
            made.append(member(answer.url, "request", answer.date, request, b"", extra))
        return self._append(made)

    def _append(self, made: list[Member]) -> Record:
        """Write records behind each other, then their lines. Returns where the first one lies."""
        with self._errors(self.folder / self._name):
            chain = self._open_file()
            start = offset = self._end
            lines, indexed = [], []
            for one in made:
                sha256 = hashlib.sha256(one.data).hexdigest()
                indexed += entry_line(one.entry(), self._name, offset, len(one.data), sha256)
                more = {"payload": one.payload, "url": one.url, "date": one.date}
                lines.append(entry(one.kind, self._name, offset, len(one.data), sha256, **more))
                offset += len(one.data)
            try:
                write_at(self._file, b"".join(one.data for one in made), start)
                chain.append(lines)
            except BaseException as error:
                with suppress(OSError):
                    if isinstance(error, OSError):  # disk full: the half record is taken back
                        os.ftruncate(self._file, start)
                        if not start:
                            (self.folder / self._name).unlink()
                self._leave()  # after Ctrl-C who knows how far it came; the next Archive seals what has no line
                raise
            self._end = offset
            self._index.add(indexed)
            if time.monotonic() - self._synced > SYNC_EVERY:
                self._sync(chain)
        return Record(self._name, start, len(made[0].data), made[0].payload, made[0].id)

    def _open_file(self) -> Chain:
        chain = self._open_chain()
        if self._file >= 0 and self._end > MAX_FILE:
            self._finish(chain)
        if self._file < 0:
            self._part += 1
            stamp = datetime.now(UTC).strftime("%Y%m%d%H%M%S%f")
            self._name = f"fantomes-{stamp}-{os.getpid()}-{self._part}.warc.gz"
            self._file = _create(chain, self.folder / self._name)
            self._end, self._synced = 0, time.monotonic()
            self._index = SortedLines()
            about = f"software: {self.software}\r\nformat: WARC/1.1\r\n".encode()
            extra = {"WARC-Filename": self._name, "Content-Type": "application/warc-fields"}
            self._append([member("", "warcinfo", now(), None, about, extra)])
        return chain

    def _open_chain(self) -> Chain:
        if self._chain is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._chain = Chain(self.folder)
            self._seal(self._chain)
        return self._chain

    def _seal(self, chain: Chain) -> None:
        """Cover what killed writers left, and index their files. Whatever a living process writes is locked."""
        with chain.lock():  # nobody begins a file meanwhile
            names = {path.name for path in self.folder.iterdir() if path.is_file() and not path.is_symlink()}
            for name in sorted(names):
                if not name.endswith(WRITTEN_LAST) and f"{name}.cdxj" not in names:
                    with suppress(FileNotFoundError, BlockingIOError), (self.folder / name).open("rb") as file:
                        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        self._seal_file(chain, name, os.fstat(file.fileno()).st_size)

    def _seal_file(self, chain: Chain, name: str, size: int) -> None:
        path = self.folder / name
        if not path.exists() or path.with_name(f"{name}.cdxj").exists():
            return  # its writer came to an end just now
        if name.endswith(PART) and (due := self._due(path, size)):
            os.replace(path, path := self.folder / due)  # its writer was killed before it could
            if (name := due).endswith(WRITTEN_LAST):
                return
        end = covered(self.folder, name)
        if end is None or end < size:
            kind = "found" if end is None else "torn"
            chain.append([entry(kind, name, end or 0, size - (end or 0), _file_sha256(path, end or 0))])
        self._add_index(chain, name)

    def _due(self, part: Path, size: int) -> str:
        """The name that the chain has for a file that was written and did not get it; "" for none."""
        sha256 = _file_sha256(part)
        told = (line for _, line in entries(self.folder) if line["kind"] in WHOLE and line["length"] == size)
        names = (line["warc"] for line in told if line["sha256"] == sha256)
        return next((name for name in names if Path(name).name == name and not (self.folder / name).exists()), "")

    def _add_index(self, chain: Chain, name: str, lines: Iterable[str] | None = None) -> None:
        """Write NAME.cdxj. It is there only when all of NAME has its lines in the chain."""
        lines = index(self.folder / name) if lines is None else lines
        self._add_file(chain, "index", f"{name}.cdxj", (f"{line}\n".encode() for line in lines))

    def _add_file(
        self, chain: Chain, kind: str, name: str, parts: Iterator[bytes], expected: str | None = None, **more: str
    ) -> None:
        """Write a whole file; it gets its name when it is on the disk and in the chain."""
        part = self.folder / f"{os.getpid()}-{time.time_ns()}{PART}"
        sha, size = hashlib.sha256(), 0
        try:
            with os.fdopen(_create(chain, part), "wb") as file:
                for data in parts:
                    sha.update(data)
                    size += file.write(data)
                file.flush()
                os.fsync(file.fileno())
                if expected and sha.hexdigest() != expected:
                    raise ArchiveError(f"{name}: changed while it was copied")
                with chain.lock():  # nobody sees the one without the other
                    chain.append([entry(kind, name, 0, size, sha.hexdigest(), **more)])
                    os.replace(part, self.folder / name)
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    def _sync(self, chain: Chain) -> None:
        os.fsync(self._file)
        os.fsync(chain.descriptor)
        self._synced = time.monotonic()

    def _finish(self, chain: Chain) -> None:
        """End the file; who opens the folder next need not look at it."""
        self._sync(chain)
        self._add_index(chain, self._name, self._index)
        self._leave()

    def _leave(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self._index.close()

    @contextmanager
    def _errors(self, path: Path, what: str = "cannot be written") -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ArchiveError(f"{path}: {what}: {error}") from error


def _file_sha256(path: Path, start: int = 0) -> str:
    with path.open("rb") as file:
        file.seek(start)
        return hashlib.file_digest(file, "sha256").hexdigest()


def _create(chain: Chain, path: Path) -> int:
    """A new file, locked before anybody can take it for one that a killed writer left. Returns its descriptor."""
    with chain.lock():
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor
