"""The index: sort keys as other tools make them, lines that lead to the record, files that break off."""

import gzip
import hashlib
import io
import json
from pathlib import Path
from urllib.parse import quote

import pytest
import surt as internet_archive
from cdxj_indexer.main import CDXJIndexer
from hypothesis import example, given, settings
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from crawler.evidence.cdxj import index, line, surt

HOSTS = st.sampled_from(["a.example", "www.a.example", "WWW2.A.Example", "été.example", "192.0.2.1", "a.b.c.test"])
TEXT = st.text(st.sampled_from("abzAZ09-._~!$'()*,;:@ %/é日\"<>|[]{}\\^`"), max_size=12)
PAIRS = st.lists(st.tuples(TEXT, st.none() | TEXT), max_size=4)


@settings(max_examples=300)
@given(st.sampled_from(["http", "https"]), HOSTS, st.sampled_from(["", ":80", ":443", ":8080"]), TEXT, PAIRS)
@example("http", "a.example", "", "a/../b//./c/", [("b", "2"), ("a", None), ("a", "1")])
@example("http", "a.example", "", "..", [])
def test_sort_keys_are_those_of_the_internet_archive(
    scheme: str, host: str, port: str, path: str, pairs: list[tuple[str, str | None]]
) -> None:
    query = "&".join(quote(name) + ("" if value is None else f"={quote(value)}") for name, value in pairs)
    url = f"{scheme}://{host}{port}/{quote(path)}" + (f"?{query}" if query else "")
    assert surt(url) == internet_archive.surt(url)


@pytest.mark.parametrize(
    "url",
    ["file:///saved/Page.html", "urn:screenshot:1", "http://a.example", "http://a.example/?", "http://a.example:/x"],
)
def test_odd_addresses_have_the_same_keys(url: str) -> None:
    assert surt(url) == internet_archive.surt(url)


@given(st.text(max_size=60))
def test_a_key_is_one_printable_word_whatever_the_address(url: str) -> None:
    assert surt(url).isascii()
    assert not set(surt(url)) & set(" \r\n\t")


def test_a_line() -> None:
    found = line(
        "http://a.example/é", "2026-01-02T03:04:05.123Z", 200, "text/html", "ab" * 32, "x.warc.gz", 5, 7, "cd" * 32
    )
    key, stamp, fields = found.split(" ", 2)
    assert (key, stamp) == ("example,a)/%c3%a9", "20260102030405")
    assert json.loads(fields) == {
        "url": "http://a.example/é",
        "digest": "sha256:" + "ab" * 32,
        "mime": "text/html",
        "filename": "x.warc.gz",
        "offset": "5",
        "length": "7",
        "status": "200",
        "recordDigest": "sha256:" + "cd" * 32,
    }
    assert "status" not in line("urn:x", "2026-01-02T03:04:05Z", None, "text/html", "ab" * 32, "x.warc.gz", 5, 7)


def warc(path: Path, gz: bool = True) -> Path:
    """A file of all kinds of record, as another tool writes it."""
    with path.open("wb") as file:
        writer = WARCWriter(file, gzip=gz, warc_version="WARC/1.1")
        writer.write_record(writer.create_warcinfo_record(path.name, {"software": "x"}))
        for number, headers in enumerate(([], [("Transfer-Encoding", "chunked")], [("Content-Encoding", "gzip")])):
            body = [b"plain", b"5\r\nchunk\r\n0\r\n\r\n", gzip.compress(b"packed")][number]
            http = StatusAndHeaders(
                "200 OK", [("Content-Type", "text/html; charset=utf-8"), *headers], protocol="HTTP/1.1"
            )
            url = f"http://{9 - number}.example/"
            writer.write_record(writer.create_warc_record(url, "response", io.BytesIO(body), http_headers=http))
            get = StatusAndHeaders("GET / HTTP/1.1", [("Host", url)], is_http_request=True)
            writer.write_record(writer.create_warc_record(url, "request", http_headers=get))
        http = StatusAndHeaders("404 Not Found", [], protocol="HTTP/1.1")
        date = {"WARC-Date": "2026-01-02T03:04:05Z"}
        named = "sha256:" + hashlib.sha256(b"plain").hexdigest()
        for kind in ("resource", "conversion"):
            headers_ = {"Content-Type": "text/html", **date}
            writer.write_record(
                writer.create_warc_record(
                    f"http://{kind}.example/", kind, io.BytesIO(b"saved"), warc_headers_dict=headers_
                )
            )
        url = "http://9.example/"
        writer.write_record(writer.create_revisit_record(url, named, url, "2026-01-01T00:00:00Z", http, date))
    return path


@pytest.mark.parametrize("gz", [True, False])
def test_every_line_leads_to_its_record(tmp_path: Path, gz: bool) -> None:
    path = warc(tmp_path / "a.warc", gz)
    raw = path.read_bytes()
    lines = index(path)
    assert lines == sorted(lines, key=str.encode)
    assert len(lines) == 6
    payloads = {}
    for text in lines:
        fields = json.loads(text.split(" ", 2)[2])
        record = raw[int(fields["offset"]) :][: int(fields["length"])]
        assert fields["recordDigest"] == "sha256:" + hashlib.sha256(record).hexdigest()
        (found,) = ArchiveIterator(io.BytesIO(record))
        assert found.rec_headers.get_header("WARC-Target-URI") == fields["url"]
        payloads[fields["url"], fields["mime"]] = fields["digest"].removeprefix("sha256:"), fields.get("status")
    sha = {text: hashlib.sha256(text).hexdigest() for text in (b"plain", b"chunk", gzip.compress(b"packed"), b"saved")}
    assert payloads["http://9.example/", "text/html"] == (sha[b"plain"], "200")
    assert payloads["http://8.example/", "text/html"] == (sha[b"chunk"], "200")
    assert payloads["http://conversion.example/", "text/html"] == (sha[b"saved"], None)
    assert payloads["http://9.example/", "warc/revisit"] == (sha[b"plain"], "404")


def test_the_reference_indexer_agrees(tmp_path: Path) -> None:
    path = warc(tmp_path / "a.warc.gz")
    out = tmp_path / "theirs.cdxj"
    CDXJIndexer(str(out), [str(path)], sort=True).process_all()

    def shape(text: str) -> tuple[str, ...]:
        key, stamp, fields = text.split(" ", 2)
        values = json.loads(fields)
        return key, stamp, *(values.get(name, "") for name in ("url", "mime", "status", "length", "offset", "filename"))

    ours = [shape(text) for text in index(path) if "conversion" not in text]
    theirs = [shape(text) for text in out.read_text().splitlines()]
    assert ours == theirs


@pytest.mark.parametrize("gz", [True, False])
def test_a_file_that_breaks_off_gives_what_stands_before(tmp_path: Path, gz: bool) -> None:
    path = warc(tmp_path / "a.warc", gz)
    raw, lines = path.read_bytes(), index(path)
    cuts = {0, 1, 5, len(raw) - 1}
    for text in lines:
        fields = json.loads(text.split(" ", 2)[2])
        cuts |= {int(fields["offset"]), int(fields["offset"]) + 1, int(fields["offset"]) + int(fields["length"])}
    for cut in cuts:
        path.write_bytes(raw[:cut])
        whole = [
            text
            for text in lines
            if int((found := json.loads(text.split(" ", 2)[2]))["offset"]) + int(found["length"]) <= cut
        ]
        assert index(path) == whole
    path.write_bytes(raw + b"garbage")
    assert index(path) == lines


def test_a_bomb_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = warc(tmp_path / "a.warc.gz")
    lines = index(path)
    head = b"WARC/1.1\r\nWARC-Type: response\r\nWARC-Target-URI: http://a.example/\r\nContent-Length: 20000000\r\n\r\n"
    path.write_bytes(gzip.compress(head + bytes(20_000_004)) + path.read_bytes())
    assert len(index(path)) == len(lines)
