"""Press releases: recorded pages in six languages and many styles of HTML, date lines, hostile pages."""

import time
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.page import Capture, Page, Record, decode, read_page
from crawler.press.copies import signature
from crawler.press.dateline import moment, read_dateline
from crawler.press.releases import about_heading, read_release

CASES = Path(__file__).parent / "pages" / "releases"
NAMES = sorted(folder.name for folder in CASES.iterdir())
FIELDS = ("wire", "headline", "issuer", "place", "dated", "about", "contact")


def read(html: bytes, url: str = "http://w.example/a-release", published_at: str | None = None) -> tuple[Page, Any]:
    capture = Capture(
        url, "2026-04-01T00:00:00Z", 200, "text/html", html, Record("w", 0, 1, "0"), published_at=published_at
    )
    page = read_page(capture)
    return page, read_release(page, decode(html, "text/html")[0])


@cache
def case(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """(expected, found) of a recorded page; `first_half` tells the pages that the parser was written with."""
    expected = yaml.safe_load((CASES / name / "expected.yml").read_text("utf-8"))
    page, read_ = read((CASES / name / "page.html").read_bytes(), expected["url"], expected.get("feed_date"))
    if read_ is None:
        return expected, {"kind": "page"}
    found = {field: getattr(read_, field) for field in (*FIELDS, "body")}
    return expected, {"kind": "release", "published_at": page.published_at, "subject": read_.advertised, **found}


@pytest.mark.parametrize("field", ["kind", *FIELDS, "published_at", "subject"])
@pytest.mark.parametrize("name", NAMES)
def test_fields_of_recorded_pages(name: str, field: str) -> None:
    expected, found = case(name)
    assert found.get(field) == expected.get(field)


@pytest.mark.parametrize("name", [name for name in NAMES if case(name)[0]["kind"] == "release"])
def test_bodies_of_recorded_pages(name: str) -> None:
    expected, found = case(name)
    assert [text for text in expected["body_has"] if text not in found["body"]] == []
    assert [text for text in expected["body_lacks"] if text in found["body"]] == []


@pytest.mark.parametrize(
    ("line", "place", "dated"),
    [
        ("PARIS, le 12 mars 2026 /WIRE/ -- Texte", "PARIS", "2026-03-12"),
        ("LONDON, March 2, 2026 (WIRE) -- Text", "LONDON", "2026-03-02"),
        ("NEW YORK, NY / TIN Newswire / March 2, 2026 / Text", "NEW YORK, NY", "2026-03-02"),
        ("NEW YORK--(TIN WIRE)--Text", "NEW YORK", None),
        ("Berlin (ots) - Text", "Berlin", None),
        ("(Pressebrett) - Bad Kleinau, 12.03.2026 - Text", "Bad Kleinau", "2026-03-12"),
        ("Brévigny (Loire), le 1er avril 2026 – Texte", "Brévigny (Loire)", "2026-04-01"),
        ("Paris, le jeudi 12 mars 2026 - Texte", "Paris", "2026-03-12"),
        ("Madrid, 12 de marzo de 2026.- Texto", "Madrid", "2026-03-12"),
        ("(Roma, 12 marzo 2026) - Testo", "Roma", "2026-03-12"),
        ("Vila Nova de Baixo, 3 de março de 2026 – Texto", "Vila Nova de Baixo", "2026-03-03"),
        ("London, 2nd March 2026: Text", "London", "2026-03-02"),
        ("Lyon, 13/04/2026 - Texte", "Lyon", "2026-04-13"),
        ("Lyon, le 13 avril 2026", "Lyon", "2026-04-13"),
    ],
)
def test_date_lines(line: str, place: str, dated: str | None) -> None:
    found = read_dateline(line)
    assert found is not None
    assert (found.place, found.dated) == (place, dated)
    assert line[found.end :].lstrip(" -–").startswith(("Te", "")[found.end == len(line)])


@pytest.mark.parametrize(
    "line",
    [
        "Publié le 12 mars 2026 - Texte",
        "Published: March 2, 2026",
        "Monday, March 2, 2026 - Text",
        "The shop opened in Lyon on March 2, 2026 - and closed",
        "Lyon, 03/04/2026 - March or April?",
        "Lyon, 31 février 2026 - Texte",
        "Ouverture le 3 mars 2026 - réservez",
        "Likeo (the shop) sells followers",
        "Fans du Coin, 2026-03-12",
        "Balloon Colour (If Any):",
        "FETCH /red/balloon Here",
        "From 3 to 5, on 2 March 2026, we sell",
        "",
    ],
)
def test_what_is_no_date_line(line: str) -> None:
    assert read_dateline(line) is None


@given(st.text(max_size=300))
def test_any_line_is_read(line: str) -> None:
    found = read_dateline(line)
    assert found is None or (found.place in line and 0 < found.end <= len(line))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("About Likeo", "Likeo"),
        ("À propos de la Maison Zéphyrine :", "Maison Zéphyrine"),
        ("À propos d'Orion", "Orion"),
        ("Über die Likeo GmbH: Die Likeo GmbH ist", "Likeo GmbH"),
        ("Sobre o Gostómetro", "Gostómetro"),
        ("About us", None),
        ("À propos de nous", None),
        ("About 300 followers arrive every day. They are said to be real.", None),
        ("about followers", None),
        ("Sobre ellos no se sabe nada", None),
    ],
)
def test_headings_of_about_boxes(text: str, name: str | None) -> None:
    assert about_heading(text)[0] == name


def test_dates_of_markup() -> None:
    now = datetime(2026, 3, 2, tzinfo=UTC)
    assert moment("2026-03-01T10:00:00+01:00", now) == "2026-03-01T09:00:00Z"
    assert moment(" 2026-03-01 ", now) == "2026-03-01"
    assert [moment(text, now) for text in ("2026-03-09", "yesterday", "", None, "0001-01-01T00:00:00+14:00")] == [
        None
    ] * 5


PARAGRAPH = (
    "<p>" + "The followers of Likeo are real people, says the firm, and it replaces those that leave. " * 4 + "</p>"
)


def test_the_date_of_the_feed_comes_first() -> None:
    html = f"<h1>Likeo opens a shop in town</h1><p>LYON, March 2, 2025 /Wire/ -- x</p>{PARAGRAPH}".encode()
    assert read(html, published_at="2025-03-01T10:00:00Z")[0].published_at == "2025-03-01T10:00:00Z"
    meta = b"<meta property='article:published_time' content='2025-03-03T10:00:00Z'>" + html
    assert read(meta)[0].published_at == "2025-03-03T10:00:00Z"
    assert read(html)[0].published_at == "2025-03-02"


def test_a_byline_is_no_date_line() -> None:
    html = f"<h1>Likeo opens a shop in town</h1><p>Likeo Ltd, March 2, 2025 - Internet</p>{PARAGRAPH}SOURCE Likeo Ltd"
    release = read(html.encode(), published_at="2025-03-01T10:00:00Z")[1]
    assert (release.issuer, release.place, release.dated) == ("Likeo Ltd", None, None)


def test_what_is_no_release() -> None:
    plain = f"<h1>Likeo opens a shop in town</h1>{PARAGRAPH}".encode()
    assert read(plain)[1] is None
    assert read(plain, published_at="2025-03-01T10:00:00Z")[1] is not None
    dated = f"<h1>Likeo opens a shop in town</h1><p>LYON, March 2, 2025 /Wire/ -- x</p>{PARAGRAPH}".encode()
    assert read(dated)[1] is not None
    assert read(dated, "http://w.example/")[1] is None
    assert read(dated, "http://w.example/terms-of-use.html")[1] is None


@pytest.mark.parametrize(
    ("more", "site"),
    [
        ("<p>See www.likeo.example/shop, it says.</p>", "http://www.likeo.example/"),
        ("<p>See https://likeo.example.</p>", "https://likeo.example/"),
        ("<p>Write to sales@likeo.example.</p>", None),
        (
            "<p>See <a href=//likeo.example/x>it</a> or <a href=http://www.likeo.example>that</a></p>",
            "http://likeo.example/",
        ),
        ("<p>See www.likeo.example or www.plays.example</p>", None),
        ("<p>See www.likeo.example or www.facebook.com/likeo</p>", "http://www.likeo.example/"),
        ("<p>See <a href=http://likeo.example:99999/>x</a> or http://li'<.example</p>", None),
        ("<p>See <a href='http://[bad'>x</a> and www.likeo.example</p>", "http://www.likeo.example/"),
        ("<footer>Made with <a href=http://plays.example>Plays</a></footer>", None),
    ],
)
def test_the_site_that_a_release_advertises(more: str, site: str | None) -> None:
    html = f"<h1>Likeo opens a shop in town</h1><p>LYON, March 2, 2025 /Wire/ -- x</p>{PARAGRAPH}{more}"
    assert read(html.encode())[1].advertised == site


def test_blocks_stay_as_they_are() -> None:
    html = (CASES / "en-main-body" / "page.html").read_bytes()
    page, found = read(html)
    assert found
    assert page.blocks == read_page(page.capture).blocks


@pytest.mark.parametrize(
    "html",
    [
        "<p>LYON, March 2, 2025 /W/ -- x</p>" * 5_000,
        "<div class=ad>" * 2_000 + "x",
        "<p>Contact:</p>" * 5_000,
        "<p>About Likeo</p>" * 5_000,
        "<b>Werbung</b>" * 3_000 + "<p>x</p>",
        "<h1>" + "A, " * 100_000,
        "<p>" + "www." * 100_000,
        "<a href=http://a.example>x</a>" * 10_000,
    ],
)
def test_hostile_pages_take_little_time(html: str) -> None:
    start = time.process_time()
    read(f"<title>{'t' * 50}</title>{html}{PARAGRAPH}".encode(), published_at="2025-03-01T10:00:00Z")
    assert time.process_time() - start < 5


PIECES = ["<p>", "</div>", "<div class=ad>", "About Likeo", "Contact:", "<br>", "<h1>", PARAGRAPH, "<nav>", "Publicité"]
PIECES += ["Lyon, March 2, 2025 -", "<td>", "SOURCE Likeo", "<a href=http://x.example>"]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=25))
def test_any_page_is_read(parts: list[str]) -> None:
    page, found = read(("<p>x y</p>" + "".join(parts)).encode(), published_at="2025-03-01T10:00:00Z")
    if found:
        assert len(found.signature) == 512
        assert found.body
        assert page.published_at == "2025-03-01T10:00:00Z"


def test_signatures_stay_the_same_from_version_to_version() -> None:
    assert signature("The same words, in the same order.").hex()[:32] == SIGNED


SIGNED = "4664494e75d8702ee7f3271199d0f652"
