"""The check of all evidence, offline: chain, files, records, indexes, and what the store says of them.

Nothing here writes. A problem is named with file, offset and address, and never ends the check.
"""

import fcntl
import hashlib
import json
import os
import re
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, BinaryIO

from sqlite_utils import Database

from crawler.evidence.cdxj import Entry, entry_line, index, read_entry
from crawler.evidence.manifest import FIRST, MANIFEST, WHOLE, read_line
from crawler.evidence.stamp import StampError, check_stamp
from crawler.evidence.stored import Report, Stored
from crawler.intake.records import MAX_RECORD, WarcError, records

NOTED = {
    "torn": "were left by a killed writer; they are sealed",
    "found": "were there before the chain knew the file; they are taken in as they stood",
}
BLOCK = 1 << 20  # bytes hashed at a time
HASH = re.compile(rb'"hash":"([0-9a-f]{64})"')
MAX_LINE = 1 << 24  # bytes of a line of the chain; addresses are the longest thing in it


def verify(
    archive: Path,
    db: Database | None = None,
    progress: Callable[[int], None] = lambda bytes_: None,
    root: bytes | None = None,
    quick: bool = False,
) -> Report:
    """Check the archive folder, and the store's rows against it. `progress` is called with bytes read.

    `root` is the certificate (PEM) that time stamps must lead back to; without it their signatures are not checked.
    `quick` takes records whose bytes are what the chain says for what was written, and reads only those that pages lead
    to: still no byte is altered unseen, but a chain written anew by somebody careless may pass.
    """
    report = Report()
    stored = Stored(db, report)
    check = _Check(archive, report, stored, progress, root, quick)
    with check.quiet():  # folder and chain at one moment, in which nobody begins or names a file
        names, size = check.present(), check.size()
    check.chain(size)
    for name in sorted(names | set(check.places)):
        check.file(name)
    check.stamps()
    stored.check_rest()
    return report


class _Check:
    """One pass over an archive folder."""

    def __init__(
        self,
        archive: Path,
        report: Report,
        stored: Stored,
        progress: Callable[[int], None],
        root: bytes | None,
        quick: bool,
    ) -> None:
        self.archive, self.report, self.stored, self.progress, self.root = archive, report, stored, progress, root
        self.quick = quick
        self.places: dict[str, array[int]] = defaultdict(lambda: array("Q"))  # file -> where its lines are in the chain
        self.stamped: dict[str, str] = {}  # hash of the line that is stamped -> file of the stamp
        self.indexes: dict[str, str] = {}  # sidecar -> SHA-256 of the index as it should be
        self.living: set[str] = set()  # files that a process was writing when we began

    def present(self) -> set[str]:
        """The names in the folder."""
        try:
            found = {path.name: path.is_file() and not path.is_symlink() for path in self.archive.iterdir()}
        except OSError as error:
            self.report.add(f"cannot be read: {error.strerror}", str(self.archive))
            return set()
        for name in sorted(name for name, plain in found.items() if not plain):
            self.report.add("is no plain file: nothing of the kind belongs here", name)
        names = {name for name, plain in found.items() if plain and name != MANIFEST}
        self.living = {name for name in names if _is_locked(self.archive / name)}
        return names

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """While no crawler can append to the chain."""
        try:
            file = (self.archive / MANIFEST).open("rb")
        except OSError:  # will be told when it is read
            yield
            return
        with file:
            fcntl.flock(file, fcntl.LOCK_SH)
            yield

    def size(self) -> int:
        path = self.archive / MANIFEST
        return path.stat().st_size if path.exists() else 0

    def chain(self, size: int) -> None:
        """Read `size` bytes of the chain: each line canonical, its hash right, and following the one before."""
        seq, hash_, place = -1, FIRST, 0
        try:
            with (self.archive / MANIFEST).open("rb") as file:
                while place < size and (data := file.readline(MAX_LINE)):
                    try:
                        fields = read_line(data)
                    except ValueError as error:
                        self.report.add(f"line {seq + 2} is broken: {error}", MANIFEST, place)
                    else:
                        if fields["seq"] != seq + 1:
                            self.report.add(f"line {fields['seq']} follows line {seq}", MANIFEST, place, fields["url"])
                        elif fields["prev"] != hash_:
                            self.report.add("does not follow the line before", MANIFEST, place, fields["url"])
                        seq, hash_ = fields["seq"], fields["hash"]
                        self._remember(fields, place)
                    place += len(data)
        except OSError as error:
            self.report.add(f"cannot be read: {error.strerror}", MANIFEST)
        self.report.head = hash_
        self.report.counts["lines"] = seq + 1
        self.progress(place)
        for missing, (old, seen_at) in self.stored.heads.items():
            self.report.add(
                f"the chain was cut off or written anew: its line {old}, seen on {seen_at}, is gone ({missing})",
                MANIFEST,
            )

    def _remember(self, fields: dict[str, Any], place: int) -> None:
        self.stored.heads.pop(fields["hash"], None)
        name = fields["warc"]
        if fields["kind"] in NOTED:
            what = f"{fields['length']} bytes from byte {fields['offset']} on {NOTED[fields['kind']]}"
            self.report.notes.append(f"{name}: {what}")
        if name != MANIFEST:
            self.places[name].append(place)
        elif hashlib.sha256(bytes.fromhex(fields.get("hex", ""))).hexdigest() != fields["sha256"]:
            self.report.add("the half line that was sealed here is another one", MANIFEST, place)

    def file(self, name: str) -> None:
        """Check that the chain covers the file to the last byte, that its bytes are what the chain says, and records
        what they say of themselves."""
        before, end = len(self.report.problems), 0
        places = self.places.get(name)
        if Path(name).name != name:
            return self.report.add("no name of a file in this folder", name)
        try:
            with (self.archive / name).open("rb") as file:
                if places is None and name not in self.living:
                    self.report.add("no line of the chain knows this file", name)
                lines: list[str] = []
                for fields in self._lines(places or array("Q")):
                    if fields["offset"] == 0 and end == fields["length"] and fields["kind"] in WHOLE:
                        end = 0  # two processes have kept the same file: both lines must hold
                    if fields["offset"] != end:
                        what = "is told of twice" if fields["offset"] < end else "has no line in the chain"
                        here, there = sorted((end, fields["offset"]))
                        self.report.add(f"what stands from here to byte {there} {what}", name, here, fields["url"])
                    end = fields["offset"] + fields["length"]
                    lines += self._bytes(file, fields)
                self._end(name, os.fstat(file.fileno()).st_size, end)
                self._kept_pages(file, name)
        except (OSError, ValueError) as error:  # ValueError: the chain gives a name that no file can have
            if places is not None:
                gone = isinstance(error, FileNotFoundError)
                self.report.add("is missing" if gone else f"cannot be read: {error}", name)
            return None
        self.report.counts["files"] += 1
        sidecar = f"{name}.cdxj"
        if sidecar in self.places and not self.quick and len(self.report.problems) == before:
            if any(fields["kind"] in (*WHOLE, "torn") for fields in self._lines(places or array("Q"))):
                lines = index(self.archive / name)
            text = "".join(f"{line}\n" for line in sorted(lines))
            self.indexes[sidecar] = hashlib.sha256(text.encode()).hexdigest()
        return None

    def _end(self, name: str, size: int, end: int) -> None:
        if size < end:
            self.report.add(f"is cut short: {size} of {end} bytes are left", name, size)
        elif size > end and name in self.living:
            self.report.notes.append(f"{name}: a process is writing it; what it adds will be checked next time")
        elif size > end:
            self.report.add(
                f"{size - end} bytes from here have no line in the chain: a writer was killed (then the next crawl or"
                " ingest seals them), or somebody added them",
                name,
                end,
            )

    def _bytes(self, file: BinaryIO, fields: dict[str, Any]) -> list[str]:
        """Check the bytes that a line tells of; returns the line of the index that they call for."""
        name, kind, offset, length = fields["warc"], fields["kind"], fields["offset"], fields["length"]
        file.seek(offset)
        if kind in WHOLE or kind == "torn":
            sha256, left, raw = hashlib.sha256(), length, b""
            while data := file.read(min(BLOCK, left)):
                sha256.update(data)
                left -= len(data)
        else:
            raw = file.read(min(length, os.fstat(file.fileno()).st_size))
            sha256 = hashlib.sha256(raw)
        self.progress(length)
        self.report.counts["bytes"] += length
        if sha256.hexdigest() != fields["sha256"]:
            self.report.add(f"the {length} bytes of this {kind} were altered", name, offset, fields["url"])
        elif kind == "index" and self.indexes.get(name, fields["sha256"]) != fields["sha256"]:
            self.report.add("this is not the index of its file", name)
        elif kind == "stamp":
            self._stamp(file, fields)
        elif raw:
            self.report.counts["records"] += 1
            if not self.quick or self.stored.has(name, offset):
                return self._record(raw, fields)
        return []

    def _record(self, raw: bytes, fields: dict[str, Any]) -> list[str]:
        name, offset, length = fields["warc"], fields["offset"], fields["length"]
        entry = _entry(raw)
        if entry is None:
            self.report.add("no WARC record can be read here", name, offset, fields["url"])
        elif entry.broken:
            self.report.add(f"{entry.broken} does not hold", name, offset, entry.url)
        else:
            for key in ("kind", "url", "date", "payload"):
                if getattr(entry, key) != fields[key]:
                    what = f"the record's {key} is {getattr(entry, key)!r}, the chain says {fields[key]!r}"
                    self.report.add(what, name, offset, entry.url)
        self.stored.compare(name, offset, length, entry, raw)
        return entry_line(entry, name, offset, length, fields["sha256"]) if entry else []

    def _kept_pages(self, file: BinaryIO, name: str) -> None:
        """Check the records of a foreign file that pages lead to, and of any file those where no record begins."""
        size = os.fstat(file.fileno()).st_size
        for offset, length in self.stored.wanted(name):
            raw = b""
            if offset >= 0 and 0 < length <= min(size - offset, 2 * MAX_RECORD):
                file.seek(offset)
                raw = file.read(length)
            self.stored.compare(name, offset, length, _entry(raw), raw)

    def _stamp(self, file: BinaryIO, fields: dict[str, Any]) -> None:
        name = fields["warc"]
        self.stamped[fields["payload"]] = name
        try:
            file.seek(0)
            time = check_stamp(file.read(MAX_LINE), fields["payload"], self.root)
        except StampError as error:
            return self.report.add(str(error), name, url=fields["url"])
        signed = "" if self.root else "; its signature was not checked: give the service's root certificate"
        self.report.notes.append(f"{name}: {fields['url']} saw line {fields['payload'][:16]} on {time}{signed}")
        return None

    def stamps(self) -> None:
        """Check that what was stamped is in the chain."""
        if self.stamped:
            with (self.archive / MANIFEST).open("rb") as file:
                for data in file:
                    if found := HASH.search(data):
                        self.stamped.pop(found[1].decode(), None)
        for hash_, name in self.stamped.items():
            self.report.add(f"the line that is stamped here is not in the chain ({hash_})", name)

    def _lines(self, places: "array[int]") -> Iterator[dict[str, Any]]:
        """The fields of the lines that begin at `places` of the chain."""
        if places:
            with (self.archive / MANIFEST).open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as chain:
                for place in places:
                    yield json.loads(chain[place : chain.find(b"\n", place)])


def _entry(raw: bytes) -> Entry | None:
    """The one record that these bytes are; None where they are something else."""
    try:
        (found,) = records(BytesIO(raw))
    except (WarcError, ValueError):
        return None
    return read_entry(found.record) if found.whole else None


def _is_locked(path: Path) -> bool:
    """Whether a process has the file open to write it."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False
