"""Discovery: from pages that promote to domains that nobody has named yet, the likeliest first.

A page judged promotion makes each unknown domain that it links to a candidate. What a candidate is worth is said by the
classifier (the link's words, the block around it, the words of the host) and by what this crawl has found so far: how
often such words, and links from that domain, led to promotion. Candidates wait in the store; one enters the frontier
only when a crawler has nothing better to do, so that a late but better one overtakes, and `max_pages` goes to the best.

A candidate is visited at its front page, and never leaves its domain by a redirect. Clicks are not counted there: its
first pages decide how many more it gets, up to PER_DOMAIN. All of this is about where to look, never a finding about
anybody: what is published is judged anew.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
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
GROWTH = 4  # more pages for each page that promotes
PER_PAGE = 60  # unknown domains taken from one page; the longest list of sellers read so far names fifty
POOL = 300  # candidates that are weighed against each other when there is room
LEARN = 20  # pages after which is counted anew what links led to
EVIDENCE = 3.0  # most that words, or the linking domain, may add to or take from the odds (natural logarithm)
TEXT = 300  # characters kept of a link's surroundings

WORD = re.compile(r"[^\W\d_]{3,}")


def read(capture: Capture, lease: Lease, source: Source, archive: Archive) -> Found:
    """The page alone; where it leads is decided when it has been judged. Raises NotAPage."""
    return Found(pages=[read_page(capture)])


@dataclass(slots=True)
class Candidate:
    """A domain to visit; `score` is the classifier's part of its worth, `by` the domain that links to it."""

    domain: str
    url: str
    text: str
    score: float
    by: str


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
        self._admitted: Counter[tuple[int, str]] = Counter()  # addresses of a run and domain given to the frontier
        self._words: dict[str, float] = {}
        self._yield: dict[str, float] = {}
        self._age = 0
        create_table(db)

    def look(self, page: Page) -> Look:
        """Judge a page, and the links of one that promotes. Reads the store, writes nothing."""
        domain = _domain(page.capture.url)
        known = self.db.execute(
            "SELECT promotion FROM judged JOIN pages ON pages.id = page_id WHERE url = ? AND text_sha256 = ?",
            [page.capture.url, page.text_sha256],
        ).fetchone()
        promotion = known[0] if known else self.judge([[(block.kind, block.text) for block in page.blocks]])[0]
        look = Look(page, domain, float(promotion))
        if look.promotion >= PROMOTES:
            found = self._outside(page, domain)
            chances = self.judge([_as_page(text) for _, text in found.values()]) if found else []
            for (name, (url, text)), chance in zip(found.items(), chances, strict=True):
                look.candidates.append(Candidate(name, url, text, look.promotion * float(chance), domain))
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

    def _inside(self, run: int, source: Source, depth: int, look: Look) -> list[Link]:
        """More pages of the domain, as many as what was seen of it deserves."""
        seen, promoting, best = self._seen(run, look.domain)
        seen, promoting = seen + 1, promoting + (look.promotion >= PROMOTES)
        most = self._most(source, look.domain)
        named = look.domain in self.named
        if not named:
            most = min(most, 1 + GROWTH * promoting + (2 if max(best, look.promotion) >= NEUTRAL else 0))
        room = most - max(self._admitted[run, look.domain], seen)
        share = (promoting + 1) / (seen + 2)
        if room <= 0 or (not named and look.promotion < PROMOTES and seen > 2):
            return []
        links = site.links(look.page, depth if named else 0, source)
        legal = [link for link in links if link.priority >= FIRST][: max(1, room // 2)]
        chosen = (legal + [link for link in links if link.priority < FIRST])[:room]
        self._admitted[run, look.domain] = max(self._admitted[run, look.domain], seen) + len(chosen)
        return [link._replace(priority=share + link.priority / 10) for link in chosen]

    def _outside(self, page: Page, own: str) -> dict[str, tuple[str, str]]:
        """Front page and words of the link, by unknown domain."""
        found: dict[str, tuple[str, str]] = {}
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
            if loopback and host not in self.hosts:
                continue
            found[domain] = front, _around(page, anchor, domain)
            if len(found) == PER_PAGE:
                break
        return found

    def _best(self, run: int, source: Source, looks: Sequence[Look], room: int) -> list[Link]:
        if self._age % LEARN == 0:
            self._learn()
        self._age += 1
        pool = {one.domain: one for look in looks for one in look.candidates}
        rows = self.db.execute(
            """
            SELECT candidates.domain, candidates.url, text, score, judged.domain FROM candidates
            JOIN judged USING (page_id) LEFT JOIN addresses ON addresses.url = candidates.url
            WHERE judged.run_id = :run
                AND coalesce(last_checked_at, '') < (SELECT started_at FROM runs WHERE id = :run)
            ORDER BY score DESC LIMIT :pool""",
            {"run": run, "pool": POOL},
        ).fetchall()
        for row in rows:
            one = Candidate(*row)
            if one.domain not in pool or pool[one.domain].score < one.score:
                pool[one.domain] = one
        worth = {name: self._worth(one) for name, one in pool.items() if not self._admitted[run, name]}
        best = sorted(worth, key=lambda name: (-worth[name], name))[:room]
        chosen = [name for name in best if worth[name] >= FLOOR]
        self._admitted.update((run, name) for name in chosen)
        return [Link(pool[name].url, priority=worth[name]) for name in chosen]

    def _worth(self, one: Candidate) -> float:
        """Probability that the candidate promotes, as far as it can be told."""
        chance = min(max(one.score, 0.01), 0.99)
        words = sum(self._words.get(word, 0.0) for word in _words(one.text))
        odds = math.log(chance / (1 - chance)) + min(max(words, -EVIDENCE), EVIDENCE) + self._yield.get(one.by, 0.0)
        return 1 / (1 + math.exp(-odds))

    def _learn(self) -> None:
        """Count what links have led to: by the words around them, and by the domain that they stood on."""
        rows = self.db.execute(
            """
            SELECT text, parent.domain, share >= :promotes FROM candidates
            JOIN (SELECT page_id, domain FROM judged GROUP BY page_id) AS parent USING (page_id)
            JOIN (SELECT domain, avg(promotion) AS share FROM judged GROUP BY domain) AS child
                ON child.domain = candidates.domain""",
            {"promotes": PROMOTES},
        ).fetchall()
        good, bad = Counter[str](), Counter[str]()
        by: dict[str, Counter[int]] = {}
        for text, parent, promotes in rows:
            (good if promotes else bad).update(_words(text))
            by.setdefault(parent, Counter())[promotes] += 1
        right = sum(counts[1] for counts in by.values())
        wrong = len(rows) - right
        base = math.log((right + 1) / (wrong + 1))
        self._words = {
            word: math.log((good[word] + 1) / (right + 2)) - math.log((bad[word] + 1) / (wrong + 2))
            for word in good.keys() | bad.keys()
            if good[word] + bad[word] > 2
        }
        self._yield = {
            parent: min(max(math.log((counts[1] + 1) / (counts[0] + 1)) - base, -EVIDENCE), EVIDENCE)
            for parent, counts in by.items()
        }


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


def create_table(db: Database) -> None:
    """What a page was judged while it was crawled."""
    db.execute(
        """
        CREATE TABLE IF NOT EXISTS judged (  -- of pages on the way, to know where to look next; never published
            run_id INTEGER NOT NULL REFERENCES runs(id), page_id INTEGER NOT NULL REFERENCES pages(id),
            domain TEXT NOT NULL, promotion REAL NOT NULL, PRIMARY KEY (page_id, run_id)
        ) STRICT, WITHOUT ROWID"""
    )
    db.execute("CREATE INDEX IF NOT EXISTS judged_domain ON judged (domain, run_id)")


def _domain(url: str) -> str:
    host = urlsplit(url).hostname or ""
    return registrable_domain(host) or host


def _around(page: Page, anchor: str, domain: str) -> str:
    """The link's words, the block that holds them (with what follows a heading), and the words of the host."""
    texts = [block.text for block in page.blocks]
    place = next((n for n, text in enumerate(texts) if len(anchor) > 2 and anchor in text), None)
    block = "" if place is None else texts[place]
    if place is not None and page.blocks[place].kind == "heading":
        block += "\n" + " ".join(texts[place + 1 : place + 2])
    return "\n".join([anchor[:100], block[: TEXT - 100], re.sub(r"[-_.]", " ", domain.partition(".")[0])])


def _as_page(text: str) -> list[tuple[str, str]]:
    return [("text", line) for line in text.split("\n") if line]


def _words(text: str) -> set[str]:
    return {word.lower() for word in WORD.findall(text)}
