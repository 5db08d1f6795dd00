"""The chain: `manifest.jsonl` in the archive folder, a line a record, each with the hash of the line before.

Whoever keeps one hash (the head) can tell later whether a record was altered, removed or slipped in. A line is
canonical JSON (keys sorted, no spaces, ASCII): what is written twice is the same bytes. Processes append under flock.
"""

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from data.problem import Problem

MANIFEST = "manifest.jsonl"
WHOLE = ("kept", "found", "index", "stamp")  # kinds of line that speak of a whole file, not of one record
FIRST = "0" * 64  # what stands for the hash of the line before the first
KEYS = frozenset("seq prev warc offset length sha256 payload kind url date hash".split())
NUMBERS = frozenset("seq offset length".split())  # the others are texts
LARGEST = 1 << 62  # bytes: no file is as large
# keys in the order of canonical JSON
NAMED = re.compile(rb'"length":(\d+),"offset":(\d+),.*"warc":("(?:[^"\\]|\\.)*")\}\n$')


class ArchiveError(Problem):
    """The archive cannot be written or read; the message names the file."""


class Head(NamedTuple):
    """The last line of a chain; seq -1 is a chain without lines."""

    seq: int = -1
    hash: str = FIRST


def entry(kind: str, warc: str, offset: int, length: int, sha256: str, **more: str) -> dict[str, Any]:
    """The fields of a line before it has its place: `sha256` is of the `length` bytes at `offset` of the file `warc`;
    `more` may give the payload's SHA-256 (`payload`), `url` and `date` of a record."""
    fields = {"kind": kind, "warc": warc, "offset": offset, "length": length, "sha256": sha256}
    return fields | {"payload": "", "url": "", "date": ""} | more


def line(fields: dict[str, Any], head: Head) -> tuple[bytes, Head]:
    """The line of `fields` that follows `head`, and the head that it makes."""
    fields = {**fields, "seq": head.seq + 1, "prev": head.hash}
    fields["hash"] = hashlib.sha256(_canonical(fields)).hexdigest()
    return _canonical(fields) + b"\n", Head(fields["seq"], fields["hash"])


def read_line(data: bytes) -> dict[str, Any]:
    """The fields of one line. Raises ValueError where it is no line of a chain, or its hash does not hold."""
    try:
        fields = json.loads(data)
    except RecursionError as error:
        raise ValueError("this is not a flat object") from error
    if not isinstance(fields, dict) or set(fields) - {"hex"} != KEYS:
        raise ValueError("these are not the fields of a line")
    for name, value in fields.items():
        if type(value) is not (kind := int if name in NUMBERS else str):
            raise ValueError(f"{name} {value!r} is no {kind.__name__}")
    if not 0 <= min(fields["offset"], fields["length"]) <= fields["offset"] + fields["length"] < LARGEST:
        raise ValueError("its place is none")
    bytes.fromhex(fields.get("hex", ""))
    if _canonical(fields) + b"\n" != data:
        raise ValueError("this is not canonical JSON")
    named = f'"hash":"{fields["hash"]}",'.encode()  # stands once: within a value the quotes would be escaped
    if hashlib.sha256(data[:-1].replace(named, b"", 1)).hexdigest() != fields["hash"]:
        raise ValueError("its hash does not hold")
    return fields


def entries(folder: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Each whole line of the chain of `folder` as it stands in the file, and its fields. Raises ArchiveError."""
    number = 0
    try:
        with (folder / MANIFEST).open("rb") as file:
            for number, data in enumerate(file, 1):  # noqa: B007 (named in the error)
                if data.endswith(b"\n"):  # else somebody is writing it
                    yield data, read_line(data)
    except OSError as error:
        raise ArchiveError(f"{folder / MANIFEST}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ArchiveError(f"{folder / MANIFEST}: line {number}: {error}") from error


def covered(folder: Path, name: str) -> int | None:
    """How many bytes of the file `name` the chain covers; None where it does not know the file."""
    end, written = None, json.dumps(name).encode()
    with (folder / MANIFEST).open("rb") as file:
        for data in file:
            if (found := NAMED.search(data)) and found[3] == written:
                end = max(end or 0, int(found[1]) + int(found[2]))
    return end


class Chain:
    """The chain of `folder`, open to be continued. Raises OSError, and ArchiveError when its end is no good."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / MANIFEST
        self.descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        self._end, self._head = 0, Head()  # as we left it
        self._locks = 0

    def close(self) -> None:
        os.close(self.descriptor)

    def head(self) -> Head:
        """The last line that is whole."""
        with self.lock():
            return self._look()[0]

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from appending; may be nested."""
        if not self._locks:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX)
        self._locks += 1
        try:
            yield
        finally:
            self._locks -= 1
            if not self._locks:
                fcntl.flock(self.descriptor, fcntl.LOCK_UN)

    def append(self, new: list[dict[str, Any]]) -> None:
        """Add lines, all or none. What a killed process left of a line is moved into a line of its own."""
        with self.lock():
            head, half = self._look()
            if half:
                sha256 = hashlib.sha256(half).hexdigest()
                new = [entry("torn", MANIFEST, self._end, len(half), sha256, hex=half.hex()), *new]
            lines = []
            for fields in new:
                data, head = line(fields, head)
                lines.append(data)
            data = b"".join(lines)
            try:
                write_at(self.descriptor, data, self._end)
            except OSError:
                os.ftruncate(self.descriptor, self._end)
                raise
            self._end, self._head = self._end + len(data), head

    def _look(self) -> tuple[Head, bytes]:
        """The head of the chain as others may have continued it, and the half line behind it."""
        size = os.fstat(self.descriptor).st_size
        if size == self._end:
            return self._head, b""
        tail, block = b"", 4096
        while tail.count(b"\n") < 2 and len(tail) < size:
            block = min(block * 4, size)
            tail = os.pread(self.descriptor, block, size - block)
        lines = tail.split(b"\n")
        half = lines[-1]
        self._end, self._head = size - len(half), Head()
        if self._end:
            try:
                fields = read_line(lines[-2] + b"\n")
            except ValueError as error:
                raise ArchiveError(f"{self.path}: its last line is broken, {error}: nothing can follow it") from error
            self._head = Head(fields["seq"], fields["hash"])
        return self._head, half


def write_at(descriptor: int, data: bytes, offset: int) -> None:
    """Write all of `data`; the kernel may take it in pieces."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def _canonical(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
