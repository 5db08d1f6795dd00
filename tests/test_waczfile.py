"""WACZ files: their WARC files come out byte for byte, and what is wrong with them is told."""

import gzip
import json
import zipfile
from pathlib import Path

import pytest

from crawler.intake.ingest import ingest
from data.migrations import open_store
from tests.archives import PAGE, packed, read, wacz


@pytest.mark.parametrize("compress", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_wacz_gives_its_warcs_byte_for_byte(tmp_path: Path, compress: int) -> None:
    members = {"archive/a.warc.gz": packed(tmp_path, "a"), "archive/b.warc.gz": packed(tmp_path, "b"), "pages/p": b"x"}
    result = ingest(
        open_store(tmp_path / "fantomes.db"), tmp_path / "archive", [wacz(tmp_path / "w.wacz", members, None, compress)]
    )
    assert (result["outcomes"], result["warnings"]) == ({"stored": 2}, [])
    pages = open_store(tmp_path / "fantomes.db").execute("SELECT warc, warc_offset, warc_length FROM pages").fetchall()
    assert [(tmp_path / "archive" / name).read_bytes() for name, *_ in pages] == list(members.values())[:2]
    for name, offset, length in pages:
        assert PAGE in gzip.decompress((tmp_path / "archive" / name).read_bytes()[offset : offset + length])
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith("w-")]


@pytest.mark.parametrize(
    ("package", "words"),
    [
        ('{"resources": [{"path": "archive/a.warc.gz", "hash": "sha256:00"}]}', "not as datapackage.json says"),
        ('{"resources": []}', "is not listed"),
        ("{", "datapackage.json cannot be read"),
        ("[" * 100_000, "datapackage.json cannot be read"),
        ('{"resources": 5}', "datapackage.json cannot be read"),
    ],
)
def test_a_wacz_whose_list_is_wrong_is_read_and_told(tmp_path: Path, package: str, words: str) -> None:
    path = wacz(tmp_path / "w.wacz", {"archive/a.warc.gz": packed(tmp_path)}, package)
    outcomes, _, problems = read(tmp_path, path)
    assert (outcomes, problems.count("\n"), words in problems) == ({"stored": 1}, 0, True)
    assert problems.startswith(f"{path}: ")


def test_a_file_that_is_missing_in_a_wacz_is_named(tmp_path: Path) -> None:
    members = {"archive/a.warc.gz": packed(tmp_path)}
    listed = json.dumps({"resources": [{"path": f"archive/{n}.warc.gz", "hash": "sha256:0"} for n in "ab"]})
    outcomes, _, problems = read(tmp_path, wacz(tmp_path / "w.wacz", members, listed))
    assert (outcomes, "'archive/b.warc.gz' is listed" in problems) == ({"stored": 1}, True)


def test_a_broken_warc_in_a_wacz_does_not_stop_the_others(tmp_path: Path) -> None:
    whole = packed(tmp_path)
    members = {"archive/a.warc.gz": whole[:-30], "archive/b.warc.gz": whole}
    outcomes, _, problems = read(tmp_path, wacz(tmp_path / "w.wacz", members))
    assert (outcomes, "w-0-a.warc.gz breaks off" in problems) == ({"stored": 1}, True)


def test_names_in_a_wacz_are_no_paths(tmp_path: Path) -> None:
    names = ["archive/../../evil.warc.gz", "/archive/evil.warc.gz", "archive/..\\evil.warc.gz", "archive/é\n.warc.gz"]
    path = wacz(tmp_path / "w.wacz", dict.fromkeys([*names, "archive/" + "a" * 300 + ".warc.gz"], packed(tmp_path)))
    outcomes, _, problems = read(tmp_path, path)
    assert (problems, outcomes["stored"]) == ("", 1)
    assert not list(tmp_path.parent.rglob("evil*"))


def harmful(folder: Path, kind: str) -> Path:
    path = folder / "w.wacz"
    good = packed(folder)
    if kind == "many":
        return wacz(path, {f"archive/{n}.warc.gz": b"" for n in range(10_000)}, "{}")
    if kind == "bomb":
        return wacz(path, {"archive/a.warc": bytes(50_000_000)}, None, zipfile.ZIP_DEFLATED)
    if kind == "nested":
        return wacz(path, {"archive/a.warc.gz": good, "b.wacz": good})
    if kind == "other":
        return wacz(path, {"word/document.xml": b"<p>real fans"})
    body = bytearray(wacz(path, {"archive/a.warc.gz": good}).read_bytes())
    if kind == "encrypted":
        for start in (body.find(b"PK\x03\x04") + 6, body.find(b"PK\x01\x02") + 8):
            body[start] |= 1
    if kind == "method":
        for start in (body.find(b"PK\x03\x04") + 8, body.find(b"PK\x01\x02") + 10):
            body[start] = 99
    if kind == "flip":
        body[body.find(b"\x1f\x8b") + 100] ^= 1
    if kind == "long-list":
        body[-10:-6] = (50_000_000).to_bytes(4, "little")
    path.write_bytes(body[: len(body) // 2] if kind == "cut" else body)
    return path


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("many", "holds 10002 files"),
        ("bomb", "200 times its size"),
        ("nested", "multi-WACZ"),
        ("other", "no WACZ"),
        ("encrypted", "encrypted"),
        ("method", "compression method"),
        ("long-list", "50000000 bytes"),
        ("cut", "cut short"),
    ],
)
def test_a_harmful_wacz_is_refused_in_one_line(tmp_path: Path, kind: str, words: str) -> None:
    path = harmful(tmp_path, kind)
    _, pages, problems = read(tmp_path, path)
    assert (pages, problems.count("\n")) == ([], 0)
    assert problems.startswith(f"{path}: ")
    assert words in problems


def test_a_flipped_byte_in_a_wacz_is_noticed_twice(tmp_path: Path) -> None:
    _, pages, problems = read(tmp_path, harmful(tmp_path, "flip"))
    assert (pages, "CRC-32" in problems, "breaks off" in problems) == ([], True, True)
