"""The frontier on Redis, for crawlers on several hosts; each keeps its pages in a store and archive of its own.

Every step is one Lua script, so that no two crawlers see half of it, and every step adds before it takes away: what
Redis loses of its log's end when it is killed is asked for again, never forgotten. Keys, all below `fantomes:`:
per source `seen` (addresses of the run), `queue:HOST` (waiting, best first), `hosts` (with a queue), `info` (depth,
date, priority, tries as JSON), `leased` (address -> crawler), `busy` (leases by host); for all: `next`, `delay` (by
host), `crawlers`.
"""

import json
import logging
from collections.abc import Callable
from typing import Any

from redis import Redis
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import BusyLoadingError, ConnectionError, RedisError, TimeoutError
from redis.retry import Retry
from sqlite_utils import Database

from crawler.frontier import (
    ALIVE,
    MAX_TRIES,
    PER_HOST,
    FrontierError,
    Lease,
    Link,
    Settled,
    clean,
    close_run,
    crawler_id,
    host_of,
    open_run,
)
from data.migrations import write

CONNECT = 5.0  # seconds to reach it at the start
PATIENCE = 12  # tries to reach a Redis that is restarting: a minute in all

ADD = """
local held = redis.call('SCARD', KEYS[1] .. ':seen')
for _, entry in ipairs(cjson.decode(ARGV[1])) do
    local url, host, depth, date, priority = unpack(entry)
    if held >= tonumber(ARGV[2]) then break end
    if redis.call('SADD', KEYS[1] .. ':seen', url) == 1 then
        held = held + 1
        redis.call('HSET', KEYS[1] .. ':info', url, cjson.encode({host, depth, date, priority, 0}))
        redis.call('ZADD', KEYS[1] .. ':queue:' .. host, depth - 1000 * priority, url)
        redis.call('SADD', KEYS[1] .. ':hosts', host)
    end
end"""

LEASE = """
local source, me, count, delay = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local most, alive, tries_most = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local time = redis.call('TIME')
local at = time[1] + time[2] / 1000000
redis.call('ZADD', 'fantomes:crawlers', at, me)
redis.call('ZREMRANGEBYSCORE', 'fantomes:crawlers', 0, at - alive)
local mine = {}
for _, url in ipairs(cjson.decode(ARGV[7])) do mine[url] = true end
local leased = redis.call('HGETALL', source .. ':leased')
for i = 1, #leased, 2 do
    local unheard = leased[i + 1] == me and not mine[leased[i]]  -- of an answer that was lost on its way
    if unheard or not redis.call('ZSCORE', 'fantomes:crawlers', leased[i + 1]) then  -- its crawler is dead
        local info = cjson.decode(redis.call('HGET', source .. ':info', leased[i]))
        redis.call('HDEL', source .. ':leased', leased[i])
        redis.call('HINCRBY', source .. ':busy', info[1], -1)
        if unheard or info[5] < tries_most then
            redis.call('ZADD', source .. ':queue:' .. info[1], info[2] - 1000 * info[4], leased[i])
            redis.call('SADD', source .. ':hosts', info[1])
        end
    end
end
local ready = {}
for _, host in ipairs(redis.call('SMEMBERS', source .. ':hosts')) do
    local room = most - tonumber(redis.call('HGET', source .. ':busy', host) or 0)
    if room > 0 and tonumber(redis.call('HGET', 'fantomes:next', host) or 0) <= at then
        local wait = math.max(delay, tonumber(redis.call('HGET', 'fantomes:delay', host) or 0))
        local heads = redis.call('ZRANGE', source .. ':queue:' .. host, 0, wait > 0 and 0 or room - 1, 'WITHSCORES')
        for i = 1, #heads, 2 do
            ready[#ready + 1] = {tonumber(heads[i + 1]), heads[i], host, wait}
        end
    end
end
table.sort(ready, function(one, other)
    if one[1] == other[1] then return one[2] < other[2] end
    return one[1] < other[1]
end)
local found = {}
for i = 1, math.min(count, #ready) do
    local _, url, host, wait = unpack(ready[i])
    local info = cjson.decode(redis.call('HGET', source .. ':info', url))
    info[5] = info[5] + 1
    redis.call('HSET', source .. ':info', url, cjson.encode(info))
    redis.call('HSET', source .. ':leased', url, me)
    redis.call('HINCRBY', source .. ':busy', host, 1)
    if wait > 0 then redis.call('HSET', 'fantomes:next', host, string.format('%.6f', at + wait)) end
    redis.call('ZREM', source .. ':queue:' .. host, url)
    if redis.call('EXISTS', source .. ':queue:' .. host) == 0 then redis.call('SREM', source .. ':hosts', host) end
    found[#found + 1] = {url, info[2], info[3]}
end
return cjson.encode(found)"""

DONE = """
local info = redis.call('HGET', KEYS[1] .. ':info', ARGV[1])
if info and redis.call('HDEL', KEYS[1] .. ':leased', ARGV[1]) == 1 then
    redis.call('HINCRBY', KEYS[1] .. ':busy', cjson.decode(info)[1], -1)
elseif info then  -- taken back already: it need not be fetched again
    local host = cjson.decode(info)[1]
    redis.call('ZREM', KEYS[1] .. ':queue:' .. host, ARGV[1])
    if redis.call('EXISTS', KEYS[1] .. ':queue:' .. host) == 0 then redis.call('SREM', KEYS[1] .. ':hosts', host) end
end
redis.call('SADD', KEYS[1] .. ':seen', ARGV[1])"""

OPEN = "return redis.call('SCARD', KEYS[1] .. ':hosts') + redis.call('HLEN', KEYS[1] .. ':leased')"

FINISH = """
if redis.call('SCARD', KEYS[1] .. ':hosts') + redis.call('HLEN', KEYS[1] .. ':leased') > 0 then
    local left = redis.call('HLEN', KEYS[1] .. ':leased')
    for _, host in ipairs(redis.call('SMEMBERS', KEYS[1] .. ':hosts')) do
        left = left + redis.call('ZCARD', KEYS[1] .. ':queue:' .. host)
    end
    return left
end
redis.call('DEL', KEYS[1] .. ':seen', KEYS[1] .. ':info', KEYS[1] .. ':leased', KEYS[1] .. ':hosts', KEYS[1] .. ':busy')
return 0"""

BEAT = "local time = redis.call('TIME') redis.call('ZADD', 'fantomes:crawlers', time[1] + time[2] / 1000000, ARGV[1])"

SPEND = """
local time = redis.call('TIME')
local at = time[1] + time[2] / 1000000
local wait = math.max(tonumber(ARGV[2]), tonumber(redis.call('HGET', 'fantomes:delay', ARGV[1]) or 0))
local due = math.max(at, tonumber(redis.call('HGET', 'fantomes:next', ARGV[1]) or 0)) + wait
if wait > 0 then redis.call('HSET', 'fantomes:next', ARGV[1], string.format('%.6f', due)) end"""


class RedisFrontier:
    """Frontier (see crawler.frontier) at a Redis address; `db` is this host's own store. Raises FrontierError."""

    def __init__(self, address: str, db: Database, alive: float = ALIVE, per_host: int = PER_HOST) -> None:
        self.db, self.alive, self.per_host = db, alive, per_host
        self.me = crawler_id()
        self.sources: dict[int, str] = {}  # run in our store -> prefix of the source's keys
        self.held: set[tuple[int, str]] = set()  # leases that reached us: (run, address)
        try:  # once without patience: a wrong address or password is told at once
            Redis.from_url(address, socket_connect_timeout=CONNECT, retry=Retry(NoBackoff(), 0)).ping()
            self.redis = Redis.from_url(
                address,
                decode_responses=True,
                retry=Retry(ExponentialBackoff(cap=10, base=0.2), PATIENCE),
                retry_on_error=[ConnectionError, TimeoutError, BusyLoadingError],
            )
        except ValueError as error:
            raise FrontierError(f"{_shown(address)}: no address of a Redis: {error}") from error
        except RedisError as error:
            raise FrontierError(f"{_shown(address)}: no Redis answers there: {error}") from error
        if self._call("CONFIG", "GET", "appendonly").get("appendonly") == "no":
            logging.getLogger(__name__).warning("%s: appendonly is off: a restart forgets what waits", _shown(address))

    def begin(self, source_id: str, start: list[str], depth: int = 0) -> int:
        self.beat()
        with write(self.db):
            run = open_run(self.db, source_id)
        self.sources[run] = f"fantomes:{source_id}"
        self._add(run, [Link(clean(url)) for url in start], depth)
        return run

    def lease(self, delays: dict[int, float], count: int) -> list[Lease]:
        found: list[Lease] = []
        for run, delay in delays.items():
            mine = json.dumps([url for holder, url in self.held if holder == run])
            wanted = [self.me, count - len(found), delay, self.per_host, self.alive, MAX_TRIES, mine]
            rows = json.loads(self._run(LEASE, run, *wanted))
            found += [Lease(run, url, depth, date) for url, depth, date in rows]
            self.held |= {(run, url) for url, _, _ in rows}
        return found

    def settle(
        self, lease: Lease, store: Callable[[], Settled], links: list[Link], limit: int, final_url: str | None = None
    ) -> Settled:
        self._add(lease.run, links, lease.depth + 1, limit)
        with write(self.db):
            settled = store()
        if final_url and final_url != lease.url:
            self._run(DONE, lease.run, final_url)
        self._run(DONE, lease.run, lease.url)
        self.held.discard((lease.run, lease.url))
        return settled

    def slow(self, host: str, delay: float) -> None:
        self._call("HSET", "fantomes:delay", host, delay)

    def spend(self, host: str, delay: float) -> None:
        self._call("EVAL", SPEND, 0, host, delay)

    def beat(self) -> None:
        self._call("EVAL", BEAT, 0, self.me)

    def has_work(self, runs: list[int]) -> bool:
        return any(self._run(OPEN, run) for run in runs)

    def finish(self, runs: list[int]) -> int:
        left = 0
        for run in runs:
            open_work = int(self._run(FINISH, run))
            if not open_work:
                with write(self.db):
                    close_run(self.db, run)
            left += open_work
        self._call("ZREM", "fantomes:crawlers", self.me)
        return left

    def _add(self, run: int, links: list[Link], depth: int, limit: int = 10**9) -> None:
        if links:
            rows = [[link.url, host_of(link.url), depth, link.published_at, link.priority] for link in links]
            self._run(ADD, run, json.dumps(rows), limit)

    def _run(self, script: str, run: int, *values: Any) -> Any:
        return self._call("EVAL", script, 1, self.sources[run], *values)

    def _call(self, *words: Any) -> Any:
        try:
            return self.redis.execute_command(*words)
        except RedisError as error:
            raise FrontierError(f"the frontier on Redis cannot be used: {error}") from error


def _shown(address: str) -> str:
    """The address without the password that it may hold."""
    scheme, _, rest = address.rpartition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
