"""Scaffold: a new source, with a recorded answer and what is read in it, which the tests compare from then on.

A recorded answer is a folder: `page.html` (the body, as sent), `page.yml` (address, type, kind of source) and
`blocks.json` (what is read in it); tests/test_recorded.py checks all of them. Answers of real hosts are never
committed: they go to a folder that git ignores.
"""

import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from sqlite_utils import Database

from crawler.archive import Archive, now
from crawler.frontier import Lease, clean
from crawler.intake.records import WarcError
from crawler.intake.warcfile import captures
from crawler.page import MAX_BODY, Capture, NotAPage, Record
from crawler.sources import KINDS, Source, SourceError, load_source
from crawler.spiders import adlibrary
from crawler.spiders.lease import LeaseSpider
from data.migrations import open_store
from data.problem import Problem

PRIVATE = "private"  # folder of recorded answers that git ignores
INVENTED = (".example", ".test")  # hosts that belong to nobody (RFC 2606): their pages may be committed
ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


class ScaffoldError(Problem):
    """No source was made; the message says why. Nothing was left behind."""


@dataclass(frozen=True, slots=True)
class Scaffold:
    """What was made: the source file and the folder of its recorded answer; `private` where git must not have them."""

    source: Path
    case: Path
    private: bool
    blocks: int
    links: int


def scaffold(
    kind: str,
    name: str,
    url: str,
    sources: Path,
    pages: Path,
    contact: str,
    body: bytes | None = None,
    title: str = "",
    overrides: Mapping[str, Any] | None = None,
) -> Scaffold:
    """Write `sources`/NAME.yml and a recorded answer of `url` below `pages`; `body` is a saved one, else it is fetched.

    Fetching is a crawl of this one address, by all the rules of a crawl; `overrides` as there. Raises ScaffoldError,
    SourceError; existing files stay.
    """
    if not ID.fullmatch(name) or name == PRIVATE:
        raise ScaffoldError(f"{name!a}: an id is made of lower-case letters, digits and hyphens")
    if kind not in KINDS:
        raise ScaffoldError(f"{kind!a}: kind is none of {', '.join(KINDS)}")
    if not contact:
        raise ScaffoldError(
            "say who keeps the source: set FANTOMES_CONTACT (or --contact) to an e-mail address or page"
        )
    private = not (urlsplit(url).hostname or "").endswith(INVENTED)
    file = sources / f"{name}.yml"
    folder = (pages / PRIVATE if private else pages) / name
    for path in (file, folder):
        if path.exists():
            raise ScaffoldError(f"{path}: is there already, and stays as it is")
    case = folder / _case(url)
    try:
        sources.mkdir(parents=True, exist_ok=True)
        file.write_text(_text(kind, name, url, contact, title, {}), "utf-8")
        source = load_source(file)
        capture = _fetched(source, contact, overrides) if body is None else _saved(url, body)
        found = read(capture, kind)
        if not found["blocks"] and not found["links"]:
            raise ScaffoldError(f"{url}: nothing was read there ({found['outcome']}); is it a source of kind {kind}?")
        file.write_text(_text(kind, name, url, contact, title, _floors(found)), "utf-8")
        load_source(file)
        _record(case, capture, kind, found)
        if private:
            (pages / PRIVATE / ".gitignore").write_text("# pages of real hosts: never committed\n*\n", "utf-8")
    except (ScaffoldError, SourceError, OSError) as error:
        file.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise ScaffoldError(f"{name}: cannot be written: {error}") from error
        raise
    return Scaffold(file, case, private, len(found["blocks"]), len(found["links"]))


def _record(case: Path, capture: Capture, kind: str, found: dict[str, Any]) -> None:
    about = {"url": capture.url, "kind": kind, "content_type": capture.content_type, "fetched_at": capture.fetched_at}
    case.mkdir(parents=True)
    (case / "page.html").write_bytes(capture.body)
    (case / "page.yml").write_text(yaml.safe_dump(about, sort_keys=False, allow_unicode=True), "utf-8")
    (case / "blocks.json").write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", "utf-8")


def read_case(case: Path) -> dict[str, Any]:
    """What is read in a recorded answer today, in the form of its blocks.json."""
    about = yaml.safe_load((case / "page.yml").read_text("utf-8"))
    kind = about.pop("kind")
    return read(_saved(body=(case / "page.html").read_bytes(), **about), kind)


def read(capture: Capture, kind: str) -> dict[str, Any]:
    """What the reader of a kind of source makes of an answer: outcome, title, blocks, offers, links."""
    source = Source("scaffold", kind, "", "", (capture.url,))
    with tempfile.TemporaryDirectory() as folder:
        archive = Archive(Path(folder), "scaffold")  # ad libraries keep each ad as a record
        try:
            found = LeaseSpider.readers[kind](capture, Lease(0, capture.url, 0, None), source, archive)
        except (NotAPage, adlibrary.Stopped) as none:
            word = none.reason if isinstance(none, NotAPage) else none.outcome
            return {"outcome": word, "title": None, "blocks": [], "offers": [], "links": []}
        finally:
            archive.close()
    return {
        "outcome": found.outcome,
        "title": found.pages[0].title if found.pages else None,
        "blocks": [f"{block.kind}: {block.text}" for page in found.pages for block in page.blocks],
        "offers": [asdict(offer) for page in found.pages for offer in page.offers],
        "links": [link.url for link in found.links],
    }


def _saved(url: str, body: bytes, content_type: str = "", fetched_at: str = "") -> Capture:
    if len(body) > MAX_BODY:
        raise ScaffoldError(f"{url}: {len(body)} bytes, the limit is {MAX_BODY}")
    if b"access_token" in body:
        raise ScaffoldError(f"{url}: the page holds an access token, which is never stored: take it out")
    return Capture(clean(url), fetched_at or now(), 200, content_type, body, Record("", 0, 0, ""))


def _fetched(source: Source, contact: str, overrides: Mapping[str, Any] | None) -> Capture:
    """The answer of the source's one address, by a crawl into a folder that is thrown away."""
    from crawler.crawl import CrawlError, crawl

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        db: Database = open_store(folder / "fantomes.db")
        try:
            one = [replace(source, max_pages=1)]
            result = crawl(db, folder / "archive", one, contact, folder / "log", overrides=overrides)
            answers = [
                capture
                for warc in sorted((folder / "archive").glob("*.warc.gz"))
                for capture in captures(warc, warc.name)
                if isinstance(capture, Capture) and urlsplit(capture.url).path != "/robots.txt"
            ]
        except (CrawlError, WarcError, OSError) as error:
            raise ScaffoldError(f"{source.start[0]}: cannot be fetched: {error}") from error
        finally:
            db.close()
    if not answers:
        raise ScaffoldError(f"{source.start[0]}: no answer to record ({', '.join(result['outcomes']) or 'nothing'})")
    return answers[-1]


def _floors(found: dict[str, Any]) -> dict[str, int]:
    """A start: half of what stands on the one address. To be raised when a first crawl has shown what is usual."""
    floors = {"pages": 1, "blocks": len(found["blocks"]) // 2, "offers": len(found["offers"]) // 2}
    return {name: least for name, least in floors.items() if least}


def _text(kind: str, name: str, url: str, contact: str, title: str, floors: dict[str, int]) -> str:
    values: dict[str, Any] = {"id": name, "kind": kind, "title": title or name, "contact": contact, "start": [url]}
    values |= {"floors": floors} if floors else {}
    runbook = (
        "Zero pages: open the address in a browser; is it a challenge, a log-in, another domain? Look into the log\n"
        "  beside the store (*.crawl.log) and robots.txt.\n"
        "  Fewer blocks than the floor: compare the last two captures with `fantomes diff ADDRESS`.\n"
    )
    return f"{yaml.safe_dump(values, sort_keys=False, allow_unicode=True)}runbook: |\n  {runbook}"


def _case(url: str) -> str:
    """A name of a folder for an address: "/en/buy?x=1" is en-buy-x-1, the front page is "front"."""
    parts = urlsplit(url)
    return re.sub(r"[^a-z0-9]+", "-", f"{parts.path} {parts.query}".lower()).strip("-")[:60].strip("-") or "front"
