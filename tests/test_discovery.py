"""Discovery over real HTTP on loopback: it finds more than breadth-first, within its bounds, whatever happens to it."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from bench_discovery import plain
from bigweb import BigWeb, bigweb, corpus
from classifying import PARTS, small_model
from crawling import FAST, write_source
from serving import send, server

from classifier.judge import judge, promotion
from crawler.archive import now
from crawler.blocks import Block
from crawler.crawl import CrawlError, crawl
from crawler.discovery import BOILERPLATE, FLOOR, PER_DOMAIN, Discovery, save_look
from crawler.frontier import close_run, open_run
from crawler.page import Capture, Page, Record, digest
from crawler.sources import Source, load_sources
from crawler.store import save_check, save_page, save_source
from data.migrations import open_store, write
from data.platforms import not_vendors

SCRIPT = """
import json, sys
from pathlib import Path
from crawler.crawl import crawl
from crawler.sources import load_sources
from data.migrations import open_store
folder, model, settings = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
def words(pages):
    return [0.9 if any("fans" in text for _, text in page) else 0.05 for page in pages]
def trained(pages):
    from classifier.judge import promotion
    return promotion(pages, Path(model))
store = open_store(folder / "fantomes.db")
sources = load_sources(folder, ("trade",))
judge = trained if model else words
result = crawl(store, folder / "archive", sources, None, folder / "log", overrides=settings, judge=judge)
print(json.dumps(result))
"""


class Web:
    """Answers for any number of hosts on one port, and what was asked for."""

    def __init__(self, pages: dict[str, Any], robots: Callable[[str], bytes] = lambda host: b"", slowly: float = 0):
        self.pages, self.robots, self.slowly = pages, robots, slowly
        self.asked: list[str] = []

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        host = (handler.headers.get("Host") or "").partition(":")[0]
        url = f"http://{host}{handler.path}"
        if handler.path == "/robots.txt":
            return send(handler, self.robots(host))
        self.asked.append(url)
        time.sleep(self.slowly)
        return send(handler, self.pages.get(url, (404, {}, b"")))

    @property
    def hosts(self) -> set[str]:
        return {urlsplit(url).hostname or "" for url in self.pages}


def begin(folder: Path, web: Web, port: int, model: str = "") -> subprocess.Popen[str]:
    settings = FAST | {"DOWNLOAD_TIMEOUT": 30, "LOOPBACK_HOSTS": dict.fromkeys(web.hosts, port)}
    argv = [sys.executable, "-c", SCRIPT, str(folder), model, json.dumps(settings)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])


def end(process: subprocess.Popen[str], folder: Path) -> dict[str, Any]:
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, (folder / "log").read_text()[-3000:]
    return dict(json.loads(out.splitlines()[-1]))


def rows(folder: Path, query: str) -> list[Any]:
    with sqlite3.connect(folder / "fantomes.db") as db:
        return db.execute(query).fetchall()


def domains(urls: Sequence[str]) -> Counter[str]:
    return Counter(urlsplit(url).hostname or "" for url in urls)


def test_it_finds_clearly_more_than_breadth_first(tmp_path: Path) -> None:
    budget = 150
    big: BigWeb = bigweb(corpus(0, PARTS), seed=5, scale=0.6)
    web = Web(big.pages, big.robots)
    write_source(tmp_path, "trade", big.start, more=f"discover: true\nmax_pages: {budget}\n")
    with server(web) as port:
        result = end(begin(tmp_path, web, port, str(small_model())), tmp_path)
    assert result["finished"]
    assert not set(web.asked) & {url for url in big.pages if urlsplit(url).hostname in big.closed}
    assert len(web.asked) == len(set(web.asked)) <= budget
    named = {urlsplit(url).hostname for url in big.start}
    assert max(count for domain, count in domains(web.asked).items() if domain not in named) <= PER_DOMAIN
    order = plain(big, len(web.asked), budget)
    ours, theirs = (sum(url in big.promotes for url in urls) for urls in (web.asked, order))
    assert ours > 1.4 * theirs


def trade(count: int = 6, pages: int = 4) -> dict[str, Any]:
    """A list of sellers and of bakers, who have `pages` pages each."""
    found: dict[str, Any] = {}
    names = [f"{kind}{n}.example" for n in range(count) for kind in ("fans", "bread")]
    links = "".join(f"<p>{name[:4]} from <a href=http://{name}/deep?ref=7>{name[:-8]}</a></p>" for name in names)
    found["http://list.example/"] = f"<p>the best fans{links}".encode()
    for name in names:
        for path in ("/", *(f"/p{n}" for n in range(1, pages))):
            menu = "".join(f"<a href=/p{n}>{n}</a>" for n in range(1, pages))
            found[f"http://{name}{path}"] = f"<p>{name[:4]} of {path}</p>{menu}".encode()
    return found


def test_neutral_domains_cost_a_page_and_sellers_no_more_than_their_share(tmp_path: Path) -> None:
    web = Web(trade(3, PER_DOMAIN + 5))
    write_source(tmp_path, "trade", ["http://list.example/"], more="discover: true\n")
    with server(web) as port:
        result = end(begin(tmp_path, web, port), tmp_path)
    assert result["finished"]
    counts = domains(web.asked)
    assert {count for name, count in counts.items() if name.startswith("fans")} == {PER_DOMAIN}
    assert {count for name, count in counts.items() if name.startswith("bread")} <= {1}
    assert not [url for url in web.asked if "ref=" in url]  # nobody is paid for our visit
    assert len(rows(tmp_path, "SELECT 1 FROM candidates WHERE domain GLOB 'fans*'")) == 3


def test_a_candidate_stays_on_its_domain_and_unknown_hosts_are_not_looked_up(tmp_path: Path) -> None:
    web = Web(
        {
            "http://list.example/": b"<p>fans</p><a href=http://moved.example/>fans</a><a href=http://away.example/>"
            b"fans</a><a href=http://127.0.0.1/>fans</a><a href=http://moved.example:99999/>fans</a>",
            "http://moved.example/": (302, {"Location": "http://elsewhere.example/"}, b""),
            "http://elsewhere.example/": b"<p>fans",
        }
    )
    write_source(tmp_path, "trade", ["http://list.example/"], more="discover: true\n")
    with server(web) as port:
        result = end(begin(tmp_path, web, port), tmp_path)
    assert result["outcomes"] == {"stored": 1, "off-site": 1}
    assert web.asked == ["http://list.example/", "http://moved.example/"]
    assert rows(tmp_path, "SELECT domain FROM candidates") == [("moved.example",)]


def test_killed_it_goes_on_and_knows_what_it_knew(tmp_path: Path) -> None:
    web = Web(trade(8), slowly=0.02)
    write_source(tmp_path, "trade", ["http://list.example/"], more="discover: true\n")
    with server(web) as port:
        process = begin(tmp_path, web, port)
        while len(web.asked) < 20 and process.poll() is None:
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        result = end(begin(tmp_path, web, port), tmp_path)
    assert result["finished"]
    stored = [url for (url,) in rows(tmp_path, "SELECT url FROM pages")]
    assert {url for url in web.pages if "//fans" in url} <= set(stored)
    assert len(web.asked) - len(set(web.asked)) <= 16  # what was on its way when it was killed
    assert not [name for name, count in domains(stored).items() if name.startswith("bread") and count > 1]


def test_two_processes_share_the_work(tmp_path: Path) -> None:
    web = Web(trade(6), slowly=0.02)
    write_source(tmp_path, "trade", ["http://list.example/"], more="discover: true\n")
    with server(web) as port:
        crawls = [begin(tmp_path, web, port) for _ in range(2)]
        results = [end(crawl, tmp_path) for crawl in crawls]
    assert any(result["finished"] for result in results)
    assert {url for url in web.pages if "//fans" in url} <= set(web.asked)
    assert len(web.asked) == len(set(web.asked))


def test_without_a_model_it_says_so(tmp_path: Path) -> None:
    write_source(tmp_path, "trade", ["http://list.example/"], more="discover: true\n")
    with pytest.raises(CrawlError, match="trade: `discover: true` needs a trained model"):
        crawl(open_store(tmp_path / "f.db"), tmp_path, load_sources(tmp_path))


def make_page(url: str, text: str, links: Sequence[tuple[str, str]] = ()) -> Page:
    blocks = [Block("text", text), *(Block("text", words) for _, words in links)]
    capture = Capture(url, now(), 200, "text/html", b"", Record("w", 0, 0, url))
    return Page(capture, "utf-8", None, blocks, list(links), text_sha256=digest(blocks))


class Crawl:
    """Discovery on a real store, page by page; the judge takes every page that begins with fans for promotion."""

    def __init__(self, folder: Path, start: str = "http://list.example/") -> None:
        self.db = open_store(folder / "f.db")
        self.source = Source("s", "site", "S", "tests", (start,), discover=True)
        with write(self.db):
            save_source(self.db, "s", "site", None, None)
            self.run = open_run(self.db, "s")
        self.discovery = Discovery(self.db, self.judge, [self.source], frozenset())
        self.judged = 0

    def judge(self, pages: Sequence[Sequence[tuple[str, str]]]) -> list[float]:
        self.judged += len(pages)
        return [0.9 if page and "fans" in page[0][1] else 0.1 for page in pages]

    def visit(self, page: Page, room: int = 0) -> dict[str, float]:
        look = self.discovery.look(self.run, page)
        links = self.discovery.links(self.run, self.source, 0, [look], room)
        with write(self.db):
            save_page(self.db, "s", page)
            save_check(self.db, page.capture.url, now(), "stored")
            save_look(self.db, self.run, look)
        return {link.url: link.priority for link in links}


def test_what_is_no_candidate(tmp_path: Path) -> None:
    crawl = Crawl(tmp_path)
    platform = sorted(not_vendors())[0]
    links = ["http://list.example/x", "http://www.list.example/", f"https://www.{platform}/x", "http://10.0.0.1/"]
    links += ["http://good.example/x?ref=1", "http://shop.good.example/", "https://other.example:8443/x#y"]
    page = make_page("http://mine.example/", "fans", [(url, f"fans {n}") for n, url in enumerate(links)])
    crawl.visit(page)
    found = crawl.db.execute("SELECT domain, url FROM candidates ORDER BY 1").fetchall()
    assert found == [("good.example", "http://good.example/"), ("other.example", "https://other.example:8443/")]


def test_neutral_pages_and_critics_make_no_candidates(tmp_path: Path) -> None:
    crawl = Crawl(tmp_path)
    assert crawl.visit(make_page("http://paper.example/", "news", [("http://a.example/", "fans")]), room=9) == {}
    assert crawl.db["candidates"].count == 0


def test_the_best_go_first_and_the_unlikely_never(tmp_path: Path) -> None:
    crawl = Crawl(tmp_path)
    links = [(f"http://{name}.example/", f"{name} {word}") for name, word in (("bread", "rolls"), ("shop", "fans"))]
    found = crawl.visit(make_page("http://list.example/", "fans", links), room=1)
    assert list(found) == ["http://shop.example/"]
    chances = crawl.visit(make_page("http://other.example/", "fans of you"), room=9)
    assert chances.get("http://bread.example/", FLOOR) >= FLOOR


def test_what_ranks_a_candidate(tmp_path: Path) -> None:
    """The words of the link, the page, what else its domain says, and where on the page it stands."""
    crawl = Crawl(tmp_path)
    links = [(f"http://{name}.example/", f"fans at {name}") for name in ("here", "foot")]
    page = make_page("http://list.example/", "fans", links)
    page.blocks[2].kind = "link"
    found = crawl.visit(page, room=9)
    assert found == {"http://here.example/": pytest.approx(0.81), "http://foot.example/": pytest.approx(0.81 / 2)}
    assert BOILERPLATE == 0.5
    for n in range(3):
        crawl.visit(make_page(f"http://paper.example/{n}", f"news {n}"))
    found = crawl.visit(make_page("http://paper.example/", "fans", [("http://new.example/", "fans")]), room=9)
    assert found["http://new.example/"] == pytest.approx(0.81 * 2 / 5)


def test_what_is_known_is_in_the_store(tmp_path: Path) -> None:
    """After a kill, candidates that nobody has visited are offered in the same order, others are not."""
    crawl = Crawl(tmp_path)
    links = [(f"http://d{n}.example/", f"fans {n}") for n in range(4)]
    crawl.visit(make_page("http://list.example/", "fans", links))
    crawl.visit(make_page("http://d1.example/", "bread"))
    again = Discovery(crawl.db, crawl.judge, [crawl.source], frozenset())
    found = [link.url for link in again.links(crawl.run, crawl.source, 0, [], 9)]
    assert found == ["http://d0.example/", "http://d2.example/", "http://d3.example/"]
    assert again.links(crawl.run, crawl.source, 0, [], 9) == []


def test_what_was_found_neutral_is_not_visited_by_the_next_run(tmp_path: Path) -> None:
    crawl = Crawl(tmp_path)
    page = make_page("http://list.example/", "fans", [(f"http://{name}.example/", "fans") for name in ("a", "b")])
    crawl.visit(page)
    crawl.visit(make_page("http://a.example/", "bread"))
    crawl.visit(make_page("http://b.example/", "fans of b"))
    time.sleep(1.1)  # times in the store are whole seconds
    close_run(crawl.db, crawl.run)
    crawl.run = open_run(crawl.db, "s")
    assert list(crawl.visit(page, room=9)) == ["http://b.example/"]


def test_a_page_that_did_not_change_is_not_judged_twice(tmp_path: Path) -> None:
    crawl = Crawl(tmp_path)
    crawl.visit(make_page("http://a.example/", "bread"))
    crawl.visit(make_page("http://a.example/", "bread"))
    assert crawl.judged == 1


def test_a_domain_that_promotes_no_more_gets_no_more(tmp_path: Path) -> None:
    crawl = Crawl(tmp_path)
    links = [(f"http://a.example/p{n}", str(n)) for n in range(30)]
    assert len(crawl.visit(make_page("http://a.example/", "fans", links))) > 2
    for n in range(3):
        assert not crawl.discovery.enough(crawl.run, crawl.source, "http://a.example/x")
        crawl.visit(make_page(f"http://a.example/p{n}", f"bread {n}", links))
    assert crawl.discovery.enough(crawl.run, crawl.source, "http://a.example/x")
    assert not crawl.discovery.enough(crawl.run, crawl.source, "http://b.example/")


def test_the_quick_judgement_is_that_of_the_classifier() -> None:
    pages = [page.blocks for page in corpus(0, PARTS)[::60]] + [[("text", "fans")], []]
    slow = list(judge(pages, small_model()))
    quick = promotion(pages, small_model())
    assert [page.voice_score for page in slow if page.voice == "promotion"] == pytest.approx(
        [chance for page, chance in zip(slow, quick, strict=True) if page.voice == "promotion"]
    )
    assert all(chance < 0.5 for page, chance in zip(slow, quick, strict=True) if page.voice != "promotion")
    assert promotion([], small_model()) == []
