"""Saved store pages of apps: the developer's words and prices; never what users, or the store's other apps, say."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from crawler.market.apps import app_of, read_app
from crawler.page import Capture, NotAPage, Page, Record
from crawler.store import save_page, save_source
from data.migrations import open_store, write

RECORDED = Path(__file__).parent / "pages" / "apps"
EXPECTED = {path.stem: yaml.safe_load(path.read_text("utf-8")) for path in sorted(RECORDED.glob("*.yml"))}
PLAY = "https://play.google.com/store/apps/details?id=example.likeboost"
NAMED = "<h1>LikeBoost</h1><div data-g-id=description>Real fans"


def capture(body: bytes, url: str = PLAY) -> Capture:
    return Capture(url, "2026-11-20T10:00:00Z", 200, "text/html", body, Record("w", 0, 1, "0" * 64))


def recorded(case: str) -> Page:
    page = read_app(capture((RECORDED / f"{case}.html").read_bytes(), EXPECTED[case]["url"]))
    assert page is not None
    return page


@pytest.mark.parametrize("case", EXPECTED)
@pytest.mark.parametrize("name", ["title", "blocks", "links", "offers"])
def test_a_saved_page_of_an_app(case: str, name: str) -> None:
    page = recorded(case)
    found: dict[str, Any] = {
        "title": page.title,
        "blocks": [[block.kind, block.text] for block in page.blocks],
        "links": [url for url, _ in page.links],
        "offers": [[offer.name, offer.price, offer.currency] for offer in page.offers],
    }
    assert found[name] == EXPECTED[case][name]


@pytest.mark.parametrize("case", EXPECTED)
def test_words_of_users_and_of_other_apps_are_left_out(case: str) -> None:
    text = " ".join(block.text for block in recorded(case).blocks).lower()
    for words in ("lost my account", "plan your posts", "tout est faux", "best app", "compare customer ratings"):
        assert words not in text


@pytest.mark.parametrize(
    ("url", "app"),
    [
        (PLAY, "example.likeboost"),
        ("https://play.google.com/store/apps/details?hl=fr&id=a.b", "a.b"),
        ("https://play.google.com/store/apps/dev?id=1", None),
        ("https://play.google.com/store/apps/details?id=%3Cscript%3E", None),
        ("https://apps.apple.com/fr/app/fan/id99", "99"),
        ("https://apps.apple.com/app/id99?l=en", "99"),
        ("https://apps.apple.com/us/developer/x/idx", None),
        ("https://itunes.apple.com/us/app/x/id7", "7"),
        ("https://play.google.com.example/store/apps/details?id=a", None),
        ("file:///home/page.html", None),
        ("http://[", None),
    ],
)
def test_an_app_is_known_by_its_address(url: str, app: str | None) -> None:
    assert app_of(url) == app
    if app is None:
        assert read_app(capture(NAMED.encode(), url)) is None


@pytest.mark.parametrize(
    ("html", "reason"),
    [
        ("", "empty"),
        ("<h1>Before you continue", "empty"),
        ("<div data-g-id=description>Real fans", "empty"),
        ("<div>" * 6000, "too-deep"),
        (
            '<script type="application/ld+json">{"@type":["Thing","MobileApplication"],"name":"Other",'
            '"url":"https://play.google.com/store/apps/details?id=example.other"}</script>',
            "other-app",
        ),
    ],
)
def test_a_page_that_is_no_app_s_is_refused(html: str, reason: str) -> None:
    with pytest.raises(NotAPage) as problem:
        read_app(capture(html.encode()))
    assert problem.value.reason == reason


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(), max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(["name", "url", "description", "author", "offers", "@type"], JSON))
)
def test_any_json_ld_is_read_or_refused(data: dict[str, Any]) -> None:
    body = f'<script type="application/ld+json">{_json({"@type": "SoftwareApplication", **data})}</script>{NAMED}'
    page = read_app(capture(body.encode()))
    assert page is not None
    assert "Real fans" in [block.text for block in page.blocks]
    db = open_store(":memory:")
    with write(db):
        save_source(db, "files", "file", None, "Files")
        assert save_page(db, "files", page)
    assert db.execute("SELECT kind FROM pages").fetchone() == ("app",)


def _json(value: Any) -> str:
    return json.dumps(value).replace("</", "<\\/")
