"""Attacks on the evidence: what once went unseen, cried wolf, or laid words in the wrong mouth."""

import gzip
import json
import os
import re
import resource
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database

from crawler.archive import Archive, ArchiveError
from crawler.blocks import Block
from crawler.evidence.check import check
from crawler.evidence.manifest import MANIFEST, Head, entries, line
from crawler.evidence.package import INDEX
from crawler.evidence.stored import Report
from crawler.evidence.verify import verify
from crawler.evidence.wacz import export
from crawler.page import Capture, digest, read_page
from crawler.store import save_page, save_source
from data.migrations import open_store, write
from tests.archived import ASK, BLOCKS, HEAD, SHOP, Archived
from tests.archives import PAGE, read, warc
from tests.test_wacz import members, rezip

DATE = "2026-01-02T03:04:05Z"
URL = "http://a.example/"
HTML = b"<title>Shop</title><p>Real <b>fans</b>, within&nbsp;minutes</p>"


def told(report: Report) -> str:
    return "\n".join(map(str, report.problems))


def one_page(folder: Path) -> tuple[Database, Path]:
    """A store and an archive with one page, which has a claim on each block."""
    archive = Archive(folder / "archive", "t")
    record = archive.response(URL, DATE, HEAD, HTML, ASK)
    archive.close()
    db = open_store(folder / "fantomes.db")
    with write(db):
        save_source(db, "s", "site", None, None)
        save_page(db, "s", read_page(Capture(URL, DATE, 200, "text/html", HTML, record)))
        for block, text in db.execute("SELECT id, text FROM blocks").fetchall():
            row = {"id": f"c{block}", "page_id": 1, "block_id": block, "label": "real", "score": 1.0, "start": 0}
            db.table("claims").insert(row | {"end": len(text), "quote": text, "model": "m"})
    return db, folder / "archive"


def record(kind: str, url: str, block: bytes, number: int = 1, **more: str) -> bytes:
    """A record as a stranger writes it; a header given as "A_B" is "A-B"."""
    head = {"WARC-Type": kind, "WARC-Record-ID": f"<urn:uuid:{number:032}>", "WARC-Date": "2025-05-05T05:05:05Z"}
    head |= {"WARC-Target-URI": url, "Content-Length": str(len(block))}
    head |= {name.replace("_", "-"): value for name, value in more.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return gzip.compress(f"WARC/1.1\r\n{lines}\r\n".encode() + block + b"\r\n\r\n")


def test_a_store_that_puts_words_in_is_found_out(tmp_path: Path) -> None:
    db, archive = one_page(tmp_path)
    assert told(verify(archive, db)) == told(verify(archive, db, quick=True)) == ""
    db.execute("UPDATE blocks SET text = 'Free fans for all' WHERE text LIKE 'Real%'")
    db.execute("UPDATE claims SET quote = 'Free fans for all', \"end\" = 17 WHERE quote LIKE 'Real%'")
    blocks = [Block(*row) for row in db.execute("SELECT kind, text FROM blocks ORDER BY position")]
    db.execute("UPDATE pages SET text_sha256 = ?", [digest(blocks)])  # the store agrees with itself
    for quick in (False, True):
        (problem,) = verify(archive, db, quick=quick).problems
        assert "words that the record does not hold: 'Free fans for all'" in problem.what


def test_a_store_that_says_another_day_is_found_out(tmp_path: Path) -> None:
    db, archive = one_page(tmp_path)
    db.execute("UPDATE pages SET fetched_at = '2020-01-02T03:04:05Z'")
    assert f"the record is of {DATE}, page 1 says 2020-01-02T03:04:05Z" in told(verify(archive, db))


@pytest.mark.parametrize(
    "forged",
    [{"kind": []}, {"date": {}}, {"warc": MANIFEST, "hex": 12}, {"kind": "stamp", "payload": [1]}, {"offset": 1 << 70}],
)
def test_a_chain_with_values_that_are_none_is_told_and_no_crash(tmp_path: Path, forged: dict[str, Any]) -> None:
    _, archive = one_page(tmp_path)
    head, data = Head(), b""
    for number, (_, fields) in enumerate(list(entries(archive))):
        del fields["hash"]
        text, head = line(fields | (forged if number == 1 else {}), head)
        data += text
    (archive / MANIFEST).write_bytes(data)
    assert "line 2 is broken" in told(verify(archive))


def test_quick_sees_each_byte_too(tmp_path: Path) -> None:
    db, archive = one_page(tmp_path)
    path = next(archive.glob("*.warc.gz"))
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert "were altered" in told(verify(archive, db, quick=True))


def test_killed_between_the_line_of_a_file_and_its_name(tmp_path: Path) -> None:
    foreign = warc(tmp_path / "theirs.warc.gz", ("http://b.example/", PAGE, {}))
    (tmp_path / "archive").mkdir()
    if (child := os.fork()) == 0:
        os.replace = lambda *_: os._exit(9)  # type: ignore[assignment]
        Archive(tmp_path / "archive", "t").keep(foreign)
    os.waitpid(child, 0)
    assert "is missing" in told(verify(tmp_path / "archive"))
    Archive(tmp_path / "archive", "t").head()
    assert told(verify(tmp_path / "archive")) == ""
    (kept,) = (tmp_path / "archive").glob("*theirs.warc.gz")
    assert kept.read_bytes() == foreign.read_bytes()
    assert list((tmp_path / "archive").glob("*.part")) == []


def test_a_disk_that_is_full_at_once_leaves_nothing_that_looks_slipped_in(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive", "t")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limit[1]))
    try:
        with pytest.raises(ArchiveError):
            archive.response(URL, DATE, HEAD, HTML)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert told(verify(tmp_path / "archive")) == ""


@pytest.mark.parametrize("name", ["n" * 246 + ".warc.gz", 'a\n"b\\.warc.gz', "caf\udce9.warc.gz"])
def test_a_file_of_any_name_is_kept(tmp_path: Path, name: str) -> None:
    shutil.copy(warc(tmp_path / "plain", ("http://b.example/", PAGE, {})), tmp_path / name)
    _, pages, problems = read(tmp_path, tmp_path / name)
    assert (len(pages), problems) == (1, "")
    assert re.fullmatch(r"[\w.-]+", pages[0][2], re.A)
    assert told(verify(tmp_path / "archive", open_store(tmp_path / "fantomes.db"))) == ""


def test_what_is_no_warc_file_is_not_kept(tmp_path: Path) -> None:
    (tmp_path / "backup.tar.gz").write_bytes(gzip.compress(bytes(1000)))
    assert "no record" in read(tmp_path, tmp_path / "backup.tar.gz")[2]
    assert [path.name for path in (tmp_path / "archive").iterdir()] == [MANIFEST]


def test_a_saved_page_that_says_twice_where_it_is_from_is_nobody_s(tmp_path: Path) -> None:
    """A page may bring the comment along; the browser's own then stands behind it, however far."""
    saved, note = tmp_path / "saved.html", "<!-- saved from url=(0020)http://{}.example/ -->"
    text = "<!doctype html>" + note.format("accused") + f"<!--{'x' * 9000}-->" + note.format("hostile")
    saved.write_text(f"{text}<html><p>100 % real fans</p></html>")
    _, pages, problems = read(tmp_path, saved)
    assert (pages, "give --url" in problems) == ([], True)
    _, pages, _ = read(tmp_path, saved, url="http://hostile.example/")
    assert [page[0] for page in pages] == ["http://hostile.example/"]


def test_a_record_of_two_addresses_is_nobody_s(tmp_path: Path) -> None:
    twice = record("response", "http://accused.example/\r\nWARC-Target-URI: http://hostile.example/", HEAD + PAGE)
    (tmp_path / "x.warc.gz").write_bytes(twice + record("response", URL, HEAD + PAGE))
    outcomes, pages, _ = read(tmp_path, tmp_path / "x.warc.gz")
    assert (outcomes, [page[0] for page in pages]) == ({"bad-record": 1, "stored": 1}, [URL])


@pytest.mark.parametrize("kind", ["application/http; msgtype=response", "Application/HTTP", "text/html"])
@pytest.mark.parametrize(
    "transfer",
    [
        "",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
    ],
)
def test_ingest_verify_and_export_read_one_payload(tmp_path: Path, kind: str, transfer: str) -> None:
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(PAGE), PAGE) if transfer else PAGE
    block = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{transfer}".rstrip().encode() + b"\r\n\r\n" + body
    (tmp_path / "x.warc.gz").write_bytes(record("response", URL, block, Content_Type=kind))
    assert read(tmp_path, tmp_path / "x.warc.gz")[0] == {"stored": 1}
    db = open_store(tmp_path / "fantomes.db")
    assert told(verify(tmp_path / "archive", db)) == ""
    export(db, tmp_path / "archive", URL, tmp_path / "x.wacz", "t")
    assert check(tmp_path / "x.wacz") == []
    assert [text for (text,) in db.execute("SELECT text FROM blocks")] == ["Shop", "100 % real fans"]


@pytest.mark.parametrize(
    ("kind", "url", "block"),
    [
        ("request", URL, b"GET / HTTP/1.1\r\n\r\n"),
        ("revisit", URL, HEAD),
        ("response", f"{URL}a.png", b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n" + bytes(11_500_000)),
    ],
)
def test_a_broken_record_of_others_does_not_stop_the_export(tmp_path: Path, kind: str, url: str, block: bytes) -> None:
    page = record("response", URL, HEAD + PAGE + b"<img src=a.png>", 1)
    more = {"WARC_Block_Digest": f"sha1:{'A' * 32}", "WARC_Concurrent_To": f"<urn:uuid:{1:032}>"}
    (tmp_path / "x.warc.gz").write_bytes(page + record(kind, url, block, 2, Content_Type="application/http", **more))
    read(tmp_path, tmp_path / "x.warc.gz")
    result = export(open_store(tmp_path / "fantomes.db"), tmp_path / "archive", URL, tmp_path / "x.wacz", "t")
    assert (result["pages"], result["records"], check(tmp_path / "x.wacz")) == (1, 1, [])


@pytest.fixture
def vendor(tmp_path: Path) -> Archived:
    """A vendor with claims on his site, and on a wire that had another firm's release at the same address before."""
    store = Archived(tmp_path)
    wire = "https://wire.example/newest"
    store.page(SHOP, [("text", "Older words: free likes", {"free": "free likes"})], fetched_at="2025-01-01T00:00:00Z")
    store.page(wire, [("text", "Others sell real fans", {"real": "real fans"})], fetched_at="2025-01-01T00:00:00Z")
    store.page(SHOP, BLOCKS)
    store.page(wire, [("text", "Shop sells instant fans", {"instant": "instant fans"})])
    store.page(f"{SHOP}blog", [("text", "A critic: they promise free fans", {"free": "free fans"})])
    store.writer.close()
    store.db.execute("INSERT INTO vendors VALUES ('shop_example', 'Shop', 'shop.example')")
    store.db.execute("UPDATE claims SET vendor_id = 'shop_example' WHERE page_id > 2")
    return store


def exported(store: Archived, what: str) -> list[tuple[str, str | None]]:
    """Quotes and vendors, and no page more than they stand on."""
    result = export(store.db, store.archive, what, store.folder / "o.wacz", "t")
    assert check(store.folder / "o.wacz") == []
    with zipfile.ZipFile(store.folder / "o.wacz") as wacz:
        claims = json.loads(wacz.read("evidence/claims.json"))
    assert result["pages"] == len({(claim["url"], claim["date"]) for claim in claims})
    return [(claim["quote"], claim["vendor"]) for claim in claims]


def test_a_vendor_s_export_holds_nobody_else_s_words(vendor: Archived) -> None:
    page = vendor.db.execute("SELECT url, sha256 FROM pages WHERE url LIKE '%blog'").fetchone()
    row = {"url": page[0], "sha256": page[1], "position": 0, "label": "free", "lang": "en", "kind": "text", "text": "x"}
    vendor.db.table("reviews").insert(row | {"decision": "rejected", "reviewer": "r", "decided_at": DATE})
    assert exported(vendor, "shop.example") == [
        ("free likes", None),
        ("real followers", "shop_example"),
        ("Instant delivery", "shop_example"),
        ("instant fans", "shop_example"),
    ]


def test_a_wacz_with_numbers_that_are_none_is_told(vendor: Archived) -> None:
    exported(vendor, "shop.example")
    path = vendor.folder / "o.wacz"
    index = re.sub(rb'"offset": "\d+"', b'"offset": Infinity', members(path)[INDEX])
    assert any("infinity" in problem for problem in check(rezip(path, {INDEX: index})))
