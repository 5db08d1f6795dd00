"""Sources: what to crawl, one YAML file each in data/sources/. The one loader, and a strict one."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from crawler.frontier import clean
from crawler.market.panels import is_interface
from data.domains import registrable_domain
from data.problem import Problem

KINDS = ("site", "feed", "ads", "adlibrary", "panel")
FLOORS = ("pages", "blocks", "offers", "links")  # what a run can be asked to have brought at least
MIN_DELAY = 0.5  # seconds between two requests to a host that is not our own sample web


class SourceError(Problem):
    """A source file that cannot be used; the message names the file and the value."""


@dataclass(frozen=True, slots=True)
class Source:
    """A list of addresses of one kind and how far to go from them."""

    id: str
    kind: str
    """site: pages of the same registered domain are followed; feed: RSS, Atom, sitemaps and the releases they announce;
    ads: these landing pages alone; adlibrary: Meta's Ad Library; panel: price tables of a panel, its pages alone."""
    title: str
    contact: str  # who keeps this file
    start: tuple[str, ...]
    delay: float = 1.0  # seconds between two requests to one host, at least
    max_depth: int = 3  # clicks from a start address
    max_pages: int = 500
    loopback: bool = False  # served by the bundled sample web; the hosts of `start` are never looked up
    render: bool = False  # run the pages' scripts in a browser (the extra `render`)
    screenshot: bool = False  # of rendered pages, kept beside the answer
    discover: bool = False  # also visit unknown domains that promotion links to, the likeliest first
    floors: dict[str, int] = field(default_factory=dict)  # least numbers of a good run: pages, blocks ...
    runbook: str = ""  # what to do when it fails


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
    for key in ("title", "contact", "runbook"):
        if not isinstance(values.get(key, ""), str):
            raise SourceError(f"{path}: {key} {values[key]!r} must be text")
    for key in ("loopback", "render", "screenshot", "discover"):
        if not isinstance(values.get(key, False), bool):
            raise SourceError(f"{path}: {key} {values[key]!r} must be true or false")
    if values.get("discover") and values["kind"] != "site":  # as releases, a stranger's pages would be misread
        raise SourceError(f"{path}: discover: true is for sources of kind 'site', not {values['kind']!r}")
    floors = values.get("floors", {})
    if not isinstance(floors, dict) or not all(
        key in FLOORS and type(value) is int and value >= 0 for key, value in floors.items()
    ):
        raise SourceError(f"{path}: floors {floors!r} must give whole numbers for some of {', '.join(FLOORS)}")
    if not isinstance(values["start"], list):
        raise SourceError(f"{path}: start must be a list of addresses")
    for url in values["start"]:
        _check_address(path, url)
        if (values["kind"] == "panel" and is_interface(url)) or "access_token" in url.lower():
            raise SourceError(f"{path}: an address in start holds a key, an action or a token: leave it out")
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
