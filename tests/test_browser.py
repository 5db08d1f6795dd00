"""The catalogue in a real Chromium: no script needed, no request elsewhere, readable at 320 pixels, keys alone."""

import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from catalog.publish import publish
from catalog.serve import command
from catalog.vendors import assign_vendors
from tests.store import fill

playwright = pytest.importorskip("playwright.sync_api")

PICTURES = Path(__file__).parent / "pictures"
OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"

pytestmark = pytest.mark.browser


def chromium_path():
    """FANTOMES_CHROMIUM, or the distribution's, or None for Playwright's own."""
    named = os.environ.get("FANTOMES_CHROMIUM")
    return named or (shutil.which("chromium") or shutil.which("chromium-browser"))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A running server over a filled catalogue; its address."""
    store = fill(tmp_path_factory.mktemp("store"))
    assign_vendors(store.db)
    publish(store.db, store.archive, store.folder / "catalog.db")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (store.folder / "server.log").open("w+")
    server = subprocess.Popen(command(store.folder / "catalog.db", "127.0.0.1", port), stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(150):
            try:
                urllib.request.urlopen(address + "/robots.txt", timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                assert server.poll() is None, Path(log.name).read_text()
                time.sleep(0.2)
        yield address
    finally:
        server.terminate()
        server.wait(10)
        log.close()


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
def visit(chromium, site):
    """visit(path, ...) -> page, watched: at the end nothing was asked elsewhere, no cookie came, nothing broke."""
    contexts, requests, complaints = [], [], []

    def go(path, width=1200, scheme="light", lang="en", javascript=True):
        context = chromium.new_context(
            viewport={"width": width, "height": 800}, color_scheme=scheme, locale=lang, java_script_enabled=javascript
        )
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        page.goto(site + path)
        return page

    yield go
    assert [url for url in requests if not url.startswith((site + "/", "data:"))] == []
    assert complaints == []
    for context in contexts:
        assert context.cookies() == []
        context.close()


OURS = [
    "",
    "vendors",
    "vendor/likeo_example",
    "vendor/crowdly_test",
    "capture/4",
    "search?q=abonnes",
    "labels",
    "sources",
    "about",
]


@pytest.mark.parametrize(
    ("lang", "width", "scheme"),
    [("fr", 1200, "light"), ("en", 320, "light"), ("fr", 320, "dark"), ("en", 1200, "dark")],
)
def test_pages_fit_and_have_their_pictures_taken(visit, lang, width, scheme):
    PICTURES.mkdir(exist_ok=True)
    page = visit(f"/{lang}/", width, scheme)
    first_claim = page.locator("ul.claims .said a").first.get_attribute("href")
    for path in [*(f"/{lang}/{path}" for path in OURS), first_claim]:
        page.goto(page.url.split(f"/{lang}/")[0] + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        name = path.strip("/").replace("/", "-").replace("?", "-") or lang
        page.screenshot(path=PICTURES / f"{name}-{width}-{scheme}.png", full_page=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(visit, scheme):
    """WCAG AA: 4.5 to 1 for every run of text on our pages."""
    weak = """() => {
      const rgb = text => text.match(/[\\d.]+/g).map(Number);
      const light = colour => colour.slice(0, 3).map(v => v / 255)
        .map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
      const ground = node => { for (; node; node = node.parentElement) {
        const colour = rgb(getComputedStyle(node).backgroundColor);
        if (colour.length < 4 || colour[3] > 0) return colour; }
        return [255, 255, 255]; };
      const found = [];
      for (const node of document.querySelectorAll('body *')) {
        if (![...node.childNodes].some(child => child.nodeType === 3 && child.textContent.trim())) continue;
        const [a, b] = [light(rgb(getComputedStyle(node).color)), light(ground(node))].sort((x, y) => y - x);
        if ((a + .05) / (b + .05) < 4.5) found.push(node.outerHTML.slice(0, 120));
      }
      return found; }"""
    for path in ("/en/", "/en/vendor/likeo_example", "/en/capture/1", "/en/search?q=fans"):
        page = visit(path, scheme=scheme)
        assert page.locator("body *").count() > 30
        assert page.evaluate(weak) == []


def test_from_the_first_page_to_the_raw_record_without_script(visit):
    page = visit("/", lang="fr-FR", javascript=False)
    assert page.locator("html").get_attribute("lang") == "fr"
    page.get_by_label("Rechercher dans les affirmations").fill("evenement")
    page.get_by_role("button", name="Rechercher").click()
    page.wait_for_url("**/fr/search?q=evenement")
    page.locator("ol.claims .said a").first.click()
    page.wait_for_url("**/fr/claim/*")
    assert "peut relever de" in page.locator("main").inner_text()
    page.get_by_role("link", name="Voir toute la page archivée").click()
    page.wait_for_url("**/fr/capture/1*")
    assert page.locator(".block mark").count() == 5
    with page.expect_download() as download:
        page.get_by_role("link", name="Télécharger l’enregistrement WARC brut").click()
    assert download.value.suggested_filename == "capture-1.warc.gz"
    assert Path(download.value.path()).read_bytes()[:2] == b"\x1f\x8b"


def test_the_keyboard_alone(visit):
    page = visit("/en/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.locator(".skip").bounding_box()["x"] >= 0
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "q"
    page.keyboard.type("refill")
    page.keyboard.press("Enter")
    page.wait_for_url("**/en/search?q=refill")
    assert page.locator("ol.claims > li").count() == 1


def test_the_other_language_is_one_click_away(visit):
    page = visit("/en/vendor/likeo_example")
    page.get_by_role("link", name="Français", exact=True).click()
    page.wait_for_url("**/fr/vendor/likeo_example")


def test_hostile_text_runs_nowhere(visit):
    """The page watches for dialogs, script errors and requests elsewhere; this one is full of what would cause them."""
    page = visit("/en/capture/4")
    assert "<script>alert(1)</script>" in page.locator("main").inner_text()
    for path in ("/catalog/blocks", "/catalog/pages", "/catalog/claims?_search=real"):
        visit(path)


def test_the_tables_work_under_their_policy(visit):
    """Datasette's own scripts run: the menu of a column opens, the SQL editor stands; a complaint fails the test."""
    page = visit("/catalog/claims")
    page.locator("th .dropdown-menu-icon").first.click()
    assert page.locator(".dropdown-menu").is_visible()
    editor = visit("/catalog?sql=select+1")
    assert editor.locator(".CodeMirror").is_visible()
