"""The frontier's contract, on SQLite and on a real Redis alike."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis_server import RedisServer, redis_server

from crawler.frontier import MAX_TRIES, Frontier, Link, Settled, SqliteFrontier, crawler_id, is_gone
from crawler.redis_frontier import RedisFrontier
from crawler.store import save_source
from data.migrations import open_store, write

STORED = Settled("stored")
Make = Callable[..., Frontier]


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["sqlite", "redis"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Gives frontiers of one and the same backend; each may be another crawler's."""
    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("redis")
        Redis(port=server.port).flushall()

    def frontier(who: str = "me", alive: float = 60, per_host: int = 4) -> Frontier:
        db = open_store(tmp_path / ("f.db" if request.param == "sqlite" else f"{who}.db"))
        with write(db):
            save_source(db, request.node.name, "site", None, None)
        found = (
            SqliteFrontier(db, alive, per_host)
            if request.param == "sqlite"
            else RedisFrontier(server.address, db, alive, per_host)
        )
        found.me = f"elsewhere/1/{who}"
        found.source = request.node.name  # type: ignore[union-attr]
        return found

    return frontier


def begin(frontier: Frontier, *urls: str) -> int:
    return frontier.begin(frontier.source, list(urls))  # type: ignore[attr-defined]


def urls(frontier: Frontier, run: int, count: int = 10, delay: float = 0.0) -> list[str]:
    return [lease.url for lease in frontier.lease({run: delay}, count)]


def settle(frontier: Frontier, run: int, *links: Link, limit: int = 100, final: str | None = None) -> str:
    lease = frontier.lease({run: 0.0}, 1)[0]
    frontier.settle(lease, lambda: STORED, list(links), limit, final)
    return lease.url


def test_best_first_then_shallow_first(make: Make) -> None:
    frontier = make(per_host=9)
    run = begin(frontier, "http://a.example/")
    links = [Link("http://a.example/z"), Link("http://a.example/b", None, 5.0), Link("http://c.example/", None, 9.0)]
    settle(frontier, run, *links)
    begin(frontier, "http://a.example/y")  # depth 0
    assert urls(frontier, run) == [
        "http://c.example/",
        "http://a.example/b",
        "http://a.example/y",
        "http://a.example/z",
    ]


def test_an_address_is_given_once_and_the_run_ends(make: Make) -> None:
    frontier = make()
    run = begin(frontier, "http://a.example/")
    assert (
        settle(frontier, run, Link("http://a.example/"), Link("http://a.example/1", "2026-01-02"))
        == "http://a.example/"
    )
    lease = frontier.lease({run: 0.0}, 9)
    assert [(found.url, found.depth, found.published_at) for found in lease] == [
        ("http://a.example/1", 1, "2026-01-02")
    ]
    assert frontier.has_work([run])
    assert frontier.finish([run]) == 1
    frontier.settle(lease[0], lambda: STORED, [], 100)
    assert not frontier.has_work([run])
    assert frontier.finish([run]) == 0
    assert begin(frontier, "http://a.example/") != run
    assert urls(frontier, begin(frontier)) == ["http://a.example/"]


def test_the_limit_counts_every_address(make: Make) -> None:
    frontier = make()
    run = begin(frontier, "http://a.example/")
    settle(frontier, run, *(Link(f"http://{n}.example/") for n in range(50)), limit=6)
    assert len(urls(frontier, run, 99)) == 5


def test_redirects_are_not_fetched_again(make: Make) -> None:
    frontier = make()
    run = begin(frontier, "http://a.example/", "http://b.example/end")
    assert settle(frontier, run, final="http://b.example/end") == "http://a.example/"
    assert not frontier.has_work([run])


def test_a_host_is_asked_once_a_delay_whoever_asks(make: Make) -> None:
    one, two = make("one"), make("two")
    run = begin(one, *(f"http://a.example/{n}" for n in range(9)), "http://b.example/")
    assert begin(two) in (run, 1)
    assert urls(one, run, delay=0.3) == ["http://a.example/0", "http://b.example/"]
    assert urls(two, 1, delay=0.3) == []
    time.sleep(0.31)
    assert urls(two, 1, delay=0.3) == ["http://a.example/1"]
    assert urls(one, run, delay=0.3) == []
    one.slow("a.example", 5)
    time.sleep(0.31)
    assert len(urls(one, run, delay=0.3)) == 1
    time.sleep(0.31)
    assert urls(one, run, delay=0.3) == []


def test_a_slow_host_holds_few_leases(make: Make) -> None:
    frontier = make(per_host=3)
    run = begin(frontier, *(f"http://a.example/{n}" for n in range(9)), "http://b.example/")
    assert len(urls(frontier, run)) == 4
    assert urls(frontier, run) == []


def test_what_a_dead_crawler_held_comes_back_and_is_given_up_in_the_end(make: Make) -> None:
    run = begin(make("first", alive=0.2), "http://a.example/")
    for who in ("first", *map(str, range(1, MAX_TRIES))):
        frontier = make(who, alive=0.2)
        begin(frontier)
        assert urls(frontier, run) == ["http://a.example/"], who
        time.sleep(1.1 if isinstance(frontier, SqliteFrontier) else 0.3)
    last = make("last", alive=0.2)
    begin(last)
    assert urls(last, run) == []
    assert not last.has_work([run])


def test_who_gives_signs_of_life_keeps_its_lease(make: Make) -> None:
    one, two = make("one", alive=0.5), make("two", alive=0.5)
    run = begin(one, "http://a.example/")
    begin(two)
    assert len(urls(one, run)) == 1
    for _ in range(4):
        time.sleep(0.3)
        one.beat()
        assert urls(two, run) == []


def test_a_late_answer_counts(make: Make) -> None:
    """A crawler that was taken for dead stores its page after all: it is not fetched a second time."""
    one, two = make("one", alive=0.2), make("two", alive=0.2)
    run = begin(one, "http://a.example/", "http://b.example/")
    late = one.lease({run: 0.0}, 1)[0]
    time.sleep(1.1)
    begin(two)
    assert late.url not in [lease.url for lease in two.lease({run: 0.0}, 0)]  # it waits again
    one.settle(late, lambda: STORED, [], 100)
    assert urls(two, run) == ["http://b.example/"]


def test_children_and_page_go_in_together_or_not_at_all(make: Make) -> None:
    frontier = make(alive=0.2)
    run = begin(frontier, "http://a.example/")
    lease = frontier.lease({run: 0.0}, 1)[0]

    def fails() -> Settled:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        frontier.settle(lease, fails, [Link("http://a.example/1")], 100)
    assert frontier.has_work([run])
    other = make("other", alive=0.2)
    time.sleep(1.1)
    begin(other)
    assert lease.url in urls(other, run)


def test_a_crawler_of_this_host_that_ended_is_known_as_gone() -> None:
    code = "from crawler.frontier import crawler_id; print(crawler_id())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert is_gone(done.stdout.strip())
    assert not is_gone(crawler_id())
    assert not is_gone(f"another-host/{os.getpid()}/0")


def test_the_frontier_is_fast_with_many_addresses(tmp_path: Path) -> None:
    db = open_store(tmp_path / "f.db")
    with write(db):
        save_source(db, "s", "site", None, None)
    frontier = SqliteFrontier(db, per_host=16)
    run = frontier.begin("s", ["http://a.example/"])
    lease = frontier.lease({run: 0.0}, 1)[0]
    links = [Link(f"http://h{n % 50}.example/{n}") for n in range(50_000)]
    frontier.settle(lease, lambda: STORED, links, 10**6)
    start = time.process_time()
    for _ in range(50):
        for lease in frontier.lease({run: 0.0}, 16):
            frontier.settle(lease, lambda: STORED, [], 10**6)
        assert frontier.has_work([run])
    assert (time.process_time() - start) / 800 < 0.005  # seconds an address
