"""Runs a crawl in a process of its own (Twisted's reactor runs once a process), against any server on loopback."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

SCRIPT = """
import json, sys
from pathlib import Path
from crawler.crawl import CrawlError, crawl
from crawler.frontier import FrontierError
from crawler.sources import load_sources
from data.migrations import open_store
folder, sources, settings = Path(sys.argv[1]), json.loads(sys.argv[2]), json.loads(sys.argv[3])
store = open_store(folder / "fantomes.db")
try:
    wanted = load_sources(folder, tuple(sources))
    redis = settings.pop("REDIS", None)
    result = crawl(store, folder / "archive", wanted, None, folder / "log", overrides=settings, redis=redis)
except (CrawlError, FrontierError) as error:
    result = {"error": str(error)}
# of this program alone: getrusage would count what the process held that started it
result["peak_kb"] = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
print(json.dumps(result))
"""
FAST = {"DOWNLOAD_DELAY": 0, "AUTOTHROTTLE_ENABLED": False, "RETRY_TIMES": 0, "DOWNLOAD_TIMEOUT": 1}


def start_crawl(folder: Path, sources: list[str], **settings: Any) -> subprocess.Popen[str]:
    """Begin a crawl of `sources` (ids in `folder`, or paths) into the store and archive of `folder`."""
    argv = [sys.executable, "-c", SCRIPT, str(folder), json.dumps(sources), json.dumps(FAST | settings)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])


def run_crawl(folder: Path, sources: list[str], **settings: Any) -> dict[str, Any]:
    """The result of a whole crawl, or {"error": ...}."""
    process = start_crawl(folder, sources, **settings)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, (folder / "log").read_text()[-3000:]
    return dict(json.loads(out.splitlines()[-1]))


def write_source(folder: Path, name: str, start: list[str], kind: str = "site", more: str = "") -> str:
    text = f"id: {name}\nkind: {kind}\ntitle: T\ncontact: tests\nloopback: true\ndelay: 0\n{more}"
    (folder / f"{name}.yml").write_text(f"{text}start: {json.dumps(start)}\n", "utf-8")
    return name
