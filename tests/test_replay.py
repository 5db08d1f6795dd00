"""The proof that an export replays: ReplayWeb.page in a real Chromium, offline, shows the archived page with the quote.

The player is not ours (AGPL) and not in this repository: `make player` fetches it into .venv/player.
"""

from html import escape
from http.server import ThreadingHTTPServer
from threading import Thread

import pytest

from crawler.archive import NOT_MODIFIED
from crawler.evidence.check import check
from crawler.evidence.wacz import export
from tests.archived import BLOCKS, HEAD, SHOP, Archived, archived_ad, claim_ids
from tests.player import FRAME, PLAYER, Server
from tests.store import fill
from tests.test_browser import OFFLINE, PICTURES, chromium_path

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (PLAYER / "sw.js").exists(), reason=f"no ReplayWeb.page in {PLAYER}: `make player` brings it"
    ),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    Server.folder = tmp_path_factory.mktemp("wacz")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as browsers:
        try:
            browser = browsers.chromium.launch(executable_path=chromium_path(), args=["--no-sandbox", OFFLINE])
        except playwright.Error as error:
            pytest.skip(f"no Chromium: {error}")
        yield browser
        browser.close()


@pytest.fixture
def replay(chromium, site):
    """replay(file, url, ts) -> the text that the player shows for it; nothing was asked elsewhere."""
    context = chromium.new_context(viewport={"width": 1100, "height": 700})
    requests: list[str] = []
    context.on("request", lambda request: requests.append(request.url))

    def go(name, url, ts, wait_for, embed="replayonly", picture=None):
        Server.frame = FRAME.format(name=name, url=escape(url), ts=ts, embed=embed)
        page = context.new_page()
        page.goto(site)
        frame = page.frame_locator("replay-web-page iframe").frame_locator("iframe")
        try:
            frame.get_by_text(wait_for).first.wait_for(timeout=30_000)
        finally:
            PICTURES.mkdir(exist_ok=True)
            page.screenshot(path=PICTURES / f"{picture or 'replay'}.png")
        return frame.locator("body").inner_text()

    yield go
    assert [url for url in requests if not url.startswith((site, "data:", "blob:"))] == []
    context.close()


def test_each_capture_of_a_page_replays_as_it_was(replay):
    (Server.folder / "shop").mkdir()
    store = Archived(Server.folder / "shop")
    for day in range(1, 6):
        store.page(SHOP, [*BLOCKS, ("text", f"{day} offers today.")], fetched_at=f"2026-11-1{day}T10:00:00Z")
    sha256, date = store.db.execute("SELECT sha256, fetched_at FROM pages WHERE id = 5").fetchone()
    unchanged = b"HTTP/1.1 304 Not Modified\r\n\r\n"
    store.writer.revisit(SHOP, "2026-11-17T10:00:00Z", HEAD, sha256, date)
    store.writer.revisit(SHOP, "2026-11-18T10:00:00Z", unchanged, sha256, date, profile=NOT_MODIFIED)
    store.writer.close()
    export(store.db, store.archive, SHOP, Server.folder / "shop.wacz", "test")
    for day, shown in ((1, 1), (3, 3), (5, 5), (7, 5), (8, 5)):
        text = replay("shop.wacz", SHOP, f"2026111{day}100000", f"{shown} offers today.", picture=f"replay-{day}")
        assert "Only real followers, as we say since 2012." in text
    assert any(not asked.startswith("bytes=0-") for asked in Server.ranges)


def test_an_ad_replays(replay):
    (Server.folder / "ad").mkdir()
    store, page, _ = archived_ad(Server.folder / "ad")
    export(store.db, store.archive, claim_ids(store.db, page)[0], Server.folder / "ad.wacz", "test")
    text = replay(
        "ad.wacz", "https://library.example/ads?id=7", "20261120100000", "livrés en 5 min", picture="replay-ad"
    )
    assert '"vrais" abonnés' in text.replace("\\", "")


@pytest.mark.parametrize(
    "url", ["file:///home/somebody/shop.html", "https://xn--abonns-fva.example/%C3%A9?a=%27b%27&q=%22"]
)
def test_a_saved_page_replays(replay, url):
    """A `resource` record, without HTTP headers: of a file whose address nobody knows, and of an odd address."""
    folder = Server.folder / url.partition(":")[0]
    folder.mkdir()
    store = Archived(folder)
    record = store.writer.resource(url, "2026-11-20T10:00:00Z", "text/html", b"<p>Saved: only real fans.</p>")
    store.writer.close()
    page = store.page(url, [("text", "Saved: only real fans.", {"real": "real fans"})])
    store.writer.close()
    place = [record.warc, record.offset, record.length, record.sha256, page]
    store.db.execute("UPDATE pages SET warc = ?, warc_offset = ?, warc_length = ?, sha256 = ? WHERE id = ?", place)
    export(store.db, store.archive, claim_ids(store.db, page)[0], Server.folder / f"{folder.name}.wacz", "test")
    replay(f"{folder.name}.wacz", url, "20261120100000", "Saved: only real fans.", picture="replay-saved")


def test_what_others_archived_replays(replay):
    """A page with a compressed body, out of a file without chain or requests; the whole player around it."""
    (Server.folder / "other").mkdir()
    store = fill(Server.folder / "other")
    page = store.db.execute("SELECT id, url FROM pages WHERE url = 'http://likeo.example/'").fetchone()
    export(store.db, store.archive, claim_ids(store.db, page[0])[0], Server.folder / "other.wacz", "test")
    assert check(Server.folder / "other.wacz") == []
    text = replay("other.wacz", page[1], "", "Payez par carte.", embed="default", picture="replay-other")
    assert "10 000 abonnés français, livrés en 5 minutes" in text
