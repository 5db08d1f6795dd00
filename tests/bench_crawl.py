"""The crawl's speed against a bare Scrapy spider that only downloads, on the same server in the same run.

`python tests/bench_crawl.py [pages] [kilobytes ...]`: pages a second of both, their ratio, memory, growth of the store.
"""

import asyncio
import gzip
import json
import multiprocessing
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
from aiohttp import web

WORDS = (
    "fans real followers likes likes page buy visibility local free club order delivery price your growth more".split()
)
ROOT = Path(__file__).parents[1]
OURS = ROOT / "tests" / "crawling.py"
SAME = {"CONCURRENT_REQUESTS": 16, "CONCURRENT_REQUESTS_PER_DOMAIN": 16, "DOWNLOAD_DELAY": 0, "LOG_LEVEL": "WARNING"}
BARE = """
import json, sys, time
import scrapy
from scrapy.crawler import AsyncCrawlerProcess
port, pages, settings = int(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
class Bare(scrapy.Spider):
    name = "bare"
    got = 0
    async def start(self):
        for n in range(pages):
            yield scrapy.Request(f"http://127.0.0.1:{port}/p{n}", callback=self.parse)
    def parse(self, response):
        Bare.got += 1
start, busy = time.perf_counter(), time.process_time()
process = AsyncCrawlerProcess({**settings, "COOKIES_ENABLED": False, "ROBOTSTXT_OBEY": False,
    "TELNETCONSOLE_ENABLED": False, "REMOTE_CONTROL_ENABLED": False})
process.crawl(Bare)
process.start()
assert Bare.got == pages, Bare.got
import resource
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([time.perf_counter() - start, time.process_time() - busy, peak]))
"""
FULL = """
import json, sys, time
from pathlib import Path
from crawler.crawl import crawl
from crawler.sources import load_sources
from data.migrations import open_store
port, pages, settings, folder = int(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3]), Path(sys.argv[4])
store = open_store(folder / "fantomes.db")
sources = load_sources(folder, ("site",))
start, busy = time.perf_counter(), time.process_time()
settings |= {"LOOPBACK_HOSTS": {"bench.example": port}}
result = crawl(store, folder / "archive", sources, None, folder / "log", overrides=settings)
took = [time.perf_counter() - start, time.process_time() - busy]
stored = store.execute("SELECT count(*) FROM pages").fetchone()[0]
assert result["finished"] and stored == pages + 1, (stored, result)
import resource
print(json.dumps([*took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""


def page(number: int, size: int) -> bytes:
    """A page of `size` bytes, with as much text (two fifths), blocks (4 a kB) and links as sellers' real pages have."""
    chance = random.Random(number)
    script = "".join(f"var v{n}={{'k{chance.random()}':[{n},'{chance.choice(WORDS)}']}};" for n in range(size // 110))
    parts = [f"<html><head><title>Pack {number}</title><script>{script}</script></head><body>"]
    length = len(parts[0])
    while length < size - 300:
        words = " ".join(chance.choices(WORDS, k=chance.randint(8, 34)))
        name = f"card-{length} col-md-{length % 12} elementor-widget-{chance.randint(0, 999)} wp-block-{length}"
        parts.append(f"<div class='{name}'><p class='text-{length % 7}'>{words}.</p></div>\n")
        if len(parts) % 7 == 0:
            parts.append(f"<li><a href='https://other{len(parts)}.example/{number}'>{words[:20]}</a></li>")
        length += len(parts[-1])
    return "".join(parts).encode() + b"</body></html>"


def serve(pages: int, size: int, ready: "multiprocessing.Queue[int]") -> None:
    bodies = [gzip.compress(page(number, size), 6) for number in range(min(pages, 1000))]  # as servers send them
    group = 500
    lists = (pages + group - 1) // group

    async def answer(request: web.Request) -> web.Response:
        name = request.path[1:]
        if name == "robots.txt":
            return web.Response(status=404)
        if name.startswith("p"):
            number = int(name[1:])
            packed = {"Content-Encoding": "gzip", "X-Number": str(number)}
            return web.Response(body=bodies[number % len(bodies)], content_type="text/html", headers=packed)
        first = int(name[1:]) * group if name else 0
        more = "".join(f"<a href=/l{n}>l</a>" for n in range(1, lists)) if not name else ""
        links = "".join(f"<a href=/p{n}>x</a>" for n in range(first, min(first + group, pages)))
        return web.Response(text=links + more + f"<p>list {name}</p>", content_type="text/html")

    async def run() -> None:
        app = web.Application()
        app.router.add_get("/{name:.*}", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        ready.put(runner.addresses[0][1])
        await asyncio.sleep(3600)

    asyncio.run(run())


def measure(pages: int, size: int) -> None:
    """One line a size: ours beside the bare spider, three times in turn, the best of each."""
    ready: multiprocessing.Queue[int] = multiprocessing.Queue()
    server = multiprocessing.Process(target=serve, args=(pages, size, ready), daemon=True)
    server.start()
    port = ready.get(timeout=60)
    settings = json.dumps({**SAME})
    ours_settings = json.dumps({**SAME, "AUTOTHROTTLE_ENABLED": False, "FRONTIER_PER_HOST": 64})
    bare, ours, two = [], [], []
    try:
        for _ in range(3 if pages <= 2000 else 1):
            bare.append(run(BARE, str(port), str(pages), settings))
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                more = (pages + 499) // 500 - 1
                text = "id: site\nkind: site\ntitle: T\ncontact: bench\nloopback: true\ndelay: 0\nmax_pages: 1000000\n"
                (folder / "two").mkdir()
                for place in (folder, folder / "two"):
                    (place / "site.yml").write_text(text + "start: ['http://bench.example/']\n")
                ours.append(run(FULL, str(port), str(pages + more), ours_settings, name))
                two.append(together(str(port), str(pages + more), ours_settings, f"{name}/two"))
                store = sum(path.stat().st_size for path in folder.glob("fantomes.db*"))
                archive = sum(path.stat().st_size for path in (folder / "archive").iterdir())
    finally:
        server.kill()
    best, mine = min(bare), min(ours)
    cpu = min(b[1] for b in bare) / min(o[1] for o in ours)
    click.echo(
        f"crawl {size // 1000:4d} kB: {pages / mine[0]:5.0f} pages/s, bare Scrapy {pages / best[0]:5.0f};"
        f" ratio {best[0] / mine[0]:.2f} (processor time {cpu:.2f}, {mine[1] / pages * 1000:.1f} ms a page);"
        f" {mine[2]:.0f} MB; two processes on one store {pages / min(two):.0f} pages/s, {best[0] / min(two):.2f};"
        f" a page takes {store / pages / 1000:.1f} kB of the store, {archive / pages / 1000:.1f} kB of the archive"
    )


def together(*words: str) -> float:
    """Seconds that two crawlers take for the same run."""
    crawlers = [
        subprocess.Popen([sys.executable, "-c", FULL, *words], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in "ab"
    ]
    answers = [crawler.communicate()[0] for crawler in crawlers]
    return max(float(json.loads(answer.splitlines()[-1])[0]) for answer in answers)


def run(script: str, *words: str) -> list[float]:
    time.sleep(0.2)
    done = subprocess.run([sys.executable, "-c", script, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    return list(json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    for kilobytes in [int(word) for word in sys.argv[2:]] or [10, 100]:
        measure(count, kilobytes * 1000)
