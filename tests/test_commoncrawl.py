"""Common Crawl through a stand-in that speaks its interface: what was said before we existed, and what goes wrong."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.intake import client as client_module
from crawler.intake.cdx import Entry
from crawler.intake.client import Client, ClientError
from crawler.intake.commoncrawl import CommonCrawlError, chosen, commoncrawl
from data.migrations import open_store
from tests.commoncrawl import Server, serving

OLD, NEW = "CC-MAIN-2021-04", "CC-MAIN-2024-10"
PAGE = b"<title>Shop</title><p>100 % real fans</p>"
LATER = b"<title>Shop</title><p>Local fans</p>"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


def ask(folder: Path, server: Server, what: str = "shop.example", **more: Any) -> tuple[dict[str, Any], list[Any]]:
    db = open_store(folder / "fantomes.db")
    result = commoncrawl(db, folder / "archive", what, "you@example.org", server.url, server.url, **more)
    return result, db.execute(
        "SELECT url, fetched_at, warc, warc_offset, warc_length FROM pages ORDER BY id"
    ).fetchall()


def test_the_first_and_the_last_capture_date_what_was_said(tmp_path: Path, server: Server) -> None:
    server.add(OLD, "http://shop.example/", "20210115120000", PAGE)
    server.add(OLD, "http://shop.example/", "20210116120000", b"<p>in between")
    server.add(OLD, "http://shop.example/prices", "20210116120000", PAGE)
    server.add(OLD, "http://another.example/", "20210116120000", PAGE)
    server.add(OLD, "http://notshop.example/", "20210116120000", PAGE)
    server.add(NEW, "http://shop.example/", "20240301120000", LATER)
    server.add(NEW, "http://www.shop.example/", "20240301120000", LATER)
    result, pages = ask(tmp_path, server)
    assert (result["captures"], result["fetched"], result["warnings"]) == (4, 4, [])
    assert sorted((url, date) for url, date, *_ in pages) == [
        ("http://shop.example/", "2021-01-15T12:00:00Z"),
        ("http://shop.example/", "2024-03-01T12:00:00Z"),
        ("http://shop.example/prices", "2021-01-16T12:00:00Z"),
        ("http://www.shop.example/", "2024-03-01T12:00:00Z"),
    ]
    db = open_store(tmp_path / "fantomes.db")
    seen = "SELECT first_seen_at, last_seen_at FROM addresses WHERE url = 'http://shop.example/'"
    assert db.execute(seen).fetchone() == ("2021-01-15T12:00:00Z", "2024-03-01T12:00:00Z")
    assert all("you@example.org" in headers["user-agent"] for _, headers in server.asked)
    for url, _, warc, offset, length in pages:  # the evidence is Common Crawl's own record, and it says where from
        kept = (tmp_path / "archive" / warc).read_bytes()
        assert any(kept[offset : offset + length] in file for file in server.files.values())
        assert url.encode() in gzip.decompress(kept[offset : offset + length])
    assert f"source: {server.url}crawl-data/{OLD}".encode() in gzip.decompress(kept)


def test_the_first_sight_of_a_claim_moves_back(tmp_path: Path, server: Server) -> None:
    """The view that dates claims reads captures of any age."""
    server.add(NEW, "http://shop.example/", "20240301120000", PAGE)
    ask(tmp_path, server)
    server.add(OLD, "http://shop.example/", "20210115120000", PAGE)
    ask(tmp_path, server)
    db = open_store(tmp_path / "fantomes.db")
    for page_id, block_id, text in db.execute("SELECT page_id, id, text FROM blocks WHERE kind != 'title'").fetchall():
        row = {"id": f"c{block_id}", "page_id": page_id, "block_id": block_id, "label": "real", "score": 1.0}
        db.table("claims").insert(row | {"start": 0, "end": len(text), "quote": text, "model": "m"})
    history = db.execute("SELECT quote, first_seen_at, last_seen_at, gone_since FROM claim_history").fetchall()
    assert history == [("100 % real fans", "2021-01-15T12:00:00Z", "2024-03-01T12:00:00Z", None)]


def test_asking_again_fetches_nothing_that_is_held(tmp_path: Path, server: Server) -> None:
    server.add(OLD, "http://shop.example/", "20210115120000", PAGE)
    ask(tmp_path, server)
    del server.asked[:]
    result, pages = ask(tmp_path, server)
    assert (result["fetched"], len(pages)) == (0, 1)
    assert not [path for path, _ in server.asked if path.startswith("/crawl-data")]


@pytest.mark.parametrize(
    ("what", "urls"),
    [
        ("https://shop.example/a", ["http://shop.example/a"]),
        ("shop.example/a*", ["http://shop.example/a", "http://shop.example/ab"]),
        ("SHOP.example", ["http://shop.example/", "http://shop.example/a", "http://shop.example/ab"]),
        ("nobody.example", []),
    ],
)
def test_a_domain_a_page_or_what_begins_so(tmp_path: Path, server: Server, what: str, urls: list[str]) -> None:
    for path in ("", "a", "ab"):
        server.add(OLD, f"http://shop.example/{path}", "20210115120000", PAGE)
    assert [page[0] for page in ask(tmp_path, server, what)[1]] == urls


def test_the_shortest_paths_come_first_and_the_rest_is_told(tmp_path: Path, server: Server) -> None:
    for path in ("blog/2021/a", "prices", ""):
        server.add(OLD, f"http://shop.example/{path}", "20210115120000", PAGE)
        server.add(NEW, f"http://shop.example/{path}", "20240301120000", LATER)
    result, pages = ask(tmp_path, server, most=2)
    assert [page[0] for page in pages] == ["http://shop.example/", "http://shop.example/prices"]
    assert "4 more captures" in result["warnings"][0]


def test_a_busy_server_is_asked_again(tmp_path: Path, server: Server) -> None:
    server.add(OLD, "http://shop.example/", "20210115120000", PAGE)
    server.busy = 3
    assert ask(tmp_path, server)[0]["fetched"] == 1


def test_an_index_that_is_down_is_told_and_the_others_are_read(tmp_path: Path, server: Server) -> None:
    server.add(OLD, "http://shop.example/", "20210115120000", PAGE)
    server.add(NEW, "http://shop.example/", "20240301120000", LATER)
    server.down = (OLD,)
    result, pages = ask(tmp_path, server)
    assert [page[1] for page in pages] == ["2024-03-01T12:00:00Z"]
    assert f"{OLD}-index" in result["warnings"][0]
    server.down = (OLD, NEW)
    with pytest.raises(CommonCrawlError, match="status 500"):
        ask(tmp_path, server)


def test_a_server_that_is_down_is_left_alone(tmp_path: Path, server: Server) -> None:
    server.down = tuple(f"CC-MAIN-20{n}-01" for n in range(10, 20))
    for crawl in server.down:
        server.add(crawl, "http://shop.example/", "20210115120000", PAGE)
    with pytest.raises(CommonCrawlError, match="status 500"):
        ask(tmp_path, server)
    assert len({path.partition("?")[0] for path, _ in server.asked}) == 1 + 3  # the list, and three indexes


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"digest": "A" * 32}, "digest"),
        ({"timestamp": "20200101000000"}, "another capture"),
        ({"url": "http://shop.example/other"}, "another capture"),
        ({"length": "100"}, "cut short"),
        ({"offset": "0"}, "cut short"),
        ({"length": "5000000000"}, "too much"),
        ({"filename": "crawl-data/missing.warc.gz"}, "status 404"),
        ({"filename": "http://127.0.0.1:9/x"}, "another server"),
    ],
)
def test_what_is_not_what_the_index_says_is_not_taken(
    tmp_path: Path, server: Server, more: dict[str, str], words: str
) -> None:
    server.add(OLD, "http://shop.example/", "20210115120000", PAGE, **more)
    server.add(OLD, "http://shop.example/good", "20210115120000", PAGE)
    result, pages = ask(tmp_path, server)
    assert [page[0] for page in pages] == ["http://shop.example/good"]
    assert (len(result["warnings"]), words in result["warnings"][0]) == (1, True)


@pytest.mark.parametrize(
    "more",
    [
        *({"timestamp": "someday"}, {"length": "x"}, {"url": "http://[x/"}, {"offset": "9" * 5000}, {"length": "0"}),
        *({"offset": float("inf")}, {"digest": 7}, {"filename": 7}),
    ],
)
def test_a_bad_line_of_the_index_is_named(tmp_path: Path, server: Server, more: dict[str, Any]) -> None:
    server.add(OLD, "http://shop.example/", "20210115120000", PAGE, **{"urlkey": "example,shop)/"} | more)
    with pytest.raises(CommonCrawlError, match=r"page 0, line 1") as caught:
        ask(tmp_path, server)
    assert "\n" not in str(caught.value)


def test_an_index_that_lists_another_s_pages_is_not_believed(tmp_path: Path, server: Server) -> None:
    server.add(OLD, "http://accused.example/", "20210115120000", PAGE, urlkey="example,shop)/")
    with pytest.raises(CommonCrawlError, match=r"lists http://accused\.example/, which is not of shop\.example"):
        ask(tmp_path, server)


def test_a_server_that_ignores_the_range_is_refused(tmp_path: Path, server: Server) -> None:
    for number in range(3):
        server.add(OLD, f"http://shop.example/{number}", "20210115120000", PAGE + b"x" * 1000 * number)
    server.ranges = False
    result, pages = ask(tmp_path, server)
    assert (pages, len(result["warnings"])) == ([], 3)
    assert "answers 200 with more than" in result["warnings"][0]


@pytest.mark.parametrize("text", ["", "[]", "{}", "[1]", '[{"cdx-api": "http://10.0.0.1/x-index"}]', "[" * 100_000])
def test_a_list_of_indexes_that_is_none(tmp_path: Path, server: Server, text: str) -> None:
    server.collinfo = text or " "
    with pytest.raises(CommonCrawlError, match=r"collinfo\.json: is no list of indexes"):
        ask(tmp_path, server)


@pytest.mark.parametrize("what", ["", "http://[x/", "a b", "ftp://shop.example/"])
def test_a_question_must_be_one(tmp_path: Path, server: Server, what: str) -> None:
    with pytest.raises(CommonCrawlError, match="no domain and no address"):
        ask(tmp_path, server, what)
    assert server.asked == []


def test_somebody_must_ask(tmp_path: Path, server: Server) -> None:
    with pytest.raises(CommonCrawlError, match="FANTOMES_CONTACT"):
        commoncrawl(open_store(tmp_path / "s.db"), tmp_path, "shop.example", None, server.url, server.url)


def test_private_addresses_are_refused_unless_the_user_names_them(server: Server) -> None:
    port = server.url.rsplit(":", 1)[1]
    trusting, other = Client("t", (server.url,)), Client("t", ("https://index.example/",))
    assert trusting.get(server.url + "x", 1000).status == 404
    refused = [(other, server.url), (trusting, f"http://localhost:{port}"), (trusting, "http://169.254.169.254/")]
    for client, url in [*refused, (trusting, "http://[::ffff:127.0.0.1]/"), (trusting, "http://127.0.0.1:9/")]:
        with pytest.raises(ClientError, match="private address"):
            client.get(url, 1000)
    assert len(server.asked) == 1


def test_away_from_loopback_a_second_passes_between_requests() -> None:
    assert Client("t", ("https://index.example/",), 0.0)._delay == 1.0
    assert Client("t", ("https://index.example/", "http://127.0.0.1:9/"), 0.0)._delay == 1.0


def test_a_server_that_drips_is_left(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.files["drip"] = b"x" * 100
    server.ranges = False  # promises a gigabyte and sends a hundred bytes
    monkeypatch.setattr(client_module, "MAX_TIME", -1.0)
    with pytest.raises(ClientError, match="seconds"):
        Client("t", (server.url,)).get(server.url + "drip", 1000)


dates = st.datetimes().map(lambda date: date.strftime("%Y-%m-%dT%H:%M:%SZ"))


@given(st.dictionaries(st.sampled_from(["http://a.example/", "http://a.example/b"]), st.lists(dates, min_size=1)))
def test_no_address_loses_its_first_or_its_last_capture(found: dict[str, list[str]]) -> None:
    entries = {url: [Entry(url, date, "", "", n, 1) for n, date in enumerate(set(of))] for url, of in found.items()}
    picked = chosen(entries)
    assert len(picked) == len(set(picked))
    for url, of in found.items():
        mine = [entry.date for entry in picked if entry.url == url]
        assert {min(of), max(of)} == set(mine)
