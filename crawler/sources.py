"""Sources: what to crawl, one YAML file each in data/sources/. The one loader, and a strict one."""

from dataclasses import dataclass, fields
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from crawler.frontier import clean
from data.domains import registrable_domain

KINDS = ("site", "feed", "ads")
MIN_DELAY = 0.5  # seconds between two requests to a host that is not our own sample web


class SourceError(Exception):
    """A source file that cannot be used; the message names the file and the value."""


@dataclass(frozen=True, slots=True)
class Source:
    """A list of addresses of one kind and how far to go from them."""

    id: str
    kind: (
        str  # site: pages of the same registered domain are followed; feed: RSS, Atom, sitemaps; ads: these pages alone
    )
    title: str
    contact: str  # who keeps this file
    start: tuple[str, ...]
    delay: float = 1.0  # seconds between two requests to one host, at least
    max_depth: int = 3  # clicks from a start address
    max_pages: int = 500
    loopback: bool = False  # served by the bundled sample web; the hosts of `start` are never looked up


def load_sources(folder: Path, wanted: tuple[str, ...] = ()) -> list[Source]:
    """The sources of `folder` named in `wanted` (ids, or paths of YAML files); all of the folder when it is empty.

    Raises SourceError for an unknown name, an unreadable file, an unknown key or a bad value.
    """
    paths = sorted(folder.glob("*.yml"))
    if wanted:
        by_id = {path.stem: path for path in paths}
        paths = []
        for name in wanted:
            path = by_id.get(name) or Path(name)
            if not path.is_file():
                raise SourceError(f"{name}: no such source; there are: {', '.join(by_id) or 'none'}")
            paths.append(path)
    sources = [load_source(path) for path in paths]
    if not sources:
        raise SourceError(f"{folder}: no source files (*.yml) here")
    return sources


def load_source(path: Path) -> Source:
    """Read one source file. Raises SourceError."""
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise SourceError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise SourceError(f"{path}: a mapping of keys is expected, not {type(values).__name__}")
    known = {field.name: field.type for field in fields(Source)}
    for key in values:
        if key not in known:
            raise SourceError(f"{path}: unknown key {key!r}; known keys: {', '.join(known)}")
    for key in ("id", "kind", "title", "contact", "start"):
        if not values.get(key):
            raise SourceError(f"{path}: key {key!r} is missing or empty")
    if values["id"] != path.stem:
        raise SourceError(f"{path}: id {values['id']!r} must be the file's name, {path.stem!r}")
    if values["kind"] not in KINDS:
        raise SourceError(f"{path}: kind {values['kind']!r} is none of {', '.join(KINDS)}")
    loopback = values.get("loopback", False)
    for key, kind, least, most in (
        ("delay", float, 0 if loopback else MIN_DELAY, 3600),
        ("max_depth", int, 0, 100),
        ("max_pages", int, 1, 1_000_000),
    ):
        value = values.get(key, least)
        if isinstance(value, bool) or not isinstance(value, int | kind) or not least <= value <= most:
            raise SourceError(f"{path}: {key} {value!r} must be a number from {least} to {most}")
    for key in ("title", "contact"):
        if not isinstance(values[key], str):
            raise SourceError(f"{path}: {key} {values[key]!r} must be text")
    if not isinstance(loopback, bool):
        raise SourceError(f"{path}: loopback {loopback!r} must be true or false")
    if not isinstance(values["start"], list):
        raise SourceError(f"{path}: start must be a list of addresses")
    for url in values["start"]:
        _check_address(path, url)
    if values["kind"] == "ads":
        values["max_depth"] = 0
    return Source(**{**values, "start": tuple(values["start"])})


def _check_address(path: Path, url: object) -> None:
    try:
        parts = urlsplit(clean(url)) if isinstance(url, str) else None
        good = parts is not None and parts.scheme in ("http", "https") and registrable_domain(parts.hostname or "")
        url.encode() if isinstance(url, str) else None
    except ValueError:
        good = None
    if not good:
        raise SourceError(f"{path}: bad address {url!a} in start; expected http(s)://host/...")
