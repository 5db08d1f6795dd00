"""Merge: the store and archive of another host, brought into ours page by page, as if we had crawled them."""

import json
import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from crawler.archive import SOFTWARE, Archive
from crawler.blocks import Block
from crawler.evidence.manifest import MANIFEST
from crawler.evidence.stored import remember_head
from crawler.page import Ad, Capture, Offer, Page, Record, Release
from crawler.press.copies import mark_copies
from crawler.store import save_check, save_page, save_source
from data.migrations import open_store, write
from data.problem import Problem


class MergeError(Problem):
    """A store or archive that cannot be merged; the message names it."""


def merge(
    db: Database, archive: Path, other: Path, other_archive: Path, progress: Callable[[int], None] = lambda pages: None
) -> dict[str, int]:
    """Bring the pages of the store `other`, with their evidence in `other_archive`, into `db` and `archive`.

    WARC files are kept byte for byte, and so is the other chain. A rerun adds nothing twice. Returns counts: stored,
    unchanged. Raises MergeError, ArchiveError, StoreError.
    """
    if not other.is_file():
        raise MergeError(f"{other}: no store there")
    theirs = open_store(other)
    records = Archive(archive, SOFTWARE)
    counts: Counter[str] = Counter()
    try:
        names = _keep(theirs, records, other_archive)
        for source in theirs.query("SELECT * FROM sources"):
            with write(db):
                save_source(db, source["id"], source["kind"], source["url"], source["title"])
        for row in theirs.query("SELECT * FROM pages ORDER BY fetched_at, id"):
            with write(db):
                new = save_page(db, row["source_id"], _page(theirs, row, names[row["warc"]]))
            counts["stored" if new else "unchanged"] += 1
            progress(1)
        with write(db):
            for row in theirs.query("SELECT * FROM addresses"):
                save_check(db, row["url"], row["gone_since"] or row["last_checked_at"], row["outcome"])
                save_check(db, row["url"], row["last_checked_at"], row["outcome"])
            remember_head(db, records.head())
        mark_copies(db)
    except sqlite3.Error as error:
        raise MergeError(f"{other}: {error}") from error
    finally:
        records.close()
    return {"stored": counts["stored"], "unchanged": counts["unchanged"]}


def _keep(theirs: Database, records: Archive, folder: Path) -> dict[str, str]:
    """Copy the WARC files that pages name, and the chain that vouches for them. Their names there -> here."""
    names: dict[str, str] = {}
    for (warc,) in theirs.execute("SELECT DISTINCT warc FROM pages").fetchall():
        if Path(warc).name != warc:
            raise MergeError(f"{warc}: no name of a file in an archive")
        names[warc] = records.keep(folder / warc)
    if names and (folder / MANIFEST).exists():
        records.keep(folder / MANIFEST)
    return names


def _page(theirs: Database, row: dict[str, Any], warc: str) -> Page:
    where = [row["id"]]
    record = Record(warc, row["warc_offset"], row["warc_length"], row["sha256"])
    later = row["last_seen_at"] if row["last_seen_at"] > row["fetched_at"] else ""
    capture = Capture(row["url"], row["fetched_at"], row["status"], "", b"", record, row["published_at"], later)
    blocks = theirs.query("SELECT kind, text FROM blocks WHERE page_id = ? ORDER BY position", where)
    links = theirs.query("SELECT url, text FROM links WHERE page_id = ?", where)
    release = next(theirs.query("SELECT * FROM releases WHERE page_id = ?", where), None)
    ad = next(theirs.query("SELECT * FROM ads WHERE page_id = ?", where), None)
    offers = theirs.query("SELECT * FROM offers WHERE page_id = ? ORDER BY position", where)
    if ad:
        ad |= {name: json.loads(ad[name]) for name in ("countries", "platforms")}
    return Page(
        capture,
        row["charset"],
        row["title"],
        [Block(**block) for block in blocks],
        [(link["url"], link["text"]) for link in links],
        row["published_at"],
        row["text_sha256"],
        row["kind"],
        Release(**_only(Release, release)) if release else None,
        Ad(**_only(Ad, ad)) if ad else None,
        [Offer(**_only(Offer, offer)) for offer in offers],
    )


def _only(kind: type, row: dict[str, Any]) -> dict[str, Any]:
    return {field.name: row[field.name] for field in fields(kind)}
