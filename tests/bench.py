"""Speed and memory, printed with the machine's core count: `make bench [WARC=file]`.

Wall-clock numbers lie on a shared machine, so each step stands beside a baseline measured in the same run.
"""

import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import bulk_bench
import click
from bench_crawl import measure as measure_crawl
from selectolax.lexbor import LexborHTMLParser
from warcio.archiveiterator import ArchiveIterator

from crawler.intake.ingest import ingest
from data.migrations import open_store

ROOT = Path(__file__).parents[1]
FANTOMES = [sys.executable, "-m", "fantomes"]


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def run(*words: str | Path) -> dict[str, object]:
    done = subprocess.run([*FANTOMES, *map(str, words), "--json"], cwd=ROOT, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def parse_only(path: Path) -> int:
    """The baseline: read every record and parse its HTML, nothing else."""
    count = 0
    with path.open("rb") as file:
        for record in ArchiveIterator(file):
            if record.rec_type == "response":
                LexborHTMLParser(record.content_stream().read().decode("utf-8", "replace"))
                count += 1
    return count


def peak() -> int:
    """The largest memory of any child so far, in MB."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024


def measure(warc: Path, folder: Path) -> None:
    store, archive = ("--db", folder / "fantomes.db"), ("--archive", folder / "archive")
    empty = timed(lambda: subprocess.run([*FANTOMES, "--version"], cwd=ROOT, capture_output=True, check=True))
    click.echo(f"{os.cpu_count()} cores; start of the command {empty:.2f} s (taken off below)")
    baseline = timed(lambda: parse_only(warc))
    run("ingest", warc, *store, *archive)
    memory = peak()
    seconds = timed(lambda: ingest(open_store(folder / "again.db"), folder / "again", [warc]))  # without its start
    classify = {}
    again = timed(lambda: classify.update(run("classify", *store))) - empty
    pages, blocks = int(str(classify["pages"])), int(str(classify["blocks"]))
    click.echo(
        f"ingest    {pages / seconds:8.0f} pages/s, {seconds / baseline:.1f} x reading and parsing alone, {memory} MB"
    )
    click.echo(f"classify  {pages / again:8.0f} pages/s, {blocks / again:.0f} blocks/s, {peak()} MB")
    publish = timed(lambda: run("publish", *store, *archive, "--catalog", folder / "catalog.db")) - empty
    click.echo(f"publish   {pages / publish:8.0f} pages/s")
    lines = folder / "blocks.jsonl"
    write_lines(folder / "fantomes.db", lines)
    one = folder / "one.jsonl"
    one.write_text('{"id": 1, "page": 1, "text": "real fans"}\n')
    start = timed(lambda: tag(one))
    click.echo(
        f"tag       {blocks / (timed(lambda: tag(lines)) - start):8.0f} blocks/s, starts in {start:.1f} s, {peak()} MB"
    )


def bulk(warc: Path) -> None:
    """Work on WARC files in bulk, beside a bare loop that reads and parses."""
    for name, found in bulk_bench.measure(warc).items():
        click.echo(
            f"bulk      {found['pages_per_second']:8.0f} pages/s and core, {name}: {found['times_bare']:.1f} x bare,"
            f" {found['memory_mb']:.0f} MB"
        )


def write_lines(db: Path, lines: Path) -> None:
    with sqlite3.connect(db) as store, lines.open("w") as file:
        for block, page, text in store.execute("SELECT id, page_id, text FROM blocks ORDER BY page_id, position"):
            file.write(json.dumps({"id": block, "page": page, "text": text}) + "\n")


def tag(path: Path) -> None:
    subprocess.run([*FANTOMES, "tag", str(path)], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)


def from_nothing(folder: Path) -> None:
    """`make demo` in a fresh clone, and again: what a newcomer waits for."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    times = [timed(lambda: subprocess.run(["make", "demo"], cwd=folder, capture_output=True, check=True)) for _ in "ab"]
    click.echo(f"make run  {times[0]:8.0f} s until the catalogue is ready in a fresh clone, {times[1]:.0f} s again")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        if len(sys.argv) > 1:
            measure(Path(sys.argv[1]), place)
            bulk(Path(sys.argv[1]))
        else:
            run("crawl", "sample-sites", "--db", place / "s.db", "--archive", place / "samples")
            measure(next((place / "samples").glob("*.warc.gz")), place)
        for size in (10_000, 100_000):
            measure_crawl(1000, size)
        from_nothing(place / "clone")
