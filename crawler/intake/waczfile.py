"""WACZ files: zip files of WARC files. Their WARC files come out byte for byte, checked against the file's own list.

Specification: https://specs.webrecorder.net/wacz/1.1.1/
"""

import hashlib
import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crawler.intake.records import MAX_RATIO, WarcError
from crawler.page import MAX_BODY

MAX_MEMBERS = 5_000  # files in a WACZ; the largest that crawlers write have some hundreds
MAX_LIST = 10_000_000  # bytes of the zip file's own list of its members, which zipfile reads into memory
WARC = re.compile(r"archive/.*\.warc(\.gz)?", re.I | re.S)
FAILS = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError)  # zipfile's own


def is_zip(head: bytes) -> bool:
    """Whether a file that starts with these bytes is a zip file, as a WACZ is."""
    return head.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def unpack(path: Path, folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """Each WARC file of a WACZ as a file in `folder`, deleted afterwards, and what is wrong with it, one line each.

    No name inside the zip file is used as a path. Raises WarcError, which does not name `path`: at once for what is no
    WACZ, at the end for files that did not come out.
    """
    try:
        _check_list(path)
        with zipfile.ZipFile(path) as zipped:
            infos = _members(path, zipped)
            hashes, problems = _hashes(zipped)
            lost = {
                name: "is listed in datapackage.json and not there" for name in hashes or () if WARC.fullmatch(name)
            }
            for number, info in enumerate(infos):
                name = f"{path.stem[-80:]}-{number}-{Path(info.filename).name[-80:]}"
                target = folder / re.sub(r"[^\w.-]", "_", name, flags=re.A)
                lost.pop(info.filename, None)
                try:
                    problems += _copy(zipped, info, target, hashes)
                except FAILS as error:
                    wrong = " ".join(str(error).split())
                    if not target.exists():
                        lost[info.filename] = wrong
                        continue
                    problems.append(f"{info.filename!a}: {wrong}")
                yield target, problems
                problems = []
                target.unlink()
    except FAILS as error:
        raise WarcError(" ".join(str(error).split())) from error
    if lost:
        raise WarcError("; ".join([*problems, *(f"{name!a} {wrong}" for name, wrong in list(lost.items())[:3])]))


def _check_list(path: Path) -> None:
    """Raises ValueError for a zip file whose own list of members is too long to be read."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 66_000))  # the list's size stands at the very end
        tail = file.read()
    at, at64 = tail.rfind(b"PK\x05\x06"), tail.rfind(b"PK\x06\x06")
    if at < 0 or len(tail) < at + 22:
        raise ValueError("a zip file that is cut short")
    size = int.from_bytes(tail[at + 12 : at + 16], "little")
    if size == 0xFFFFFFFF and at64 >= 0:
        size = int.from_bytes(tail[at64 + 40 : at64 + 48], "little")
    if size > MAX_LIST:
        raise ValueError(f"lists its members in {size} bytes, the limit is {MAX_LIST}")


def _members(path: Path, zipped: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The WARC files of a WACZ. Raises ValueError for what is none, or made to do harm."""
    infos = zipped.infolist()
    if len(infos) > MAX_MEMBERS:
        raise ValueError(f"holds {len(infos)} files, the limit is {MAX_MEMBERS}")
    if any(info.filename.lower().endswith(".wacz") for info in infos):
        raise ValueError("holds other WACZ files (multi-WACZ): unpack it and give them one by one")
    if sum(info.compress_size for info in infos) > path.stat().st_size:
        raise ValueError("its members overlap")
    warcs = [info for info in infos if WARC.fullmatch(info.filename)]
    if not warcs:
        raise ValueError("a zip file without archive/*.warc.gz, so no WACZ")
    return warcs


def _hashes(zipped: zipfile.ZipFile) -> tuple[dict[str, str] | None, list[str]]:
    """What datapackage.json says of its files, as "sha256:<hex>" by path (None: it is no good), and what is wrong."""
    try:
        text = _read(zipped, "datapackage.json")
        package = json.loads(text)
        hashes = {str(entry["path"]): str(entry["hash"]) for entry in package["resources"]}
    except (*FAILS, KeyError, TypeError, RecursionError) as error:
        return None, [f"datapackage.json cannot be read, nothing shows whether the files are as they were: {error}"]
    if "datapackage-digest.json" not in zipped.NameToInfo:
        return hashes, []
    try:
        stated: Any = json.loads(_read(zipped, "datapackage-digest.json"))["hash"]
    except (*FAILS, KeyError, TypeError, RecursionError) as error:
        return hashes, [f"datapackage-digest.json cannot be read: {error}"]
    good = stated == f"sha256:{hashlib.sha256(text).hexdigest()}"
    return hashes, [] if good else ["datapackage.json is not as datapackage-digest.json says"]


def _read(zipped: zipfile.ZipFile, name: str) -> bytes:
    with zipped.open(name) as file:
        text = file.read(MAX_BODY + 1)
    if len(text) > MAX_BODY:
        raise ValueError(f"larger than {MAX_BODY} bytes")
    return text


def _copy(zipped: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, hashes: dict[str, str] | None) -> list[str]:
    """Copy a member to `target`; returns what is wrong with it. Raises one of FAILS; the beginning is there by then."""
    if info.file_size > MAX_RATIO * info.compress_size + MAX_BODY:
        raise ValueError(f"unpacks to more than {MAX_RATIO} times its size")
    stated, info.CRC = info.CRC, None  # type: ignore[assignment]  # else zipfile would keep wrong bytes to itself
    sha, crc = hashlib.sha256(), 0
    with zipped.open(info) as source, target.open("wb") as out:
        while chunk := source.read(1 << 20):
            out.write(chunk)
            sha.update(chunk)
            crc = zlib.crc32(chunk, crc)
    found = f"sha256:{sha.hexdigest()}"
    wrong = [] if crc == stated else ["is not as the zip file says (CRC-32)"]
    if hashes is not None and info.filename not in hashes:
        wrong.append("is not listed in datapackage.json")
    elif hashes is not None and hashes[info.filename] != found:
        wrong.append(f"is not as datapackage.json says: {hashes[info.filename][:80]!a}, but {found}")
    return [f"{info.filename!a} {' and '.join(wrong)}"] if wrong else []
