"""Panels: a saved `services` answer and public tables of prices, offer by offer; no interface is ever asked."""

import json
import time
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml
from crawling import run_crawl, write_source
from hypothesis import given
from hypothesis import strategies as st

from crawler.archive import Archive, now
from crawler.frontier import Lease
from crawler.market.panels import is_interface, offer_key, read_services
from crawler.market.pricetable import offers
from crawler.page import Capture, NotAPage, Record
from crawler.sources import Source
from crawler.spiders import panel
from crawler.spiders.lease import LeaseSpider
from crawler.store import save_page, save_source
from data.migrations import open_store, write

RECORDED = Path(__file__).parent / "pages" / "panels"
EXPECTED = {path.stem: yaml.safe_load(path.read_text("utf-8")) for path in sorted(RECORDED.glob("*.yml"))}
FIELDS = [
    (case, number, name) for case, file in EXPECTED.items() for number, one in enumerate(file["offers"]) for name in one
]
URL = "https://panelotron.test/"
GOOD = {"service": 1, "name": "Real fans", "rate": "0.9", "category": "Fans"}


def capture(body: bytes, url: str = URL, kind: str = "text/html; charset=utf-8") -> Capture:
    return Capture(url, "2026-11-20T10:00:00Z", 200, kind, body, Record("w", 0, 1, "0" * 64))


def recorded(case: str) -> list[dict[str, Any]]:
    url = EXPECTED[case]["url"]
    path = next(path for path in RECORDED.glob(f"{case}.*") if path.suffix != ".yml")
    if path.suffix == ".html":
        return [asdict(offer) for offer in offers(path.read_text("utf-8"), url)]
    page = read_services(capture(path.read_bytes(), url, "application/json"))
    assert page is not None
    return [asdict(offer) for offer in page.offers]


@pytest.mark.parametrize("case", EXPECTED)
def test_a_list_of_prices_has_these_offers(case: str) -> None:
    assert [offer["name"] for offer in recorded(case)] == [offer["name"] for offer in EXPECTED[case]["offers"]]


@pytest.mark.parametrize(("case", "number", "name"), FIELDS, ids=lambda value: str(value))
def test_an_offer_is_read_field_by_field(case: str, number: int, name: str) -> None:
    assert recorded(case)[number][name] == EXPECTED[case]["offers"][number][name]


def test_the_words_of_services_are_blocks() -> None:
    page = read_services(capture((RECORDED / "services.json").read_bytes()))
    assert page is not None
    assert [[block.kind, block.text] for block in page.blocks] == EXPECTED["services"]["blocks"]
    assert page.kind == "panel"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"error": "Invalid API key"}, "answered with an error: 'Invalid API key'"),
        ([GOOD, 3], "entry 2: 3 is no service"),
        ([GOOD, {**GOOD, "service": None}], "entry 2: service None is no id"),
        ([GOOD, {**GOOD, "service": True}], "entry 2: service True is no id"),
        ([GOOD, {**GOOD, "name": ""}], "entry 2: name '' is no name"),
        ([GOOD, {**GOOD, "name": ["x"]}], "entry 2: name ['x'] is no name"),
        ([GOOD, {**GOOD, "rate": "free"}], "entry 2: rate 'free' is no decimal number"),
        ([{**GOOD, "rate": None}], "entry 1: rate None is no decimal number"),
        ([{**GOOD, "rate": "9" * 400}], "entry 1: rate "),
    ],
)
def test_what_breaks_services_is_told_in_one_line(answer: Any, words: str) -> None:
    with pytest.raises(NotAPage) as problem:
        read_services(capture(json.dumps(answer).encode()))
    assert problem.value.reason == "bad-services"
    assert words in str(problem.value)
    assert "\n" not in str(problem.value)
    assert len(str(problem.value)) < 200


@pytest.mark.parametrize("url", ["file:///home/me/services.json", f"{URL}api/v2?key=abc", f"{URL}?action=services"])
def test_whose_services_these_are_must_be_said(url: str) -> None:
    with pytest.raises(NotAPage, match="address") as problem:
        read_services(capture(json.dumps([GOOD]).encode(), url))
    assert "abc" not in str(problem.value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"[1]",
        b'[{"name": "x"}]',
        b'{"error": {"code": 190}}',
        b"[" * 90_000,
        b"<p>Fans",
        b'{"data":3}',
    ],
)
def test_another_file_is_no_answer_of_a_panel(body: bytes) -> None:
    assert read_services(capture(body)) is None


def test_an_odd_number_is_told_and_not_guessed(caplog: pytest.LogCaptureFixture) -> None:
    odd = [{**GOOD, "min": "1 000", "max": 1.5e3, "refill": "maybe", "dripfeed": True, "moon": 1}]
    page = read_services(capture(json.dumps(odd).encode()))
    assert page is not None
    assert (page.offers[0].least, page.offers[0].most, page.offers[0].refill) == (None, None, None)
    assert "min '1 000' is no whole number" in caplog.text
    assert "moon" in caplog.text


VALUE = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=20)
    | st.lists(st.integers(), max_size=2)
)


@given(
    st.lists(st.fixed_dictionaries(dict.fromkeys(GOOD, VALUE), optional={"min": VALUE, "refill": VALUE}), max_size=3)
)
def test_any_services_are_stored_whole_or_refused(tmp_path_factory: pytest.TempPathFactory, services: Any) -> None:
    try:
        page = read_services(capture(json.dumps([GOOD, *services]).encode()))
    except NotAPage:
        return
    assert page is not None
    assert len(page.offers) == len(services) + 1
    db = open_store(":memory:")
    with write(db):
        save_source(db, "files", "file", None, "Files")
        assert save_page(db, "files", page)
    assert db.execute("SELECT count(*) FROM offers").fetchone()[0] == len(page.offers)


def test_the_key_is_the_offer_s_own() -> None:
    key = offer_key("https://panelotron.test/services", "7", "Real  Fans")
    assert key == offer_key("http://www.panelotron.test/", "7", "real fans")
    others = [(URL, "8", "Real Fans"), (URL, "7", "Real fans HQ"), ("https://other.test/", "7", "Real Fans")]
    assert key not in [offer_key(*other) for other in others]


@given(st.text(max_size=200) | st.text("0123456789.,kKM ’/-", max_size=26), st.integers(0, 6))
def test_any_html_gives_offers_or_none(cell: str, width: int) -> None:
    head = "<tr><th>Service</th><th>ID</th><th>Rate per 1000</th><th>Min</th></tr>"
    cells = f"<td>Fans</td>{f'<td>{cell}</td>' * width}"
    for offer in offers(f"<table>{head}<tr>{cells}</tr></table>", URL):
        assert offer.name
        assert offer.least is None or 0 <= offer.least < 2**63  # what a table can hold


@pytest.mark.parametrize(
    ("text", "number"),
    [("10", 10), ("10 000", 10_000), ("1.000.000", 1_000_000), ("10k", 10_000), ("1,5M", 1_500_000), ("1,000k", None),
     ("1,2,3M", None), ("9" * 20, None), ("∞", None), ("-5", None), ("", None), ("1e3", None)],
)  # fmt: skip
def test_numbers_as_people_write_them(text: str, number: int | None) -> None:
    head, row = "<tr><th>Service<th>Price<th>Min", f"<tr><td>Fans<td>$1.000<td>{text}"
    (offer,) = offers(f"<table>{head}{row}</table>", URL)
    assert (offer.least, offer.price, offer.per) == (number, "$1.000", None)


@pytest.mark.parametrize(
    "html",
    [
        "<table><tr><td>" * 1200 + "Price",
        "<div><span>Price</span><span>Service</span><span>Min</span></div>" * 20_000,
        "<div>" + "<p>Price</p>" * 50_000,
        "<table><tr><th>ID<th>Service<th>Price</tr>" + "<tr><td>1<td>Fans<td>$1" * 25_000,
        f"<table><tr><th>ID<th>Service<th>Price</tr><tr><td>1<td>{'fans ' * 1_000_000}<td>$1",
        "<table><tr><th>ID<th>Service<th>Price</tr></table>" * 20_000,
    ],
    ids=["nested", "headers", "prices", "rows", "long", "tables"],
)
def test_a_page_made_to_hold_us_up_does_not(html: str) -> None:
    start = time.process_time()
    found = offers(html, URL)
    assert time.process_time() - start < 5
    assert len(found) <= 20_000


def test_a_page_of_a_panel_source(tmp_path: Path) -> None:
    source = Source("my-panel", "panel", "T", "tests", (URL,), max_depth=2)
    body = (RECORDED / "table-en.html").read_bytes() + b"".join(
        b'<a href="%s">x</a>' % href.encode()
        for href in ("/terms", "/api/v2?key=k&action=services", "/api/v2?Action=add", "/p?api_key=1", "/p?a=1;key=2")
    )
    archive, db = Archive(tmp_path / "archive", "tests"), open_store(tmp_path / "fantomes.db")
    shown = capture(body, f"{URL}services")
    shown.record = archive.response(shown.url, now(), b"HTTP/1.1 200 OK\r\n\r\n", body)
    found = panel.read(shown, Lease(1, shown.url, 1, None), source, archive)
    assert {link.url for link in found.links} == {URL, f"{URL}services", f"{URL}terms"}
    with write(db):
        save_source(db, source.id, source.kind, URL, "T")
        save_page(db, source.id, found.pages[0])
    assert db.execute("SELECT kind FROM pages").fetchone() == ("panel",)
    assert db.execute("SELECT name, price FROM offers WHERE service = '101'").fetchone() == (
        "Real followers HQ",
        "$0.90",
    )
    (page,) = panel.read(capture(b"<title>Terms</title><p>No prices"), Lease(1, URL, 2, None), source, archive).pages
    assert (page.kind, page.offers) == ("page", [])


@pytest.mark.skipif("panel" not in LeaseSpider.readers, reason="lease.py does not know the kind yet")
def test_a_whole_crawl_asks_no_interface(tmp_path: Path) -> None:
    body = (
        RECORDED / "table-en.html"
    ).read_bytes() + b"<a href='/api/v2?key=k&action=services'>x</a><form method=post>"
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.command} {self.path}")
            self.send_response(200 if self.path != "/robots.txt" else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    write_source(tmp_path, "my-panel", ["http://panelotron.test/services"], kind="panel")
    result = run_crawl(tmp_path, ["my-panel"], LOOPBACK_HOSTS={"panelotron.test": server.server_address[1]})
    server.shutdown()
    server.server_close()
    assert result["finished"]
    assert sorted(set(asked)) == ["GET /", "GET /robots.txt", "GET /services"]
    db = open_store(tmp_path / "fantomes.db")
    assert db.execute("SELECT count(DISTINCT key), count(DISTINCT url) FROM offers JOIN pages ON pages.id = page_id"
                      ).fetchone() == (3, 2)  # fmt: skip


@pytest.mark.parametrize(
    ("query", "interface"),
    [("", False), ("page=2", False), ("key=x", True), ("KEY", True), ("a=1&action=add", True), ("api-key=", True),
     ("monkey=1", False), ("%6Bey=1", True)],
)  # fmt: skip
def test_an_interface_is_known_by_its_address(query: str, interface: bool) -> None:
    assert is_interface(f"{URL}api/v2?{query}") == interface
