"""Writes pages into the working store: one transaction a page, so that a kill leaves whole pages only."""

import json
from dataclasses import asdict
from functools import lru_cache

from sqlite_utils import Database

from crawler.frontier import host_of
from crawler.page import Capture, Page

# what says that a page is no more; other failures may pass. "redirected": to a page that could be read
GONE = ("http-404", "http-410", "redirected", "off-site", "parked")
NOT_ASKED = ("robots", "no-archive", "bad-address", "private-address")  # nobody looked: nothing is known anew


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
    save_check(db, capture.url, capture.seen_at, "stored", capture, seen=True)
    last = db.execute(
        "SELECT id, text_sha256 FROM pages WHERE url = ? AND fetched_at <= ? ORDER BY fetched_at DESC, id DESC LIMIT 1",
        [capture.url, capture.seen_at],
    ).fetchone()
    if last and last[1] == page.text_sha256 and _same_details(db, last[0], page):
        db.execute("UPDATE pages SET last_seen_at = max(last_seen_at, ?) WHERE id = ?", [capture.seen_at, last[0]])
        return False
    cursor = db.execute(
        "INSERT INTO pages (url, source_id, fetched_at, last_seen_at, status, sha256, text_sha256, warc, warc_offset,"
        " warc_length, charset, title, published_at, kind) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (url, fetched_at, sha256) DO NOTHING",
        [
            *(capture.url, source_id, capture.fetched_at, capture.seen_at, capture.status),
            *(capture.record.sha256, page.text_sha256),
            *(capture.record.warc, capture.record.offset, capture.record.length),
            *(page.charset, page.title, page.published_at, page.kind),
        ],
    )
    if cursor.rowcount == 0:  # a payload that we hold, read anew: the first reading stays
        db.execute(
            "UPDATE pages SET last_seen_at = max(last_seen_at, ?) WHERE url = ? AND fetched_at = ? AND sha256 = ?",
            [capture.seen_at, capture.url, capture.fetched_at, capture.record.sha256],
        )
        return False
    page_id = int(cursor.lastrowid or 0)
    db.conn.executemany(
        "INSERT INTO blocks (page_id, position, kind, text) VALUES (?, ?, ?, ?)",
        [(page_id, position, block.kind, block.text) for position, block in enumerate(page.blocks)],
    )
    _save_details(db, page_id, page)
    here = host_of(capture.url)
    outside = {url: (page_id, url, host, text) for url, text in reversed(page.links) if (host := _host(url)) != here}
    db.conn.executemany(
        "INSERT INTO links (page_id, url, host, text) VALUES (?, ?, ?, ?)",
        [row for row in outside.values() if row[2]],
    )
    return True


def save_check(
    db: Database, url: str, at: str, outcome: str, capture: Capture | None = None, seen: bool = False
) -> None:
    """Note that `url` was looked at: whether its page was `seen` there, and the full record that it gave, if any."""
    db.execute(
        """
        INSERT INTO addresses (url, first_seen_at, last_seen_at, last_checked_at, outcome)
        VALUES (:url, iif(:seen, :first, NULL), iif(:seen, :at, NULL), :at, :outcome)
        ON CONFLICT (url) DO UPDATE SET
            first_seen_at = iif(:seen, min(coalesce(first_seen_at, :first), :first), first_seen_at),
            last_seen_at = iif(:seen, max(coalesce(last_seen_at, :at), :at), last_seen_at),
            outcome = iif(:at >= last_checked_at, :outcome, outcome),
            last_checked_at = iif(:asked, max(last_checked_at, :at), last_checked_at),
            gone_since = CASE
                WHEN :seen AND :at >= coalesce(gone_since, '') THEN  -- read late: what was looked at since still counts
                    iif(last_checked_at > :at AND outcome IN (SELECT value FROM json_each(:words)),
                        last_checked_at, NULL)
                WHEN :gone AND last_seen_at <= :at THEN coalesce(gone_since, :at) ELSE gone_since END""",
        {
            "url": url,
            "at": at,
            "first": capture.fetched_at if capture else at,
            "outcome": outcome,
            "seen": seen,
            "gone": outcome in GONE,
            "asked": outcome not in NOT_ASKED,
            "words": json.dumps(GONE),
        },
    )
    if capture is not None and not capture.repeats:
        record = capture.record
        db.execute(
            "UPDATE addresses SET sha256 = ?, captured_at = ?, warc = ?, warc_offset = ?, warc_length = ?, etag = ?,"
            " modified = ? WHERE url = ? AND last_seen_at <= ?",  # not of an archive that comes late
            [
                *(record.sha256, capture.fetched_at, record.warc, record.offset, record.length),
                *(capture.etag, capture.modified, url, capture.fetched_at),
            ],
        )


def held(db: Database, url: str) -> dict[str, str | int | None] | None:
    """The row of `addresses` for an address whose last payload showed a page; None for others."""
    return next(
        db.query(
            "SELECT * FROM addresses WHERE url = :url AND captured_at IS NOT NULL"
            " AND EXISTS (SELECT 1 FROM pages WHERE pages.url = :url AND pages.sha256 = addresses.sha256)",
            {"url": url},
        ),
        None,
    )


def unvisited(db: Database, source_id: str, run: int, most: int) -> list[str]:
    """Addresses where the source once showed a page, and `run` (open) met no link to; least recently checked first."""
    query = """
        SELECT url FROM addresses WHERE last_seen_at IS NOT NULL AND gone_since IS NULL
            AND last_checked_at < (SELECT started_at FROM runs WHERE id = ? AND finished_at IS NULL)
            AND EXISTS (SELECT 1 FROM pages WHERE pages.url = addresses.url AND source_id = ?)
        ORDER BY last_checked_at, url LIMIT ?"""
    return [url for (url,) in db.execute(query, [run, source_id, most])]


def _same_details(db: Database, page_id: int, page: Page) -> bool:
    """Whether prices and the dates of an ad are still what the page `page_id` had: they change while words stay.

    How many an ad has reached changes daily, and makes no new page.
    """
    offers = [{**row} for row in db.query("SELECT * FROM offers WHERE page_id = ? ORDER BY position", [page_id])]
    if [{name: offer[name] for name in asdict(new)} for offer, new in zip(offers, page.offers, strict=False)] != [
        asdict(new) for new in page.offers
    ] or len(offers) != len(page.offers):
        return False
    if page.ad is None:
        return True
    names = ("advertiser", "payer", "started", "stopped", "landing")
    row = next(db.query("SELECT * FROM ads WHERE page_id = ?", [page_id]), {})
    return all(row.get(name) == getattr(page.ad, name) for name in names)


@lru_cache(20_000)  # most links of a site stand on all its pages
def _host(url: str) -> str:
    try:
        return host_of(url)
    except ValueError:  # "http://[": a broken address is no link
        return ""


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
