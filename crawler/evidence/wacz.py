"""The export: captures and their records as one WACZ file, which a stranger can check and replay without us.

https://specs.webrecorder.net/wacz/1.1.1/. Records are copied out of the archive byte for byte. The same store and
archive give the same file, byte for byte.
"""

import csv
import hashlib
import io
import json
import os
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sqlite_utils import Database
from warcio.archiveiterator import ArchiveIterator
from warcio.warcwriter import WARCWriter

from crawler.evidence import cdxj
from crawler.evidence.holdings import Holding, gather
from crawler.evidence.package import (
    CHAIN,
    CLAIMS,
    CLAIMS_TABLE,
    DATA,
    DATAPACKAGE,
    DIGEST,
    INDEX,
    MARK,
    PAGES,
    PLAIN,
    PLAYER,
    README,
    as_json,
    order,
    sha256_of,
    write_zip,
)
from crawler.evidence.proof import Proof, defang, find
from crawler.evidence.record import EvidenceError, parse, read_raw, stamp
from crawler.evidence.words import DESCRIPTION, READ_ME

Row = dict[str, Any]
Places = dict[tuple[str, int], tuple[str, int]]  # of a record in the archive -> member and offset in the export

END = b"\r\n\r\n"  # of a record that is not packed; some archives do not count it to the record
NOT_MODIFIED = 304


def export(db: Database, archive: Path, what: str, out: Path, software: str) -> Row:
    """Write the evidence of `what` (see `proof.find`) to `out`, a path that ends in .wacz; an older file is replaced.

    Returns kind, name, file, bytes, sha256 and counts: pages, claims, records. Raises EvidenceError.
    """
    if out.suffix != ".wacz":
        raise EvidenceError(f"{out}: the name of a WACZ file ends in .wacz")
    proof = find(db, what)
    holdings = gather(archive, proof)
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".wacz-") as folder:
            names = _members(Path(folder), archive, proof, holdings, software)
            with part.open("w+b") as file:
                write_zip(file, Path(folder), order(names))
                file.seek(0)
                sha256 = sha256_of(file)
                os.fsync(file.fileno())
        os.replace(part, out)
    except OSError as error:
        raise EvidenceError(f"{out}: cannot be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
    counts = {"pages": len(proof.pages), "claims": len(proof.claims), "records": len(holdings)}
    size = out.stat().st_size
    return {"kind": proof.kind, "name": proof.name, "file": str(out), "bytes": size, "sha256": sha256[7:], **counts}


def _members(folder: Path, archive: Path, proof: Proof, holdings: list[Holding], software: str) -> list[str]:
    """Write all members into `folder`; returns their names."""
    for name in ("archive", "indexes", "pages", "evidence"):
        (folder / name).mkdir()
    places, index = _copy(folder, archive, holdings)
    held = {holding.spot[:2]: holding for holding in holdings}
    captures = {page["id"]: (page, held[page["warc"], page["warc_offset"]]) for page in proof.pages}
    claims = [_claim(claim, *captures[claim["page_id"]], places) for claim in proof.claims]
    texts = {
        INDEX: "".join(f"{line}\n" for line in sorted(index)).encode(),
        PAGES: "".join(_pages(captures.values())).encode(),
        README: READ_ME.encode(),
        CLAIMS: as_json(claims),
        CLAIMS_TABLE: _table(claims),
        CHAIN: "".join(holding.spot.line for holding in holdings).encode(),
    }
    for name, text in texts.items():
        if text or name != CHAIN:
            (folder / name).write_bytes(text)
    names = sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*"))
    (folder / DATAPACKAGE).write_bytes(as_json(_datapackage(folder, names, proof, captures, held, software)))
    digest = hashlib.sha256((folder / DATAPACKAGE).read_bytes()).hexdigest()
    (folder / DIGEST).write_bytes(as_json({"path": DATAPACKAGE, "hash": f"sha256:{digest}"}))
    return [*names, DATAPACKAGE, DIGEST]


def _copy(folder: Path, archive: Path, holdings: list[Holding]) -> tuple[Places, list[str]]:
    """Copy the records, compressed and plain ones apart; returns where they are now, and the lines of the index."""
    places: Places = {}
    lines: dict[str, str] = {}  # by the key of the index: players know one record an address and second
    for holding in holdings:
        raw = read_raw(archive, *holding.spot[:3])
        member = DATA if holding.packed else PLAIN
        places[holding.spot[:2]] = member, _append(folder / member, raw)
        if not holding.packed and not raw.endswith(END):
            _append(folder / member, END)
    for holding in sorted(holdings, key=lambda holding: not holding.captured):
        entry, (member, offset) = holding.entry, places[holding.spot[:2]]
        length, record_sha256 = holding.spot.length, holding.record_sha256
        if entry.kind == "request" or entry.status == NOT_MODIFIED:
            continue  # players take each answer of 3xx for a redirect, and would show nothing
        if entry.kind == "conversion":
            copy = _for_players(read_raw(archive, *holding.spot[:3]), record_sha256)
            member, offset, length = PLAYER, _append(folder / PLAYER, copy), len(copy)
            record_sha256 = hashlib.sha256(copy).hexdigest()
        mime = "warc/revisit" if entry.kind == "revisit" else entry.mime
        where = (Path(member).name, offset, length, record_sha256)
        line = cdxj.line(entry.url, entry.date, entry.status, mime, entry.payload, *where)
        lines.setdefault(line.partition(" {")[0], line)
    return places, list(lines.values())


def _append(path: Path, data: bytes) -> int:
    with path.open("ab") as file:
        offset = file.tell()
        file.write(data)
    return offset


def _for_players(raw: bytes, record_sha256: str) -> bytes:
    """A conversion record again as a `resource` record, since players pass conversions over. Not compressed, so that
    its bytes do not depend on a compressor."""
    entry, head = parse(raw)
    payload = next(ArchiveIterator(io.BytesIO(raw))).raw_stream.read()
    out = io.BytesIO()
    writer = WARCWriter(out, gzip=False, warc_version="WARC/1.1")
    headers = {
        "WARC-Record-ID": f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, record_sha256)}>",
        "WARC-Date": entry.date,
        "WARC-Refers-To": head.get("warc-record-id", "none"),
    }
    kind = head.get("content-type", "")
    writer.write_record(
        writer.create_warc_record(
            entry.url, "resource", io.BytesIO(payload), len(payload), warc_headers_dict=headers, warc_content_type=kind
        )
    )
    return out.getvalue()


def _iso(date: str) -> str:
    digits = stamp(date)
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:8]}T{digits[8:10]}:{digits[10:12]}:{digits[12:]}Z"


def _pages(captures: Iterable[tuple[Row, Holding]]) -> Iterator[str]:
    header = {"format": "json-pages-1.0", "id": "pages", "title": "Captures", "hasText": True}
    rows = [
        {
            "id": holding.record_sha256[:16],
            "url": holding.entry.url,
            "ts": _iso(holding.entry.date),
            "title": page["title"] or holding.entry.url,
            "text": page["text"],
        }
        for page, holding in captures
    ]
    return (json.dumps(row, ensure_ascii=False) + "\n" for row in [header, *rows])


def _claim(claim: Row, page: Row, holding: Holding, places: Places) -> Row:
    """A claim as it is listed: what was said, where it stands, and the record that proves it."""
    member, offset = places[holding.spot[:2]]
    return {
        **{name: claim[name] for name in ("id", "vendor", "label", "score", "status", "quote")},
        "url": holding.entry.url,
        "date": _iso(holding.entry.date),
        **{name: page[name] for name in ("title", "lang", "voice", "voice_score")},
        **{name: claim[name] for name in ("block", "start", "end", "text", "rule", "model")},
        **{"payload_sha256": holding.entry.payload, "record_sha256": holding.record_sha256},
        **{"file": member, "offset": offset, "length": holding.spot.length},
        **{"archive_file": holding.spot.warc, "archive_offset": holding.spot.offset},
    }


def _table(claims: list[Row]) -> bytes:
    """The claims for a spreadsheet, which takes for a formula what begins like one."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(claims[0] if claims else ["id"])
    for claim in claims:
        cells = [str("" if value is None else value) for value in (claim | {"url": defang(claim["url"])}).values()]
        writer.writerow("'" + cell if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell for cell in cells)
    return out.getvalue().encode()


def _datapackage(
    folder: Path,
    names: list[str],
    proof: Proof,
    captures: dict[int, tuple[Row, Holding]],
    held: dict[tuple[str, int], Holding],
    software: str,
) -> Row:
    resources = []
    for name in names:
        with (folder / name).open("rb") as file:
            digest = sha256_of(file)
        size = (folder / name).stat().st_size
        resources.append({"name": Path(name).name.lower(), "path": name, "hash": digest, "bytes": size})
    main = next((captures[claim["page_id"]][1] for claim in proof.claims), next(iter(captures.values()))[1])
    newest = max(_iso(holding.entry.date) for holding in held.values())
    return {
        "profile": "data-package",
        "wacz_version": "1.1.1",
        "title": f"Evidence, {proof.kind}: {defang(proof.name)}",
        "description": DESCRIPTION,
        "created": newest,  # not the clock's: the same store gives the same bytes
        "software": software,
        "mainPageUrl": main.entry.url,
        "mainPageDate": _iso(main.entry.date),
        **MARK,
        "resources": resources,
    }
