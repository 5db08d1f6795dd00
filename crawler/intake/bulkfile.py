"""One WARC (or WACZ) file read, judged and tagged into one result: the work of a bulk worker.

The result is JSON Lines, gzipped (`NAME.jsonl.gz`), which pandas, DuckDB and Spark read as it is: one line a page, in
the order of the file. Beside it stands its entry (`NAME.json`): what was read, by which code and model, and counts.
Both are written whole or not at all, hold no time and no host, and are the same bytes whoever makes them.
"""

import gzip
import hashlib
import json
import os
import socket
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import fsspec

from crawler.intake.waczfile import unpack
from crawler.intake.warcfile import captures
from crawler.page import NotAPage, Page, read_page
from data.problem import Problem

Blocks = Sequence[tuple[str, str]]  # (kind, text) in reading order
Judge = Callable[[Iterable[Blocks]], Iterable[Any]]  # one classifier.judge.Judgement a page, in order
Entry = dict[str, Any]

BATCH_CHARS = 400_000  # of text judged at once: about 4,000 blocks of ordinary pages
BATCH_PAGES = 1_000  # pages judged at once, repeats included
KNOWN_CHARS = 16_000_000  # of answers kept for repeats of a text within the file; then they are forgotten
CONTEXT = 160  # characters shown on either side of a quote
COUNTED = ("outcomes", "voices", "languages", "claims")
CHANGED = ("ETag", "etag", "md5Hash", "LastModified", "last_modified", "mtime", "updated", "created")
PART = ".part"  # ending of what is being written
MODULES = ("blocks.py", "depth.py", "frontier.py", "page.py", "walls.py", "intake/bulkfile.py", "intake/encodings.py",
           "intake/records.py", "intake/waczfile.py", "intake/warcfile.py", "../data/lookups/walls.yml")  # fmt: skip

_one_file = threading.Lock()  # the classifier is not for several threads at once; a dask worker may have many


class BulkError(Problem):
    """Work that cannot go on, or files that could not be read to their end: one line each; `result` if there is one."""

    def __init__(self, problems: list[str], result: Entry | None = None) -> None:
        super().__init__(problems, result)  # both, so that it comes out of a worker's process as it was
        self.problems, self.result = problems, result

    def __str__(self) -> str:
        return "\n".join(self.problems)


@dataclass(frozen=True, slots=True)
class Maker:
    """Who makes a result; one of another maker is made anew."""

    model: str  # version
    code: str  # digest of the modules that read


@dataclass(slots=True)
class _Tally:
    """What became of one file."""

    input: dict[str, Any] | None = None
    problems: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    voices: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    claims: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def told(self, address: str) -> Iterator[None]:
        """Whatever goes wrong in reading is told and stops no other file: each file system has errors of its own."""
        try:
            yield
        except Exception as error:
            kind = "" if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: "
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            self.problems.append(f"{address}: {kind}{' '.join(reason.split())[:300]}")


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the judge said of a text: the end of its line, and what is counted."""

    line: str
    voice: str
    lang: str
    labels: tuple[str, ...]


@cache
def code() -> str:
    """Digest of the modules that decide what a result holds of a file."""
    here = Path(__file__).parents[1]
    return hashlib.sha256(b"\0".join((here / name).read_bytes() for name in MODULES)).hexdigest()[:12]


def standing(address: str, out: Path, made_by: Maker) -> Entry | None:
    """The entry of a whole result in `out` that this maker made of this very file, or None."""
    try:
        entry: Entry = json.loads((out / f"{_name(address)}.json").read_bytes())
        same = entry["made_by"] == asdict(made_by) and entry["input"] == _state(address)
        there = (out / entry["result"]).stat().st_size == entry["result_bytes"]
        return entry if same and there and not entry["problems"] else None
    except Exception:  # absent, torn, or the address cannot be asked: it is read again, which tells why
        return None


def read_file(address: str, out: Path, judge: Judge, made_by: Maker) -> Entry:
    """Make the result of one file in `out`; returns its entry. `problems` has a line where not all could be read.

    What stands before a break is kept. Raises BulkError where this worker is not fit for the work, OSError where the
    result cannot be written.
    """
    if made_by.code != code():
        raise BulkError([f"{socket.gethostname()}: this worker runs other code ({code()}, not {made_by.code})"])
    if not out.is_dir():
        raise BulkError([f"{out}: no such folder on {socket.gethostname()}: all workers must share it"])
    name = _name(address)
    part = out / f"{name}.{uuid.uuid4().hex}{PART}"
    tally = _Tally()
    try:
        with _one_file, part.open("xb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as file:
            file.writelines(_lines(_pages(address, out, tally), judge, made_by.model, tally))
        entry = {
            "file": address,
            "input": tally.input,
            "made_by": asdict(made_by),
            "result": f"{name}.jsonl.gz",
            "result_bytes": part.stat().st_size,
            **{kind: dict(sorted(getattr(tally, kind).items())) for kind in COUNTED},
            "problems": tally.problems,
        }
        if tally.problems and not tally.outcomes:  # nothing was read: an older result stays
            return entry | {"result": None, "result_bytes": 0}
        os.replace(part, out / f"{name}.jsonl.gz")
        write_json(out / f"{name}.json", entry)
        return entry
    finally:
        part.unlink(missing_ok=True)


def write_json(path: Path, value: Entry) -> None:
    """Write a file whole or not at all. Raises OSError."""
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}{PART}")
    part.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", "utf-8")
    os.replace(part, path)


def _name(address: str) -> str:
    """Of a result, without its ending: the file's own, made unique, since names repeat in other folders."""
    name = address.rstrip("/").rpartition("/")[2].encode()[:100].decode("utf-8", "ignore")
    return f"{name}-{hashlib.sha256(address.encode()).hexdigest()[:12]}"


def _state(address: str) -> dict[str, Any]:
    """By what it is seen that a file has changed: its size, and its date or tag where its file system has one."""
    fs, path = fsspec.url_to_fs(address)
    info = fs.info(path)
    if info["type"] != "file":  # a pipe or /dev/zero would be read without end
        raise ValueError(f"is no file: {info['type']}")
    return {"bytes": info["size"], "changed": next((str(info[key]) for key in CHANGED if info.get(key)), None)}


def _warcs(address: str, out: Path) -> Iterator[tuple[str | Path, str, list[str]]]:
    """The WARC files that a file is or holds: where it can be read, its name, and what is wrong with it."""
    name = address.rpartition("/")[2]
    if not name.lower().endswith(".wacz"):
        yield address, name, []
        return
    with TemporaryDirectory(PART, dir=out) as folder:  # in `out`, where it is swept if this process is killed
        path = Path(address)
        if "://" in address:  # a WACZ has its list at its end
            path = Path(folder) / name
            fs, remote = fsspec.url_to_fs(address)
            fs.get_file(remote, str(path))
        for warc, wrong in unpack(path, Path(folder)):
            yield warc, warc.name, wrong


def _pages(address: str, out: Path, tally: _Tally) -> Iterator[Page]:
    """The pages of a file, in its order. What else becomes of it stands in `tally`."""
    with tally.told(address):
        tally.input = _state(address)
        for warc, name, wrong in _warcs(address, out):
            tally.problems += [f"{address}: {line}" for line in wrong]
            with tally.told(address):
                for record in captures(warc, name):
                    try:
                        page = None if isinstance(record, str) else read_page(record)
                    except NotAPage as none:
                        record, page = none.reason, None
                    tally.outcomes["page" if page else str(record)] += 1
                    if page:
                        yield page


def _batches(pages: Iterator[Page], known: Container[str]) -> Iterator[tuple[list[tuple[str, str]], dict[str, Blocks]]]:
    """Pages on their way to the judge: (head of the line, digest of the text) of each, and the texts not yet known."""
    heads: list[tuple[str, str]] = []
    new: dict[str, Blocks] = {}
    size = 0
    for page in pages:
        heads.append((_head(page), page.text_sha256))
        if page.text_sha256 not in known and page.text_sha256 not in new:
            new[page.text_sha256] = [(block.kind, block.text) for block in page.blocks]
            size += sum(len(block.text) for block in page.blocks)
        if size >= BATCH_CHARS or len(heads) >= BATCH_PAGES:
            yield heads, new
            heads, new, size = [], {}, 0
    if heads:
        yield heads, new


def _lines(pages: Iterator[Page], judge: Judge, model: str, tally: _Tally) -> Iterator[bytes]:
    """The lines of the result. A text that repeats is judged once: that is most of the work."""
    known: dict[str, _Answer] = {}
    for heads, new in _batches(pages, known):
        for (digest, blocks), judged in zip(new.items(), judge(new.values()), strict=True):
            if judged.model != model:
                raise BulkError([f"{socket.gethostname()}: this worker has model {judged.model}, not {model}"])
            known[digest] = _answer(blocks, judged)
        for head, digest in heads:
            answer = known[digest]
            tally.voices[answer.voice] += 1
            tally.languages[answer.lang] += 1
            tally.claims.update(answer.labels)
            yield f"{head[:-1]}, {answer.line[1:]}\n".encode()  # one JSON object of two
        if sum(len(answer.line) for answer in known.values()) > KNOWN_CHARS:
            known.clear()


def _head(page: Page) -> str:
    capture, record = page.capture, page.capture.record
    where = {"warc": record.warc, "offset": record.offset, "length": record.length, "sha256": record.sha256}
    return _json({"url": capture.url, "date": capture.fetched_at, "title": (page.title or "")[:CONTEXT], **where})


def _answer(blocks: Blocks, judged: Any) -> _Answer:
    claims = []
    for claim in judged.claims:
        text = blocks[claim.block][1]
        context = text[max(0, claim.start - CONTEXT) : claim.end + CONTEXT]
        claims.append(asdict(claim) | {"score": round(claim.score, 4), "context": context})
    said = {"lang": judged.lang, "voice": judged.voice, "voice_score": round(judged.voice_score, 4)}
    line = _json({"blocks": len(blocks), **said, "claims": claims})
    return _Answer(line, judged.voice, judged.lang, tuple(claim.label for claim in judged.claims))


def _json(value: Entry) -> str:
    return json.dumps(value, ensure_ascii=False)
