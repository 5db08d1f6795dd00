"""No gift to sellers: a walk over every public page and export finds no live link to one."""

import asyncio
import json
import re
from collections import deque
from urllib.parse import urljoin, urlsplit

import pytest
from selectolax.lexbor import LexborHTMLParser

from catalog.domains import domain_of
from catalog.taxonomy import load_taxonomy
from tests.store import fill, served

SELLERS = ("likeo.example", "crowdly.test", "wire.example", "critic.example", "evil.test")
LIMIT = 1500  # addresses; far above what the small store has, and an end to a walk that found a trap
HERE = "http://localhost"
# Filters, facets and sorts multiply without end and show the same cells: one at a time is enough. Rows of the search
# index are keyed by bytes, which have no address.
SAME_CELLS = re.compile(r"\?.*&|\?(_sort|_sort_desc|_facet|_facet_size|_hide_sql)=|_fts_\w+/")


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """Every public address that can be reached from the front page, with its answer."""
    datasette = served(fill(tmp_path_factory.mktemp("store")))
    tables = ["claims", "blocks", "pages", "vendors", "sources", "evidence", "publication", "labels", "provisions"]
    seeds = ["/", "/en/", "/fr/", "/catalog", "/robots.txt", "/-/static-plugins/fantomes/catalog.css"]
    seeds += [
        f"/catalog/{table}{suffix}" for table in tables for suffix in ("", ".csv", ".json", ".json?_shape=objects")
    ]
    seeds += ["/catalog?sql=select+text+as+url,+'http://likeo.example/'+as+link+from+blocks", "/en/search?q=http"]
    seeds += ["/catalog/releases_and_vendors.csv", "/catalog/pages_that_promise_safety.json?_shape=array"]

    async def walk():
        answers = {}
        queue = deque(HERE + seed for seed in seeds)
        while queue and len(answers) < LIMIT:
            url = queue.popleft()
            if url in answers:
                continue
            answer = answers[url] = await datasette.client.get(url.removeprefix(HERE))
            if "text/html" in answer.headers.get("content-type", ""):
                for link in LexborHTMLParser(answer.text).css("a[href]"):
                    target = urljoin(url, link.attributes["href"] or "").partition("#")[0]
                    if target.startswith(HERE + "/") and not SAME_CELLS.search(target):
                        queue.append(target)
        return answers

    return asyncio.run(walk())


def test_the_walk_saw_everything(walked):
    assert 150 < len(walked) < LIMIT
    paths = {urlsplit(url).path for url in walked}
    for prefix in (
        "/en/claim/",
        "/fr/claim/",
        "/en/capture/",
        "/fr/vendor/",
        "/catalog/claims/",
        "/catalog/blocks/",
        "/catalog/who_",
    ):
        assert any(path.startswith(prefix) for path in paths), prefix
    broken = {url: answer.status_code for url, answer in walked.items() if answer.status_code not in (200, 302)}
    assert broken == {}


def test_no_link_source_or_form_leads_to_a_seller(walked):
    """Links out of the house lead to laws, rules and studies of the taxonomy, to Datasette's home, and nowhere else."""
    taxonomy = load_taxonomy()
    allowed = {
        entry.address
        for group in (taxonomy.provisions, taxonomy.policies, taxonomy.evidence)
        for entry in group.values()
    }
    allowed.add("https://datasette.io/")
    found, outside = [], set()
    for url, answer in walked.items():
        if "text/html" not in answer.headers.get("content-type", ""):
            continue
        for node in LexborHTMLParser(answer.text).css("*"):
            for name in (
                "href",
                "src",
                "action",
                "formaction",
                "data",
                "poster",
                "srcset",
                "cite",
                "ping",
                "content",
                "xlink:href",
            ):
                value = (node.attributes.get(name) or "").strip()
                if name == "content" and node.attributes.get("http-equiv") is None:
                    continue
                target = urljoin(url, value)
                if value and not target.startswith(HERE + "/"):
                    outside.add(target)
                    if target not in allowed or domain_of(target) in SELLERS:
                        found.append((url, node.tag, value))
    assert found == []
    assert len(outside & allowed) > 10  # else the walk saw no page that has links out


def test_links_out_of_our_pages_carry_no_referral(walked):
    for url, answer in walked.items():
        if urlsplit(url).path.startswith(("/en/", "/fr/")) and "text/html" in answer.headers.get("content-type", ""):
            for link in LexborHTMLParser(answer.text).css('a[href^="http"]'):
                assert {"nofollow", "noopener", "noreferrer"} <= set((link.attributes.get("rel") or "").split()), url


def test_no_answer_leads_a_browser_to_a_seller(walked):
    for url, answer in walked.items():
        assert domain_of(urljoin(url, answer.headers.get("location", ""))) not in SELLERS
        assert "refresh" not in answer.headers
        assert not re.search(r"(?i)http-equiv=.?refresh", answer.text[:2000])


def test_exports_hold_addresses_defanged(walked):
    """The page's own words (quote, text, title) are evidence and stay as they are; every other cell is defanged."""
    checked = 0
    for url, answer in walked.items():
        path = urlsplit(url).path
        if path.startswith("/catalog/") and path.endswith(".json") and "_shape=objects" in url:
            for row in answer.json()["rows"]:
                for column, value in row.items():
                    if column not in ("quote", "text", "title", "record"):
                        checked += 1
                        assert not any(f"//{seller}" in json.dumps(value) for seller in SELLERS), (url, column, value)
    assert checked > 100


def test_text_that_is_an_address_is_shown_and_is_no_link(walked):
    answer = walked[HERE + "/catalog/blocks"]
    tree = LexborHTMLParser(answer.text)
    cells = [cell for cell in tree.css("td") if cell.text(strip=True) == "http://likeo.example/forfaits"]
    assert len(cells) == 1
    assert cells[0].css_first("a") is None
