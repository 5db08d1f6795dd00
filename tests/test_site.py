"""Which links of a site are followed, in which order; endless sites end, their real pages are found all the same."""

import re
import sqlite3
import uuid
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from crawling import run_crawl, write_source
from serving import send, server

from crawler.page import Capture, Page, Record
from crawler.sources import Source
from crawler.spiders.site import links
from crawler.traps import Budget, is_trap, language_of, plain, priority

HOME = "https://www.shop.example"


@pytest.mark.parametrize(
    "path",
    [
        "/cart", "/Panier/", "/warenkorb?x=1", "/fr/connexion", "/login.php", "/mon-compte/orders", "/wp-admin/x.php",
        "/iniciar-sesion", "/carrello/aggiungi", "/minha-conta", "/?add-to-cart=5", "/list?orderby=price", "/?s=fans",
        "/list?filter[x]=1&sort[]=up", "/photo.JPG", "/terms.pdf", "/agenda.ics",
        "/agenda?month=7", "/a/b/a/b/", "/x/a/y/a/z/a", "/a/a/a", "/list?page=31", "/list/page/400", "/fr/seite/31/",
        "/" + "x" * 500, "/a/b/c/d/e/f/g/h/i/j/k", "/search/fans",
    ],
)  # fmt: skip
def test_traps(path: str) -> None:
    assert is_trap(HOME + path)


@pytest.mark.parametrize(
    "path",
    [
        "/", "/buy-followers", "/order", "/compte-instagram", "/cart-abandonment-guide", "/catalogue/login-free-likes",
        "/index.php?page=terms", "/?p=1234", "/service?id=7", "/list?page=2", "/list/page/30", "/2024/05/why-fans",
        "/fans/2024", "/a/b/b", "/fr/fr-fans/", "/likes/1000/likes-france", "/offers/2000", "/v1.2/about",
        "/datenschutz", "/calendrier-de-l-avent-fans", "/search-engine-visibility", "/pages/contact", "/gigs/2031-07",
    ],
)  # fmt: skip
def test_pages(path: str) -> None:
    assert not is_trap(HOME + path)


@pytest.mark.parametrize(
    ("path", "without"),
    [
        ("/a;jsessionid=0123456789ABCDEF?x=1", "/a?x=1"),
        ("/a?PHPSESSID=0123456789abcdef", "/a"),
        ("/a?b=1&sid=0123456789abcdef&c=%C3%A9", "/a?b=1&c=%C3%A9"),
        ("/(S(lit3py55t21z5v55vlm25s55))/about.aspx", "/about.aspx"),
        ("/a?sid=12", "/a?sid=12"),
        ("/a?ref=footer", "/a"),
        ("/a?x=%20+&y", "/a?x=%20+&y"),
    ],
)
def test_what_names_a_visit_is_taken_out(path: str, without: str) -> None:
    assert plain(HOME + path) == HOME + without


def page(*anchors: tuple[str, str], url: str = HOME + "/") -> Page:
    capture = Capture(url, "2026-11-01T00:00:00Z", 200, "text/html", b"", Record("w", 0, 1, "0"))
    return Page(
        capture, "utf-8", None, [], links=[(HOME + path if path[0] == "/" else path, text) for path, text in anchors]
    )


def source(**values: int) -> Source:
    return Source("shop", "site", "T", "tests", (HOME + "/",), **values)  # type: ignore[arg-type]


def test_what_the_firm_says_of_itself_comes_first_and_oddities_last() -> None:
    found = links(
        page(
            ("/list?page=2", "2"),
            ("/gigs/2031/07/14", "14 July"),
            ("/de/fans", "Deutsch"),
            ("/fans", "Fans"),
            ("/list?color=red&size=xl", "red, XL"),
            ("/conditions-generales-de-vente", "Conditions"),
            ("/x17", "Qui sommes-nous ?"),
            ("/ueber-uns.html", "wir"),
            ("/blog/9", "How we lost a refund and what it says about us and our friends"),
        ),
        0,
        source(),
    )
    assert [link.url.removeprefix(HOME) for link in found] == [
        "/conditions-generales-de-vente", "/x17", "/ueber-uns.html", "/fans", "/blog/9", "/de/fans", "/list?page=2",
        "/gigs/2031/07/14",
        "/list?color=red&size=xl",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("url", "page", "sooner"),
    [
        (f"{HOME}/fr/fans", f"{HOME}/fr/", True),
        (f"{HOME}/en/fans", f"{HOME}/fr/", False),
        (f"{HOME}/pt-BR/fans", f"{HOME}/", False),
        ("https://de.shop.example/fans", f"{HOME}/", False),
        (f"{HOME}/fans?lang=it", f"{HOME}/", False),
        (f"{HOME}/it-works", f"{HOME}/", True),
    ],
)
def test_other_languages_come_later(url: str, page: str, sooner: bool) -> None:
    assert (priority(url, "x", language_of(page)) == 0) is sooner


def test_links_stay_on_the_site_and_within_its_depth() -> None:
    anchors = page(
        ("https://shop.example/a", "a"), ("http://help.shop.example/", "b"), ("https://other.example/", "c"),
        ("http://shop.example:99999/", "d"), ("/a#top", "e"), ("/a?utm_source=x", "f"),
    )  # fmt: skip
    found = [link.url for link in links(anchors, 1, source(max_depth=2))]
    assert sorted(found) == ["http://help.shop.example/", "https://shop.example/a", f"{HOME}/a"]
    assert links(anchors, 2, source(max_depth=2)) == []


def test_a_budget_keeps_room() -> None:
    budget = Budget(100)
    maze = [budget.allows(f"{HOME}/maze/{n}/{n}", 0.0) for n in range(200)]
    assert (sum(maze), budget.allows(f"{HOME}/maze/0/0", 0.0), budget.allows(f"{HOME}/fans", 0.0)) == (50, True, True)
    assert sum(budget.allows(f"{HOME}/list?a=1&b={n}", -3.0) for n in range(200)) == 20
    assert sum(budget.allows(f"https://s{n}.shop.example/", 0.0) for n in range(200)) == 19
    assert not budget.allows(f"{HOME}/maze/fans", 0.0)
    assert budget.allows(f"{HOME}/maze/terms", 2.0)


TRAPS = {
    "/calendar": "/calendar?month={n}",
    "/agenda": "/agenda/20{n}/07",
    "/days": "/days/day-{n}",
    "/list": "/list?page={n}",
    "/shop": "/shop?color=c{n}&size=s{m}&brand={m}",
    "/filter": "/filter/color-{n}/size-{m}/",
    "/loop": "loop/a{n}/loop/",
    "/token": "/token?sid={t}",
    "/path": "/path/{t}/",
    "/jump": "http://s{t}.shop.example/",
}
REAL = [f"/fans-{n}" for n in range(8)]
ABOUT = ["/terms", "/refund", "/about", "/mentions-legales", "/contact", "/faq", "/pricing"]


def test_endless_sites_end_and_their_real_pages_are_found(tmp_path: Path) -> None:
    asked: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        host = handler.headers["Host"]
        asked.append(f"{host.partition('.')[0]}{handler.path}" if host != "shop.example" else handler.path)
        trap = next((path for path in TRAPS if handler.path.startswith(path)), None)
        if handler.path == "/robots.txt":
            send(handler, b"")
            return
        if handler.path == "/":
            hrefs = [*TRAPS, REAL[0], ABOUT[0]]
        elif trap or host != "shop.example":
            number = int("0" + re.sub(r"\D", "", handler.path)[-6:])
            pattern = TRAPS[trap or "/jump"]
            hrefs = [pattern.format(n=number + n, m=n, t=uuid.uuid4().hex) for n in range(1, 30)]
        else:  # a chain: each real page is known by the one before
            chain = REAL if handler.path in REAL else ABOUT
            hrefs = chain[chain.index(handler.path) + 1 :][:1]
        forms = "<form action=/login><input name=a><button>Log in</button></form><a href=mailto:a@b.example>m</a>"
        body = "".join(f"<li><a href='{href}'>{href[:9]}</a>" for href in hrefs)
        send(handler, f"<h1>fans {handler.path}</h1>{forms}<a href=javascript:void(0)>x</a>{body}".encode())

    write_source(tmp_path, "shop", ["http://shop.example/"], more="max_pages: 200\nmax_depth: 15\n")
    with server(answer) as port:
        result = run_crawl(tmp_path, ["shop"], LOOPBACK_HOSTS={"shop.example": port}, DOWNLOAD_TIMEOUT=10)
    assert result["finished"]
    assert set(REAL + ABOUT) <= set(asked)
    assert len(asked) <= 201
    assert not [path for path in asked if "login" in path or "month" in path]
    with sqlite3.connect(tmp_path / "fantomes.db") as db:
        hosts = db.execute("SELECT count(DISTINCT host) FROM frontier").fetchone()[0]
    assert 2 <= hosts <= 20
