"""CDXJ: where a WARC file holds which address, one sorted line a capture, as replay tools read it.

https://specs.webrecorder.net/cdxj/0.1.0/. Numbers are written as strings, as the reference indexer does.
"""

import hashlib
import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from urllib.parse import quote_from_bytes, unquote_to_bytes, urlsplit

from fastwarc.warc import WarcRecord
from warcio.bufferedreaders import ChunkedDataReader

from crawler.intake.records import WarcError, records

INDEXED = ("response", "resource", "conversion", "revisit")
PRINTED = "!\"$&'()*+,-./:;<=>?@[\\]^_`{|}~"  # what is not escaped in the sort key
EMPTY_LINE = re.compile(rb"\r?\n\r?\n")
MIME = re.compile(rb"^content-type:[ \t]*([^\r\n]*)", re.I | re.M)
TRANSFER = re.compile(rb"^transfer-encoding[ \t]*:[ \t]*([^\r\n]*)", re.I | re.M)
SIZES = {"md5": 16, "sha1": 20, "sha256": 32, "sha512": 64}  # bytes of a digest
BASE32 = str.maketrans("abcdefghijklmnopqrstuvwxyz234567", "0123456789abcdefghijklmnopqrstuv")  # to Python's digits
DEFAULT_PORT = {"http": 80, "https": 443}


@dataclass(slots=True)
class Entry:
    """What a record says of itself. `payload` is the SHA-256 (hex) of its body without transfer encoding; of a revisit
    the digest that it names ("" for none)."""

    kind: str
    url: str
    date: str
    status: int | None
    mime: str
    payload: str
    broken: str = ""  # a digest in its headers that does not hold: its name


def surt(url: str) -> str:
    """The sort key of an address, host reversed: "http://www.Shop.example/A?b&a" gives "example,shop)/a?a&b".

    As the Internet Archive's library makes it, but for session ids, which stay. Addresses without a host keep their
    scheme; what is no address at all is its own key, without spaces.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        return _escaped(url)
    path, query = _escaped(parts.path), _escaped(parts.query).lower()
    if not parts.hostname:
        return f"{parts.scheme}:{path.lower()}" + (f"?{query}" if query else "") if parts.scheme else path
    key = ",".join(reversed(re.sub(r"^www\d*\.", "", _host(parts.hostname)).split(".")))
    if port is not None and port != DEFAULT_PORT.get(parts.scheme):
        key += f":{port}"
    path = _straight(path).lower()
    key += ")" + (path[:-1] if len(path) > 1 and path.endswith("/") else path)
    if query:
        key += "?" + "&".join("=".join(pair) for pair in sorted(tuple(arg.split("=", 1)) for arg in query.split("&")))
    return key


def line(
    url: str,
    date: str,
    status: int | None,
    mime: str,
    sha256_hex: str,
    filename: str,
    offset: int,
    length: int,
    record_digest: str | None = None,
) -> str:
    """One line, without its end. `date` is a WARC-Date; `sha256_hex` is of the payload, `record_digest` (hex) of the
    record's bytes in the file; `status` is None where there was no HTTP."""
    fields = {"url": url, "digest": f"sha256:{sha256_hex}", "mime": mime, "filename": filename}
    fields |= {"offset": str(offset), "length": str(length)}
    if status is not None:
        fields["status"] = str(status)
    if record_digest:
        fields["recordDigest"] = f"sha256:{record_digest}"
    return f"{surt(url)} {re.sub('[^0-9]', '', date)[:14].ljust(14, '0')} {json.dumps(fields)}"


def index(path: Path, filename: str | None = None) -> list[str]:
    """The sorted lines of the WARC file at `path`, gzipped or not, up to where it breaks off, if it does.

    Records that are too large to be a page (intake/records.py) are passed over. `filename` is what the lines call the
    file; its own name without it. Raises OSError.
    """
    lines = []
    with path.open("rb") as file, suppress(WarcError):
        for raw in records(file):
            if raw.whole:
                record_digest = hashlib.sha256(os.pread(file.fileno(), raw.length, raw.offset)).hexdigest()
                entry = read_entry(raw.record)
                lines += entry_line(entry, filename or path.name, raw.offset, raw.length, record_digest)
    return sorted(lines)


def entry_line(entry: Entry, filename: str, offset: int, length: int, record_digest: str) -> list[str]:
    """The line of a record that was read; none for kinds that an index does not list."""
    if entry.kind not in INDEXED or not entry.url:
        return []
    mime = "warc/revisit" if entry.kind == "revisit" else entry.mime
    where = (filename, offset, length, record_digest)
    return [line(entry.url, entry.date, entry.status, mime, entry.payload, *where)]


def read_entry(record: WarcRecord) -> Entry:
    """What a record says of itself."""
    block = record.reader.read()
    headers = {name.lower(): value for name, value in record.headers}
    kind = headers.get("warc-type", "")
    mime, status, body = headers.get("content-type", ""), None, block
    url = headers.get("warc-target-uri", "").strip("<>")  # as old wgets write it
    if is_http(kind, url, mime):
        head, body = message(block)
        status, mime = read_head(head)
    named = _digest(headers.get("warc-payload-digest", ""))
    payload = hashlib.sha256(body)
    broken = []
    if not _holds(_digest(headers.get("warc-block-digest", "")), block):
        broken.append("WARC-Block-Digest")
    if kind != "revisit" and named != ("sha256", payload.digest()) and not _holds(named, body):
        broken.append("WARC-Payload-Digest")
    if str(len(block)) != headers.get("content-length", "").strip():
        broken.append("Content-Length")
    return Entry(
        kind,
        url,
        headers.get("warc-date", ""),
        status,
        bare(mime),
        named[1].hex() if kind == "revisit" else payload.hexdigest(),
        ", ".join(broken),
    )


def is_http(kind: str, url: str, content_type: str) -> bool:
    """Whether a record holds an HTTP message; some writers leave out the Content-Type that says so."""
    return content_type.lower().startswith("application/http") or (kind == "response" and url[:4].lower() == "http")


def message(block: bytes) -> tuple[bytes, bytes]:
    """Head and body of an HTTP message, the body without transfer encoding. All that speaks of the payload of a record
    uses this: two readings of an odd head would make two payloads."""
    head, body = _split(block)
    if "chunked" in _field(TRANSFER, head).lower():
        reader = ChunkedDataReader(BytesIO(body), decomp_type=None)  # gives bytes back that are not chunked at all
        body = b"".join(iter(lambda: reader.read(65_536), b""))
    return head, body


def read_head(head: bytes) -> tuple[int | None, str]:
    """Status and content type of the head of an HTTP answer."""
    code = head[:100].split()[1:2]  # HTTP/1.1 200 OK
    return int(code[0]) if code and code[0].isdigit() else None, _field(MIME, head)


def bare(content_type: str) -> str:
    """A content type without its parameters."""
    return content_type.partition(";")[0].strip().partition(" ")[0]


def _split(block: bytes) -> tuple[bytes, bytes]:
    """Head and body of an HTTP message."""
    end = EMPTY_LINE.search(block)
    return (block[: end.end()], block[end.end() :]) if end else (block, b"")


def _field(pattern: re.Pattern[bytes], head: bytes) -> str:
    found = pattern.search(head)
    return found[1].decode("latin-1") if found else ""


def _digest(named: str) -> tuple[str, bytes]:
    """Algorithm and bytes of a digest such as "sha1:..." in Base32 or hex; ("", b"") for what we cannot read."""
    algorithm, _, value = named.strip().lower().replace("sha-", "sha").partition(":")
    size = SIZES.get(algorithm, 0)
    try:
        if size and len(value) == 2 * size:
            return algorithm, bytes.fromhex(value)
        if size and len(value := value.rstrip("=")) == -(
            -8 * size // 5
        ):  # Base32: five bits a letter, zeros at the end
            return algorithm, (int(value.translate(BASE32), 32) >> (-8 * size % 5)).to_bytes(size, "big")
    except (ValueError, OverflowError):
        pass
    return "", b""


def _holds(named: tuple[str, bytes], data: bytes) -> bool:
    """Whether the digest `named` is of `data`; true where there is none, or none that we can read."""
    algorithm, digest = named
    return not algorithm or hashlib.new(algorithm, data, usedforsecurity=False).digest() == digest


def _host(host: str) -> str:
    try:
        return host.encode("ascii").decode()
    except UnicodeEncodeError:
        pass
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return _escaped(host)


def _straight(path: str) -> str:
    """The path without ".", ".." and empty parts; "/" for none."""
    kept: list[str] = []
    for part in path.split("/")[1:]:
        if part == ".." and kept:
            kept.pop()
        elif part != ".":
            kept.append(part)
    return "/" + "/".join([part for part in kept[:-1] if part] + kept[-1:])


def _escaped(text: str) -> str:
    """Escapes undone as often as they were made, then made once."""
    data = text.encode("utf-8", "surrogatepass")
    while (plain := unquote_to_bytes(data)) != data:
        data = plain
    return quote_from_bytes(data, safe=PRINTED)
