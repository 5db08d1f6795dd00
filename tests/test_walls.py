"""Walls are recognised, and above all: no page is taken for one."""

import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from crawler.blocks import page_text
from crawler.walls import wall
from data import DATA

FOLDER = Path(__file__).parent / "pages" / "walls"
WALLS = yaml.safe_load((FOLDER / "walls.yml").read_text("utf-8"))
LOOKALIKES = yaml.safe_load((FOLDER / "lookalikes.yml").read_text("utf-8"))
SAMPLES = sorted((DATA / "samples").rglob("*.html"))


def kind_of(html: str, status: int = 200, headers: dict[str, str] | None = None) -> str | None:
    return wall(page_text(html, "http://shop.example/"), html, status, headers or {})


def html_of(page: dict[str, Any]) -> str:
    return f"<html><head><title>{page['title']}</title></head><body>{page['body']}</body></html>"


def test_there_are_enough_of_both() -> None:
    assert len(WALLS) >= 30
    assert len(LOOKALIKES) >= 40
    assert len(SAMPLES) > 80


@pytest.mark.parametrize("page", WALLS, ids=[f"{page['kind']}-{page['title'][:20]}" for page in WALLS])
def test_walls(page: dict[str, Any]) -> None:
    assert kind_of(html_of(page), headers=page.get("headers")) == page["kind"]


@pytest.mark.parametrize("page", LOOKALIKES, ids=[page["title"][:30] for page in LOOKALIKES])
def test_lookalikes_are_pages(page: dict[str, Any]) -> None:
    assert kind_of(html_of(page)) is None


def test_pages_of_the_sample_web_are_pages() -> None:
    taken = {str(path): kind for path in SAMPLES if (kind := kind_of(path.read_text("utf-8", "replace")))}
    assert taken == {}


@pytest.mark.parametrize("page", WALLS, ids=[f"{page['kind']}-{page['title'][:20]}" for page in WALLS])
def test_a_wall_with_a_page_behind_it_is_a_page(page: dict[str, Any]) -> None:
    """A banner, a form, a notice over a shop's page takes nothing away from it."""
    shop = "".join(
        f"<p>Paragraph {n} of a long page about local fans, who comment, share and buy.</p>" for n in range(40)
    )
    assert kind_of(html_of(page | {"body": page["body"] + shop})) is None


def test_a_missing_page_with_its_status_is_no_soft_404() -> None:
    assert kind_of("<title>404</title><p>Page not found</p>", status=404) is None


def test_challenges_have_any_status() -> None:
    assert kind_of("<title>Just a moment...</title><p>Enable JavaScript and cookies to continue", 403) == "challenge"
    assert kind_of("<script>window._cf_chl_opt={}</script>", 503) == "challenge"


@pytest.mark.parametrize("text", ["", "x" * 1_400, "a " * 700, "404 " * 300, "cookies " * 150, "verify you are " * 90])
def test_odd_texts_cost_nothing(text: str) -> None:
    start = time.process_time()
    for _ in range(20):
        kind_of(f"<title>{text[:300]}</title>" + f"<p>{text[:340]}</p><p>{text}</p>")
    assert time.process_time() - start < 1
