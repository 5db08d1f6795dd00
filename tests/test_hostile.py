"""Hostile servers, met by real crawls: each answer has its word, the rest is stored, archive and memory stay sound."""

import gzip
import json
import sqlite3
import time
import zlib
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import brotli
from backports import zstd
from crawling import start_crawl, write_source
from serving import raw, send, server
from warcio.archiveiterator import ArchiveIterator

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
PAGE = b"<p>real fans</p>"
MAX_MEMORY = 400_000  # kB; a process takes 110,000 before it asks for anything
PRIVATE = "http://169.254.169.254/latest/meta-data/"


def gzip_of_zeros(gigabytes: int) -> bytes:
    """Zeros without end in a few kilobytes: deflate blocks that know nothing of each other can be repeated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(10_000_000)) + packer.flush(zlib.Z_FULL_FLUSH)
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + block * (100 * gigabytes)


def forever(part: bytes, pause: float = 0.0, seconds: float = 6.0) -> Callable[[BaseHTTPRequestHandler], None]:
    """Sends `part` again and again, longer than the crawler is willing to wait."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            handler.wfile.write(part)
            time.sleep(pause)

    return answer


def then(first: bytes, answer: Callable[[BaseHTTPRequestHandler], None]) -> Callable[[BaseHTTPRequestHandler], None]:
    def both(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(first)
        answer(handler)

    return both


def to(url: str) -> tuple[int, dict[str, str], bytes]:
    return (302, {"Location": url}, b"")


def packed(encoding: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
    return (200, {"Content-Encoding": encoding}, body)


def layers(count: int) -> bytes:
    body = PAGE
    for _ in range(count):
        body = gzip.compress(body)
    return body


def crawl(
    folder: Path, pages: Any, start: list[str] | None = None, kind: str = "ads", more: str = "", **settings: Any
) -> dict[str, str]:
    """Crawl `start`, or else all paths of `pages`, and look at memory and archive; outcome by address."""
    start = start or [f"http://shop.example{path}" for path in pages]
    write_source(folder, "shop", start, kind, more)
    with server(pages) as port:
        hosts = dict.fromkeys({url.split("/")[2] for url in start}, port)
        process = start_crawl(folder, ["shop"], LOOPBACK_HOSTS=hosts, **settings)
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, (folder / "log").read_text()[-3000:]
    result = json.loads(out.splitlines()[-1])
    assert result["finished"]
    assert result["peak_kb"] < MAX_MEMORY
    for path in (folder / "archive").glob("*.warc.gz"):
        with path.open("rb") as file:
            for record in ArchiveIterator(file, check_digests="raise"):
                record.raw_stream.read()
    with sqlite3.connect(folder / "fantomes.db") as db:
        return dict(db.execute("SELECT url, outcome FROM frontier"))


def words(found: dict[str, str]) -> dict[str, set[str]]:
    """Paths by outcome."""
    by_word: dict[str, set[str]] = {}
    for url, word in found.items():
        by_word.setdefault(word, set()).add(url.split("/", 3)[3])
    return by_word


def test_answers_that_lie_hang_or_break(tmp_path: Path) -> None:
    chunked = OK + b"Transfer-Encoding: chunked\r\n\r\n"
    pages: dict[str, Any] = {
        "/good": PAGE,
        "/drip": then(OK + b"\r\n", forever(b"x", 0.3)),
        "/drip-promised": then(OK + b"Content-Length: 5000\r\n\r\n", forever(b"x", 0.3)),
        "/slow-head": then(b"HTTP/1.1 200 OK\r\n", forever(b"X: y\r\n", 0.3)),
        "/slow-name": then(b"HTTP/1.1 200 OK\r\n", forever(b"x", 0.3)),
        "/silence": lambda handler: time.sleep(6),
        "/interim": then(b"", forever(b"HTTP/1.1 100 Continue\r\n\r\n", 0.3)),
        "/reset": lambda handler: handler.connection.close(),
        "/too-short": (200, {"Content-Length": "5000"}, PAGE),
        "/too-long": (200, {"Content-Length": "12"}, PAGE),
        "/two-lengths": raw(OK, b"Content-Length: 5\r\nContent-Length: 16\r\n\r\n", PAGE),
        "/length-of-nothing": raw(OK, b"Content-Length: -5\r\n\r\n", PAGE),
        "/length-words": raw(OK, b"Content-Length: many\r\n\r\n", PAGE),
        "/http09": raw(PAGE),
        "/junk": raw(bytes(range(256)) * 100),
        "/status": raw(b"HTTP/1.1 9999999999999999999 OK\r\n\r\n", PAGE),
        "/status-words": raw(b"HTTP/1.1 abc OK\r\n\r\n", PAGE),
        "/no-colon": raw(OK, b"what is this\r\n\r\n", PAGE),
        "/begins-folded": raw(b"HTTP/1.1 200 OK\r\n folded\r\n\r\n", PAGE),
        "/chunk-cut": raw(chunked, b"ff\r\n", PAGE),
        "/chunk-negative": raw(chunked, b"-5\r\n", PAGE, b"\r\n0\r\n\r\n"),
        "/chunk-words": raw(chunked, b"many\r\n", PAGE, b"\r\n0\r\n\r\n"),
        "/chunk-huge": raw(chunked, b"f" * 5000 + b"\r\n", PAGE),
        "/chunk-short": raw(chunked, b"5\r\n", PAGE, b"\r\n0\r\n\r\n"),
        "/coding": raw(OK, b"Transfer-Encoding: odd\r\n\r\n", PAGE),
    }  # fmt: skip
    assert words(crawl(tmp_path, pages)) == {
        "stored": {"good", "too-long", "no-colon"},
        "timeout": {"drip", "drip-promised", "slow-head", "slow-name", "silence", "interim"},
        "cut-short": {"too-short"} | {f"chunk-{name}" for name in ("cut", "negative", "words", "huge", "short")},
        "bad-answer": {"status"},
        "connection-lost": {
            "reset", "two-lengths", "length-of-nothing", "length-words", "http09", "junk", "status-words",
            "begins-folded", "coding",
        },
    }  # fmt: skip


def test_bombs(tmp_path: Path) -> None:
    pages: dict[str, Any] = {
        "/good": packed("gzip", gzip.compress(PAGE)),
        "/gzip": packed("gzip", gzip_of_zeros(1)[:9_000_000]),
        "/gzip-gzip": packed("gzip, gzip", gzip.compress(gzip_of_zeros(10))),
        "/br": packed("br", brotli.compress(bytes(200_000_000), quality=5)),
        "/zstd": packed("zstd", zstd.compress(bytes(1_000_000_000), 1) * 10),
        "/deflate": packed("deflate", zlib.compress(bytes(200_000_000))),
        "/layers": packed(", ".join(["gzip"] * 2000), layers(30)),
        "/gzip-cut": packed("gzip", gzip.compress(PAGE + b"<p>" + bytes(range(65, 90)) * 40)[:-40]),
        "/gzip-lie": packed("gzip", PAGE),
        "/br-lie": packed("br", PAGE),
        "/zstd-lie": packed("zstd", PAGE),
        "/deflate-lie": packed("deflate", PAGE),
        "/odd": packed("odd", PAGE),
        "/endless": then(OK + b"\r\n", forever(b"fans " * 200_000)),
        "/promised": raw(OK, b"Content-Length: 99999999999\r\n\r\n", PAGE),
        "/large": b"<p>" + b"fans " * 2_100_000,
        "/deep": b"<div>" * 100_000,
        "/zeros": bytes(9_000_000),
        "/headers": raw(OK, b"".join(b"X-%d: fans\r\n" % n for n in range(100_000)), b"\r\n", PAGE),
        "/header": raw(OK, b"X: ", b"y" * 1_000_000, b"\r\n\r\n", PAGE),
        "/headers-endless": then(OK, forever(b"X: fans\r\n" * 5000)),
        "/interim-endless": forever(b"HTTP/1.1 100 Continue\r\n\r\n" * 2000),
        "/folded-endless": then(OK + b"X: y\r\n", forever(b" y\r\n" * 5000)),
        "/cookies": raw(OK, b"".join(b"Set-Cookie: c%d=x\r\n" % n for n in range(9_000)), b"\r\n", PAGE),
        "/some-headers": raw(OK, b"".join(b"X-%d: fans\r\n" % n for n in range(1_000)), b"\r\n", PAGE),
    }
    for charset in ("zip", "bz2", "hex", "idna", "utf-7", "unicode_escape", "x" * 5_000, "mbcs", "utf-32", "\0"):
        name = f"/charset-{charset[:20]}".replace("\0", "nul")
        pages[name] = (200, {"Content-Type": f"text/html; charset={charset}"}, PAGE)
    charsets = {path[1:] for path in pages if "charset" in path}
    assert words(crawl(tmp_path, pages, DOWNLOAD_TIMEOUT=3)) == {
        "stored": {"good", "gzip-cut", "odd", "cookies", "some-headers"} | charsets,
        "too-large": {
            "gzip", "gzip-gzip", "br", "zstd", "deflate", "layers", "endless", "promised", "large", "headers",
            "headers-endless", "interim-endless", "folded-endless",
        },
        "bad-encoding": {"gzip-lie", "br-lie", "zstd-lie", "deflate-lie"},
        "connection-lost": {"header"},
        "too-deep": {"deep"},
        "not-text": {"zeros"},
    }  # fmt: skip


def test_redirects(tmp_path: Path) -> None:
    refresh = "<meta http-equiv=refresh content='0;url={}'><p>fans"
    pages: dict[str, Any] = {
        "/loop": to("/loop"),
        "/ping": to("/pong"), "/pong": to("/ping"),
        "/private": to(PRIVATE),
        "/decimal": to("http://2130706433/"),
        "/hex": to("http://0x7f.1/"),
        "/octal": to("http://0177.0.0.1/"),
        "/short": to("http://127.1/"),
        "/zero": to("http://0/"),
        "/wide": to("http://①②⑦.⓪.⓪.①/".encode().decode("latin-1")),
        "/dot": to("http://127.0.0.1./"),
        "/mapped": to("http://[::ffff:7f00:1]/"),
        "/six": to("http://[::1]/"),
        "/zone": to("http://[fe80::1%25eth0]/"),
        "/user": to("http://shop.example@127.0.0.1/"),
        "/user-of-name": to("http://shop.example:pw@localhost/"),
        "/localhost": to("http://localhost/"),
        "/localhost-dot": to("http://localhost./"),
        "/backslash": to("http:\\\\127.0.0.1\\"),
        "/no-scheme": to("//127.0.0.1/"),
        "/tab": to("http://127.0.0.1\t/"),
        "/file": to("file:///etc/passwd"),
        "/ftp": to("ftp://shop.example/"),
        "/data": to("data:text/html,<p>fans"),
        "/script": to("javascript:alert(1)"),
        "/nowhere": to(""),
        "/none": (302, {}, b""),
        "/broken": to("http://[::1"),
        "/port": to("http://shop.example:99999/"),
        "/long": to("http://shop.example/" + "x" * 15_000),
        "/longer": to("http://shop.example/" + "x" * 1_000_000),
        "/refresh": refresh.format(PRIVATE).encode(),
        "/refresh-file": refresh.format("file:///etc/passwd").encode(),
        "/refresh-data": refresh.format("data:text/html,fans").encode(),
        "/refresh-long": refresh.format("/" + "x" * 1_000_000).encode(),
        "/refresh-loop": refresh.format("/refresh-loop").encode(),
        "/refresh-broken": refresh.format("http://[::1").encode(),
        "/label": to("http://" + "x" * 70 + ".example/"),
        "/dots": to("http://shop..example/"),
        "/good": PAGE,
    }  # fmt: skip
    pages |= {f"/many?{n}": to(f"/many?{n + 1}") for n in range(100)}
    found = words(crawl(tmp_path, pages))
    many = {name for name in found["redirects"] if name.startswith("many")}
    assert len(many) > 85  # the last of the hundred come to the end
    assert {word: {name for name in names if "many" not in name} for word, names in found.items()} == {
        "stored": {"good", "refresh-data", "refresh-file", "refresh-long", "refresh-broken"},
        "redirects": {"loop", "ping", "pong", "nowhere", "refresh-loop"},
        "private-address": {
            "private", "decimal", "hex", "octal", "short", "zero", "wide", "dot", "mapped", "six", "zone", "localhost",
            "localhost-dot", "backslash", "no-scheme", "tab", "refresh",
        },
        "bad-address": {"user", "user-of-name", "script", "broken", "port", "long", "label", "dots"},
        "connection-lost": {"longer"},
        "http-302": {"file", "ftp", "data", "none"},
        "http-404": set(),
        "redirected": set(),
    }  # fmt: skip


def test_a_site_that_leads_astray(tmp_path: Path) -> None:
    pages: dict[str, Any] = {
        "/good": PAGE,
        "/broken": b"<table><tr><p>local fans<div></tr>",
        "/latin": (200, {"Content-Type": "text/html; charset=utf-8"}, "<p>abonnés réels</p>".encode("latin-1")),
        "/binary": b"\x00\x01\x02fans" * 500,
        "/empty": b"",
        "/elsewhere": to("http://other.example/"),
        "/localhost": to("http://localhost/"),
        "/mapped": to("http://[::ffff:127.0.0.1]/"),
    }
    pages["/"] = "".join(f'<li><a href="{path}">x</a>' for path in pages).encode()
    assert words(crawl(tmp_path, pages, ["http://shop.example/"], kind="site")) == {
        "stored": {"", "good", "broken", "latin"},
        "not-text": {"binary"},
        "empty": {"empty"},
        "off-site": {"elsewhere", "localhost"},
        "private-address": {"mapped"},
    }
    with sqlite3.connect(tmp_path / "fantomes.db") as db:
        texts = {text for (text,) in db.execute("SELECT text FROM blocks WHERE kind = 'text'")}
    assert texts == {"abonnés réels", "local fans", "real fans"}


def rules(*lines: bytes) -> bytes:
    return b"\n".join(lines) + b"\n"


def test_robots_txt(tmp_path: Path) -> None:
    away, everyone = b"Disallow: /", b"User-agent: *"
    hosts: dict[str, tuple[Any, str]] = {
        "bom": (b"\xef\xbb\xbf" + rules(everyone, away), "robots"),
        "wildcard": (rules(everyone, b"Disallow: /*?id="), "robots"),
        "end": (rules(everyone, b"Disallow: /page$"), "stored"),
        "ours": (rules(everyone, b"Allow: /", b"", b"User-agent: Fantomes", away), "robots"),
        "ours-alone": (rules(everyone, away, b"", b"User-agent: fantomes", b"Allow: /"), "stored"),
        "others": (rules(b"User-agent: Otherbot", away), "stored"),
        "moved": ((301, {"Location": "http://elsewhere.example/robots.txt"}, b""), "robots"),
        "circle": ((302, {"Location": "/robots.txt"}, b""), "robots"),
        "private": ((302, {"Location": PRIVATE}, b""), "robots"),
        "bomb": (packed("gzip, gzip", gzip.compress(gzip_of_zeros(10))), "robots"),
        "broken": (packed("gzip", b"no"), "robots"),
        "drip": (then(OK + b"\r\n", forever(b"x", 0.3)), "robots"),
        "reset": (lambda handler: handler.connection.close(), "robots"),
        "headers": (then(OK, forever(b"X: fans\r\n" * 5000)), "robots"),
        "too-large": (rules(everyone, away) + b"#" * 11_000_000, "robots"),
        "large": (rules(everyone, away) + b"#\n" * 2_500_000, "robots"),
        "late": (b"#\n" * 300_000 + rules(everyone, away), "stored"),
        "page": (b"<html><p>User-agent: everyone", "stored"),
        "binary": (bytes(range(256)) * 50, "stored"),
        "elsewhere": (rules(everyone, away), "robots"),
    }

    def answer(handler: BaseHTTPRequestHandler) -> None:
        robots, _ = hosts[handler.headers["Host"].partition(".")[0]]
        if handler.path != "/robots.txt":
            send(handler, PAGE)
        elif callable(robots):
            robots(handler)
        else:
            send(handler, robots)

    names = [f"{name}.example" for name in hosts]
    found = crawl(tmp_path, answer, [f"http://{name}/page?id=7" for name in names])
    assert {url.split("/")[2].partition(".")[0]: word for url, word in found.items()} == {
        name: word for name, (_, word) in hosts.items()
    }


def test_feeds(tmp_path: Path) -> None:
    """A sitemap of fifty thousand sitemaps, each of them the same again; an entity bomb; both among good entries."""
    count = 50_000
    loops = "".join(f"<sitemap><loc>http://shop.example/sitemap.xml?{n}</loc></sitemap>" for n in range(count))
    sitemap = f"<sitemapindex><sitemap><loc>http://shop.example/good</loc></sitemap>{loops}</sitemapindex>".encode()
    entities = b"".join(b"<!ENTITY %c '%s'>" % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9))
    bomb = b"<!DOCTYPE rss [<!ENTITY a 'fans '>%s]><rss><item><link>/release</link></item>&j;</rss>" % entities
    asked: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        feeds = {"/sitemap.xml": sitemap, "/bomb.xml": bomb}
        send(handler, feeds.get(handler.path.partition("?")[0], PAGE))

    start = ["http://shop.example/sitemap.xml", "http://shop.example/bomb.xml"]
    found = words(crawl(tmp_path, answer, start, kind="feed", more="max_pages: 6\n", DOWNLOAD_TIMEOUT=10))
    assert found["stored"] == {"good", "release"}
    assert len(found["feed"]) == 4
    assert len(asked) == 7  # with robots.txt
