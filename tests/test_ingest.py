"""Files captured by others: whole, broken, lying, far too big."""

import gzip
import hashlib
import io
import zlib
from pathlib import Path
from typing import Any

import brotli
import pytest
from backports import zstd
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from crawler.ingest import IngestError, ingest
from data.migrations import open_store

PAGE = b"<title>Shop</title><p>100 % real fans</p>"


def warc(path: Path, *records: tuple[str, bytes, dict[str, str]], gz: bool = True) -> Path:
    """Write a WARC file of responses (address, body as sent, headers)."""
    with path.open("wb") as file:
        writer = WARCWriter(file, gzip=gz)
        for url, body, headers in records:
            status = headers.pop(":status", "200 OK")
            http = StatusAndHeaders(status, [("Content-Type", "text/html"), *headers.items()], protocol="HTTP/1.1")
            date = {"WARC-Date": "2025-05-05T05:05:05Z"}
            writer.write_record(
                writer.create_warc_record(url, "response", io.BytesIO(body), warc_headers_dict=date, http_headers=http)
            )
    return path


def read(folder: Path, *paths: Path, url: str | None = None) -> tuple[dict[str, Any], list[Any], str]:
    db = open_store(folder / "fantomes.db")
    problems = ""
    try:
        result = ingest(db, folder / "archive", list(paths), url)
    except IngestError as error:
        result, problems = error.result, str(error)
    query = "SELECT url, sha256, warc, warc_offset, warc_length, fetched_at, source_id FROM pages ORDER BY id"
    return result["outcomes"], db.execute(query).fetchall(), problems


@pytest.mark.parametrize("gz", [True, False])
@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (PAGE, {}),
        (gzip.compress(PAGE), {"Content-Encoding": "gzip"}),
        (brotli.compress(PAGE), {"Content-Encoding": "br"}),
        (zstd.compress(PAGE), {"Content-Encoding": "zstd"}),
        (zlib.compress(PAGE)[2:-4], {"Content-Encoding": "deflate"}),
        (
            b"10\r\n" + PAGE[:16] + b"\r\n%x\r\n" % len(PAGE[16:]) + PAGE[16:] + b"\r\n0\r\n\r\n",
            {"Transfer-Encoding": "chunked"},
        ),
    ],
)
def test_a_record_becomes_a_page_whose_evidence_is_the_file_itself(
    tmp_path: Path, gz: bool, body: bytes, headers: dict[str, str]
) -> None:
    path = warc(tmp_path / "a.warc", ("http://a.example/", body, dict(headers)), ("http://b.example/", PAGE, {}), gz=gz)
    outcomes, pages, problems = read(tmp_path, path)
    assert (outcomes, problems) == ({"stored": 2}, "")
    url, sha256, name, offset, length, fetched_at, source = pages[0]
    assert (url, fetched_at, source) == ("http://a.example/", "2025-05-05T05:05:05Z", "warc:a.warc")
    kept = (tmp_path / "archive" / name).read_bytes()
    assert kept == path.read_bytes()
    member = kept[offset : offset + length]
    assert body in (gzip.decompress(member) if gz else member)
    sent = PAGE if "Transfer-Encoding" in headers else body  # the payload: without transfer encoding
    assert sha256 == hashlib.sha256(sent).hexdigest()


def test_reading_again_changes_nothing(tmp_path: Path) -> None:
    path = warc(tmp_path / "a.warc.gz", ("http://a.example/", PAGE, {}))
    read(tmp_path, path)
    outcomes, pages, _ = read(tmp_path, path)
    assert outcomes == {"unchanged": 1}
    assert len(pages) == 1


def test_odd_records_are_counted(tmp_path: Path) -> None:
    bomb = gzip.compress(b"<p>" + b"fans " * 20_000_000)
    path = warc(
        tmp_path / "a.warc.gz",
        ("http://a.example/404", PAGE, {":status": "404 Not Found"}),
        ("http://a.example/pdf", b"%PDF-1.7", {}),
        ("http://a.example/bomb", bomb, {"Content-Encoding": "gzip"}),
        ("http://a.example/bomb2", brotli.compress(b"fans " * 20_000_000), {"Content-Encoding": "br"}),
        ("http://a.example/bomb3", zstd.compress(b"fans " * 20_000_000), {"Content-Encoding": "gzip, zstd"}),
        ("http://a.example/big", b"<p>" + b"fans " * 10_000_000, {}),
        ("http://a.example/odd", PAGE, {"Content-Encoding": "compress"}),
        ("http://a.example/liar", PAGE + b"\x00" * 50, {"Content-Encoding": "br"}),
        ("mailto:a@a.example", PAGE, {}),
        ("http://[x/", PAGE, {}),
        ("http://a.example:99999/", PAGE, {}),
        ("http://a.example/half", b'<script type="application/ld+json">{"description": "fan \\ud83d"}</script>', {}),
        ("http://a.example/deep", b"<div>" * 100_000, {}),
        ("http://a.example/good", PAGE, {}),
    )
    outcomes, pages, problems = read(tmp_path, path)
    assert problems == ""
    assert [page[0] for page in pages][-1] == "http://a.example/good"
    assert outcomes == {
        "stored": 2, "bad-encoding": 2,
        "http-404": 1, "not-text": 1, "too-large": 3, "unknown-encoding": 1, "no-address-or-date": 3, "too-deep": 1,
    }  # fmt: skip


def test_a_truncated_file_gives_what_stands_before_the_cut(tmp_path: Path) -> None:
    records = [(f"http://a.example/{n}", f"<p>{n} real fans {'x ' * 500}</p>".encode(), {}) for n in range(20)]
    whole = warc(tmp_path / "a.warc.gz", *records).read_bytes()  # type: ignore[arg-type]
    for name, size in (("cut", len(whole) * 2 // 3), ("stub", 40), ("none", 0)):
        cut = tmp_path / f"{name}.warc.gz"
        cut.write_bytes(whole[:size])
        _, pages, problems = read(tmp_path / name, cut)
        assert str(cut) in problems
        assert "\n" not in problems
        assert (len(pages) > 5) == (name == "cut")


def test_one_bad_file_does_not_stop_the_others(tmp_path: Path) -> None:
    good = warc(tmp_path / "good.warc.gz", ("http://a.example/", PAGE, {}))
    one_member = tmp_path / "one.warc.gz"  # packed as a whole, not record by record: no offsets into it
    one_member.write_bytes(gzip.compress(gzip.decompress(good.read_bytes()) * 3))
    noise = tmp_path / "noise.warc.gz"
    noise.write_bytes(b"\x1f\x8b" + b"noise" * 100)
    outcomes, pages, problems = read(tmp_path, tmp_path / "missing.warc", noise, tmp_path, one_member, good)
    assert len(problems.splitlines()) == 4
    assert f"{tmp_path / 'missing.warc'}: No such file or directory" in problems
    assert outcomes["stored"] >= 1
    assert pages


def test_a_saved_page_has_the_address_that_the_browser_or_the_user_gives(tmp_path: Path) -> None:
    canonical = b'<link rel="canonical" href="http://accused.example/"><p>real fans</p>'
    plain, saved = tmp_path / "plain.html", tmp_path / "saved.html"
    plain.write_bytes(canonical)
    saved.write_bytes(b"<!-- saved from url=(0022)http://shop.example/a -->" + canonical)
    _, pages, _ = read(tmp_path, plain, saved)
    assert [page[0] for page in pages] == [plain.as_uri(), "http://shop.example/a"]
    _, pages, _ = read(tmp_path, plain, url="http://known.example/")
    assert pages[-1][0] == "http://known.example/"


@pytest.mark.parametrize(
    "url", ["http://[x/", "http://a:99999/", "nonsense", "javascript:alert(1)", "ftp://a.example/"]
)
def test_an_address_must_be_one(tmp_path: Path, url: str) -> None:
    path = tmp_path / "page.html"
    path.write_bytes(PAGE)
    _, pages, problems = read(tmp_path, path, url=url)
    assert (pages, "bad address" in problems) == ([], True)


@pytest.mark.parametrize("date", ["2999-01-01T00:00:00Z", "9999-99-99T99:99:99Z", "٢٠٢٥-05-05T05:05:05Z", "yesterday"])
def test_a_capture_has_a_date_in_the_past(tmp_path: Path, date: str) -> None:
    path = warc(tmp_path / "a.warc", ("http://a.example/", PAGE, {}), gz=False)
    path.write_bytes(path.read_bytes().replace(b"2025-05-05T05:05:05Z", date.encode()))
    outcomes, pages, _ = read(tmp_path, path)
    assert (outcomes, pages) == ({"no-address-or-date": 1}, [])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"%PDF-1.7", "not-text"),
        (b"From: <Saved by Blink>\r\n\r\n<p>fans", "not-text"),
        (b"", "empty"),
        (b"<div>" * 100_000, "too-deep"),
        (b"x" * 50_000_000, "too-large"),
    ],
)
def test_a_saved_file_that_is_no_page_says_why(tmp_path: Path, body: bytes, words: str) -> None:
    path = tmp_path / "page.html"
    path.write_bytes(body)
    _, pages, problems = read(tmp_path, path)
    assert (pages, words in problems, str(path) in problems) == ([], True, True)
