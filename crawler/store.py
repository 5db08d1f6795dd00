"""Writes pages into the working store: one transaction a page, so that a kill leaves whole pages only."""

import json
from dataclasses import asdict
from urllib.parse import urlsplit

from sqlite_utils import Database

from crawler.page import Page


def save_source(db: Database, source_id: str, kind: str, url: str | None, title: str | None) -> None:
    """Enter a source, or bring its entry up to date."""
    db.execute(
        "INSERT INTO sources (id, kind, url, title) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, url = excluded.url, title = excluded.title",
        [source_id, kind, url, title],
    )


def save_page(db: Database, source_id: str, page: Page) -> bool:
    """Store a page with its blocks and links, unless the text at its address is the same as last time.

    Returns whether it was new. An unchanged page keeps its first capture as evidence and only moves `last_seen_at`; an
    older capture that is read late (an archive) is stored beside the newer ones. To be called within a transaction.
    """
    capture = page.capture
    last = db.execute(
        "SELECT id, text_sha256 FROM pages WHERE url = ? AND fetched_at <= ? ORDER BY fetched_at DESC, id DESC LIMIT 1",
        [capture.url, capture.fetched_at],
    ).fetchone()
    if last and last[1] == page.text_sha256:
        db.execute("UPDATE pages SET last_seen_at = max(last_seen_at, ?) WHERE id = ?", [capture.fetched_at, last[0]])
        return False
    cursor = db.execute(
        "INSERT INTO pages (url, source_id, fetched_at, last_seen_at, status, sha256, text_sha256, warc, warc_offset,"
        " warc_length, charset, title, published_at, kind) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (url, fetched_at, sha256) DO NOTHING",
        [
            *(capture.url, source_id, capture.fetched_at, capture.fetched_at, capture.status),
            *(capture.record.sha256, page.text_sha256),
            *(capture.record.warc, capture.record.offset, capture.record.length),
            *(page.charset, page.title, page.published_at, page.kind),
        ],
    )
    if cursor.rowcount == 0:
        return False
    page_id = cursor.lastrowid
    db.conn.executemany(
        "INSERT INTO blocks (page_id, position, kind, text) VALUES (?, ?, ?, ?)",
        [(page_id, position, block.kind, block.text) for position, block in enumerate(page.blocks)],
    )
    _save_details(db, int(page_id or 0), page)
    host = urlsplit(capture.url).hostname
    outside = {url: text for url, text in reversed(page.links) if urlsplit(url).hostname not in (host, None)}
    db.conn.executemany(
        "INSERT INTO links (page_id, url, host, text) VALUES (?, ?, ?, ?)",
        [(page_id, url, urlsplit(url).hostname, text) for url, text in outside.items()],
    )
    return True


def _save_details(db: Database, page_id: int, page: Page) -> None:
    """What only some kinds of page have."""
    if page.release:
        db.table("releases").insert({"page_id": page_id, **asdict(page.release)})
    if page.ad:
        lists = {name: json.dumps(getattr(page.ad, name), ensure_ascii=False) for name in ("countries", "platforms")}
        db.table("ads").insert({"page_id": page_id, **asdict(page.ad), **lists})
    if page.offers:
        db.table("offers").insert_all(
            {"page_id": page_id, "position": position, **asdict(offer)} for position, offer in enumerate(page.offers)
        )
