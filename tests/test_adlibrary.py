"""Meta's Ad Library over HTTP: pages, cursors, its known errors, a whole crawl; the token, nowhere."""

import gzip
import json
import subprocess
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import Request, urlopen

import pytest
from adlibrary import PATH, TOKEN, AdLibrary, ad, error, serving
from crawling import run_crawl, write_source

from crawler.archive import Archive, now
from crawler.found import Found
from crawler.frontier import Lease, clean
from crawler.page import Capture, NotAPage
from crawler.sources import Source
from crawler.spiders import adlibrary
from crawler.spiders.adlibrary import Stopped
from crawler.spiders.lease import LeaseSpider
from crawler.store import save_page, save_source
from data.migrations import open_store, write

QUERY = {
    "search_terms": "fans réels",
    "ad_reached_countries": '["FR"]',
    "fields": "id,ad_creative_bodies,page_name",
    "ad_active_status": "ALL",
}


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FANTOMES_META_TOKEN", TOKEN)


class Client:
    """Follows the addresses as the spider does, over real HTTP, into a real store and archive."""

    def __init__(self, folder: Path, port: int) -> None:
        self.db, self.archive = open_store(folder / "fantomes.db"), Archive(folder / "archive", "tests")
        self.start = f"http://127.0.0.1:{port}{PATH}?{urlencode(QUERY)}"
        self.source = Source("my-ads", "adlibrary", "T", "tests", (self.start,), loopback=True)
        with write(self.db):
            save_source(self.db, "my-ads", "adlibrary", self.start, "T")

    def ask(self, url: str) -> Found:
        headers, meta = adlibrary.signed(url, self.source)
        assert meta == {"secret": TOKEN, "dont_redirect": True}
        try:
            with urlopen(Request(url, headers=headers), timeout=10) as answer:
                status, body = answer.status, answer.read()
        except HTTPError as refused:
            status, body = refused.code, refused.read()
        blotted = body.replace(TOKEN.encode(), b"x" * len(TOKEN))  # as warc.py does
        record = self.archive.response(url, now(), b"HTTP/1.1 %d OK\r\n\r\n" % status, blotted)
        capture = Capture(clean(url), now(), status, "application/json", body, record)
        return adlibrary.read(capture, Lease(1, url, 0, None), self.source, self.archive)

    def crawl(self, limit: int | None = None) -> list[Found]:
        todo, all_found = [self.start + (f"&limit={limit}" if limit else "")], []
        while todo and len(all_found) < 30:
            found = self.ask(todo.pop(0))
            with write(self.db):
                for page in found.pages:
                    save_page(self.db, "my-ads", page)
            todo += [link.url for link in found.links]
            all_found.append(found)
        self.archive.close()
        return all_found

    def ads(self) -> list[dict[str, Any]]:
        return list(self.db.query("SELECT ads.*, url, warc FROM ads JOIN pages ON pages.id = page_id ORDER BY ad"))


def outcomes(found: list[Found]) -> list[str]:
    return [one.outcome for one in found]


def limits(library: AdLibrary) -> list[str]:
    return [parse_qs(urlsplit(path).query).get("limit", ["none"])[0] for path in library.asked]


def test_all_pages_are_read_and_the_token_is_nowhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    library = AdLibrary([ad(n) for n in range(25)], overlap=1)
    with serving(library) as port:
        client = Client(tmp_path, port)
        found = client.crawl(limit=10)
    assert outcomes(found) == ["ads"] * 3
    assert [row["ad"] for row in client.ads()] == [one["id"] for one in library.ads]
    assert not [path for path in library.asked if TOKEN in path]  # not even in the addresses asked for
    client.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        data = path.read_bytes()
        assert TOKEN.encode() not in (gzip.decompress(data) if path.name.endswith(".gz") else data)
    assert TOKEN not in caplog.text


def test_the_evidence_of_an_ad_is_its_own_record(tmp_path: Path) -> None:
    with serving(AdLibrary([ad(1)])) as port:
        client = Client(tmp_path, port)
        (page,) = client.crawl()[0].pages
    record = page.capture.record
    raw = (tmp_path / "archive" / record.warc).read_bytes()[record.offset : record.offset + record.length]
    head, _, payload = gzip.decompress(raw).partition(b"\r\n\r\n")
    assert b"WARC-Type: conversion" in head
    assert b"WARC-Refers-To: <urn:uuid:" in head
    assert json.loads(payload)["ad_creative_bodies"] == ad(1)["ad_creative_bodies"]
    assert page.capture.url == f"https://www.facebook.com/ads/library/?id={ad(1)['id']}"
    assert page.published_at == "2026-10-01"


@pytest.mark.parametrize(
    ("behaviour", "expected", "asked"),
    [
        ({"too_much": 3}, ["smaller", "smaller", *["ads"] * 3], ["10", "5", "2", "2", "2"]),
        ({"too_much": 0}, [*["smaller"] * 3, "too-much-data"], ["10", "5", "2", "1"]),
        ({"most": 4}, ["ads"] * 2, ["10"] * 2),
        ({"least": 30}, ["ads"], ["10"]),
        ({"errors": {1: (500, b"<html>Sorry")}}, ["smaller", "ads"], ["10", "5"]),
        ({"errors": {1: (503, error(2, "Service temporarily unavailable"))}}, ["smaller", "ads"], ["10", "5"]),
        ({"errors": {1: (200, error(1, "An unknown error occurred"))}}, ["smaller", "ads"], ["10", "5"]),
        ({"errors": {1: (400, error(77, "Something new"))}}, ["meta-77"], ["10"]),
        ({"errors": {1: (400, {"error": {"code": ["x"], "message": {}}})}}, ["meta-error"], ["10"]),
        ({"errors": {1: (404, b"")}}, ["http-404"], ["10"]),
        ({"next_host": "elsewhere.example", "most": 2}, ["ads"], ["10"]),
    ],
)
def test_a_server_that_misbehaves(tmp_path: Path, behaviour: Any, expected: list[str], asked: list[str]) -> None:
    library = AdLibrary([ad(n) for n in range(5)], **behaviour)
    with serving(library) as port:
        client = Client(tmp_path, port)
        found = client.crawl(limit=10)
    assert outcomes(found) == expected
    assert limits(library) == asked
    whole = expected[-1] == "ads" and "next_host" not in behaviour
    assert len(client.ads()) == (5 if whole else 2 if "next_host" in behaviour else 0)


@pytest.mark.parametrize(
    ("status", "answer", "outcome", "again", "words"),
    [
        (400, error(190, f"Malformed access token {TOKEN}"), "token", True, "Meta refuses the token"),
        (400, error(10, "Application does not have permission", error_subcode=2332002), "token", True, "error 10"),
        (400, error(4, "Application request limit reached"), "quota", True, "limit of requests"),
        (400, error(17, "User request limit reached"), "quota", True, "limit of requests"),
        (400, error(613, "Calls to this api have exceeded the rate limit."), "quota", True, "error 613"),
        (429, error(9, "Slow down"), "quota", True, "limit of requests"),
        (400, error(100, "The parameter fields is required."), "bad-query", False, "parameter fields is required"),
    ],
)
def test_what_ends_a_source_is_one_line_without_the_token(
    tmp_path: Path, status: int, answer: Any, outcome: str, again: bool, words: str
) -> None:
    library = AdLibrary([ad(n) for n in range(5)], most=2, errors={2: (status, answer)})
    with serving(library) as port:
        client = Client(tmp_path, port)
        with pytest.raises(Stopped, match=words) as stop:
            client.crawl()
    assert (stop.value.outcome, stop.value.again) == (outcome, again)
    assert str(stop.value).startswith("my-ads: ")
    assert TOKEN not in str(stop.value)
    assert "\n" not in str(stop.value)
    assert len(client.ads()) == 2  # the first page is kept


@pytest.mark.parametrize("value", ["", "short", "two words here", "EAA|app-token", "x" * 2000])
def test_a_token_that_can_be_none_is_not_sent_nor_shown(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("FANTOMES_META_TOKEN", value)
    with pytest.raises(Stopped, match="FANTOMES_META_TOKEN") as stop:
        adlibrary.token()
    assert not value or value not in str(stop.value)


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://graph.facebook.com/v23.0/ads_archive?limit=5", True),
        ("http://graph.facebook.com/v23.0/ads_archive", False),
        ("https://graph.facebook.com:8443/", False),
        ("https://graph.facebook.com.example/", False),
    ],
)
def test_the_token_goes_to_meta_alone(url: str, good: bool) -> None:
    source = Source("my-ads", "adlibrary", "T", "tests", (url,))
    if good:
        assert adlibrary.signed(url, source)[0] == {"Authorization": f"Bearer {TOKEN}"}
    else:
        with pytest.raises(Stopped, match="the token is not sent there"):
            adlibrary.signed(url, source)


def test_ads_that_cannot_be_read_are_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    odd = [None, [], {"ad_creative_bodies": ["no id"]}, ad(4, ad_creative_bodies=None), ad(5, new_field=1)]
    answer = {"data": odd, "paging": {"next": None}}
    with serving(AdLibrary([], errors={1: (200, answer)})) as port:
        client = Client(tmp_path, port)
        found = client.crawl()
    assert outcomes(found) == ["ads"]
    assert len(client.ads()) == 2
    assert caplog.text.count("is left out") == 3
    assert "new_field" in caplog.text


@pytest.mark.parametrize("body", [b"", b"[]", b'{"data": {}}', b"[" * 100_000, b"\xff\xfe{}", b'"text"'])
def test_an_answer_that_is_none_is_refused(tmp_path: Path, body: bytes) -> None:
    with serving(AdLibrary([], errors={1: (200, body)})) as port:
        client = Client(tmp_path, port)
        with pytest.raises(NotAPage, match="no-ads-archive"):
            client.crawl()


@pytest.mark.skipif("adlibrary" not in LeaseSpider.readers, reason="lease.py does not know the kind yet")
def test_a_whole_crawl(tmp_path: Path) -> None:
    library = AdLibrary([ad(n) for n in range(12)], errors={3: (400, error(613, "Calls have exceeded the rate limit"))})
    start = f"http://adlibrary.test{PATH}?{urlencode(QUERY)}&limit=5"
    write_source(tmp_path, "my-ads", [start], kind="adlibrary")
    with serving(library) as port:
        settings = {"LOOPBACK_HOSTS": {"adlibrary.test": port}, "DOWNLOAD_TIMEOUT": 20}
        stopped = run_crawl(tmp_path, ["my-ads"], **settings)
        assert "limit of requests" in stopped["error"]
        assert run_crawl(tmp_path, ["my-ads"], **settings)["finished"]  # goes on where it was stopped
    assert len(library.asked) == 4
    db = open_store(tmp_path / "fantomes.db")
    assert db.execute("SELECT count(*) FROM ads").fetchone() == (12,)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        data = path.read_bytes()
        if path.name.endswith(".gz"):
            data = subprocess.run(["gzip", "-dc", str(path)], capture_output=True, check=True).stdout
        assert TOKEN.encode() not in data, path.name
