"""Discovery: from pages that promote to domains that nobody has named yet, the likeliest first.

A page judged promotion makes each unknown domain that it links to a candidate. It is worth the product of what the
classifier says of the page, what it says of the link (its words, the block around it, the words of the host), how much
of the linking domain promotes, and BOILERPLATE. Candidates wait in the store; one enters the frontier only when a
crawler has room, so that a late but better one overtakes, and `max_pages` goes to the best. What was found neutral in
an earlier run is not visited again. (Learning from the words of links that led nowhere was tried: it changed nothing.)

A candidate is visited at its front page, not at the address linked to, which may pay somebody for the visit, and never
leaves its domain by a redirect. Clicks are not counted there: what its first pages are decides how many more it gets,
up to PER_DOMAIN. All of this is about where to look, never a finding about anybody: what is published is judged anew.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from urllib.parse import urlsplit

from sqlite_utils import Database

from crawler.archive import Archive, now
from crawler.found import Found
from crawler.frontier import Lease, Link, clean
from crawler.page import Capture, Page, read_page
from crawler.sources import Source
from crawler.spiders import site
from crawler.traps import FIRST
from data.domains import registrable_domain
from data.platforms import not_vendors

Judge = Callable[[Sequence[Sequence[tuple[str, str]]]], Sequence[float]]
"""Probability that each page, given as its blocks (kind, text), is promotion; a link is given as a very small page."""

PROMOTES = 0.5  # probability from which links are followed: the classifier's own limit for the voice
NEUTRAL = 0.2  # a front page below it is not worth a second page; between the two, two more decide
FLOOR = 0.1  # candidates worth less are not visited, even when there is nothing else to do
PER_DOMAIN = 20  # pages of a discovered domain: enough to see what it promises, and none eats the budget
GROWTH = 2  # more pages for each page that promotes; 1 and 4 found less of the sample web
PER_PAGE = 60  # unknown domains taken from one page; the longest list of sellers read so far names fifty
BOILERPLATE = 0.5  # factor for a link in a menu or footer, where payment firms and makers of themes stand
POOL = 300  # candidates that are weighed against each other when there is room
MAX_TEXT = 300  # characters of the block around a link
MAX_BLOCKS = 1_000  # blocks of a page that are judged, and searched for the words of its links


KNOWN = "GROUP BY domain HAVING max(run_id = :run) OR max(promotion) < :promotes"  # of rows of `judged`


def read(capture: Capture, lease: Lease, source: Source, archive: Archive) -> Found:
    """The page alone; where it leads is decided when it has been judged. Raises NotAPage."""
    return Found(pages=[read_page(capture)])


@dataclass(slots=True)
class Candidate:
    """A domain to visit, the words of the link to it, and how likely it promotes as far as these tell."""

    domain: str
    url: str
    text: str
    score: float


@dataclass(slots=True)
class Look:
    """What a page was found to be; save_look() keeps it, in the page's own transaction."""

    page: Page
    domain: str
    promotion: float
    candidates: list[Candidate] = field(default_factory=list)


class Discovery:
    """Ranks where to go next for the sources of one crawl; what it knows is in the store, shared and never lost.

    `hosts`: the only ones that a source on loopback may be led to.
    """

    def __init__(self, db: Database, judge: Judge, sources: Sequence[Source], hosts: frozenset[str]) -> None:
        self.db, self.judge, self.hosts = db, judge, hosts
        self.named = {_domain(url) for source in sources for url in source.start}
        self._admitted: dict[tuple[int, str], set[str]] = {}  # addresses given to the frontier, by run and domain

    def look(self, run: int, page: Page) -> Look:
        """Judge a page, and the links of one that promotes. Reads the store, writes nothing."""
        domain = _domain(page.capture.url)
        known = self.db.execute(
            "SELECT promotion FROM judged JOIN pages ON pages.id = page_id WHERE url = ? AND text_sha256 = ?",
            [page.capture.url, page.text_sha256],
        ).fetchone()
        promotion = known[0] if known else self.judge([_blocks(page)])[0]
        look = Look(page, domain, float(promotion))
        if look.promotion >= PROMOTES:
            seen, promoting, _ = self._seen(run, domain)
            share = (promoting + 2) / (seen + 2)  # a page of an agency or paper that promotes is an exception there
            look.candidates = self._outside(run, page, domain)
            texts = [[("text", line) for line in one.text.split("\n") if line] for one in look.candidates]
            for one, chance in zip(look.candidates, self.judge(texts) if texts else [], strict=True):
                one.score *= share * look.promotion * float(chance)
        return look

    def links(self, run: int, source: Source, depth: int, looks: Sequence[Look], room: int) -> list[Link]:
        """Where to go next: on in the domains of `looks`, and to the `room` best candidates of the run."""
        found = [link for look in looks for link in self._inside(run, source, depth, look)]
        return found + (self._best(run, source, looks, room) if room > 0 else [])

    def enough(self, run: int, source: Source, url: str) -> bool:
        """Whether a domain has had its share of the run, or is known by now to promote nothing."""
        domain = _domain(url)
        seen, promoting, _ = self._seen(run, domain)
        return seen >= self._most(source, domain) or (
            domain not in self.named and seen > 2 and promoting * 3 < seen  # two of three were something else
        )

    def _seen(self, run: int, domain: str) -> tuple[int, int, float]:
        """Pages of a domain judged in the run, how many of them promote, and the highest probability of one."""
        query = "SELECT count(*), total(promotion >= ?), max(promotion) FROM judged WHERE run_id = ? AND domain = ?"
        seen, promoting, best = self.db.execute(query, [PROMOTES, run, domain]).fetchone()
        return seen, int(promoting), best or 0.0

    def _most(self, source: Source, domain: str) -> int:
        """Pages of a domain in one run: those named by the source share one half of its budget."""
        named = source.max_pages // (2 * len(source.start)) if domain in self.named else 0
        return max(PER_DOMAIN, named)

    def _known(self, run: int, domain: str) -> bool:
        """Whether a domain was visited in this run, or found neutral in any."""
        query = f"SELECT 1 FROM judged WHERE domain = :domain {KNOWN}"
        return self.db.execute(query, {"domain": domain, "run": run, "promotes": PROMOTES}).fetchone() is not None

    def _visited(self, run: int, url: str) -> bool:
        query = "SELECT last_checked_at >= started_at FROM addresses JOIN runs ON runs.id = ? WHERE url = ?"
        return bool((self.db.execute(query, [run, url]).fetchone() or [0])[0])

    def _inside(self, run: int, source: Source, depth: int, look: Look) -> list[Link]:
        """More pages of the domain, as many as what was seen of it deserves."""
        seen, promoting, best = self._seen(run, look.domain)
        seen, promoting = seen + 1, promoting + (look.promotion >= PROMOTES)
        most = self._most(source, look.domain)
        named = look.domain in self.named
        first = PER_DOMAIN // 2 if named else 3 if max(best, look.promotion) >= NEUTRAL else 1
        most = min(most, first + GROWTH * promoting)
        admitted = self._admitted.setdefault((run, look.domain), set())
        room = most - max(len(admitted), seen)
        share = (promoting + 1) / (seen + 2)
        if room <= 0 or (not named and look.promotion < PROMOTES and seen > 2):
            return []
        links = [link for link in site.links(look.page, depth if named else 0, source) if link.url not in admitted]
        legal = [link for link in links if link.priority >= FIRST][: max(1, room // 2)]
        others = (link for link in links if link not in legal)
        fresh = (link for link in chain(legal, others) if not self._visited(run, link.url))
        chosen = list(islice(fresh, room))
        admitted.update(link.url for link in chosen)
        return [link._replace(priority=share + link.priority / 10) for link in chosen]

    def _outside(self, run: int, page: Page, own: str) -> list[Candidate]:
        """The unknown domains that a page links to, in the order of their first links; not judged yet."""
        found: dict[str, Candidate] = {}
        loopback = (urlsplit(page.capture.url).hostname or "") in self.hosts
        for raw, anchor in page.links:
            try:
                parts = urlsplit(raw)
                host = parts.hostname or ""
                domain = registrable_domain(host)
                front = clean(f"{parts.scheme}://{parts.netloc}/")
            except ValueError:
                continue  # "http://shop.example:99999/" leads nowhere
            if domain is None or domain == own or domain in found or domain in self.named or domain in not_vendors():
                continue
            if (loopback and host not in self.hosts) or self._known(run, domain):
                continue
            text, boilerplate = _around(page, anchor, domain)
            found[domain] = Candidate(domain, front, text, BOILERPLATE if boilerplate else 1.0)
            if len(found) == PER_PAGE:
                break
        return list(found.values())

    def _best(self, run: int, source: Source, looks: Sequence[Look], room: int) -> list[Link]:
        pool = {one.domain: one for look in looks for one in look.candidates}
        rows = self.db.execute(
            f"""
            SELECT domain, candidates.url, text, score FROM candidates
            LEFT JOIN addresses ON addresses.url = candidates.url JOIN runs AS this ON this.id = :run
            WHERE coalesce(last_checked_at, '') < this.started_at
                AND NOT EXISTS (SELECT 1 FROM judged WHERE judged.domain = candidates.domain {KNOWN})
                AND EXISTS (SELECT 1 FROM judged JOIN runs ON runs.id = run_id
                    WHERE judged.page_id = candidates.page_id AND runs.source_id = this.source_id)
            ORDER BY score DESC LIMIT :pool""",
            {"run": run, "pool": POOL, "promotes": PROMOTES},
        )
        for row in rows:
            one = Candidate(*row)
            if one.domain not in pool or pool[one.domain].score < one.score:
                pool[one.domain] = one
        fresh = (one for one in pool.values() if (run, one.domain) not in self._admitted and one.score >= FLOOR)
        chosen = sorted(fresh, key=lambda one: (-one.score, one.domain))[:room]
        self._admitted.update(((run, one.domain), {one.url}) for one in chosen)
        return [Link(one.url, priority=one.score) for one in chosen]


def save_look(db: Database, run: int, look: Look) -> None:
    """Keep what was found. To be called in the transaction that stores the page, after it."""
    row = db.execute(
        "SELECT id FROM pages WHERE url = ? AND text_sha256 = ? ORDER BY id DESC LIMIT 1",
        [look.page.capture.url, look.page.text_sha256],
    ).fetchone()
    if row is None:
        return  # an older payload read anew, of which the first reading stays
    db.execute("INSERT OR REPLACE INTO judged VALUES (?, ?, ?, ?)", [run, row[0], look.domain, look.promotion])
    db.conn.executemany(
        "INSERT INTO candidates (domain, url, page_id, text, score, found_at) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (domain) DO UPDATE SET url = excluded.url, page_id = excluded.page_id, text = excluded.text,"
        " score = excluded.score WHERE excluded.score > score",
        [(one.domain, one.url, row[0], one.text, one.score, now()) for one in look.candidates],
    )


def _domain(url: str) -> str:
    host = urlsplit(url).hostname or ""
    return registrable_domain(host) or host


def _around(page: Page, anchor: str, domain: str) -> tuple[str, bool]:
    """The link's words, the block that holds them (with what follows a heading), the words of the host; and whether
    the link stands in a menu or footer."""
    blocks = _blocks(page)
    place = next((n for n, (_, text) in enumerate(blocks) if len(anchor) > 2 and anchor in text), len(blocks))
    kind = blocks[place][0] if place < len(blocks) else ""
    around = " ".join(text for _, text in blocks[place : place + 1 + (kind == "heading")])[:MAX_TEXT]
    return "\n".join([anchor, around, re.sub(r"[-_.]", " ", domain.partition(".")[0])]), kind == "link"


def _blocks(page: Page) -> list[tuple[str, str]]:
    return [(block.kind, block.text) for block in page.blocks[:MAX_BLOCKS]]
