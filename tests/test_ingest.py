"""Files captured by others: whole, broken, lying, far too big."""

import gzip
import hashlib
import json
import os
import subprocess
import sys
import zlib
from pathlib import Path
from urllib.parse import urlsplit

import brotli
import pytest
from backports import zstd
from warcio.archiveiterator import ArchiveIterator

from crawler.intake.ingest import ingest
from data.migrations import open_store
from data.platforms import wires
from tests.archives import PAGE, read, warc

ROOT = Path(__file__).parents[1]

RELEASES = Path(__file__).parent / "pages" / "releases"


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
    bomb = gzip.compress(b"<p>" + b"fans " * 3_000_000)
    path = warc(
        tmp_path / "a.warc.gz",
        ("http://a.example/404", PAGE, {":status": "404 Not Found"}),
        ("http://a.example/pdf", b"%PDF-1.7", {}),
        ("http://a.example/bomb", bomb, {"Content-Encoding": "gzip"}),
        ("http://a.example/bomb2", brotli.compress(b"fans " * 3_000_000), {"Content-Encoding": "br"}),
        ("http://a.example/bomb3", zstd.compress(b"fans " * 3_000_000), {"Content-Encoding": "gzip, zstd"}),
        ("http://a.example/big", b"<p>" + b"fans " * 3_000_000, {}),
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
    (tmp_path / "nothing").mkdir()
    outcomes, pages, problems = read(tmp_path, tmp_path / "missing.warc", noise, tmp_path / "nothing", one_member, good)
    assert len(problems.splitlines()) == 4
    assert "unpack the file" in problems
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


def test_a_folder_is_read_in_order_and_what_is_no_page_is_counted(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "b_files").mkdir(parents=True)
    (folder / "b.html").write_bytes(b"<p>b real fans")
    (folder / "b_files" / "logo.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (folder / "b_files" / "a.js").write_bytes(b"document.write('<p>real fans')")
    (folder / "a.html").write_bytes(b"<p>a real fans")
    (folder / "data.json").write_bytes(b'{"text": "<p>real fans"}')
    (folder / "feed.xml").write_bytes(
        b'<rss version="2.0"><channel><item><link>http://a.example/</link></item></channel></rss>'
    )
    os.mkfifo(folder / "pipe")
    warc(folder / "z.warc.gz", ("http://z.example/", PAGE, {}))
    outcomes, pages, problems = read(tmp_path, folder)
    assert (outcomes, problems) == ({"stored": 3, "not-text": 3, "feed": 1}, "")
    assert [Path(page[0]).name for page in pages] == ["a.html", "b.html", "z.example"]


AD = {
    "id": "101", "page_id": "7", "page_name": "Likeo", "ad_creative_bodies": ["100 % real fans"],
    "ad_snapshot_url": "https://www.facebook.com/ads/archive/render_ad/?id=101&access_token=EAASECRET",
    "ad_delivery_start_time": "2025-02-03",
}  # fmt: skip


def test_an_export_of_ads_is_archived_and_each_ad_refers_to_it(tmp_path: Path) -> None:
    path = tmp_path / "ads.json"
    path.write_text(json.dumps({"data": [AD, AD | {"id": "102"}]}))
    result = ingest(open_store(tmp_path / "fantomes.db"), tmp_path / "archive", [path])
    assert result["outcomes"] == {"stored": 2}
    assert "access token" in result["warnings"][0]
    db = open_store(tmp_path / "fantomes.db")
    ads = db.execute("SELECT kind, ad, advertiser FROM pages JOIN ads ON page_id = pages.id ORDER BY ad").fetchall()
    assert ads == [("ad", "101", "Likeo"), ("ad", "102", "Likeo")]
    (archived,) = (tmp_path / "archive").glob("*.warc.gz")
    assert b"EAASECRET" not in gzip.decompress(archived.read_bytes())
    with archived.open("rb") as file:
        heads = [
            record.rec_headers for record in ArchiveIterator(file) if record.rec_type in ("resource", "conversion")
        ]
    assert [head["WARC-Refers-To"] for head in heads] == [None] + [heads[0]["WARC-Record-ID"]] * 2
    assert ingest(db, tmp_path / "archive", [path])["outcomes"] == {"unchanged": 2}


def test_a_panel_s_services_need_the_panel_s_address(tmp_path: Path) -> None:
    path = tmp_path / "services.json"
    path.write_text(
        json.dumps(
            [{"service": 1, "name": "Followers R30", "type": "Default", "rate": "0.90", "min": "10", "max": "10000"}]
        )
    )
    _, pages, problems = read(tmp_path, path)
    assert (pages, "--url" in problems) == ([], True)
    _, pages, _ = read(tmp_path, path, url="https://panel.example/")
    assert [page[0] for page in pages] == ["https://panel.example/"]
    assert open_store(tmp_path / "fantomes.db").execute("SELECT name, price FROM offers").fetchall() == [
        ("Followers R30", "0.90")
    ]


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": "<p>real fans"}',
        b'{"a": "<p>real fans"}\n{"a": 1}',
        "\ufeff[1]".encode(),
        "{}".encode("utf-16"),
        b"real fans",
        b"document.write('<p>real fans')",
        b"<svg><text>real fans</text></svg>",
        b'<?xml version="1.0"?><svg><text>real fans</text></svg>',
    ],
)
def test_what_is_no_html_is_no_page(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "page.html"
    path.write_bytes(body)
    _, pages, problems = read(tmp_path, path)
    assert (pages, "not-text" in problems) == ([], True)
    assert not list((tmp_path / "archive").glob("*.warc.gz"))


INGEST = """
import sys
from pathlib import Path
from crawler.intake.ingest import ingest
from data.migrations import open_store
from data.platforms import wires
folder = Path(sys.argv[1])
ingest(open_store(folder / "fantomes.db"), folder / "archive", [folder / "a.warc.gz"], progress=print)
"""


def test_a_killed_ingest_is_completed_by_a_rerun(tmp_path: Path) -> None:
    path = warc(
        tmp_path / "a.warc.gz", *((f"http://a.example/{n}", f"<p>{n} real fans".encode(), {}) for n in range(400))
    )
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", INGEST, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT, bufsize=0
    )
    assert process.stdout is not None
    process.stdout.read(100)
    process.kill()
    process.communicate()
    before = open_store(tmp_path / "fantomes.db").execute("SELECT count(*) FROM pages").fetchone()[0]
    assert 0 < before < 400
    outcomes, pages, problems = read(tmp_path, path)
    assert (outcomes, problems) == ({"stored": 400 - before, "unchanged": before}, "")
    assert len(pages) == 400
    blocks = "SELECT count(*) FROM pages WHERE id NOT IN (SELECT page_id FROM blocks)"
    assert open_store(tmp_path / "fantomes.db").execute(blocks).fetchone() == (0,)


def test_a_saved_page_of_a_store_is_an_app_s(tmp_path: Path) -> None:
    _, pages, problems = read(tmp_path, ROOT / "tests" / "pages" / "apps" / "play-en.html")
    assert ([urlsplit(page[0]).hostname for page in pages], problems) == (["play.google.com"], "")
    assert open_store(tmp_path / "fantomes.db").execute("SELECT kind FROM pages").fetchone() == ("app",)


def test_xhtml_and_other_charsets_are_html(tmp_path: Path) -> None:
    for number, body in enumerate(
        [
            b'<?xml version="1.0"?>\n<!DOCTYPE html><html><p>real fans 1</p></html>',
            "<p>real fans 2 é".encode("utf-16"),
            "\ufeff\n<!-- c --><p>real fans 3".encode(),
            b"<html><head><rdf:RDF></rdf:RDF></head><p>real fans 4",
        ]
    ):
        (tmp_path / f"{number}.html").write_bytes(body)
    outcomes, _, problems = read(tmp_path, *sorted(tmp_path.glob("*.html")))
    assert (outcomes, problems) == ({"stored": 4}, "")


def test_one_address_is_not_given_to_two_pages(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.html").write_bytes(PAGE)
    _, pages, problems = read(tmp_path, tmp_path / "a.html", tmp_path / "b.html", url="http://known.example/")
    assert (pages, "not of 2 files" in problems) == ([], True)


def test_what_a_wire_s_archive_holds_is_read_as_a_release(tmp_path: Path) -> None:
    case = sorted(RELEASES.glob("*/expected.yml"))[0].parent
    body, wire = (case / "page.html").read_bytes(), sorted(wires())[0]
    path = warc(
        tmp_path / "a.warc.gz",
        (f"https://www.{wire}/a-release-of-spring", body, {}),
        (f"https://www.{wire}/", PAGE, {}),
        ("http://shop.example/a-release-of-spring", body, {}),
    )
    read(tmp_path, path)
    db = open_store(tmp_path / "fantomes.db")
    kinds = {row["url"]: row["kind"] for row in db.query("SELECT url, kind FROM pages")}
    assert sorted(kinds.values()) == ["page", "page", "release"]
    assert kinds[f"https://www.{wire}/a-release-of-spring"] == "release"
    assert db.execute("SELECT count(*) FROM releases").fetchone()[0] == 1
