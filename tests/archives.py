"""Makes WARC and WACZ files, and reads files into a store of their own."""

import hashlib
import io
import json
import warnings
import zipfile
from pathlib import Path
from typing import Any

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from crawler.intake.ingest import IngestError, ingest
from data.migrations import open_store

PAGE = b"<title>Shop</title><p>100 % real fans</p>"


def warc(path: Path, *records: tuple[str, bytes, dict[str, str]], gz: bool = True) -> Path:
    """Write a WARC file of responses (address, body as sent, headers)."""
    with path.open("wb") as file:
        writer = WARCWriter(file, gzip=gz)
        for url, body, headers in records:
            status = headers.pop(":status", "200 OK")
            http = StatusAndHeaders(status, [("Content-Type", "text/html"), *headers.items()], protocol="HTTP/1.1")
            date = {"WARC-Date": "2025-05-05T05:05:05Z"}
            writer.write_record(
                writer.create_warc_record(url, "response", io.BytesIO(body), warc_headers_dict=date, http_headers=http)
            )
    return path


def read(folder: Path, *paths: Path, url: str | None = None) -> tuple[dict[str, Any], list[Any], str]:
    db = open_store(folder / "fantomes.db")
    problems = ""
    try:
        result = ingest(db, folder / "archive", list(paths), url)
    except IngestError as error:
        result, problems = error.result, str(error)
    query = "SELECT url, sha256, warc, warc_offset, warc_length, fetched_at, source_id FROM pages ORDER BY id"
    return result["outcomes"], db.execute(query).fetchall(), problems


def wacz(path: Path, members: dict[str, bytes], package: str | None = None, compress: int = zipfile.ZIP_STORED) -> Path:
    """Write a WACZ whose list is right, unless `package` replaces it."""
    files = [{"name": "n", "path": k, "hash": f"sha256:{hashlib.sha256(v).hexdigest()}"} for k, v in members.items()]
    text = json.dumps({"profile": "data-package", "resources": files}) if package is None else package
    digest = {"path": "datapackage.json", "hash": f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"}
    with zipfile.ZipFile(path, "w", compress) as zipped, warnings.catch_warnings(action="ignore"):
        for name, body in members.items():
            zipped.writestr(name, body)
        zipped.writestr("datapackage.json", text)
        zipped.writestr("datapackage-digest.json", json.dumps(digest))
    return path


def packed(folder: Path, name: str = "x") -> bytes:
    return warc(folder / "inner.warc.gz", (f"http://{name}.example/", PAGE, {})).read_bytes()
