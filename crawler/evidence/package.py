"""The package: a zip file whose bytes follow from its members alone, so that anybody can make it again and compare."""

import hashlib
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

DATAPACKAGE, DIGEST = "datapackage.json", "datapackage-digest.json"
README, CHAIN = "evidence/README.txt", "evidence/chain.jsonl"
CLAIMS, CLAIMS_TABLE = "evidence/claims.json", "evidence/claims.csv"
DATA, PLAIN, PLAYER = "archive/data.warc.gz", "archive/data.warc", "archive/player.warc"
INDEX, PAGES = "indexes/index.cdx", "pages/pages.jsonl"
MARK = {"fantomes": "evidence-1"}  # in datapackage.json: an export of ours, of this form

EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip file knows
CHUNK = 1 << 20


def write_zip(file: BinaryIO, folder: Path, names: list[str]) -> None:
    """The files `names` of `folder` as a zip, in this order. All are stored: a compressor's next version might write
    other bytes, and replay needs ranges of the WARC files and of the index."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as package:
        for name in names:
            member = zipfile.ZipInfo(name, EPOCH)
            member.create_system, member.external_attr = 3, 0o644 << 16  # the same bytes on every system
            member.file_size = (folder / name).stat().st_size
            with (folder / name).open("rb") as source, package.open(member, "w") as target:
                shutil.copyfileobj(source, target, CHUNK)


def order(names: list[str]) -> list[str]:
    """Members as they stand in an export: by name, and last the two that hold the hashes."""
    last = (DATAPACKAGE, DIGEST)
    return sorted(name for name in names if name not in last) + list(last)


def as_json(value: Any) -> bytes:
    """JSON as it stands in an export."""
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()


def sha256_of(file: BinaryIO) -> str:
    """ "sha256:<hex>" of what is left to read."""
    sha = hashlib.sha256()
    while chunk := file.read(CHUNK):
        sha.update(chunk)
    return f"sha256:{sha.hexdigest()}"
