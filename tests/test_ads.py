"""Ads: exported files, field by field; what of them is archived, and the token that is not."""

import json
import re
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from crawler.archive import Archive, now
from crawler.market.ads import Export, blotted, pages, read_export, without_token
from crawler.page import Capture, NotAPage, Page
from crawler.store import save_page, save_source
from data.migrations import open_store, write

RECORDED = Path(__file__).parent / "pages" / "ads"
EXPECTED = {path.stem: yaml.safe_load(path.read_text("utf-8")) for path in sorted(RECORDED.glob("*.yml"))}
FIELDS = [
    (case, number, name) for case, file in EXPECTED.items() for number, one in enumerate(file["ads"]) for name in one
]


def recorded(case: str) -> Export:
    path = next(path for path in RECORDED.glob(f"{case}.*") if path.suffix != ".yml")
    export = read_export(path.read_bytes(), path.name)
    assert export is not None
    return export


@pytest.mark.parametrize(("case", "number", "name"), FIELDS, ids=lambda value: str(value))
def test_an_export_is_read_field_by_field(case: str, number: int, name: str) -> None:
    listing = recorded(case).listings[number]
    blocks = [[block.kind, block.text] for block in listing.blocks]
    links = [list(link) for link in listing.links]
    found = {"url": listing.url, "title": listing.title, "blocks": blocks, "links": links}
    value = found[name] if name in found else getattr(listing.ad, name)
    assert value == EXPECTED[case]["ads"][number][name]


@pytest.mark.parametrize("case", EXPECTED)
def test_an_export_has_these_ads_and_warns_of_what_it_leaves(case: str) -> None:
    export = recorded(case)
    assert [listing.url for listing in export.listings] == [one["url"] for one in EXPECTED[case]["ads"]]
    assert export.warnings == EXPECTED[case]["warnings"]
    assert b"access_token" not in b"".join(listing.json for listing in export.listings)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"id,ad_creative_bodies\n1.23E+15,Real fans\n", "row 2: ad id '1.23E+15' is no number"),
        (b"id,ad_creative_bodies\n7,Fans\n8,Fans,more\n", "row 3: 3 cells, the first row has 2 columns"),
        (b'id,ad_creative_bodies\n7,"Fans" x\n', "line 2: "),
        (b'id,ad_creative_bodies\n7,"Fans\n', "line 2: unexpected end of data"),
        (b"id,page_name,ad_creative_bodies,page_name\n7,a,b,c\n", "column 'page_name' stands twice"),
        (b"advertiser_id,creative_id\nAR1,CR\n", "row 2: creative id 'CR' is not CR and a number"),
        (b'[{"id": 7, "ad_creative_bodies": [{"a": 1}]}]', "row 1: ad_creative_bodies [{'a': 1}] is no list of texts"),
        (b'[{"id": 7, "ad_creative_bodies": ["a"]}, 3]', "row 2: 3 is no ad"),
        (b'[{"id": 7, "ad_creative_bodies": ["a"]},', "cannot be read as JSON"),
        (b'{"id": 7, "ad_creative_bodies": ["a"]}\n{"id"\n', "line 2: cannot be read as JSON"),
        (b'[{"id": "7", "ID": "8", "ad_creative_bodies": []}]', "row 1: two of the columns"),
    ],
)
def test_what_breaks_an_export_is_told_in_one_line(body: bytes, words: str) -> None:
    with pytest.raises(NotAPage) as problem:
        read_export(body, "my ads.csv")
    assert problem.value.reason == "bad-export"
    assert "my ads.csv: " in str(problem.value)
    assert words in str(problem.value)
    assert "\n" not in str(problem.value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<title>Real fans</title><p>Real fans",
        b"[]",
        b"{}",
        b"[1, 2]",
        b'[{"service": 1, "name": "Fans", "rate": "0.9"}]',
        b'{"error": {"code": 190}}',
        b"name,price\nfans,3\n",
        b'"Real" fans, they said\n',
        b"[" * 100_000,
    ],
)
def test_another_file_is_no_export(body: bytes) -> None:
    assert read_export(body, "file") is None


def test_a_large_cell_and_odd_bytes_are_kept() -> None:
    words = " ".join(f"fan{n}" for n in range(120_000))  # a megabyte
    export = read_export(f"id,ad_creative_bodies\n7,\ufeff=cmd()\x00 {words}\n".encode(), "large.csv")
    assert export
    assert words in " ".join(block.text for block in export.listings[0].blocks)
    assert not any("\x00" in block.text for block in export.listings[0].blocks)


CELL = st.text(st.characters(codec="utf-8"), max_size=30)


@given(st.binary(max_size=60) | st.lists(CELL, max_size=5).map(",".join).map(str.encode))
def test_any_file_is_read_or_refused(rest: bytes) -> None:
    for head in (
        b"id,ad_creative_bodies\n",
        b'[{"id":1,"ad_creative_bodies":',
        b"advertiser_id;creative_id\nAR1;CR1\n",
    ):
        with suppress(NotAPage):  # whatever else is raised fails the test
            export = read_export(head + rest, "any")
            assert export is None or all(listing.ad.ad for listing in export.listings)


@given(st.lists(CELL, min_size=1, max_size=4), st.booleans())
def test_the_words_of_an_ad_stay_as_they_are(texts: list[str], as_lines: bool) -> None:
    one = {"id": "7", "ad_creative_bodies": texts, "ad_delivery_start_time": "2026-10-01"}
    export = read_export((json.dumps(one) if as_lines else json.dumps({"data": [one]})).encode(), "ads.json")
    assert export
    blocks = [block.text for block in export.listings[0].blocks]
    said = [" ".join(re.sub(r"[\x00-\x1f\x7f]", " ", text).split()) for text in texts]
    assert all(any(block in text for text in said) for block in blocks)
    for word in " ".join(said).split():
        assert len(word) == 1 or any(word in block for block in blocks)


@given(st.text("abcXYZ019_.-", min_size=8, max_size=60))
def test_a_token_goes_in_every_spelling(token: str) -> None:
    url = f"https://g.example/ads?access_token={token}&after=Q"
    texts = [url, json.dumps({"next": url}).replace("/", "\\/").replace("&", "\\u0026"), f"Malformed token {token}"]
    texts.append(f"https://g.example/login?to={url.replace('=', '%3D').replace('&', '%26')}")
    for text in texts:
        assert token not in without_token(text, token)
    assert without_token(url) == "https://g.example/ads?after=Q"


@pytest.mark.parametrize("codec", ["utf-8", "utf-16"])
def test_the_token_of_whoever_exported_is_not_archived(codec: str) -> None:
    text = (RECORDED / "meta-answer.json").read_text("utf-8")
    body = text.encode(codec)
    kept = blotted(body)
    assert len(kept) == len(body)
    assert kept.decode(codec) == text.replace("EAAsecretSECRET99", "x" * 17)


def test_pages_of_an_export_can_be_stored(tmp_path: Path) -> None:
    archive, db = Archive(tmp_path / "archive", "tests"), open_store(tmp_path / "fantomes.db")
    body = (RECORDED / "meta-answer.json").read_bytes()
    record = archive.resource("file:///ads.json", now(), "application/json", body)
    file = Capture("file:///ads.json", now(), 200, "application/json", body, record)
    stored: list[Page] = pages(recorded("meta-answer").listings, file, archive)
    with write(db):
        save_source(db, "files", "file", None, "Files")
        assert [save_page(db, "files", page) for page in stored] == [True, True]
        assert [save_page(db, "files", page) for page in stored] == [False, False]
    (first, _) = db.query("SELECT * FROM ads ORDER BY ad")
    assert json.loads(first["countries"]) == ["BE", "FR"]
    assert first["payer"] == "Coin Holding"
    (kind,) = db.execute("SELECT DISTINCT kind FROM pages").fetchall()
    assert kind == ("ad",)
