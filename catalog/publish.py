"""The only door to the public: catalog.db, built from the working store by the policy in data/publication.yml."""

import hashlib
import json
import os
import sqlite3
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from catalog.defang import defang
from catalog.errors import CatalogError
from catalog.evidence import check_member, read_member
from catalog.policy import PublicationPolicy, load_policy
from catalog.shelves import fill_shelves, fill_store_labels
from catalog.taxonomy import Policy, load_taxonomy
from catalog.vendors import LATEST_PAGES

Row = dict[str, Any]


def publish(
    db: Database,
    archive: Path,
    catalog_path: Path,
    progress: Callable[[int], None] = lambda n: None,
    health: list[Row] | None = None,
) -> dict[str, Any]:
    """Build the catalogue at `catalog_path` from the store `db`, with the evidence out of the folder `archive`.

    The catalogue is written beside its place and then moved there: a reader sees the old or the new one, and a failure
    leaves the old one. Claims need a vendor (assign_vendors) and a rule of the policy that lets them through, or a
    person who confirmed them; what a person rejected is never published. A page whose evidence is absent or wrong is
    left out. `progress` gets 1 for each page looked at; `health` has a row for each source (id, kind, title, health,
    state, finished_at, gave, pages, blocks), for the page that shows them.

    Returns counts (sources, vendors, pages, blocks, claims, labels: {label: claims}, without_vendor, below_policy,
    rejected, without_evidence), `version` and `warnings` (a line for each page without evidence). Raises CatalogError.
    """
    taxonomy = load_taxonomy()
    policy = load_policy(taxonomy.labels)
    catalog_path = Path(catalog_path)
    try:
        catalog_path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{catalog_path.name}-", suffix=".part", dir=catalog_path.parent)
        os.close(handle)
    except OSError as error:
        raise CatalogError(f"{catalog_path}: cannot be written: {error.strerror or error}") from error
    part = Path(name)
    try:
        with closing(sqlite3.connect(part)) as catalog, db.atomic():  # one state of the store from first to last row
            catalog.execute("PRAGMA synchronous=OFF")  # synced once, at the end; a broken part is thrown away anyway
            catalog.executescript((files("catalog") / "schema.sql").read_text(encoding="utf-8"))
            fill_store_labels(db, taxonomy)
            fill_shelves(catalog, taxonomy)
            _fill_sources(catalog, health or [])
            counts = _fill(db, catalog, archive, policy, list(taxonomy.policies.values()), progress)
            catalog.executescript((files("catalog") / "indexes.sql").read_text(encoding="utf-8"))
            _describe(catalog, policy, counts)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.chmod(0o644)
        os.replace(part, catalog_path)
    except (sqlite3.Error, OSError) as error:
        raise CatalogError(f"{catalog_path}: cannot be written: {error}") from error
    finally:
        part.unlink(missing_ok=True)
    return counts


def _fill(
    db: Database,
    catalog: sqlite3.Connection,
    archive: Path,
    policy: PublicationPolicy,
    platforms: list[Policy],
    progress: Callable[[int], None],
) -> Row:
    """Copy what may be published, page by page."""
    counts: Row = {"without_vendor": 0, "below_policy": 0, "rejected": 0, "without_evidence": 0, "warnings": []}
    labels: Counter[str] = Counter()
    for page in db.query(f"{LATEST_PAGES} AND pages.voice IS NOT NULL ORDER BY pages.id"):
        progress(1)
        claims = _claims(db, page, policy, counts)
        if not claims:
            continue
        try:
            member = read_member(archive, page["warc"], page["warc_offset"], page["warc_length"])
            check_member(member, page["url"], page["sha256"], page["fetched_at"])
        except CatalogError as error:
            counts["without_evidence"] += len(claims)
            counts["warnings"].append(f"page {page['id']} ({defang(page['url'])}) is not published: {error}")
            continue
        _copy_page(db, catalog, page, claims, platforms)
        _insert(catalog, "evidence", [page | {"page_id": page["id"], "warc_filename": page["warc"], "record": member}])
        labels.update(claim["label"] for claim in claims)
    for table in ("sources", "vendors", "pages", "blocks", "claims"):
        counts[table] = catalog.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    counts["labels"] = {label: labels[label] for (label,) in catalog.execute("SELECT id FROM labels ORDER BY position")}
    return counts


def _fill_sources(catalog: sqlite3.Connection, health: list[Row]) -> None:
    """The sources that have a file, with the state they are in; their addresses come with the pages published.

    What was given to us as files is entered with its pages only: the name of a file is nobody's business.
    """
    for row in health:
        if row["state"] is not None:
            shown = {"url": None, "last_run_at": row["finished_at"] or row["started_at"], "last_gave_at": row["gave"]}
            _insert(catalog, "sources", [row | shown])


def _claims(db: Database, page: Row, policy: PublicationPolicy, counts: Row) -> list[Row]:
    """The page's claims that a rule or a person lets through, with what the catalogue adds; the others are counted."""
    published = []
    query = """
        SELECT claims.*, vendors.name AS vendor, decision, blocks.text AS block FROM claims
        JOIN blocks ON blocks.id = claims.block_id
        LEFT JOIN vendors ON vendors.id = claims.vendor_id
        LEFT JOIN claim_decisions ON claim_decisions.claim_id = claims.id
        WHERE claims.page_id = ? ORDER BY block_id, start, claims.id"""
    claims = list(db.query(query, [page["id"]]))
    history = _history(db, page["url"]) if claims else {}
    for claim in claims:
        if claim["decision"] == "confirmed":
            let: tuple[str, str] | None = ("review", "confirmed")
        else:
            values = (claim["status"], page["voice"], page["voice_score"], claim["label"], claim["score"])
            let = policy.lets_through(*values)
        if claim["decision"] == "rejected":
            counts["rejected"] += 1
        elif let is None:
            counts["below_policy"] += 1
        elif claim["vendor_id"] is None:
            counts["without_vendor"] += 1
        else:
            claim["policy"], claim["status"] = let
            extra = {"lang": page["lang"], "source_kind": page["source_kind"], "fetched_at": page["fetched_at"]}
            published.append(claim | extra | history[claim["block"]])
    return published


def _history(db: Database, url: str) -> dict[str, Row]:
    """Since when, until when the words of each claim of an address stood there, by the text of the block."""
    names = "block, first_seen_at, last_seen_at, last_checked_at, gone_since"
    return {row["block"]: row for row in db.query(f"SELECT {names} FROM claim_history WHERE url = ?", [url])}


def _copy_page(
    db: Database, catalog: sqlite3.Connection, page: Row, claims: list[Row], platforms: list[Policy]
) -> None:
    vendor = next(iter(db.query("SELECT * FROM vendors WHERE id = ?", [claims[0]["vendor_id"]])))
    source = next(iter(db.query("SELECT * FROM sources WHERE id = ?", [page["source_id"]])))
    blocks = list(db.query("SELECT * FROM blocks WHERE page_id = ? ORDER BY position", [page["id"]]))
    _insert(catalog, "sources", [source])
    catalog.execute("UPDATE sources SET url = ? WHERE id = ?", [defang(source["url"] or ""), source["id"]])
    _insert(catalog, "vendors", [vendor | {"domain": defang(vendor["domain"])}])
    _insert(catalog, "pages", [page | {"vendor_id": vendor["id"], "url": defang(page["url"])}])
    text = fold(" ".join([page["title"] or "", *(block["text"] for block in blocks)]))
    for platform in platforms:
        if platform.mark != "verify" and any(f" {fold(name)} " in f" {text} " for name in platform.names):
            _insert(catalog, "pages_policies", [{"page_id": page["id"], "policy_id": platform.id}])
    _insert(catalog, "blocks", blocks)
    _insert(catalog, "claims", claims)


def fold(text: str) -> str:
    """Words without accents and case, a space between them: to look for a name in a text."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return " ".join(
        "".join(sign if sign.isalnum() else " " for sign in plain if not unicodedata.combining(sign)).split()
    )


def _insert(catalog: sqlite3.Connection, table: str, rows: list[Row]) -> None:
    """Insert what the table has columns for; a source or vendor that is there already stays."""
    columns = [name for _, name, *_ in catalog.execute(f"PRAGMA table_info({table})") if name in rows[0]]
    names = ", ".join(f'"{name}"' for name in columns)
    values = ", ".join(f":{name}" for name in columns)
    verb = "INSERT OR IGNORE" if table in ("sources", "vendors") else "INSERT"
    catalog.executemany(f"{verb} INTO {table} ({names}) VALUES ({values})", rows)


def _describe(catalog: sqlite3.Connection, policy: PublicationPolicy, counts: Row) -> None:
    """The publication's own row; its version is a hash of the content, so that equal content has an equal version."""
    sha = hashlib.sha256()
    tables = (
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '%\\_fts%' ESCAPE '\\' ORDER BY name"
    )
    for (table,) in catalog.execute(tables).fetchall():
        sha.update(f"{table}\n".encode())
        for row in catalog.execute(f"SELECT * FROM {table} ORDER BY 1, 2"):
            sha.update(repr(row).encode("utf-8", "surrogatepass") + b"\n")
    counts["version"] = sha.hexdigest()[:16]
    row = {
        "id": 1,
        "built_at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "publisher_name": policy.publisher.name,
        "publisher_contact": policy.publisher.contact,
        "policy": json.dumps([vars(rule) for rule in policy.rules], ensure_ascii=False),
    }
    _insert(catalog, "publication", [counts | row])
    catalog.commit()
