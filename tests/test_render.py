"""Rendering in a real Chromium, on loopback: what scripts show is read, and no page gets anywhere that a plain crawl
would not go, however it tries."""

import asyncio
import hashlib
import os
import re
import shutil
import signal
import socket
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rendering import PAGES, Web, family, outcomes, serving, start
from warcio.archiveiterator import ArchiveIterator

from crawler.chromium import browser
from crawler.chromium.proxy import Proxy
from crawler.settings import SETTINGS

HAS_BROWSER = shutil.which("chromium") or os.environ.get("PLAYWRIGHT_BROWSERS_PATH")
needs_browser = pytest.mark.skipif(not HAS_BROWSER, reason="no Chromium")
# secret stands first because of robots.txt: Scrapy lets the third request through that waits for one
PAGES_THAT_END = (
    "secret attacks popup download flood post beacon moved private refresh offsite endless blob history"
    " stalls requests unrest"
    " claims"
)
PAGES_THAT_DO_NOT = "loop lateloop alerts huge"


class Seen:
    """What the pages did: `told` by page, what the web was asked for, who came to the port that nobody may reach."""

    def __init__(self, folder: Path, told: dict[str, Any], web: Web, hits: list[str]) -> None:
        self.folder, self.told, self.web, self.hits = folder, told, web, hits
        self.asked = Counter(entry.partition("?")[0] for entry in web.asked)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    folder = tmp_path_factory.mktemp("rendered")
    meta = {"render": True, "stay_on": "seller.example"}
    with serving() as (web, hits):  # two crawls at once
        ending = start(folder / "a", web, PAGES_THAT_END.split(), meta | {"screenshot": True}, RENDER_SECONDS=15)
        endless = start(folder / "b", web, PAGES_THAT_DO_NOT.split(), meta, RENDER_SECONDS=2.5)
        told = outcomes(endless) | outcomes(ending)
        time.sleep(0.2)
        return Seen(folder / "a", told, web, list(hits))


def records(folder: Path) -> list[tuple[Any, bytes]]:
    """All records of the archive, their digests verified: WARC headers, payload."""
    found = []
    for path in (folder / "archive").glob("*.warc.gz"):
        with path.open("rb") as file:
            for record in ArchiveIterator(file, check_digests="raise"):
                found.append((record.rec_headers, record.raw_stream.read()))
    return found


@pytest.mark.browser
@needs_browser
class TestPages:
    def test_text_that_only_a_script_shows_is_read(self, seen: Seen) -> None:
        told = seen.told["claims"]
        assert "real fans" not in (PAGES / "claims.html").read_text()
        assert "<p>1,000 real fans from next door</p>" in told["text"]
        assert told["url"] == "http://seller.example/claims"

    def test_evidence_is_the_answer_as_sent_and_the_dom_as_a_conversion_of_it(self, seen: Seen) -> None:
        told = seen.told["claims"]
        found = {headers.get_header("WARC-Record-ID"): (headers, payload) for headers, payload in records(seen.folder)}
        conversion, dom = found[told["record"]]
        answer, sent = found[conversion.get_header("WARC-Refers-To")]
        shots = [
            (headers.get_header("WARC-Type"), headers.get_header("Content-Type"), payload[:6])
            for headers, payload in found.values()
            if headers.get_header("WARC-Target-URI") == "urn:screenshot:http://seller.example/claims"
        ]
        assert (answer.get_header("WARC-Type"), conversion.get_header("WARC-Type")) == ("response", "conversion")
        assert sent == (PAGES / "claims.html").read_bytes()
        assert (hashlib.sha256(dom).hexdigest(), dom.decode()) == (told["sha256"], told["text"])
        assert shots == [("resource", "image/png", b"\x89PNG\r\n")] * 2  # and of the page that moved here

    def test_each_page_is_fetched_once_and_by_name(self, seen: Seen) -> None:
        fetched = {
            page: seen.asked[f"GET /{page}"] for page in seen.told if page not in ("secret", "claims", "endless")
        }
        assert fetched == dict.fromkeys(fetched, 1)
        assert seen.asked["GET /claims"] == 2  # and the page that moved there
        assert seen.web.agents == {"Fantomes/tests"}

    def test_robots_txt_is_obeyed_and_not_rendered(self, seen: Seen) -> None:
        assert seen.told["secret"]["outcome"] == "robots"
        assert seen.asked["GET /secret"] == seen.asked["GET /robots-ran"] == 0

    def test_nothing_gets_to_a_private_address(self, seen: Seen) -> None:
        assert seen.asked["GET /ran"] == 1  # the attacks ran to their end
        assert seen.asked["GET /to"] == 8  # redirects to private addresses were given out
        assert not seen.hits

    def test_nothing_is_ever_sent_but_get(self, seen: Seen) -> None:
        assert {entry.split()[0] for entry in seen.web.asked} == {"GET"}
        assert seen.told["beacon"]["outcome"] == "page"
        assert seen.told["post"]["outcome"] == "left-page"

    @pytest.mark.parametrize(
        ("page", "outcome"),
        [
            ("private", "private-address"),
            ("refresh", "private-address"),
            ("offsite", "off-site"),
            ("endless", "redirects"),
            ("blob", "left-page"),
        ],
    )
    def test_a_script_that_leads_elsewhere_is_judged_like_a_redirect(self, seen: Seen, page: str, outcome: str) -> None:
        assert seen.told[page]["outcome"] == outcome

    def test_a_script_may_lead_to_another_page_of_the_site(self, seen: Seen) -> None:
        assert seen.told["moved"]["url"] == "http://seller.example/claims"
        assert "real fans" in seen.told["moved"]["text"]

    def test_a_page_cannot_change_what_is_read_of_it(self, seen: Seen) -> None:
        told = seen.told["history"]
        assert told["url"] == "http://seller.example/history"
        assert "<p>after</p>" in told["text"]
        assert not told["text"].startswith("<p>never")

    @pytest.mark.parametrize("page", ["loop", "lateloop"])
    def test_a_page_that_never_ends_is_given_up(self, seen: Seen, page: str) -> None:
        assert seen.told[page]["outcome"] == "render-timeout"

    @pytest.mark.parametrize("page", ["unrest", "popup", "download", "stalls"])
    def test_a_page_that_never_rests_is_taken_as_it_stands(self, seen: Seen, page: str) -> None:
        assert seen.told[page]["outcome"] == "page"
        assert "<p>after</p>" in seen.told[page]["text"]

    def test_what_is_too_large_or_too_much_is_not_kept(self, seen: Seen) -> None:
        assert seen.told["huge"]["outcome"] in ("too-large", "render-timeout", "render-failed")
        assert seen.told["alerts"]["outcome"] in ("page", "render-timeout")
        assert seen.told["requests"]["outcome"] in ("page", "render-timeout")
        assert 0 < seen.asked["GET /many"] <= 200
        assert seen.asked["GET /popped"] == 0

    def test_what_is_cut_off_by_the_limit_is_not_taken_for_whole(self, seen: Seen) -> None:
        assert seen.told["flood"]["outcome"] == "page"
        assert "xxx" not in seen.told["flood"]["text"]

    def test_the_attacks_do_reach_a_browser_that_is_not_locked_up(self, tmp_path: Path) -> None:
        from playwright.sync_api import sync_playwright

        with serving() as (web, hits), sync_playwright() as play:
            chromium = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = chromium.new_page()
            page.goto(f"http://127.0.0.1:{web.port}/attacks", wait_until="commit")
            for _ in range(50):
                page.wait_for_timeout(100)
                if {hit[:3] for hit in hits} == {"tcp", "udp"} and any("POST" in hit for hit in hits):
                    break
            chromium.close()
        assert {hit[:3] for hit in hits} == {"tcp", "udp"}
        assert any("POST" in hit for hit in hits)

    def test_memory_is_bounded_and_a_killed_crawl_leaves_no_browser(self, tmp_path: Path) -> None:
        with serving() as (web, _):
            crawl = start(tmp_path, web, ["hungry", "unrest"], {"render": True}, RENDER_SECONDS=30, RENDER_MEMORY=10**9)
            most, until = 0, time.monotonic() + 40
            while time.monotonic() < until:
                children = family(crawl.pid)
                most = max([most, *children.values()])
                if most > 4 * 10**8:  # it had begun to eat
                    until = min(until, time.monotonic() + 5)
                time.sleep(0.1)
            crawl.send_signal(signal.SIGKILL)
            crawl.communicate()
            for _ in range(50):
                left = [pid for pid in children if Path(f"/proc/{pid}/status").exists() and _runs(pid)]
                if not left:
                    break
                time.sleep(0.1)
        assert 3 * 10**8 < most < 25 * 10**8
        assert len(children) > 4
        assert not left

    def test_a_browser_that_does_not_start_stops_the_crawl_with_one_line(self, tmp_path: Path) -> None:
        launch = browser.settings(SETTINGS)["PLAYWRIGHT_LAUNCH_OPTIONS"] | {"executable_path": "/bin/false"}
        with serving() as (web, _):
            told = outcomes(start(tmp_path, web, ["claims"], {"render": True}, PLAYWRIGHT_LAUNCH_OPTIONS=launch))
        assert "no browser starts" in told["stopped"]["outcome"]
        assert told["claims"]["outcome"] == "no-browser"


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_without_the_extra_a_source_that_asks_for_it_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "find_spec", lambda name: None)
    with pytest.raises(browser.BrowserError, match=r"install the extra"):
        browser.settings(SETTINGS)


async def ask(
    request: bytes, loopback: dict[str, int], max_bytes: int = 1_000_000, ended: bool = False
) -> tuple[bytes, Counter[str]]:
    """What the proxy answers to bytes from a browser, which may have `ended` to send; what it refused."""
    async with Proxy(loopback, max_bytes) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(request)
        if ended:
            writer.write_eof()
        try:
            answer = await asyncio.wait_for(reader.read(), 5)
        except ConnectionError:
            answer = b"reset"
        writer.close()
    return answer, proxy.refused


PRIVATE = ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "0.0.0.0", "[::ffff:127.0.0.1]", "10.0.0.1"]


@pytest.mark.parametrize("host", [*PRIVATE, "169.254.169.254", "[fe80::1]", "[64:ff9b::7f00:1]"])
def test_the_proxy_refuses_private_addresses_however_written(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        nobody.settimeout(0.05)
        port = nobody.getsockname()[1]
        for request in (f"GET http://{host}:{port}/ HTTP/1.1", f"CONNECT {host}:{port} HTTP/1.1"):
            answer, refused = asyncio.run(ask(f"{request}\r\nHost: public.example\r\n\r\n".encode(), {}))
            assert answer.startswith(b"HTTP/1.1 403 private-address")
            assert refused == {"private-address": 1}
        with pytest.raises(TimeoutError):
            nobody.accept()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE"])
def test_the_proxy_passes_on_nothing_that_changes_something(method: str) -> None:
    head = f"{method} http://seller.example/ HTTP/1.1\r\nHost: seller.example\r\nContent-Length: 1\r\n\r\nx".encode()
    with serving() as (web, _):
        answer, refused = asyncio.run(ask(head, {"seller.example": web.port}))
        assert (answer[:12], refused, web.asked) == (b"HTTP/1.1 403", {"method": 1}, [])


def test_the_proxy_asks_the_host_of_the_address_and_keeps_its_own_headers_back() -> None:
    heard: list[bytes] = []

    async def talk() -> bytes:
        async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
            writer.close()

        place = await asyncio.start_server(server, "127.0.0.1", 0)
        async with place:
            head = b"GET http://seller.example/a?b HTTP/1.1\r\nHost: other.example\r\nProxy-Connection: keep-alive\r\n"
            answer, _ = await ask(
                head + b"Accept: */*\r\n\r\nGET http://seller.example/second HTTP/1.1\r\n\r\n",
                {"seller.example": place.sockets[0].getsockname()[1]},
            )
        return answer

    assert asyncio.run(talk()).endswith(b"hi")
    assert sorted(heard[0].lower().split(b"\r\n")[1:]) == [
        b"",
        b"",
        b"accept: */*",
        b"connection: close",
        b"host: seller.example",
    ]
    assert heard[0].startswith(b"GET /a?b HTTP/1.1\r\n")


def test_the_proxy_breaks_off_what_is_too_large() -> None:
    with serving() as (web, _):
        request = b"GET http://seller.example/stream HTTP/1.1\r\nHost: seller.example\r\n\r\n"
        answer, refused = asyncio.run(ask(request, {"seller.example": web.port}, 100_000))
    assert refused == {"too-large": 1}
    assert answer == b"reset"


@given(st.binary(max_size=300) | st.text(max_size=60).map(lambda t: f"GET {t} HTTP/1.1\r\nHost: a\r\n\r\n".encode()))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_proxy_survives_whatever_it_is_sent(request_bytes: bytes) -> None:
    answer, _ = asyncio.run(ask(request_bytes + b"\r\n\r\n", {}, ended=True))
    assert answer == b"reset" or re.match(rb"HTTP/1\.1 403 [a-z-]+\r\n", answer)
