"""Bulk: thousands of WARC files read, judged and tagged by many processes, one result file each.

Nothing goes into the store: `fantomes ingest` of the files whose results matter does that, and keeps their evidence.
A file is the unit of work. Its result is written whole or not at all, and is the same bytes whoever makes it, so that a
killed worker costs the file it was at, and a rerun does what is not done.
"""

import fcntl
import glob
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path

import fsspec

from crawler.intake.bulkfile import COUNTED, PART, BulkError, Entry, Judge, Maker, code, read_file, standing, write_json
from crawler.intake.workers import cluster, local

ASKED_AT_ONCE = 16  # files whose state is asked for: a far file system takes its time


def find(paths: Sequence[str]) -> list[str]:
    """The addresses meant by `paths`, each once: files, what fsspec can open, globs of either, @lists of these.

    A list has one a line; it may be gzipped. Local files become absolute paths. Raises BulkError for a list that cannot
    be read and a glob that fits nothing; whether a file can be read shows when it is.
    """
    found = dict.fromkeys(address for path in paths for address in _meant(path))
    if odd := [f"{address!a}: a name that is not UTF-8" for address in found if not _encodes(address)]:
        raise BulkError(odd)
    if not found:
        raise BulkError(["no file to read"])
    return list(found)


def _encodes(address: str) -> bool:
    return address == address.encode("utf-8", "replace").decode()


def _meant(path: str) -> Iterator[str]:
    if path.startswith("@"):
        try:
            with fsspec.open(path[1:], "rt", encoding="utf-8", compression="infer") as file:
                lines = [line.strip() for line in file]
        except Exception as error:  # each file system has errors of its own
            raise BulkError([f"{path[1:]}: the list cannot be read: {error}"]) from error
        for line in lines:
            if line.startswith("@"):  # lists could name each other in a circle
                raise BulkError([f"{path[1:]}: a list in a list: {line}"])
            if line and not line.startswith("#"):
                yield from _meant(line)
    elif "*" in path and not os.path.exists(path):
        yield from _matches(path)
    else:
        yield path if "://" in path else os.path.abspath(path)


def _matches(pattern: str) -> list[str]:
    try:
        if "://" in pattern:
            fs, inner = fsspec.url_to_fs(pattern)
            matches = [fs.unstrip_protocol(path) for path in fs.glob(inner)]
        else:
            matches = [os.path.abspath(path) for path in glob.glob(pattern, recursive=True)]
    except Exception as error:
        raise BulkError([f"{pattern}: cannot be listed: {error}"]) from error
    if not matches:
        raise BulkError([f"{pattern}: no file fits"])
    return sorted(matches)


def run(
    files: Sequence[str],
    out: Path,
    judge: Judge,
    model: str,
    scheduler: str | None = None,
    workers: int | None = None,
    progress: Callable[[int], None] = lambda files: None,
) -> Entry:
    """Make the results of `files` (from find()) in the folder `out`, and `summary.json` there; returns the summary.

    `judge` can be pickled; `model` is the version that it judges by. The work is done by `workers` processes (one a
    core), or by the workers of the dask `scheduler`: they read all files and share `out`. What has a whole result of
    the same file, code and model is not read again; `kept` counts it. `progress` gets the number of files done since
    the last call. Raises BulkError: at the end where files could not be read to their end, else at once.
    """
    out = out.absolute()
    made_by = Maker(model, code())
    with _alone(out):
        with ThreadPoolExecutor(ASKED_AT_ONCE) as asking:
            standings = asking.map(lambda file: standing(file, out, made_by), files)
            entries = dict(zip(files, standings, strict=True))
        waiting = [file for file, entry in entries.items() if entry is None]
        kept = len(entries) - len(waiting)
        progress(kept)
        if waiting:
            work = partial(read_file, out=out, judge=judge, made_by=made_by)
            processes = workers or len(os.sched_getaffinity(0))
            done = cluster(work, waiting, scheduler) if scheduler else local(work, waiting, processes)
            for entry in done:
                entries[entry["file"]] = entry
                progress(1)
        summary = _summary([entry for entry in entries.values() if entry], made_by)
        write_json(out / "summary.json", summary)
    result = summary | {"kept": kept}
    if problems := [line for entry in summary["by_file"] for line in entry["problems"]]:
        raise BulkError(problems, result)
    return result


def _summary(entries: list[Entry], made_by: Maker) -> Entry:
    totals = {kind: Counter[str]() for kind in COUNTED}
    for entry in entries:
        for kind, total in totals.items():
            total.update(entry.get(kind, {}))
    return {
        "files": len(entries),
        "broken": sum(bool(entry["problems"]) for entry in entries),
        "made_by": asdict(made_by),
        **{kind: dict(total.most_common()) for kind, total in totals.items()},
        "by_file": entries,
    }


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Hold the folder, and sweep what killed workers left in it, before and after. Raises BulkError."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = (out / ".lock").open("w")
    except OSError as error:
        raise BulkError([f"{out}: cannot be written: {error.strerror}"]) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BulkError([f"{out}: another bulk run writes there"]) from None
        _sweep(out)
        try:
            yield
        finally:
            _sweep(out)


def _sweep(out: Path) -> None:
    for path in out.glob(f"*{PART}"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
