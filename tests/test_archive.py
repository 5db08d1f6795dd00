"""The archive: bytes as sent, digests that hold, one file a run, nothing lost or half written."""

import base64
import gzip
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from urllib.parse import quote

import pytest
from fastwarc.warc import ArchiveIterator as FastIterator
from hypothesis import given, settings
from hypothesis import strategies as st
from scrapy import Request
from scrapy.exceptions import IgnoreRequest
from scrapy.http import HtmlResponse
from warcio.archiveiterator import ArchiveIterator
from warcio.checker import Checker

from crawler.archive import NOT_MODIFIED, SAME_PAYLOAD, Archive, ArchiveError
from crawler.evidence.cdxj import index
from crawler.evidence.manifest import MANIFEST, entries
from crawler.evidence.sorting import SortedLines
from crawler.evidence.verify import verify
from crawler.page import Record
from crawler.warc import WarcMiddleware

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nX-Caf\xe9: \xe9t\xe9\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"
URL, DATE = "http://a.example/", "2026-01-02T03:04:05Z"
ROOT = Path(__file__).parents[1]


def base32(payload: bytes) -> str:
    return "sha256:" + base64.b32encode(hashlib.sha256(payload).digest()).decode()


def headers(folder: Path, record: Record) -> dict[str, str]:
    """The WARC headers of a record, and its block as "block", out of its bytes alone."""
    raw = (folder / record.warc).read_bytes()[record.offset : record.offset + record.length]
    head, _, block = gzip.decompress(raw).partition(b"\r\n\r\n")
    pairs = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    return pairs | {"block": block.removesuffix(b"\r\n\r\n").decode("latin-1")}


@settings(max_examples=20)
@given(payload=st.binary(max_size=3000))
def test_a_record_gives_back_the_bytes(tmp_path_factory: pytest.TempPathFactory, payload: bytes) -> None:
    folder = tmp_path_factory.mktemp("archive")
    archive = Archive(folder, "test")
    url = "http://a.example/?q=%C3%A9"
    record = archive.response(url, DATE, HEAD, payload, GET, "192.0.2.1")
    archive.close()
    raw = (folder / record.warc).read_bytes()
    member = gzip.decompress(raw[record.offset : record.offset + record.length])
    assert member.startswith(b"WARC/1.1\r\n")
    assert HEAD + payload in member  # the head as sent, no escaping
    assert record.sha256 == hashlib.sha256(payload).hexdigest()
    with (folder / record.warc).open("rb") as file:
        kinds = []
        for found in ArchiveIterator(file, check_digests="raise"):
            found.raw_stream.read()
            kinds.append(found.rec_type)
            if found.rec_type == "response":
                assert found.rec_headers.get_header("WARC-Target-URI") == url
                assert found.rec_headers.get_header("WARC-Payload-Digest") == base32(payload)
                assert found.rec_headers.get_header("WARC-Block-Digest") == base32(HEAD + payload)
                response_id = found.rec_headers.get_header("WARC-Record-ID")
            elif found.rec_type == "request":
                assert found.rec_headers.get_header("WARC-Concurrent-To") == response_id
    assert kinds == ["warcinfo", "response", "request"]


def test_other_tools_read_every_kind_of_record(tmp_path: Path) -> None:
    archive = Archive(tmp_path, "test")
    record = archive.response(URL, DATE, HEAD, b"x" * 50_000, GET, "192.0.2.1")
    archive.revisit(URL, DATE, HEAD, record.sha256, DATE, GET)
    archive.resource("urn:picture:1", DATE, "image/png", b"png", of=record)
    archive.conversion(URL, DATE, "text/html", b"<p>x", record)
    archive.close()
    path = tmp_path / record.warc
    assert Checker(SimpleNamespace(inputs=[str(path)], verbose=False)).process_all() == 0
    found = [(str(item.record_type), item.verify_block_digest()) for item in FastIterator(str(path), parse_http=False)]
    assert [kind for kind, _ in found] == [
        "warcinfo",
        "response",
        "request",
        "revisit",
        "request",
        "resource",
        "conversion",
    ]
    assert all(good for _, good in found)


@pytest.mark.parametrize(("profile", "status"), [(SAME_PAYLOAD, "200 OK"), (NOT_MODIFIED, "304 Not Modified")])
def test_a_revisit_refers_to_what_holds_the_payload(tmp_path: Path, profile: str, status: str) -> None:
    archive = Archive(tmp_path, "test")
    first = archive.response(URL, DATE, HEAD, b"payload")
    head = f"HTTP/1.1 {status}\r\nETag: x\r\n\r\n".encode()
    later = "2026-02-02T03:04:05Z"
    record = archive.revisit(URL, later, head, first.sha256, DATE, GET, "192.0.2.1", profile)
    archive.close()
    found = headers(tmp_path, record)
    assert (found["WARC-Type"], found["WARC-Profile"], found["WARC-Date"]) == ("revisit", profile, later)
    assert (found["WARC-Refers-To-Target-URI"], found["WARC-Refers-To-Date"]) == (URL, DATE)
    assert (found["WARC-Payload-Digest"], record.sha256) == (base32(b"payload"), first.sha256)
    assert found["block"].encode() == head
    assert record.id == found["WARC-Record-ID"]
    assert ' {"url": "http://a.example/", "digest": "sha256:' + first.sha256 + '", "mime": "warc/revisit"' in "".join(
        index(tmp_path / record.warc)
    )


@settings(max_examples=25)
@given(
    url=st.text(max_size=30).map("http://a.example/".__add__) | st.just("file:///x y"),
    head=st.sampled_from(
        [HEAD, b"HTTP/1.1 404 No\r\n\r\n", b"HTTP/1.0 2x\r\ncontent-type:  Text/HTML ;x=1\r\n\r\n", b"junk\r\n\r\n"]
    ),
    kind=st.text(max_size=20),
)
def test_the_index_written_along_is_the_one_read_back(
    tmp_path_factory: pytest.TempPathFactory, url: str, head: bytes, kind: str
) -> None:
    folder = tmp_path_factory.mktemp("archive")
    archive = Archive(folder, "test")
    record = archive.response(url, DATE, head, b"payload", GET)
    archive.conversion(url, DATE, kind, b"made", of=record)
    archive.revisit(url, DATE, head, record.sha256, DATE)
    archive.close()
    lines = (folder / f"{record.warc}.cdxj").read_text("ascii").splitlines()
    assert lines == index(folder / record.warc)
    assert len(lines) == 3


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), max_size=5), max_size=60))
def test_lines_are_sorted_whatever_their_number(lines: list[str]) -> None:
    with patch("crawler.evidence.sorting.RUN", 7):
        found = SortedLines()
        for start in range(0, len(lines), 3):
            found.add(lines[start : start + 3])
        assert list(found) == sorted(lines) == list(found)
        found.close()


def test_headers_cannot_be_slipped_in(tmp_path: Path) -> None:
    archive = Archive(tmp_path, "test")
    record = archive.resource("http://a.example/\r\nX: y", DATE, "text/html\r\nWARC-Type: response", b"")
    archive.close()
    assert headers(tmp_path, record)["WARC-Type"] == "resource"
    assert "X" not in headers(tmp_path, record)
    assert verify(tmp_path).problems == []


def test_two_runs_never_share_a_file(tmp_path: Path) -> None:
    one, two = Archive(tmp_path, "test"), Archive(tmp_path, "test")
    first = one.resource("file:///x", DATE, "text/html", b"x")
    second = two.resource("file:///x", DATE, "text/html", b"x")
    assert first.warc != second.warc


def test_the_next_file_begins_when_one_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crawler.archive.MAX_FILE", 2000)
    archive = Archive(tmp_path, "test")
    names = {archive.resource(f"file:///{n}", DATE, "text/html", os.urandom(700)).warc for n in range(9)}
    assert len(names) > 2
    assert {path.name for path in tmp_path.glob("*.cdxj")} < {f"{name}.cdxj" for name in names}  # the last one is open
    archive.close()
    assert {path.name for path in tmp_path.glob("*.cdxj")} == {f"{name}.cdxj" for name in names}
    for name in names:
        assert (tmp_path / f"{name}.cdxj").read_text().splitlines() == index(tmp_path / name)
    assert verify(tmp_path).problems == []


def test_foreign_files_are_kept_byte_for_byte_and_once(tmp_path: Path) -> None:
    source = tmp_path / "a.warc.gz"
    source.write_bytes(b"anything")
    archive = Archive(tmp_path / "archive", "test")
    name = archive.keep(source)
    assert archive.keep(source) == name
    assert (tmp_path / "archive" / name).read_bytes() == b"anything"
    archive.close()
    assert {path.name for path in (tmp_path / "archive").iterdir()} == {MANIFEST, name, f"{name}.cdxj"}
    assert verify(tmp_path / "archive").problems == []


def test_an_archive_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArchiveError, match="file"):
        Archive(tmp_path / "file", "test").resource("file:///x", DATE, "text/html", b"x")
    with pytest.raises(ArchiveError, match="none"):
        Archive(tmp_path / "archive", "test").keep(tmp_path / "none.warc")


def test_files_from_before_the_chain_are_taken_in_as_they_stand(tmp_path: Path) -> None:
    archive = Archive(tmp_path, "test")
    record = archive.resource("file:///x", DATE, "text/html", b"x")
    archive.close()
    (tmp_path / MANIFEST).unlink()
    (tmp_path / f"{record.warc}.cdxj").unlink()
    Archive(tmp_path, "test").head()
    assert [fields["kind"] for _, fields in entries(tmp_path)] == ["found", "index"]
    assert verify(tmp_path).problems == []


def test_what_a_killed_writer_left_is_sealed_and_nothing_of_it_deleted(tmp_path: Path) -> None:
    archive = Archive(tmp_path, "test")
    record = archive.resource("file:///x", DATE, "text/html", b"x")
    path = tmp_path / record.warc
    with path.open("ab") as file:
        file.write(b"half a record")
    whole = path.read_bytes()
    other = Archive(tmp_path, "test")
    other.head()
    assert "torn" not in [fields["kind"] for _, fields in entries(tmp_path)]  # its writer is alive
    archive._leave()  # the writer is dead
    Archive(tmp_path, "test").head()
    torn = next(fields for _, fields in entries(tmp_path) if fields["kind"] == "torn")
    assert (torn["warc"], torn["offset"], torn["length"]) == (record.warc, len(whole) - 13, 13)
    assert path.read_bytes() == whole
    assert verify(tmp_path).problems == []


FULL = """
import resource, sys
from pathlib import Path
from crawler.archive import Archive, ArchiveError
archive = Archive(Path(sys.argv[1]), "t")
given = 0
try:
    for number in range(1000):
        archive.response(f"http://a.example/{number}", "2026-01-02T03:04:05Z", b"HTTP/1.1 200 OK\\r\\n\\r\\n",
                         bytes(range(256)) * int(sys.argv[3]), b"GET / HTTP/1.1\\r\\n\\r\\n")
        given += 1
        if number == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), -1))  # the disk is full after so many bytes
except ArchiveError as error:
    print(given, error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
    archive.close()
"""


@pytest.mark.parametrize("times", [1, 400])  # the chain is full first, or the WARC file is
def test_a_full_disk_leaves_whole_records(tmp_path: Path, times: int) -> None:
    argv = [sys.executable, "-c", FULL, str(tmp_path), str(times * 20 + 12_000), str(times)]
    out = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "cannot be written" in out
    Archive(tmp_path, "t").head()
    assert verify(tmp_path).problems == []
    kinds = [fields["kind"] for _, fields in entries(tmp_path)]
    assert kinds.count("response") == kinds.count("request") == int(out.split()[0]) > 2
    assert "torn" not in kinds  # the half record was taken back


def exchange(folder: Path, meta: dict[str, Any], body: bytes, status: int = 200, **more: Any) -> tuple[Any, Any]:
    """The middleware between a request with `meta` and an answer; gives the request and what goes on to the spider."""
    archive = Archive(folder, "t")
    spider: Any = SimpleNamespace(archive=archive, stop_because=pytest.fail)
    middleware = WarcMiddleware(spider)
    request = Request(
        more.pop("url", URL), meta=meta, headers={"Authorization": "Bearer T0/k en", "Accept-Encoding": "gzip"}
    )
    middleware.process_request(request)
    response = middleware.process_response(
        request, HtmlResponse(request.url, status, body=body, request=request, **more)
    )
    middleware.close()
    return request, response


def test_an_answer_that_repeats_what_is_held_is_a_revisit(tmp_path: Path) -> None:
    known = {"url": URL, "sha256": hashlib.sha256(b"same").hexdigest(), "captured_at": DATE}
    for body, status, meta, kind in (
        (b"same", 200, {"known": known}, "revisit"),
        (b"", 304, {"known": known}, "revisit"),
        (b"other", 200, {"known": known}, "response"),
        (b"same", 404, {"known": known}, "response"),
        (b"same", 200, {}, "response"),
        (b"", 304, {}, "response"),
        (b"same", 200, {"known": known | {"url": "http://a.example/else"}}, "response"),
        (b"same", 200, {"known": known, "redirect_urls": [URL]}, "response"),
    ):
        request, _ = exchange(tmp_path, meta, body, status)
        record = request.meta["record"]
        found = headers(tmp_path, record)
        assert (found["WARC-Type"], request.meta["revisit"]) == (kind, kind == "revisit")
        assert record.sha256 == (known["sha256"] if kind == "revisit" else hashlib.sha256(body).hexdigest())
        assert found.get("WARC-Profile") == (
            {200: SAME_PAYLOAD, 304: NOT_MODIFIED}[status] if kind == "revisit" else None
        )
        assert found["WARC-Date"] == request.meta["fetched_at"]
    assert verify(tmp_path).problems == []


def test_a_secret_is_written_nowhere_and_goes_no_further(tmp_path: Path) -> None:
    secret = "T0/k en"
    forms = (secret, quote(secret), quote(secret, safe=""), "T0/k+en", "T0%2fk+en", "T0\\/k en", "T0\\u002Fk%20en")
    body = json.dumps({"paging": {"next": f"{URL}?access_token={quote(secret)}"}, "url": list(forms)}) + forms[-1]
    request, response = exchange(
        tmp_path,
        {"secret": secret},
        body.encode(),
        url=f"{URL}?q=1&access_token={quote(secret, safe='')}",
        headers={"Location": f"/?t={secret}", "Content-Type": "application/json"},
    )
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.suffix != ".gz")
    written += gzip.decompress(next(tmp_path.glob("*.gz")).read_bytes())
    for form in forms:
        assert form.encode() not in written
        assert form.encode() not in response.body + response.url.encode() + response.headers.to_string()
    found = headers(tmp_path, request.meta["record"])
    assert found["WARC-Redacted"]
    assert found["WARC-Target-URI"] == f"{URL}?q=1&access_token=" + "x" * len(quote(secret, safe=""))
    assert len(response.body) == len(body)
    assert request.headers["Accept-Encoding"] == b"identity"  # or nobody could see it in the answer
    assert hashlib.sha256(response.body).hexdigest() == request.meta["record"].sha256
    assert verify(tmp_path).problems == []


def test_a_packed_answer_to_a_request_with_a_secret_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(IgnoreRequest, match="unknown-encoding"):
        exchange(tmp_path, {"secret": "T0"}, gzip.compress(b"T0"), headers={"Content-Encoding": "gzip"})
    assert not list(tmp_path.iterdir())
