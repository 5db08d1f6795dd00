"""Writes pages into the working store: one transaction a page, so that a kill leaves whole pages only."""

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
        " warc_length, charset, title, published_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (url, fetched_at, sha256) DO NOTHING",
        [
            *(capture.url, source_id, capture.fetched_at, capture.fetched_at, capture.status),
            *(capture.record.sha256, page.text_sha256),
            *(capture.record.warc, capture.record.offset, capture.record.length),
            *(page.charset, page.title, page.published_at),
        ],
    )
    if cursor.rowcount == 0:
        return False
    page_id = cursor.lastrowid
    db.conn.executemany(
        "INSERT INTO blocks (page_id, position, kind, text) VALUES (?, ?, ?, ?)",
        [(page_id, position, block.kind, block.text) for position, block in enumerate(page.blocks)],
    )
    host = urlsplit(capture.url).hostname
    outside = {url: text for url, text in reversed(page.links) if urlsplit(url).hostname not in (host, None)}
    db.conn.executemany(
        "INSERT INTO links (page_id, url, host, text) VALUES (?, ?, ?, ?)",
        [(page_id, url, urlsplit(url).hostname, text) for url, text in outside.items()],
    )
    return True
