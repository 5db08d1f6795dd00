"""Ingest: files that others captured or saved through the same stations as a crawl, without network.

A WARC file is copied into the archive byte for byte, so that its records are evidence as they are; so are those inside
a WACZ; a saved file becomes a `resource` record. A file that is broken somewhere gives what stands before the break.
"""

import os
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from crawler.archive import SOFTWARE, Archive, ArchiveError
from crawler.evidence.stored import remember_head
from crawler.frontier import host_of
from crawler.intake.records import WarcError, is_warc, records
from crawler.intake.savedfile import read_saved
from crawler.intake.waczfile import is_zip, unpack
from crawler.intake.warcfile import captures
from crawler.page import NotAPage, Page, decode, read_page
from crawler.press.copies import mark_copies
from crawler.store import save_page, save_source
from data.domains import registrable_domain
from data.migrations import write
from data.platforms import wires
from data.problem import Problem


class IngestError(Problem):
    """Files that could not be read, wholly or in part; what could be read is stored. One line a file."""

    def __init__(self, problems: list[str], result: dict[str, Any]) -> None:
        super().__init__("\n".join(problems))
        self.result = result


@dataclass(slots=True)
class _Run:
    db: Database
    archive: Archive
    url: str | None
    progress: Callable[[int], None]
    counts: Counter[str] = field(default_factory=Counter)
    warnings: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def ingest(
    db: Database,
    archive: Path,
    paths: list[Path],
    url: str | None = None,
    progress: Callable[[int], None] = lambda records: None,
) -> dict[str, Any]:
    """Read `paths`, files and folders of files, into the store; returns counts by outcome and warnings, one line each.

    `url` is the address of a saved page, for somebody who knows it. Raises IngestError after all files were tried.
    """
    run = _Run(db, Archive(archive, SOFTWARE), url, progress)
    files = [(file, file == path) for path in paths for file in _files(path)]
    if url and len(files) > 1:  # or the words of one would be laid in the mouth of the other
        raise IngestError([f"{url}: is the address of one saved page, not of {len(files)} files"], _result(run, 0, 0))
    broken = 0
    for file, named in files:
        before = len(run.problems)
        try:
            _read(run, file)
        except NotAPage as none:
            if named:
                run.problems.append(f"{file}: {none}")
            else:  # a folder of saved pages holds their pictures too
                run.counts[none.reason] += 1
        except (OSError, ArchiveError, sqlite3.Error, UnicodeError, WarcError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            run.problems.append(reason if str(file) in reason else f"{file}: {reason}")
        broken += len(run.problems) > before
    mark_copies(db)
    with write(db):
        remember_head(db, run.archive.head())
    run.archive.close()
    if run.problems:
        raise IngestError(run.problems, _result(run, len(files), broken))
    return _result(run, len(files), broken)


def _result(run: _Run, files: int, broken: int) -> dict[str, Any]:
    outcomes = dict(run.counts.most_common())
    return {"outcomes": outcomes, "files": files, "broken": broken, "warnings": run.warnings}


def _files(path: Path) -> Iterator[Path]:
    """The file itself, or all files below a folder in the order of their names."""
    if not path.is_dir():
        yield path
        return
    found = [Path(folder, name) for folder, _, names in os.walk(path) for name in names]
    yield from sorted(file for file in found if file.is_file()) or [path]  # an empty folder says so when it is read


def _read(run: _Run, path: Path) -> None:
    if path.is_dir():
        raise NotAPage("empty", "no file in this folder")
    with path.open("rb") as file:
        head = file.read(512)
    if is_warc(head):
        _read_warc(run, path)
    elif is_zip(head):
        _read_wacz(run, path)
    else:
        _read_saved(run, path)


def _read_warc(run: _Run, path: Path) -> None:
    with path.open("rb") as file:
        next(records(file))  # nothing is kept of a file that is no WARC file, such as any other .gz
    title = path.name.encode(errors="backslashreplace").decode()  # names of files may hold any bytes
    source = f"warc:{title}"
    with write(run.db):
        save_source(run.db, source, "archive", None, title)
    name = run.archive.keep(path)
    for capture in captures(run.archive.folder / name, name):
        if isinstance(capture, str):
            outcome = capture
        else:
            try:
                page = read_page(capture)
                if registrable_domain(host_of(page.capture.url)) in wires():
                    _judge_release(page)
                with write(run.db):
                    outcome = "stored" if save_page(run.db, source, page) else "unchanged"
            except NotAPage as none:
                outcome = none.reason
            except (ValueError, OverflowError):  # one odd record is no reason to leave the others unread
                outcome = "bad-record"
        run.counts[outcome] += 1
        run.progress(1)


def _read_wacz(run: _Run, path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for warc, problems in unpack(path, Path(folder)):
            run.problems += [f"{path}: {problem}" for problem in problems]
            try:
                _read_warc(run, warc)
            except WarcError as error:  # the others may be whole
                run.problems.append(f"{path}: {warc.name} {error}")


def _read_saved(run: _Run, path: Path) -> None:
    with write(run.db):
        save_source(run.db, "files", "file", None, "Saved pages")
    saved = read_saved(path, run.url, run.archive)
    run.warnings += saved.warnings
    with write(run.db):
        outcomes = ["stored" if save_page(run.db, "files", page) else "unchanged" for page in saved.pages]
    run.counts.update(outcomes or [saved.outcome])
    run.progress(1)


def _judge_release(page: Page) -> None:
    """What a wire's archive holds are mostly press releases."""
    from crawler.press.releases import read_release  # brings half a second and sixty megabytes along

    html, _ = decode(page.capture.body, page.capture.content_type)
    if release := read_release(page, html):
        page.release, page.kind = release, "release"
