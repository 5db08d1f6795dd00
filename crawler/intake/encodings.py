"""Content encodings: the body that a server packed, unpacked, and never much more of it than a page may have."""

import zlib
from collections.abc import Callable
from io import BytesIO

import brotli
from backports import zstd

from crawler.page import MAX_BODY, NotAPage

MAX_ENCODINGS = 2  # one in the other; even two are a mistake, and a thousand are meant to keep us busy


def decompress(payload: bytes, encodings: str) -> bytes:
    """The body without its content encodings (the header's value), and never much more than MAX_BODY of it.

    Raises NotAPage (unknown-encoding, bad-encoding).
    """
    names = [name.strip().lower() for name in encodings.split(",")]
    if len(names) > MAX_ENCODINGS:
        raise NotAPage("bad-encoding", f"{len(names)} encodings, one in the other")
    for encoding in reversed(names):
        if encoding in ("", "identity"):
            continue
        if encoding not in DECOMPRESS:
            raise NotAPage("unknown-encoding", encoding)
        try:
            payload = DECOMPRESS[encoding](payload)
        except (zlib.error, brotli.error, zstd.ZstdError, EOFError) as error:
            raise NotAPage("bad-encoding", f"{encoding}: {error}") from error
    return payload


def _inflate(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(47).decompress(data, MAX_BODY + 1)  # 47: gzip or zlib, whichever it is
    except zlib.error:
        return zlib.decompressobj(-15).decompress(data, MAX_BODY + 1)  # raw deflate, as some servers send it


DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": _inflate,
    "x-gzip": _inflate,
    "deflate": _inflate,
    "br": lambda data: brotli.Decompressor().process(data, output_buffer_limit=MAX_BODY + 1),
    "zstd": lambda data: zstd.ZstdFile(BytesIO(data)).read(MAX_BODY + 1),
}
