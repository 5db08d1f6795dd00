"""The check of a WACZ file, anybody's: hashes, members, and an index that leads to the records that it names.

py-wacz's own validator passes archives without index or pages (webrecorder/py-wacz#46). Exports of ours are held to
more: the file is, byte for byte, what `package.write_zip` makes of its members, so that one changed byte shows.
"""

import gzip
import io
import json
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from crawler.evidence.package import (
    CHAIN,
    CHUNK,
    CLAIMS,
    DATAPACKAGE,
    DIGEST,
    MARK,
    PAGES,
    as_json,
    order,
    sha256_of,
    write_zip,
)
from crawler.evidence.record import EvidenceError, parse, read_raw, stamp

MAX_TEXT = 500_000_000  # bytes of an index or a list of pages: some million captures
MAX_RATIO = 200  # unpacked to packed size of the whole; text comes to 20
ZIP_FAILS = (
    zipfile.BadZipFile,
    OSError,
    EOFError,
    ValueError,
    NotImplementedError,
    RuntimeError,
    zlib.error,
    struct.error,
)
Key = tuple[str, str]  # address and 14 digits


def check(path: Path) -> list[str]:
    """The problems of the WACZ file at `path`, one line each; none means that it is whole and agrees with itself.

    Who made it is another question: compare its records with the chain of the archive that they come from. Needs room
    for the unpacked file among the system's temporary files.
    """
    problems: list[str] = []
    try:
        with zipfile.ZipFile(path) as wacz, tempfile.TemporaryDirectory(prefix="wacz-") as folder:
            for problem in _problems(path, wacz, Path(folder)):
                problems.append(" ".join(problem.split()))  # a name or an address may hold the end of a line
    except ZIP_FAILS as error:
        problems.append(f"{path}: cannot be read as a zip file: {_told(error)}")
    return problems


def _told(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _problems(path: Path, wacz: zipfile.ZipFile, folder: Path) -> Iterator[str]:
    members = [member for member in wacz.infolist() if not member.is_dir()]
    names = [member.filename for member in members]
    if len(set(names)) != len(names) or not all(map(_stays_inside, names)):
        yield f"{path}: two members of one name, or a name that leads elsewhere"
        return
    if sum(member.file_size for member in members) > MAX_RATIO * path.stat().st_size:
        yield f"{path}: unpacks to more than {MAX_RATIO} times its size"
        return
    for member in members:
        if member.filename.endswith(".gz") and member.compress_type != zipfile.ZIP_STORED:
            yield f"{member.filename}: compressed once more by the zip file, so that no player can read ranges of it"
        try:
            (folder / member.filename).parent.mkdir(parents=True, exist_ok=True)
            with wacz.open(member) as source, (folder / member.filename).open("wb") as target:
                shutil.copyfileobj(source, target, CHUNK)
        except ZIP_FAILS as error:
            yield f"{member.filename}: cannot be unpacked: {_told(error)}"
            return
    yield from _required(names)
    package = _json(folder, DATAPACKAGE)
    if not isinstance(package, dict) or not isinstance(package.get("resources"), list):
        yield f"{DATAPACKAGE}: no JSON object with resources"
        return
    yield from _hashes(folder, names, package)
    keys: set[Key] = set()
    for name in sorted(names):
        if name.startswith("indexes/") and not name.endswith(".idx"):
            yield from _index(folder, name, keys)
    yield from _pages(folder, keys)
    if MARK.items() <= package.items() and DIGEST in names:
        yield from _ours(path, folder, names, package)


def _stays_inside(name: str) -> bool:
    return not name.startswith("/") and "\\" not in name and ".." not in PurePosixPath(name).parts


def _required(names: list[str]) -> Iterator[str]:
    for start, ends in (("archive/", (".warc", ".warc.gz")), ("indexes/", (".cdx", ".cdxj", ".cdx.gz"))):
        if not any(name.startswith(start) and name.endswith(ends) for name in names):
            yield f"{start}: no file that ends in {' or '.join(ends)}"
    for name in sorted({PAGES, DATAPACKAGE, DIGEST} - set(names)):
        yield f"{name}: missing"


def _json(folder: Path, name: str) -> Any:
    try:
        return json.loads((folder / name).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def _hashes(folder: Path, names: list[str], package: dict[str, Any]) -> Iterator[str]:
    """Of each member against datapackage.json, and of that against its digest."""
    if package.get("profile") not in ("data-package", "wacz-package") or "wacz_version" not in package:
        yield f"{DATAPACKAGE}: without profile or wacz_version"
    rows = {str(row.get("path")): row for row in package["resources"] if isinstance(row, dict)}
    digest = _json(folder, DIGEST)
    if not isinstance(digest, dict) or digest.get("path") != DATAPACKAGE:
        yield f"{DIGEST}: no JSON object with the path {DATAPACKAGE}"
    else:
        rows[DATAPACKAGE] = {"hash": digest.get("hash")}
    for name in sorted(rows.keys() - set(names)):
        yield f"{name}: listed in {DATAPACKAGE}, but missing"
    for name in sorted(set(names) - {DIGEST}):
        if name not in rows:
            yield f"{name}: not listed in {DATAPACKAGE}"
            continue
        with (folder / name).open("rb") as file:
            found, size = sha256_of(file), file.tell()
        if str(rows[name].get("hash")).replace("sha-256", "sha256") != found or rows[name].get("bytes", size) != size:
            yield f"{name}: not the bytes that are listed: found {found}, {size} bytes"


def _lines(folder: Path, name: str) -> Iterator[str]:
    """Lines of a text, unpacked where it is gzip. Raises OSError, ValueError and more of ZIP_FAILS."""
    left = MAX_TEXT
    with gzip.open(folder / name) if name.endswith(".gz") else (folder / name).open("rb") as file:
        while line := file.readline(left):
            left -= len(line)
            if not left:
                raise ValueError(f"more than {MAX_TEXT} bytes")
            yield line.decode()


def _index(folder: Path, name: str, keys: set[Key]) -> Iterator[str]:
    """Each line leads to a record of its address, date, status and digest; adds to the `keys` of what is there."""
    number = 0
    try:
        for number, line in enumerate(_lines(folder, name), 1):
            head, found, fields = line.partition(" {")
            if not found or head.startswith("!meta"):
                if line.strip() and not head.startswith("!meta"):
                    yield f"{name}, line {number}: no CDXJ"
                continue
            try:
                date, row = head.rpartition(" ")[2], json.loads("{" + fields)
                keys.add((row["url"], date[:14]))
                _leads_to_record(folder / "archive", date, row)
            except (KeyError, TypeError, ValueError, OverflowError, RecursionError, EvidenceError) as error:
                yield f"{name}, line {number}: {_told(error)}"
    except ZIP_FAILS as error:
        yield f"{name}: breaks off after {number} lines: {_told(error)}"


def _leads_to_record(archive: Path, date: str, row: dict[str, Any]) -> None:
    """Raises ValueError or EvidenceError where it does not."""
    raw = read_raw(archive, str(row["filename"]), int(row["offset"]), int(row["length"]))
    entry, head = parse(raw)
    declared = head.get("warc-payload-digest", "none")
    digests = {f"sha256:{entry.payload}", declared, declared.rpartition(":")[2]}
    said = {
        "url": (row["url"], {entry.url}),
        "date": (date[:14], {stamp(entry.date)}),
        "digest": (str(row.get("digest", declared)).replace("sha-256", "sha256"), digests),
        "status": (str(row.get("status", entry.status)), {str(entry.status)}),
    }
    if "recordDigest" in row:
        said["recordDigest"] = row["recordDigest"], {sha256_of(io.BytesIO(raw))}
    for name, (value, found) in said.items():
        if value not in found:
            raise ValueError(f"says {name} {value}, its record has {' or '.join(sorted(found))}")


def _pages(folder: Path, keys: set[Key]) -> Iterator[str]:
    """A header, and then addresses and dates that the index knows."""
    number = 0
    try:
        for number, line in enumerate(_lines(folder, PAGES), 1):
            row = json.loads(line)
            if number == 1 and "format" not in row:
                yield f"{PAGES}: the first line has no format"
            elif number > 1 and (str(row.get("url")), stamp(str(row.get("ts")))) not in keys:
                yield f"{PAGES}, line {number}: {row.get('url')} of {row.get('ts')} is not in the index"
    except (AttributeError, TypeError, RecursionError, *ZIP_FAILS) as error:
        yield f"{PAGES}: breaks off after {number} lines: {_told(error)}"
    if number < 2:
        yield f"{PAGES}: lists no page"


def _ours(path: Path, folder: Path, names: list[str], package: dict[str, Any]) -> Iterator[str]:
    """What an export of ours has beyond a WACZ: claims that stand on their records, and no byte to spare."""
    for name, value in ((DATAPACKAGE, package), (DIGEST, _json(folder, DIGEST))):
        if as_json(value) != (folder / name).read_bytes():
            yield f"{name}: not written as an export writes it"
    try:
        chained = {json.loads(line)["sha256"] for line in _lines(folder, CHAIN)} if CHAIN in names else None
        for number, claim in enumerate(json.loads((folder / CLAIMS).read_bytes()), 1):
            if problem := _claim(folder, claim, chained):
                yield f"{CLAIMS}, claim {number}: {problem}"
    except (KeyError, TypeError, *ZIP_FAILS) as error:
        yield f"{CLAIMS} or {CHAIN}: not as an export writes it: {_told(error)}"
    with tempfile.TemporaryFile() as again, path.open("rb") as file:
        write_zip(again, folder, order(names))
        again.seek(0)
        if sha256_of(again) != sha256_of(file):
            yield f"{path}: its bytes are not those that an export makes of its members"


def _claim(folder: Path, claim: dict[str, Any], chained: set[str] | None) -> str:
    """What is wrong with a claim; "" for nothing. Raises KeyError, TypeError."""
    if claim["text"][claim["start"] : claim["end"]] != claim["quote"]:
        return "the quote does not stand at its place in the text"
    try:
        raw = read_raw(folder, claim["file"], claim["offset"], claim["length"])
        entry, _ = parse(raw)
    except (EvidenceError, ValueError) as error:
        return _told(error)
    found = (entry.url, stamp(entry.date), entry.payload, sha256_of(io.BytesIO(raw)))
    if found != (claim["url"], stamp(claim["date"]), claim["payload_sha256"], f"sha256:{claim['record_sha256']}"):
        return "its record is another one"
    return "" if chained is None or claim["record_sha256"] in chained else "its record is not in the chain"
