"""WARC files, byte by byte: exact where they are whole, honest where they are broken."""

import gzip
import hashlib
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator
from warcio.warcwriter import WARCWriter

from crawler.intake import records
from crawler.intake.records import WarcError
from crawler.intake.warcfile import captures
from crawler.page import Capture
from tests.archives import PAGE, read, warc


@pytest.mark.parametrize("gz", [True, False])
def test_offsets_and_lengths_are_those_of_warcio(tmp_path: Path, gz: bool) -> None:
    sent = [(f"http://a.example/{n}", f"<p>{n} {'real fans ' * n * 300}".encode(), {}) for n in range(30)]
    path = warc(tmp_path / "a.warc", *sent, gz=gz)  # type: ignore[arg-type]
    with path.open("rb") as file:
        expected = []
        for record in (reader := ArchiveIterator(file)):
            sha256 = hashlib.sha256(record.raw_stream.read()).hexdigest()
            expected.append((reader.get_record_offset(), reader.get_record_length(), sha256))
    found = [capture for capture in captures(path, "name") if not isinstance(capture, str)]
    assert [(c.record.offset, c.record.length, c.record.sha256) for c in found] == expected
    assert [c.body for c in found] == [body for _, body, _ in sent]


@given(data=st.data(), gz=st.booleans())
@settings(max_examples=150, deadline=None)
def test_what_a_damaged_file_gives_is_what_stood_there(data: st.DataObject, gz: bool) -> None:
    """Cut anywhere, or with any byte changed: whole captures that were there, or a WarcError; never anything else."""
    with tempfile.TemporaryDirectory() as folder:
        path = warc(Path(folder, "a.warc"), *(("http://a.example/", PAGE + b"x" * n * 40, {}) for n in range(5)), gz=gz)
        whole = path.read_bytes()
        before = [capture for capture in captures(path, "w") if not isinstance(capture, str)]
        at = data.draw(st.integers(0, 9999)) * len(whole) // 10_000  # the size differs: records have random ids
        if data.draw(st.booleans()):
            path.write_bytes(whole[:at])
            complete = [c for c in before if c.record.offset + c.record.length <= at]
        else:
            path.write_bytes(whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :])
            complete = [c for c in before if c.record.offset + c.record.length <= at]
        found: list[Capture | str] = []
        with suppress(WarcError):
            found.extend(captures(path, "w"))
        assert found[: len(complete)] == complete
        if gz:  # zlib's checksums: what is not as it was is not given
            assert all(capture in before for capture in found if not isinstance(capture, str))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"WARC/1.0\r\nWARC-Type: response\r\n\r\n", "no length"),
        (b"WARC/1.0\r\nContent-Length: 0\r\nContent-Length: 4\r\n\r\nfans", "two lengths"),
        (b"WARC/1.0\r\nContent-Length: -5\r\n\r\n", "no length"),
        (b"WARC/1.0\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", "no length"),
        (b"WARC/1.0\r\nContent-Length: 999999999999\r\n\r\nx", "cut short"),
        (b"WARC/1.0\r\nX: " + b"x" * 1_000_000, "no length"),
        (b"WARC/1.0\r\nContent-Length: 0\r\n\r\n\r\n\r\nnoise", "after 1 records: no record at byte 35"),
    ],
)
def test_a_file_that_is_no_good_says_where(tmp_path: Path, content: bytes, words: str) -> None:
    for name, body in (("plain.warc", content), ("packed.warc.gz", gzip.compress(content))):
        path = tmp_path / name
        path.write_bytes(body)
        _, pages, problems = read(tmp_path, path)
        assert (pages, problems.count("\n")) == ([], 0)
        assert words in problems or name == "packed.warc.gz"
        assert problems.startswith(f"{path}: breaks off after")


@pytest.mark.parametrize(
    ("http", "outcome"),
    [
        (b"HTTP/2 200\r\ncontent-type: text/html\r\n\r\n" + PAGE, "stored"),
        (b"HTTP/1.1 200 OK\nContent-Type: text/html\n\n" + PAGE, "stored"),
        (b"HTTP/1.1 200\r\nContent-Type: text/html\r\nno colon\r\n\r\n" + PAGE, "stored"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip, gzip, gzip\r\n\r\n" + PAGE, "bad-encoding"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n" + PAGE, "bad-record"),
        (b"HTTP/1.1 many OK\r\n\r\n" + PAGE, "bad-record"),
        (PAGE, "bad-record"),
        (b"", "bad-record"),
    ],
)
def test_servers_have_their_own_ways(tmp_path: Path, http: bytes, outcome: str) -> None:
    head = (
        b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://a.example/\r\nWARC-Date: 2025-05-05T05:05:05Z\r\n"
    )
    path = tmp_path / "a.warc"
    path.write_bytes(head + b"Content-Length: %d\r\n\r\n" % len(http) + http + b"\r\n\r\n")
    assert read(tmp_path, path)[0] == {outcome: 1}


def test_a_revisit_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.warc.gz"
    with path.open("wb") as file:
        writer = WARCWriter(file, gzip=True)
        writer.write_record(writer.create_warcinfo_record("a", {}))
        writer.write_record(
            writer.create_revisit_record("http://a.example/", "sha1:A", "http://a.example/", "2025-05-05T05:05:05Z")
        )
    assert read(tmp_path, path)[0] == {"revisit": 1}


def test_a_bomb_of_gzip_ends_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_UNPACKED", 20_000_000)
    path = tmp_path / "bomb.warc.gz"
    path.write_bytes(gzip.compress(b"WARC/1.0\r\nContent-Length: 50000000\r\n\r\n" + bytes(50_000_004)))
    assert "200 times its size" in read(tmp_path, path)[2]
