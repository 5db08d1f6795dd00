"""Speed of bulk work beside a bare loop over the same file in the same run: `python tests/bulk_bench.py FILE [TIMES]`.

Processor time of one worker, so that the numbers mean something on a shared machine. FILE is read as it is; TIMES of it
in one file show the memory, which must stay flat.
"""

import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from fastwarc.warc import ArchiveIterator, WarcRecordType
from selectolax.lexbor import LexborHTMLParser

from classifier.judge import Judgement, judge
from classifier.model import load_model
from crawler.intake.bulkfile import Maker, code, read_file

MODEL = Path(__file__).parents[1] / "data" / "model"


def bare(path: Path) -> int:
    """The baseline: read every response with fastwarc, decode and parse its HTML, nothing else."""
    count = 0
    for record in ArchiveIterator(str(path), record_types=WarcRecordType.response):
        LexborHTMLParser(record.reader.read().decode("utf-8", "replace"))
        count += 1
    return count


def silent(pages: Iterable[Any], model: str) -> Iterator[Judgement]:
    """A judge that finds nothing: what is left is reading and extraction."""
    return (Judgement(model, "", "neutral", 1.0, []) for _ in pages)


def bulk(path: Path, classify: bool) -> int:
    model = load_model(MODEL).version
    judging = partial(judge, model_dir=MODEL) if classify else partial(silent, model=model)
    with tempfile.TemporaryDirectory() as folder:
        return int(read_file(str(path), Path(folder), judging, Maker(model, code()))["outcomes"]["page"])


def cost(work: Callable[[], int], results: Any) -> None:
    """Pages, seconds of processor time and peak memory in MB; a first round loads models and fills caches."""
    work()
    start = time.process_time()
    pages = work()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    results.send((pages, time.process_time() - start, memory))


def measured(work: Callable[[], int]) -> tuple[int, float, int]:
    """In a process of its own, so that nothing is shared but the machine."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=cost, args=(work, sender))
    process.start()
    pages, seconds, memory = receiver.recv()
    process.join()
    return int(pages), float(seconds), int(memory)


def measure(path: Path) -> dict[str, dict[str, float]]:
    """Pages a second of one core, time as a multiple of the bare loop's, and memory."""
    works = {
        "bare loop": partial(bare, path),
        "read": partial(bulk, path, classify=False),
        "read, judge and tag": partial(bulk, path, classify=True),
    }
    results = {}
    base = 0.0
    for name, work in works.items():
        pages, seconds, memory = measured(work)
        base = base or seconds / pages
        results[name] = {"pages_per_second": pages / seconds, "times_bare": seconds / pages / base, "memory_mb": memory}
    return results


if __name__ == "__main__":
    given = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as temporary:
        whole = Path(temporary) / given.name
        whole.write_bytes(given.read_bytes() * int(sys.argv[2] if len(sys.argv) > 2 else 1))
        for name, result in measure(whole).items():
            print(f"bulk, {name:20} {json.dumps({key: round(value, 1) for key, value in result.items()})}")
