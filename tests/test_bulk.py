"""Many WARC files through many processes: the same bytes whoever did the work, and whoever was killed at it."""

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
import pytest
from bulk_judge import words
from classifying import small_model
from hypothesis import given, settings
from hypothesis import strategies as st
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from classifier.judge import judge
from classifier.model import load_model
from crawler.intake import bulkfile, workers
from crawler.intake.bulk import find, run
from crawler.intake.bulkfile import MODULES, BulkError, Maker, code, read_file

TESTS = Path(__file__).parent


def shop(number: int) -> str:
    return (
        f"<title>Shop {number}</title><h1>Buy real followers</h1><p>Real people follow you, number {number} & co.</p>"
    )


def warc(path: Path, pages: Iterable[str]) -> Path:
    with path.open("wb") as file:
        writer = WARCWriter(file, gzip=True)
        for number, page in enumerate(pages):
            http = StatusAndHeaders("200 OK", [("Content-Type", "text/html")], protocol="HTTP/1.1")
            record = writer.create_warc_record(
                f"https://shop{number}.example/",
                "response",
                io.BytesIO(page.encode()),
                warc_headers_dict={"WARC-Date": "2025-05-05T05:05:05Z"},
                http_headers=http,
            )
            writer.write_record(record)
    return path


def warcs(folder: Path, files: int, pages: int = 5) -> list[str]:
    return [
        str(warc(folder / f"{file}.warc.gz", (shop(file * pages + page) for page in range(pages))))
        for file in range(files)
    ]


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir() if path.name != ".lock"}


def lines(out: Path) -> list[list[dict[str, Any]]]:
    return [[json.loads(line) for line in gzip.open(path)] for path in sorted(out.glob("*.jsonl.gz"))]


def wait_for(mark: Path) -> int:
    """The worker that waits at its file, having written `mark`."""
    until = time.monotonic() + 30
    while not (mark.exists() and mark.read_text()):
        assert time.monotonic() < until, "no worker came to the text"
        time.sleep(0.02)
    return int(mark.read_text())


@contextmanager
def killing(mark: Path) -> Iterator[None]:
    """Kill the worker that writes `mark`, as the machine would, while the work goes on."""
    with ThreadPoolExecutor(1) as threads:
        killed = threads.submit(lambda: os.kill(wait_for(mark), signal.SIGKILL))
        yield
        killed.result()


def test_one_and_two_workers_write_the_same_bytes(tmp_path: Path) -> None:
    files = find(warcs(tmp_path, 3))
    model = load_model(small_model()).version
    judging = partial(judge, model_dir=small_model())
    results = [run(files, tmp_path / f"out{n}", judging, model, workers=n) for n in (1, 2)]
    assert results[0] == results[1]
    assert contents(tmp_path / "out1") == contents(tmp_path / "out2")
    assert len(contents(tmp_path / "out1")) == 3 + 3 + 1
    summary = results[0]
    assert (summary["files"], summary["broken"], summary["outcomes"]) == (3, 0, {"page": 15})
    assert summary["voices"] == {"promotion": 15}
    first = lines(tmp_path / "out1")[0][0]
    archived = Path(files[0]).read_bytes()[first["offset"] : first["offset"] + first["length"]]
    assert shop(0).encode() in gzip.decompress(archived)
    assert (first["url"], first["date"], first["warc"]) == (
        "https://shop0.example/", "2025-05-05T05:05:05Z", "0.warc.gz")  # fmt: skip
    claims = [(claim["label"], claim["quote"]) for claim in first["claims"]]
    assert ("real", "Buy real followers") in claims
    assert all(claim["quote"] in claim["context"] for claim in first["claims"])


def test_a_worker_killed_in_the_middle_of_a_file_costs_nothing(tmp_path: Path) -> None:
    files = find(warcs(tmp_path, 4))
    run(files, tmp_path / "whole", partial(words, log=tmp_path / "log"), "m1", workers=2)
    mark = tmp_path / "mark"
    judging = partial(words, log=tmp_path / "log", stop_at="Shop 7", mark=str(mark))
    with killing(mark):
        run(files, tmp_path / "out", judging, "m1", workers=2)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_file_that_ends_each_worker_is_given_up_and_the_others_go_on(tmp_path: Path) -> None:
    files = find(warcs(tmp_path, 3))
    with pytest.raises(BulkError, match=r"1\.warc\.gz: ended its worker 3 times") as caught:
        run(files, tmp_path / "out", partial(words, log=tmp_path / "log", stop_at="Shop 7", die=True), "m1", workers=2)
    assert caught.value.result is not None
    assert caught.value.result["outcomes"] == {"page": 10}
    assert (tmp_path / "log").read_text().count("Shop 7\n") == workers.TRIES
    assert not list((tmp_path / "out").glob("*.part"))


def test_a_coordinator_that_is_killed_leaves_no_process_and_a_rerun_goes_on(tmp_path: Path) -> None:
    files = find(warcs(tmp_path, 3))
    mark, log, out = tmp_path / "mark", tmp_path / "log", tmp_path / "out"
    (tmp_path / "script.py").write_text(
        "from functools import partial\nfrom pathlib import Path\n"
        "from bulk_judge import words\nfrom crawler.intake.bulk import run\n"
        f"if __name__ == '__main__':\n    run({files!r}, Path({str(out)!r}), partial(words, log=Path({str(log)!r}),"
        f" stop_at='Shop 7', mark={str(mark)!r}), 'm1', workers=1)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(TESTS)}
    coordinator = subprocess.Popen([sys.executable, tmp_path / "script.py"], env=environment)
    worker = wait_for(mark)
    with pytest.raises(BulkError, match="another bulk run"):
        run(files, out, partial(words, log=log), "m1")
    coordinator.kill()
    coordinator.wait()
    until = time.monotonic() + 10
    while Path(f"/proc/{worker}").exists():
        assert time.monotonic() < until, "the worker outlives its coordinator"
        time.sleep(0.02)
    assert list(out.glob("*.part"))
    result = run(files, out, partial(words, log=log), "m1", workers=1)
    assert (result["kept"], result["outcomes"]) == (1, {"page": 15})
    run(files, tmp_path / "whole", partial(words, log=log), "m1", workers=1)
    assert contents(out) == contents(tmp_path / "whole")


@contextmanager
def dask(folder: Path) -> Iterator[str]:
    """A scheduler and two workers on loopback, as README starts them on several hosts."""
    environment = os.environ | {"PYTHONPATH": str(TESTS)}
    address_file = folder / "scheduler.json"
    scheduler = ["scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show"]
    worker = ["worker", "--scheduler-file", address_file, "--host", "127.0.0.1", "--no-nanny", "--nthreads", "1"]
    commands = [
        [*scheduler, "--scheduler-file", address_file],
        *([*worker, "--no-dashboard", "--local-directory", folder / f"worker{n}"] for n in "ab"),
    ]
    started: list[subprocess.Popen[bytes]] = []
    try:
        with (folder / "dask.log").open("wb") as log:
            for command in commands:
                words = [sys.executable, "-m", "distributed.cli.dask_" + str(command[0]), *map(str, command[1:])]
                started.append(subprocess.Popen(words, env=environment, stdout=log, stderr=log))
        until = time.monotonic() + 30
        while not address_file.exists():
            assert time.monotonic() < until, (folder / "dask.log").read_text()
            time.sleep(0.05)
        yield json.loads(address_file.read_text())["address"]
    finally:
        for process in reversed(started):
            process.kill()
            process.wait()


def test_dask_workers_write_the_same_bytes_when_one_is_killed(tmp_path: Path) -> None:
    files = find(warcs(tmp_path, 4))
    run(files, tmp_path / "whole", partial(words, log=tmp_path / "log"), "m1", workers=1)
    mark = tmp_path / "mark"
    judging = partial(words, log=tmp_path / "log", stop_at="Shop 7", mark=str(mark))
    with dask(tmp_path) as scheduler:
        with killing(mark):
            result = run(files, tmp_path / "out", judging, "m1", scheduler=scheduler)
        assert result["kept"] == 0
        assert contents(tmp_path / "out") == contents(tmp_path / "whole")
        with pytest.raises(BulkError, match="this worker has model m1, not m2"):
            run(files, tmp_path / "out", judging, "m2", scheduler=scheduler)


def test_a_scheduler_that_is_not_there_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "PATIENCE", 1)
    with pytest.raises(BulkError, match=r"^tcp://127\.0\.0\.1:9: no scheduler answers: [^\n]*$"):
        run(find(warcs(tmp_path, 1)), tmp_path / "out", partial(words, log=tmp_path / "log"), "m1", "tcp://127.0.0.1:9")


def test_a_rerun_reads_only_what_is_new_changed_or_of_another_model(tmp_path: Path) -> None:
    log, out = tmp_path / "log", tmp_path / "out"
    judging = partial(words, log=log)
    files = warcs(tmp_path, 2, pages=1)

    def judged(*again: Any, **options: Any) -> list[str]:
        log.write_text("")
        run(*again, **options, workers=1)
        return log.read_text().splitlines()

    assert judged(files, out, judging, "m1") == ["Shop 0", "Shop 1"]
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.warc*")}
    assert judged(files, out, judging, "m1") == []
    assert {path: path.stat().st_mtime_ns for path in out.glob("*.warc*")} == before
    warc(tmp_path / "1.warc.gz", [shop(9)])
    assert judged([*files, str(warc(tmp_path / "2.warc.gz", [shop(2)]))], out, judging, "m1") == ["Shop 9", "Shop 2"]
    next(out.glob("0.warc.gz*.jsonl.gz")).unlink()
    assert judged(files, out, judging, "m1") == ["Shop 0"]
    with pytest.raises(BulkError, match="this worker has model m1, not m2"):
        run(files, out, judging, "m2", workers=1)


def test_what_stands_before_a_break_is_kept_told_and_tried_again(tmp_path: Path) -> None:
    good, cut = warcs(tmp_path, 2)
    Path(cut).write_bytes(Path(cut).read_bytes()[:-100])
    (tmp_path / "noise.warc.gz").write_bytes(b"\x1f\x8b" + os.urandom(500))
    (tmp_path / "empty.warc").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe.warc")
    files = [cut, good, *(str(tmp_path / name) for name in ("noise.warc.gz", "empty.warc", "pipe.warc", "absent.warc"))]
    for _ in "ab":
        with pytest.raises(BulkError) as caught:
            run(find(files), tmp_path / "out", partial(words, log=tmp_path / "log"), "m1", workers=2)
        result = caught.value.result
        assert result is not None
        assert (result["files"], result["broken"], result["outcomes"]) == (6, 5, {"page": 9})
        told = str(caught.value).splitlines()
        assert [line.partition(": ")[0] for line in told] == [cut, *files[2:]]
        assert "cut short" in told[0]
        assert told[-1].endswith("absent.warc: No such file or directory")
        assert [len(pages) for pages in lines(tmp_path / "out")] == [5, 4]
    assert result["kept"] == 1


def test_a_wacz_is_read_and_checked(tmp_path: Path) -> None:
    inner = warcs(tmp_path, 2)
    path = tmp_path / "a.wacz"
    with zipfile.ZipFile(path, "w") as zipped:
        for name in inner:
            zipped.write(name, f"archive/{Path(name).name}")
        resources = [{"path": "archive/0.warc.gz", "hash": "sha256:" + "0" * 64}]
        zipped.writestr("datapackage.json", json.dumps({"resources": resources}))
    addresses = find([str(path), f"file://{path}"])
    with pytest.raises(BulkError, match="not as datapackage") as caught:
        run(addresses, tmp_path / "out", partial(words, log=tmp_path / "log"), "m1", workers=1)
    assert caught.value.result is not None
    assert caught.value.result["outcomes"] == {"page": 20}
    assert {page["warc"] for page in lines(tmp_path / "out")[0]} == {"a-0-0.warc.gz", "a-1-1.warc.gz"}
    assert not list((tmp_path / "out").glob("*.part"))


def test_addresses_globs_and_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files = warcs(tmp_path, 3, pages=1)
    with gzip.open("list.txt.gz", "wt") as file:
        file.write(f"# mine\n\n1.warc.gz\nfile://{files[0]}\n")
    assert find(["*.warc.gz", "0.warc.gz", files[1]]) == files
    assert find([f"file://{tmp_path}/[01].warc*"]) == [f"file://{name}" for name in files[:2]]
    assert find(["@list.txt.gz"]) == [files[1], f"file://{files[0]}"]
    run(find(["@list.txt.gz"]), tmp_path / "out", partial(words, log=tmp_path / "log"), "m1", workers=1)
    assert sorted(page["title"] for pages in lines(tmp_path / "out") for page in pages) == ["Shop 0", "Shop 1"]
    Path("empty.txt").write_text("\n")
    Path("circle.txt").write_text("@circle.txt\n")
    for wrong, message in (
        ([], "no file to read"),
        (["@empty.txt"], "no file to read"),
        (["@absent.txt"], "absent.txt: the list cannot be read"),
        (["@circle.txt"], r"circle\.txt: a list in a list: @circle\.txt"),
        (["*.none"], r"\*\.none: no file fits"),
        (["a\udcff.warc"], "not UTF-8"),
    ):
        with pytest.raises(BulkError, match=message):
            find(wrong)


def test_any_file_system_that_fsspec_knows(tmp_path: Path) -> None:
    path = Path(warcs(tmp_path, 1)[0])
    with fsspec.open("memory://far/0.warc.gz", "wb") as file:
        file.write(path.read_bytes())
    judging = partial(words, log=tmp_path / "log")
    entries = [
        read_file(address, tmp_path, judging, Maker("m1", code()))
        for address in ("memory://far/0.warc.gz", str(path), "memory://far/1.warc.gz", "nosuch://far/1.warc.gz")
    ]
    assert [entry["outcomes"] for entry in entries] == [{"page": 5}, {"page": 5}, {}, {}]
    assert [bool(entry["problems"]) for entry in entries] == [False, False, True, True]
    assert lines(tmp_path)[0] == lines(tmp_path)[1]


def test_other_code_or_a_folder_that_is_not_shared_stops_the_work(tmp_path: Path) -> None:
    path = warcs(tmp_path, 1)[0]
    judging = partial(words, log=tmp_path / "log")
    with pytest.raises(BulkError, match="runs other code"):
        read_file(path, tmp_path, judging, Maker("m1", "another"))
    with pytest.raises(BulkError, match="all workers must share it"):
        read_file(path, tmp_path / "absent", judging, Maker("m1", code()))


def test_the_code_that_decides_is_all_of_the_room_that_is_loaded() -> None:
    show = "import sys, crawler.intake.bulkfile; print(*(name for name in sys.modules if name.startswith('crawler.')))"
    loaded = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True).stdout.split()
    read = {name.removeprefix("crawler.").replace(".", "/") + ".py" for name in loaded}
    aside = {"archive.py", "evidence.py", "intake.py"}  # the clock of the first is used, the others are packages
    assert {name for name in read - aside if not name.startswith("evidence/")} == {n for n in MODULES if n[0] != "."}


@settings(max_examples=30, deadline=None)
@given(
    numbers=st.lists(st.integers(0, 6), max_size=25),
    chars=st.sampled_from([1, 100, 10**6]),
    known=st.sampled_from([0, 10**6]),
)
def test_lines_keep_the_order_of_the_file_and_repeats_are_judged_once(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[int], chars: int, known: int
) -> None:
    folder = tmp_path_factory.mktemp("bulk")
    path = warc(folder / "a.warc.gz", [*map(shop, numbers), ""])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulkfile, "BATCH_CHARS", chars)
        patch.setattr(bulkfile, "KNOWN_CHARS", known)
        (folder / "log").touch()
        entry = read_file(str(path), folder, partial(words, log=folder / "log"), Maker("m1", code()))
    assert [(page["title"], page["url"]) for page in lines(folder)[0]] == [
        (f"Shop {number}", f"https://shop{place}.example/") for place, number in enumerate(numbers)
    ]
    assert entry["outcomes"] == {"empty": 1} | ({"page": len(numbers)} if numbers else {})
    judged = (folder / "log").read_text().splitlines()
    if known:
        assert len(judged) == len(set(numbers))
    assert set(judged) == {f"Shop {number}" for number in numbers}
