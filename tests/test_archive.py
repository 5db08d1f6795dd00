"""The archive: bytes as sent, digests that hold, one file a run."""

import base64
import gzip
import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator

from crawler.archive import Archive, ArchiveError

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nX-Caf\xe9: \xe9t\xe9\r\n\r\n"


@settings(max_examples=20)
@given(payload=st.binary(max_size=3000))
def test_a_record_gives_back_the_bytes(tmp_path_factory: pytest.TempPathFactory, payload: bytes) -> None:
    folder = tmp_path_factory.mktemp("archive")
    archive = Archive(folder, "test")
    url = "http://a.example/?q=%C3%A9"
    record = archive.response(
        url, "2026-01-02T03:04:05Z", HEAD, payload, b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", "192.0.2.1"
    )
    archive.close()
    raw = (folder / record.warc).read_bytes()
    member = gzip.decompress(raw[record.offset : record.offset + record.length])
    assert member.startswith(b"WARC/1.1\r\n")
    assert HEAD + payload in member  # the head as sent, no escaping
    assert record.sha256 == hashlib.sha256(payload).hexdigest()
    digest = "sha256:" + base64.b32encode(hashlib.sha256(payload).digest()).decode()
    with (folder / record.warc).open("rb") as file:
        kinds = []
        for found in ArchiveIterator(file, check_digests="raise"):
            found.raw_stream.read()
            kinds.append(found.rec_type)
            if found.rec_type == "response":
                assert found.rec_headers.get_header("WARC-Target-URI") == url
                assert found.rec_headers.get_header("WARC-Payload-Digest") == digest
                response_id = found.rec_headers.get_header("WARC-Record-ID")
            elif found.rec_type == "request":
                assert found.rec_headers.get_header("WARC-Concurrent-To") == response_id
    assert kinds == ["warcinfo", "response", "request"]


def test_two_runs_never_share_a_file(tmp_path: Path) -> None:
    one, two = Archive(tmp_path, "test"), Archive(tmp_path, "test")
    first = one.resource("file:///x", "2026-01-02T03:04:05Z", "text/html", b"x")
    second = two.resource("file:///x", "2026-01-02T03:04:05Z", "text/html", b"x")
    assert first.warc != second.warc


def test_foreign_files_are_kept_byte_for_byte_and_once(tmp_path: Path) -> None:
    source = tmp_path / "a.warc.gz"
    source.write_bytes(b"anything")
    archive = Archive(tmp_path / "archive", "test")
    name = archive.keep(source)
    assert archive.keep(source) == name
    assert (tmp_path / "archive" / name).read_bytes() == b"anything"
    assert len(list((tmp_path / "archive").iterdir())) == 1


def test_an_archive_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArchiveError, match="file"):
        Archive(tmp_path / "file", "test").resource("file:///x", "2026-01-02T03:04:05Z", "text/html", b"x")
