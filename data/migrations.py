"""The working store's schema as small named steps; every room opens the store here and nowhere else."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlite_utils import Database, Migrations

migrations = Migrations("fantomes")


class StoreError(Exception):
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
        connection = sqlite3.connect(path, timeout=60, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")  # safe under kill -9; a power cut may lose the last commits
        connection.execute("PRAGMA foreign_keys=ON")
        db = Database(connection)
        with write(db):  # two commands may start on a new store at once
            migrations.apply(db)
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"{path}: cannot open the store: {error}") from error
    return db


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
