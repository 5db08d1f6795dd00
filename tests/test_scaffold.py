"""A new source: file, recorded answer and test at once; nothing overwritten, nothing of a real host for git to take."""

import json
import shutil
import subprocess
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import test_recorded
from crawling import FAST
from serving import send, server

from crawler.scaffold import ScaffoldError, read_case, scaffold
from crawler.sources import SourceError, load_source

SHOP = b"""<title>Fans de Brume</title><h1>Des fans livr\xc3\xa9s ce soir</h1><p>De vrais fans, sans mot de passe.</p>
<ul><li>100 fans <a href="/tarifs">tarifs</a></ul>"""
FEED = b"""<rss version="2.0"><channel><item><title>A</title><link>http://fil.example/communique-1</link></item>
</channel></rss>"""
PANEL = b"""<h1>Services</h1><table><tr><th>ID<th>Service<th>Rate per 1000<th>Min<th>Max</tr>
<tr><td>7<td>Instagram followers<td>$0.90<td>10<td>5000</tr></table>"""


def made(folder: Path, **changes: Any) -> Any:
    values = {"kind": "site", "name": "brume", "url": "http://brume.example/", "contact": "me@a.test", "body": SHOP}
    return scaffold(sources=folder / "sources", pages=folder / "pages", **(values | changes))


def expected(case: Path) -> Any:
    return json.loads((case / "blocks.json").read_text("utf-8"))


@pytest.mark.parametrize(
    ("kind", "url", "body", "name", "holds"),
    [
        ("site", "http://brume.example/", SHOP, "front", "De vrais fans, sans mot de passe."),
        ("ads", "http://brume.example/en/buy?x=1", SHOP, "en-buy-x-1", "De vrais fans, sans mot de passe."),
        ("feed", "http://fil.example/rss.xml", FEED, "rss-xml", "http://fil.example/communique-1"),
        ("panel", "http://panel.test/services", PANEL, "services", "Instagram followers"),
    ],
)
def test_a_fresh_source_loads_and_its_test_passes(
    tmp_path: Path, kind: str, url: str, body: bytes, name: str, holds: str
) -> None:
    new = made(tmp_path, kind=kind, url=url, body=body, title="Un titre: à lire")
    source = load_source(new.source)
    assert (source.kind, source.start, source.title, source.contact) == (kind, (url,), "Un titre: à lire", "me@a.test")
    assert source.floors["pages"] == 1
    assert "fantomes diff" in source.runbook
    assert (new.case, new.private) == (tmp_path / "pages" / "brume" / name, False)
    assert (new.case / "page.html").read_bytes() == body
    assert holds in (new.case / "blocks.json").read_text("utf-8")
    test_recorded.test_what_is_read_stays(new.case)


def test_its_test_fails_when_the_extraction_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = made(tmp_path).case
    assert "item: 100 fans tarifs" in expected(case)["blocks"]
    monkeypatch.setattr("crawler.blocks.SKIPPED", frozenset({"ul"}))
    monkeypatch.setattr("crawler.blocks.BLOCK_TAGS", {})
    with pytest.raises(AssertionError, match="blocks"):
        test_recorded.test_what_is_read_stays(case)


def test_its_test_fails_when_a_page_differs(tmp_path: Path) -> None:
    case = made(tmp_path).case
    (case / "page.html").write_bytes(SHOP.replace(b"100 fans", b"101 fans"))
    assert read_case(case) != expected(case)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    new = made(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ScaffoldError, match=r"brume\.yml: is there already"):
        made(tmp_path, body=b"<p>other")
    new.source.unlink()
    with pytest.raises(ScaffoldError, match="brume: is there already"):
        made(tmp_path, body=b"<p>other")
    new.source.write_bytes(before[new.source])
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_git_takes_no_page_of_a_real_host(tmp_path: Path) -> None:
    shutil.which("git") or pytest.skip("no git")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    real = made(tmp_path, url="http://brume.invalid-but-not-reserved.zz/")  # under no name that is set apart
    invented = made(tmp_path, name="other", url="http://brume.test/")
    assert (real.private, invented.private) == (True, False)
    test_recorded.test_what_is_read_stays(real.case)
    seen = subprocess.run(
        ["git", "-C", tmp_path, "status", "--porcelain", "-uall"], capture_output=True, text=True, check=True
    ).stdout
    assert "pages/other/front/page.html" in seen
    assert "private" not in seen


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"name": "../brume"}, ScaffoldError, "an id is made of"),
        ({"name": "private"}, ScaffoldError, "an id is made of"),
        ({"kind": "blog"}, ScaffoldError, "'blog': kind is none of"),
        ({"contact": ""}, ScaffoldError, "FANTOMES_CONTACT"),
        ({"url": "ftp://brume.example/"}, SourceError, "bad address"),
        ({"body": b""}, ScaffoldError, "nothing was read there"),
        ({"body": b"%PDF-1.7"}, ScaffoldError, "nothing was read there"),
        ({"body": b"<p>x" * 3_000_000}, ScaffoldError, "the limit is"),
        ({"body": b"<a href='https://a.example/?access_token=1'>x</a>"}, ScaffoldError, "access token"),
    ],
)
def test_what_makes_no_source_leaves_nothing(tmp_path: Path, changes: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        made(tmp_path, **changes)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def fetched(folder: Path, url: str, **settings: Any) -> str:
    """What is said of a source made without a saved page: in a process of its own, as Twisted wants it."""
    code = """
import json, sys
from pathlib import Path
from crawler.scaffold import ScaffoldError, scaffold
folder = Path(sys.argv[1])
try:
    settings = json.loads(sys.argv[3])
    print(scaffold("site", "far", sys.argv[2], folder, folder / "pages", "me@a.test", overrides=settings).case)
except ScaffoldError as error:
    print(error)
"""
    argv = [sys.executable, "-c", code, str(folder), url, json.dumps(FAST | settings)]
    root = Path(__file__).parents[1]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, cwd=root, check=True).stdout.strip()


def test_the_one_address_is_fetched_and_no_other(tmp_path: Path) -> None:
    asked = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        send(handler, b"User-agent: *\nAllow: /\n" if handler.path == "/robots.txt" else SHOP)

    with server(answer) as port:
        case = Path(fetched(tmp_path, "http://far.example/a", LOOPBACK_HOSTS={"far.example": port}))
    assert case == tmp_path / "pages" / "far" / "a"
    assert asked == ["/robots.txt", "/a"]
    assert (case / "page.html").read_bytes() == SHOP
    test_recorded.test_what_is_read_stays(case)


@pytest.mark.parametrize(
    ("url", "word"), [("http://a.nowhere.test/", "unknown-host"), ("http://no.example/", "robots")]
)
def test_where_nothing_may_be_fetched_nothing_is_made(tmp_path: Path, url: str, word: str) -> None:
    with server({"/robots.txt": b"User-agent: *\nDisallow: /\n", "/": SHOP}) as port:
        assert f"no answer to record ({word})" in fetched(tmp_path, url, LOOPBACK_HOSTS={"no.example": port})
    assert not list(tmp_path.iterdir())
