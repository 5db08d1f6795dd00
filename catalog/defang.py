"""Addresses that can be read and not followed: hxxps://likeo[.]example/x."""

import re
from urllib.parse import urlsplit

_SCHEME = re.compile(r"(?i)(h)tt(ps?)(?=:)")
_HOST = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://|//)?(?P<host>[^/?#]*)(?P<path>.*)", re.DOTALL)
_NESTED = re.compile(r"(?i)h(?:tt|xx)ps?:(?://)?[^/?#&\s]*")
_DOT = re.compile(r"(?<!\[)\.(?!\])")


def defang(address: str) -> str:
    """A web address, or a bare host, that no browser, chat or spreadsheet turns into a link. Idempotent.

    The path may hold a whole address again (https://a.example/?to=https://b.example): it is treated alike.
    """
    return _HOST.sub(_defang_parts, address, count=1)


def _defang_parts(match: re.Match[str]) -> str:
    scheme, host, path = match["scheme"] or "", match["host"], match["path"]
    return _unlink(scheme + host) + _NESTED.sub(lambda nested: _unlink(nested[0]), path)


def _unlink(address: str) -> str:
    return _DOT.sub("[.]", _SCHEME.sub(r"\1xx\2", address))


def is_address(text: str) -> bool:
    """True for text that software likes to turn into a link: one web address and nothing else."""
    text = text.strip()
    if not text or re.search(r"\s", text):
        return False
    try:
        return urlsplit(text).scheme.lower() in ("http", "https", "ftp", "javascript", "data")
    except ValueError:
        return True
