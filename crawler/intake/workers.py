"""Workers of bulk work: processes of this machine, or those of a dask scheduler. A worker that dies costs no result.

Work is a function of a file's address that gives an entry; files that end their worker again and again are given up.
"""

import multiprocessing
import os
import re
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from crawler.intake.bulkfile import BulkError, Entry

TRIES = 3  # a file that ended its worker so often is given up, as dask does
PATIENCE = 30  # seconds in which the scheduler must answer, and again one of its workers

Work = Callable[[str], Entry]


def local(work: Work, files: Sequence[str], workers: int) -> Iterator[Entry]:
    """Entries as they come from `workers` processes. Raises what the work raises.

    Each worker is a pool of its own: a death breaks that one alone, and is blamed on the file it was at.
    """
    waiting, deaths = deque(files), Counter[str]()
    idle = [_worker() for _ in range(min(workers, len(files)))]
    running: dict[Future[Entry], tuple[str, ProcessPoolExecutor]] = {}
    try:
        while waiting or running:
            while waiting and idle:
                file, worker = waiting.popleft(), idle.pop()
                try:
                    future = worker.submit(work, file)
                except BrokenProcessPool:  # killed while it had nothing to do
                    worker = _worker()
                    future = worker.submit(work, file)
                running[future] = file, worker
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                file, worker = running.pop(future)
                try:
                    yield future.result()
                except BrokenProcessPool:
                    worker = _worker()
                    deaths[file] += 1
                    if deaths[file] < TRIES:
                        waiting.appendleft(file)
                    else:
                        yield _given_up(file)
                finally:
                    idle.append(worker)
    finally:
        for worker in (*idle, *(worker for _, worker in running.values())):
            worker.shutdown(cancel_futures=True)


def _worker() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _begin)


def _begin() -> None:
    """In a new worker: end at Ctrl-C, and with the parent, however that ends (pools' workers wait for it for ever)."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


def _given_up(file: str) -> Entry:
    return {"file": file, "result": None, "problems": [f"{file}: ended its worker {TRIES} times (out of memory?)"]}


def cluster(work: Work, files: Sequence[str], scheduler: str) -> Iterator[Entry]:
    """Entries as they come from the workers of a dask scheduler. Raises BulkError where there are none, or no longer.

    Scheduler and workers need this very package, and no one else's traffic: dask runs what it is sent.
    """
    try:
        from distributed import Client, KilledWorker, as_completed
    except ModuleNotFoundError as error:
        raise BulkError(["--scheduler needs dask.distributed: pip install -e '.[cluster]'"]) from error
    if not re.fullmatch(r"[a-z]+://[^/\s]+:\d+/?", scheduler):
        raise BulkError([f"{scheduler}: no address of a scheduler: tcp://HOST:PORT is expected"])
    try:
        client = Client(scheduler, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise BulkError([f"{scheduler}: no scheduler answers: {error}"]) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError as error:
            raise BulkError([f"{scheduler}: has no worker"]) from error
        futures = client.map(work, files, pure=False, retries=TRIES - 1)  # not pure: the result is a file
        names = {future.key: file for future, file in zip(futures, files, strict=True)}
        for future in as_completed(futures, loop=client.loop):
            try:
                yield future.result()
            except KilledWorker:
                yield _given_up(names[future.key])
            except RuntimeError as error:  # what dask raises where the scheduler cannot unpack the work
                raise BulkError([f"{scheduler}: {error} (is the same fantomes installed there?)"]) from error
            except CancelledError as error:
                raise BulkError([f"{scheduler}: the scheduler is lost; what is done is kept, run it again"]) from error
