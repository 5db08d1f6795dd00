"""The working store's schema as small named steps; every room opens the store here and nowhere else."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlite_utils import Database, Migrations

from data.problem import Problem
from data.views import create_views

migrations = Migrations("fantomes")
PATIENCE = 60.0  # seconds to wait for another process that writes


class StoreError(Problem):
    """The store cannot be opened: the message names the file and what is wrong."""


@contextmanager
def write(db: Database) -> Iterator[None]:
    """One transaction that takes the write lock at its beginning: it waits for other writers, and never fails halfway.

    SQLite's own deferred transaction fails at once when another process wrote between its reading and its writing
    (https://www.sqlite.org/lang_transaction.html#immediate).
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.conn.in_transaction:  # a full disk has rolled back already
            db.execute("ROLLBACK")
        raise


def open_store(path: str | Path) -> Database:
    """Open (or create) the working store at `path`, brought up to date. Raises StoreError."""
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        # autocommit (isolation_level=None): every transaction in the code is an explicit one
        connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
        _write_ahead(connection)
        connection.execute("PRAGMA synchronous=NORMAL")  # safe under kill -9; a power cut may lose the last commits
        connection.execute("PRAGMA foreign_keys=ON")
        db = Database(connection)
        with write(db):  # two commands may start on a new store at once
            migrations.apply(db)
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"{path}: cannot open the store: {error}") from error
    return db


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Turn the write-ahead log on. SQLite does not wait where another process is about to do the same."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.05)


@migrations(name="001_sources")
def sources(db: Database) -> None:
    db.execute("CREATE TABLE sources (id TEXT PRIMARY KEY, kind TEXT NOT NULL, url TEXT, title TEXT) STRICT")
    db.execute(
        """
        CREATE TABLE runs (  -- one crawl of one source; finished_at stays null while there is work left
            id INTEGER PRIMARY KEY, source_id TEXT NOT NULL REFERENCES sources(id),
            started_at TEXT NOT NULL, finished_at TEXT
        ) STRICT"""
    )


@migrations(name="002_frontier")
def frontier(db: Database) -> None:
    db.execute(
        """
        CREATE TABLE frontier (  -- addresses to fetch; a lease that runs out goes back to waiting
            run_id INTEGER NOT NULL REFERENCES runs(id), url TEXT NOT NULL, host TEXT NOT NULL, depth INTEGER NOT NULL,
            state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'leased', 'done', 'failed')),
            leased_until REAL, tries INTEGER NOT NULL DEFAULT 0,
            published_at TEXT,  -- of the entry, as the feed that led here gave it
            outcome TEXT,  -- stored, unchanged, or why there is no page: not-text, too-large, robots, http-404 ...
            PRIMARY KEY (run_id, url)
        ) STRICT, WITHOUT ROWID"""
    )
    db.execute("CREATE INDEX frontier_state ON frontier (run_id, state, depth)")


@migrations(name="003_pages")
def pages(db: Database) -> None:
    db.execute(
        """
        CREATE TABLE pages (  -- one row a capture whose text differs from the capture before it at that address
            id INTEGER PRIMARY KEY, url TEXT NOT NULL, source_id TEXT NOT NULL REFERENCES sources(id),
            fetched_at TEXT NOT NULL, last_seen_at TEXT NOT NULL,  -- UTC, ISO 8601
            status INTEGER NOT NULL,
            sha256 TEXT NOT NULL,       -- of the payload as archived (before content decoding)
            text_sha256 TEXT NOT NULL,  -- of the blocks: decides whether the page changed
            -- the evidence: warc_length bytes at warc_offset of a file of the archive folder
            warc TEXT NOT NULL, warc_offset INTEGER NOT NULL, warc_length INTEGER NOT NULL,
            charset TEXT, lang TEXT, title TEXT, published_at TEXT,
            voice TEXT CHECK (voice IN ('promotion', 'criticism', 'neutral')), voice_score REAL,
            model TEXT  -- version of the classifier that last read the page; null = not read yet
        ) STRICT"""
    )
    db.execute("CREATE UNIQUE INDEX pages_capture ON pages (url, fetched_at, sha256)")
    db.execute(
        """
        CREATE TABLE blocks (
            id INTEGER PRIMARY KEY, page_id INTEGER NOT NULL REFERENCES pages(id), position INTEGER NOT NULL,
            kind TEXT NOT NULL, text TEXT NOT NULL, UNIQUE (page_id, position)
        ) STRICT"""
    )
    db.execute(
        """
        CREATE TABLE links (  -- outgoing links to other hosts, once per page and address
            page_id INTEGER NOT NULL REFERENCES pages(id), url TEXT NOT NULL, host TEXT NOT NULL, text TEXT,
            PRIMARY KEY (page_id, url)
        ) STRICT, WITHOUT ROWID"""
    )


@migrations(name="004_claims")
def claims(db: Database) -> None:
    db.execute(
        "CREATE TABLE labels (id TEXT PRIMARY KEY, name_en TEXT NOT NULL, name_fr TEXT NOT NULL,"
        " definition TEXT NOT NULL, definition_fr TEXT NOT NULL, severity INTEGER NOT NULL) STRICT"
    )
    db.execute("CREATE TABLE vendors (id TEXT PRIMARY KEY, name TEXT NOT NULL, domain TEXT NOT NULL UNIQUE) STRICT")
    db.execute(
        """
        CREATE TABLE claims (  -- a machine tag, never a verdict; human answers will stand in a table of their own
            id TEXT PRIMARY KEY,  -- derived from the evidence, so that it survives a second classification
            page_id INTEGER NOT NULL REFERENCES pages(id), block_id INTEGER NOT NULL REFERENCES blocks(id),
            vendor_id TEXT REFERENCES vendors(id), label TEXT NOT NULL, score REAL NOT NULL,
            -- quote = text[start:end] of the block, in Unicode characters
            start INTEGER NOT NULL, "end" INTEGER NOT NULL, quote TEXT NOT NULL,
            rule TEXT, model TEXT NOT NULL, status TEXT NOT NULL DEFAULT 'pending'
        ) STRICT"""
    )
    db.execute("CREATE INDEX claims_page ON claims (page_id)")


@migrations(name="005_reviews")
def reviews(db: Database) -> None:
    db.execute(
        """
        CREATE TABLE reviews (  -- what a person said of a machine tag; never changed, a later row is a later word
            id INTEGER PRIMARY KEY,
            -- the tag by its stable parts: claims are replaced when a page is read again
            url TEXT NOT NULL, sha256 TEXT NOT NULL, position INTEGER NOT NULL, label TEXT NOT NULL,
            -- the block as the person saw it
            lang TEXT NOT NULL, kind TEXT NOT NULL, context TEXT NOT NULL DEFAULT '', text TEXT NOT NULL,
            decision TEXT NOT NULL CHECK (decision IN ('confirmed', 'rejected')),
            voice TEXT NOT NULL DEFAULT 'promotion' CHECK (voice IN ('promotion', 'criticism', 'neutral')),
            reviewer TEXT NOT NULL, decided_at TEXT NOT NULL, note TEXT
        ) STRICT"""
    )
    db.execute("CREATE INDEX reviews_claim ON reviews (url, sha256, position, label)")


@migrations(name="006_explanation")
def explanation(db: Database) -> None:
    """Why a claim was tagged, as JSON: [[word, weight], ...] and [[id, text], ...] of the nearest labelled examples."""
    db.execute("ALTER TABLE claims ADD COLUMN words TEXT NOT NULL DEFAULT '[]'")
    db.execute("ALTER TABLE claims ADD COLUMN examples TEXT NOT NULL DEFAULT '[]'")


@migrations(name="007_addresses")
def addresses(db: Database) -> None:
    db.execute(
        """
        CREATE TABLE addresses (  -- what became of an address over all runs; a page's row says what it showed
            url TEXT PRIMARY KEY,
            first_seen_at TEXT, last_seen_at TEXT,  -- with a page there; null = never
            last_checked_at TEXT NOT NULL,
            gone_since TEXT,  -- when a page that was there was first found missing; null = there, or never was
            outcome TEXT NOT NULL,  -- of the last check
            -- the payload archived last, when and where: what an answer that repeats it refers to
            sha256 TEXT, captured_at TEXT, warc TEXT, warc_offset INTEGER, warc_length INTEGER,
            etag TEXT, modified TEXT  -- for the next conditional request
        ) STRICT, WITHOUT ROWID"""
    )
    db.execute(
        """
        INSERT INTO addresses (url, first_seen_at, last_seen_at, last_checked_at, outcome)
        SELECT url, min(fetched_at), max(last_seen_at), max(last_seen_at), 'stored' FROM pages GROUP BY url"""
    )
    db.execute(
        "ALTER TABLE pages ADD COLUMN kind TEXT NOT NULL DEFAULT 'page'"
        " CHECK (kind IN ('page', 'release', 'ad', 'panel', 'app'))"
    )
    db.execute(
        "UPDATE pages SET kind = 'release' WHERE source_id IN (SELECT id FROM sources WHERE sources.kind = 'feed')"
    )


@migrations(name="008_hosts")
def hosts(db: Database) -> None:
    """The frontier for several processes and many addresses: one polite rate a host, no counting of rows."""
    db.execute(
        """
        CREATE TABLE hosts (
            host TEXT PRIMARY KEY, next_at REAL NOT NULL DEFAULT 0,  -- Unix time of the next request allowed
            delay REAL NOT NULL DEFAULT 0  -- seconds that its robots.txt asks for
        ) STRICT, WITHOUT ROWID"""
    )
    db.execute("CREATE TABLE crawlers (id TEXT PRIMARY KEY, seen_at REAL NOT NULL) STRICT, WITHOUT ROWID")
    db.execute("ALTER TABLE frontier ADD COLUMN priority REAL NOT NULL DEFAULT 0")  # more is sooner
    db.execute("ALTER TABLE frontier ADD COLUMN owner TEXT")  # the crawler that has leased it
    db.execute("ALTER TABLE runs ADD COLUMN held INTEGER NOT NULL DEFAULT 0")  # addresses in all
    db.execute(
        """
        CREATE TABLE run_stats (  -- what each process counted for a run: Scrapy's stats; a run's numbers are the sums
            run_id INTEGER NOT NULL REFERENCES runs(id), crawler TEXT NOT NULL, name TEXT NOT NULL,
            count INTEGER NOT NULL, PRIMARY KEY (run_id, crawler, name)
        ) STRICT, WITHOUT ROWID"""
    )
    db.execute("UPDATE runs SET held = (SELECT count(*) FROM frontier WHERE run_id = runs.id)")
    db.execute("DROP INDEX frontier_state")
    db.execute(
        "CREATE INDEX frontier_open ON frontier (run_id, host, priority DESC, depth, url) WHERE state = 'waiting'"
    )
    db.execute("CREATE INDEX frontier_leased ON frontier (host) WHERE state = 'leased'")


@migrations(name="009_kinds_of_source")
def kinds_of_source(db: Database) -> None:
    db.execute(
        """
        CREATE TABLE releases (  -- a page that is a press release
            page_id INTEGER PRIMARY KEY REFERENCES pages(id),
            wire TEXT NOT NULL,  -- registrable domain that carries it
            headline TEXT, issuer TEXT, place TEXT, dated TEXT,  -- of the date line; dated: ISO 8601 date
            about TEXT, contact TEXT, body TEXT NOT NULL,
            advertised TEXT,  -- front page of the one site that it speaks for; null = none, or several
            signature BLOB NOT NULL,  -- MinHash of the body
            original_id INTEGER REFERENCES pages(id)  -- the earliest copy of the same text; null = this one
        ) STRICT"""
    )
    db.execute(
        """
        CREATE TABLE ads (  -- a page that is an ad out of an ad library
            page_id INTEGER PRIMARY KEY REFERENCES pages(id),
            library TEXT NOT NULL, ad TEXT NOT NULL,  -- its id there
            advertiser TEXT, advertiser_id TEXT, payer TEXT, started TEXT, stopped TEXT, landing TEXT,
            countries TEXT NOT NULL DEFAULT '[]', platforms TEXT NOT NULL DEFAULT '[]',  -- JSON lists
            reach TEXT, spend TEXT  -- as the library words it
        ) STRICT"""
    )
    db.execute(
        """
        CREATE TABLE offers (  -- one row an offer and capture; `key` is the same for one offer over time
            id INTEGER PRIMARY KEY, page_id INTEGER NOT NULL REFERENCES pages(id), position INTEGER NOT NULL,
            key TEXT NOT NULL, name TEXT NOT NULL, category TEXT, service TEXT,  -- the panel's id of it
            price TEXT, per INTEGER, currency TEXT,  -- as seen; price for `per` pieces
            least INTEGER, most INTEGER, refill INTEGER, cancel INTEGER,  -- null = not said
            UNIQUE (page_id, position)
        ) STRICT"""
    )
    db.execute(
        """
        CREATE TABLE candidates (  -- domains that promotion links to, which no source names yet
            domain TEXT PRIMARY KEY, url TEXT NOT NULL, page_id INTEGER NOT NULL REFERENCES pages(id),
            text TEXT NOT NULL, score REAL NOT NULL, found_at TEXT NOT NULL
        ) STRICT, WITHOUT ROWID"""
    )


@migrations(name="010_chain_heads")
def chain_heads(db: Database) -> None:
    db.execute(
        """
        CREATE TABLE chain_heads (  -- where the archive's chain stood, so that cutting off its end shows
            hash TEXT PRIMARY KEY, seq INTEGER NOT NULL, seen_at TEXT NOT NULL
        ) STRICT, WITHOUT ROWID"""
    )


@migrations(name="011_history")
def history(db: Database) -> None:
    """Since when, until when: of claims and offers, by exact words at one address; a look-alike is another one."""
    for view, table, key in (
        ("claim_history", "claims JOIN blocks ON blocks.id = block_id", "claims.label, claims.quote, blocks.text"),
        ("offer_history", "offers", "offers.key"),
    ):
        columns = key.replace("blocks.text", "blocks.text AS block")
        db.execute(
            f"""
            CREATE VIEW {view} AS
            SELECT seen.*, addresses.last_checked_at, coalesce(
                (SELECT min(fetched_at) FROM pages WHERE pages.url = seen.url AND fetched_at > seen.last_captured_at),
                addresses.gone_since) AS gone_since
            FROM (
                SELECT pages.url, {columns}, min(fetched_at) AS first_seen_at, max(pages.last_seen_at) AS last_seen_at,
                    max(fetched_at) AS last_captured_at
                FROM {table} JOIN pages ON pages.id = {table.split()[0]}.page_id GROUP BY pages.url, {key}
            ) AS seen JOIN addresses ON addresses.url = seen.url"""
        )


@migrations(name="012_decisions")
def decisions(db: Database) -> None:
    """What people decided of claims; history by the words that stood there, not by the tags that they got."""
    create_views(db)


@migrations(name="013_judged")
def judged(db: Database) -> None:
    db.execute(
        """
        CREATE TABLE judged (  -- of pages on the way, to know where to look next; never published
            run_id INTEGER NOT NULL REFERENCES runs(id), page_id INTEGER NOT NULL REFERENCES pages(id),
            domain TEXT NOT NULL, promotion REAL NOT NULL, PRIMARY KEY (page_id, run_id)
        ) STRICT, WITHOUT ROWID"""
    )
    db.execute("CREATE INDEX judged_domain ON judged (domain, run_id)")
