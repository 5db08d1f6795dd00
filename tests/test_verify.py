"""The check of all evidence: whatever is altered, removed, added or swapped is named; what is whole is not."""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from crawler.archive import Archive
from crawler.evidence.manifest import MANIFEST, Head, entries, line
from crawler.evidence.stored import Report, remember_head
from crawler.evidence.verify import verify
from crawler.page import Capture, Record, read_page
from crawler.store import save_page, save_source
from data.migrations import open_store, write

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"
HTML = b"<title>Shop</title><p>Real fans, within minutes</p>"
DATE = "2026-01-02T03:04:05Z"
URL = "http://a.example/"
ROOT = Path(__file__).parents[1]


def tiny(folder: Path) -> Record:
    """An archive of one answer."""
    archive = Archive(folder, "t")
    record = archive.response(URL, DATE, HEAD, HTML)
    archive.close()
    return record


def full(folder: Path) -> Record:
    """An archive with every kind of line but stamps; returns where the first answer lies."""
    archive = Archive(folder, "t")
    record = archive.response(URL, DATE, HEAD, HTML, GET, "192.0.2.1")
    archive.revisit(URL, "2026-01-03T03:04:05Z", HEAD, record.sha256, DATE, GET)
    archive.resource("file:///saved.html", DATE, "text/html", b"<p>saved")
    archive.conversion("http://ads.example/1", DATE, "application/json", b"{}", record)
    archive.close()
    foreign = folder.parent / "foreign.warc.gz"
    other = Archive(folder.parent / "other", "t")
    kept = other.response("http://b.example/", DATE, HEAD, HTML, GET)
    other.close()
    shutil.copy(folder.parent / "other" / kept.warc, foreign)
    archive.keep(foreign)
    archive.close()
    torn = next(folder.glob("fantomes-*.warc.gz"))
    shutil.copy(torn, folder / "fantomes-killed.warc.gz")  # no line knows it
    with (folder / MANIFEST).open("ab") as file:
        file.write(b'{"half a line')
    archive.resource("file:///more.html", DATE, "text/html", b"<p>more")
    archive.close()
    return record


def store(folder: Path, record: Record) -> Database:
    """A store with one page, one claim and the head of the chain as it is."""
    db = open_store(folder / "fantomes.db")
    page = read_page(Capture(URL, DATE, 200, "text/html", HTML, record))
    with write(db):
        save_source(db, "s", "site", None, None)
        save_page(db, "s", page)
        block, text = db.execute("SELECT id, text FROM blocks WHERE text LIKE 'Real%'").fetchone()
        db.table("claims").insert(
            {"id": "c1", "page_id": 1, "block_id": block, "label": "real", "score": 1.0, "start": 0, "end": 9}
            | {"quote": text[:9], "model": "m"}
        )
        remember_head(db, Archive(folder / "archive", "t").head())
    return db


def told(report: Report) -> str:
    return "\n".join(map(str, report.problems))


def test_what_is_whole_has_no_problem(tmp_path: Path) -> None:
    db = store(tmp_path, full(tmp_path / "archive"))
    seen: list[int] = []
    report = verify(tmp_path / "archive", db, seen.append)
    assert told(report) == ""
    files = [path for path in (tmp_path / "archive").iterdir() if path.name != MANIFEST]
    assert sum(seen) == sum(path.stat().st_size for path in (tmp_path / "archive").iterdir())
    assert (report.counts["files"], report.counts["pages"], report.counts["claims"]) == (len(files), 1, 1)
    assert any("half a line" in note or "sealed" in note for note in report.notes)
    assert json.loads(json.dumps(report.as_json()))["ok"] is True


def test_any_one_byte_of_a_small_archive(tmp_path: Path) -> None:
    tiny(tmp_path)
    missed = []
    for path in tmp_path.iterdir():
        whole = path.read_bytes()
        with path.open("r+b") as file:
            for place in range(len(whole)):
                os.pwrite(file.fileno(), bytes([whole[place] ^ 1 << place % 8]), place)
                if not verify(tmp_path).problems:
                    missed.append((path.name, place))
                os.pwrite(file.fileno(), whole[place : place + 1], place)
    assert missed == []
    assert not verify(tmp_path).problems


@pytest.fixture(scope="module")
def archived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("full") / "archive"
    full(folder)
    return folder


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_one_byte_of_any_file(archived: Path, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(archived.iterdir())))
    whole = path.read_bytes()
    if not whole:
        return
    place = data.draw(st.integers(0, len(whole) - 1))
    altered = bytearray(whole)
    altered[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(altered)
    try:
        assert any(path.name in (problem.file, MANIFEST) for problem in verify(archived).problems)
    finally:
        path.write_bytes(whole)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_bytes_that_are_put_in_or_taken_out(archived: Path, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(archived.iterdir())))
    whole = path.read_bytes()
    start, end = sorted(data.draw(st.integers(0, len(whole))) for _ in range(2))
    altered = whole[:start] + data.draw(st.binary(max_size=20)) + whole[end:]
    if altered == whole or (path.name == MANIFEST and whole.startswith(altered)):  # its end needs a head remembered
        return
    path.write_bytes(altered)
    try:
        assert verify(archived).problems
    finally:
        path.write_bytes(whole)


def test_any_file_that_is_gone_or_new_or_swapped(tmp_path: Path) -> None:
    full(tmp_path / "archive")
    folder = tmp_path / "archive"
    files = [path for path in sorted(folder.iterdir()) if path.name != MANIFEST]
    for path in files:
        path.rename(tmp_path / "away")
        assert f"{path.name}: is missing" in told(verify(folder))
        (tmp_path / "away").rename(path)
    (folder / "new.warc.gz").write_bytes(b"")
    assert "new.warc.gz: no line of the chain knows this file" in told(verify(folder))
    (folder / "new.warc.gz").unlink()
    (folder / "deeper").mkdir()
    assert "deeper: is no plain file" in told(verify(folder))
    (folder / "deeper").rmdir()
    for one, two in pairwise(files):
        if one.read_bytes() != two.read_bytes():
            for source, target in ((one, tmp_path / "x"), (two, one), (tmp_path / "x", two)):
                source.rename(target)
            assert {one.name, two.name} & {problem.file for problem in verify(folder).problems}
            for source, target in ((one, tmp_path / "x"), (two, one), (tmp_path / "x", two)):
                source.rename(target)
    assert told(verify(folder)) == ""


def test_any_line_that_is_gone_or_swapped(tmp_path: Path) -> None:
    db = store(tmp_path, full(tmp_path / "archive"))
    manifest = tmp_path / "archive" / MANIFEST
    lines = manifest.read_bytes().splitlines(keepends=True)
    for number in range(len(lines)):
        manifest.write_bytes(b"".join(lines[:number] + lines[number + 1 :]))
        assert verify(tmp_path / "archive", db).problems
        manifest.write_bytes(b"".join(lines[:number]))  # the end cut off
        assert "was cut off" in told(verify(tmp_path / "archive", db))
        if number:
            lines[number - 1], lines[number] = lines[number], lines[number - 1]
            manifest.write_bytes(b"".join(lines))
            assert verify(tmp_path / "archive", db).problems
            lines[number - 1], lines[number] = lines[number], lines[number - 1]


def test_a_chain_written_anew_does_not_hold_the_head_that_is_remembered(tmp_path: Path) -> None:
    db = store(tmp_path, tiny(tmp_path / "archive"))
    shutil.rmtree(tmp_path / "archive")
    tiny(tmp_path / "archive")
    assert told(verify(tmp_path / "archive")) == ""  # in itself it is good
    assert "written anew" in told(verify(tmp_path / "archive", db))


def test_a_capture_cut_out_with_its_line_shows(tmp_path: Path) -> None:
    record = full(tmp_path / "archive")
    path, manifest = tmp_path / "archive" / record.warc, tmp_path / "archive" / MANIFEST
    raw = path.read_bytes()
    path.write_bytes(raw[: record.offset] + raw[record.offset + record.length :])
    lines = manifest.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if f'"length":{record.length},"offset":{record.offset},'.encode() not in line]
    manifest.write_bytes(b"".join(kept))
    report = verify(tmp_path / "archive")
    assert any(problem.file == MANIFEST and problem.offset for problem in report.problems)


def chained(folder: Path, lines: list[dict[str, Any]]) -> None:
    """A chain of these lines, each hash right: what a forger who has the whole folder can write."""
    head, data = Head(), b""
    for fields in lines:
        text, head = line(fields, head)
        data += text
    (folder / MANIFEST).write_bytes(data)


def test_what_a_forger_of_the_chain_forgets(tmp_path: Path) -> None:
    record = tiny(tmp_path)
    sidecar = tmp_path / f"{record.warc}.cdxj"
    text = sidecar.read_bytes()
    lines = [fields for _, fields in entries(tmp_path)]
    for fields in lines:
        del fields["hash"]
    chained(tmp_path, lines)
    assert told(verify(tmp_path)) == ""
    chained(tmp_path, [lines[0], lines[2]])
    assert f"{record.warc} at byte {record.offset}: {record.length} bytes from here have no line" in told(
        verify(tmp_path)
    )
    chained(tmp_path, lines[1:])
    assert f"{record.warc} at byte 0: what stands from here to byte {record.offset} has no line" in told(
        verify(tmp_path)
    )
    chained(tmp_path, [lines[0], lines[1], lines[1], lines[2]])
    assert "is told of twice" in told(verify(tmp_path))
    for key, value in {
        "url": "http://b.example/",
        "date": "2020-01-01T00:00:00Z",
        "payload": "ab",
        "kind": "resource",
    }.items():
        chained(tmp_path, [lines[0], lines[1] | {key: value}, lines[2]])
        assert f"the record's {key} is" in told(verify(tmp_path))
    forged = text.replace(b"a.example", b"b.example")
    sidecar.write_bytes(forged)
    chained(tmp_path, [*lines[:2], lines[2] | {"sha256": hashlib.sha256(forged).hexdigest()}])
    assert told(verify(tmp_path)) == f"{sidecar.name}: this is not the index of its file"
    sidecar.write_bytes(text)
    chained(tmp_path, lines)
    first, *others = (data for data, _ in list(entries(tmp_path)))
    first, _ = line(lines[0] | {"date": "2020-01-01T00:00:00Z"}, Head())
    (tmp_path / MANIFEST).write_bytes(b"".join([first, *others]))
    assert "does not follow the line before" in told(verify(tmp_path))


def test_bytes_at_the_end_of_any_file(tmp_path: Path) -> None:
    full(tmp_path / "archive")
    for path in sorted((tmp_path / "archive").iterdir()):
        whole = path.read_bytes()
        path.write_bytes(whole + b"x")
        expected = "is broken" if path.name == MANIFEST else "1 bytes from here have no line in the chain"
        assert expected in told(verify(tmp_path / "archive"))
        path.write_bytes(whole)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("UPDATE pages SET warc_offset = warc_offset + 1", "no record of"),
        ("UPDATE pages SET warc_length = warc_length + 1", "no record of"),
        ("UPDATE pages SET warc = 'none.warc.gz'", "leads to a file that is not in the archive"),
        ("UPDATE pages SET sha256 = 'ab'", "page 1 says ab"),
        ("UPDATE pages SET url = 'http://b.example/'", "page 1 of another address"),
        ("UPDATE blocks SET text = 'Real fans, at once' WHERE text LIKE 'Real%'", "not those of its digest"),
        ("DELETE FROM blocks WHERE text NOT LIKE 'Real%'", "not those of its digest"),
        ("INSERT INTO blocks (page_id, position, kind, text) VALUES (1, 9, 'text', 'x')", "not those of its digest"),
        ('UPDATE claims SET quote = "Realfans"', "claim c1: its quote"),
        ('UPDATE claims SET start = -9, "end" = 9', "claim c1: its quote"),
        ("UPDATE claims SET block_id = 77", "row 1 of claims leads to no row of blocks"),
        ("UPDATE chain_heads SET hash = 'cd'", "was cut off"),
    ],
)
def test_rows_that_do_not_fit_the_evidence(tmp_path: Path, change: str, expected: str) -> None:
    db = store(tmp_path, tiny(tmp_path / "archive"))
    assert told(verify(tmp_path / "archive", db)) == ""
    db.execute("PRAGMA foreign_keys=OFF")
    db.execute(change)
    report = verify(tmp_path / "archive", db)
    assert expected in told(report)
    assert len(report.problems) <= 2


def test_a_revisit_proves_no_page(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive", "t")
    archive.response(URL, DATE, HEAD, HTML)
    record = archive.revisit(URL, "2026-01-03T03:04:05Z", HEAD, hashlib.sha256(HTML).hexdigest(), DATE)
    archive.close()
    db = store(tmp_path, record)
    (problem,) = verify(tmp_path / "archive", db).problems
    assert (problem.file, problem.offset, problem.url) == (record.warc, record.offset, URL)
    assert "'revisit'" in problem.what


def test_a_page_out_of_a_kept_file(tmp_path: Path) -> None:
    record = tiny(tmp_path / "theirs")
    archive = Archive(tmp_path / "archive", "t")
    record.warc = archive.keep(tmp_path / "theirs" / record.warc)
    archive.close()
    db = store(tmp_path, record)
    assert told(verify(tmp_path / "archive", db)) == ""
    db.execute("UPDATE pages SET sha256 = 'ab'")
    assert "page 1 says ab" in told(verify(tmp_path / "archive", db))


def test_a_damaged_store_is_named_and_the_rest_checked(tmp_path: Path) -> None:
    db = store(tmp_path, tiny(tmp_path / "archive"))
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    page = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'blocks'").fetchone()[0]
    db.close()
    with (tmp_path / "fantomes.db").open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 200)
    report = verify(tmp_path / "archive", Database(tmp_path / "fantomes.db"))
    assert "the store" in told(report)
    assert report.counts["records"] == 2


@pytest.mark.parametrize("forge", [b"[" * 100_000, b'{"seq":0}', b"\xff\xfe", b"null", b'{"seq":' + b"9" * 5000 + b"}"])
def test_a_forged_manifest_is_a_problem_and_no_crash(tmp_path: Path, forge: bytes) -> None:
    tiny(tmp_path)
    (tmp_path / MANIFEST).write_bytes(forge + b"\n")
    assert "line 1 is broken" in told(verify(tmp_path))


def test_no_archive_at_all(tmp_path: Path) -> None:
    assert "cannot be read" in told(verify(tmp_path / "none"))


def test_a_file_that_is_being_written_is_no_problem(tmp_path: Path) -> None:
    archive = Archive(tmp_path, "t")
    archive.response(URL, DATE, HEAD, HTML, GET)
    report = verify(tmp_path)
    assert told(report) == ""
    with next(tmp_path.glob("*.gz")).open("ab") as file:  # as between the record and its line
        file.write(b"half a record")
    report = verify(tmp_path)
    assert told(report) == ""
    assert "a process is writing it" in "".join(report.notes)


WRITER = """
import os, sys
from pathlib import Path
from crawler.archive import Archive
archive = Archive(Path(sys.argv[1]), "t")
for number in range(10**9):
    body = b"x" * (number * 7919 % 30_000)
    url, head = f"http://a.example/{number}", b"HTTP/1.1 200 OK\\r\\n\\r\\n"
    record = archive.response(url, "2026-01-02T03:04:05Z", head, body, b"GET")
    print(record.warc, record.offset, record.length, record.sha256, flush=True)
    if number % 20 == 19:
        foreign = Path(f"{sys.argv[1]}-{os.getpid()}")
        foreign.write_bytes(b"x" * number)
        archive.keep(foreign)
    if number % 50 == 49:
        archive.close()
"""


def test_kill_9_twenty_times(tmp_path: Path) -> None:
    """Two writers at once in one folder, each killed at a random moment; all that they were given back is there."""
    chance = random.Random(7)
    given: list[list[str]] = []
    for _ in range(10):
        writers = [
            subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "a")], stdout=subprocess.PIPE, cwd=ROOT)
            for _ in range(2)
        ]
        outs: list[bytes] = []
        for writer in writers:
            assert writer.stdout is not None
            outs.append(writer.stdout.readline())  # it has begun
        time.sleep(chance.random() * 0.08)
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
        for writer, out in zip(writers, outs, strict=True):
            rest = writer.communicate()[0]
            given += [line.split() for line in (out + rest).decode().splitlines() if line.count(" ") == 3]
        Archive(tmp_path / "a", "t").head()  # opens the folder: what was left is sealed
        assert told(verify(tmp_path / "a")) == ""
    assert len(given) > 40
    kinds = [fields["kind"] for _, fields in entries(tmp_path / "a")]
    assert kinds.count("kept") > 0
    lines = {(line["warc"], line["offset"]): line for line in map(json.loads, (tmp_path / "a" / MANIFEST).open())}
    for warc, offset, length, sha256 in given:
        found = lines[warc, int(offset)]
        assert (found["kind"], found["length"], found["payload"]) == ("response", int(length), sha256)


def cut_record(folder: Path, record: Record) -> None:
    os.truncate(folder / record.warc, record.offset + record.length - 3)


def cut_line(folder: Path, record: Record) -> None:
    os.truncate(folder / MANIFEST, (folder / MANIFEST).stat().st_size - 3)


@pytest.mark.parametrize("cut", [cut_record, cut_line])
def test_what_a_power_cut_took_shows(tmp_path: Path, cut: Callable[[Path, Record], None]) -> None:
    archive = Archive(tmp_path, "t")
    record = archive.response(URL, DATE, HEAD, HTML)
    archive._leave()  # as a process that died
    cut(tmp_path, record)
    Archive(tmp_path, "t").head()
    report = verify(tmp_path)
    assert ("is cut short" in told(report)) == (cut is cut_record)
    assert any("sealed" in note for note in report.notes) == (cut is cut_line)
