"""What our pages read from catalog.db: one function a question, rows as dicts."""

from typing import TYPE_CHECKING, Any

from catalog.defang import defang

if TYPE_CHECKING:  # Datasette loads its plugins while it is being imported
    from datasette.database import Database

Row = dict[str, Any]


async def rows(db: "Database", sql: str, values: dict[str, Any] | list[Any] | None = None) -> list[Row]:
    """All rows of a query of ours (values always bound)."""
    return [dict(row) for row in (await db.execute(sql, values or [])).rows]


async def one(db: "Database", sql: str, values: dict[str, Any] | list[Any] | None = None) -> Row | None:
    """The first row of a query, or None."""
    found = await rows(db, sql, values)
    return found[0] if found else None


async def publication(db: "Database") -> Row:
    """When and by which policy the catalogue was built, with its counts."""
    return (await one(db, "SELECT * FROM publication")) or {}


async def labels(db: "Database", lang: str) -> list[Row]:
    """The twelve labels in order, in one language, with how many claims each has."""
    definition = "definition" if lang == "en" else "definition_fr"
    return await rows(
        db,
        f"""SELECT id, name_{lang} AS name, {definition} AS definition, why_{lang} AS why, severity,
            (SELECT count(*) FROM claims WHERE label = labels.id) AS claims FROM labels ORDER BY position""",
    )


async def vendors(db: "Database", sort: str = "claims", limit: int = 1000) -> list[Row]:
    """Vendors with claims per label (`labels`: {label: n}). `sort`: claims, name, latest, or a label's id."""
    order = {"claims": "claims DESC, name", "name": "name COLLATE NOCASE, vendors.id", "latest": "latest DESC, name"}
    found = await rows(
        db,
        f"""SELECT vendors.id, name, domain, count(*) AS claims, max(fetched_at) AS latest,
            sum(label = :label) AS chosen FROM vendors JOIN claims ON claims.vendor_id = vendors.id
            GROUP BY vendors.id ORDER BY {order.get(sort, "chosen DESC, claims DESC, name")} LIMIT :limit""",
        {"label": sort, "limit": limit},
    )
    by_id = {vendor["id"]: vendor | {"labels": {}} for vendor in found}
    for row in await rows(db, "SELECT vendor_id, label, count(*) AS n FROM claims GROUP BY vendor_id, label"):
        if row["vendor_id"] in by_id:
            by_id[row["vendor_id"]]["labels"][row["label"]] = row["n"]
    return list(by_id.values())


async def latest_claims(db: "Database", limit: int) -> list[Row]:
    """A claim each of the pages captured last: the one the model is surest of."""
    return await rows(
        db,
        """SELECT id, vendor_id, vendor, label, quote, lang, fetched_at, max(score) AS score FROM claims
           GROUP BY page_id ORDER BY fetched_at DESC, page_id DESC LIMIT ?""",
        [limit],
    )


async def vendor(db: "Database", vendor_id: str) -> Row | None:
    """One vendor with its counts and dates."""
    found = await one(
        db,
        """SELECT vendors.*, count(*) AS claims, count(DISTINCT page_id) AS pages, min(fetched_at) AS first,
           max(fetched_at) AS last, max(last_checked_at) AS checked, max(source_kind = 'feed') AS releases
           FROM vendors JOIN claims ON claims.vendor_id = vendors.id WHERE vendors.id = ?""",
        [vendor_id],
    )
    return found if found and found["id"] else None


async def vendor_quotes(db: "Database", vendor_id: str) -> list[Row]:
    """The vendor's claims, words alike on several pages once (`pages` = on how many; the latest's date)."""
    return await rows(
        db,
        """SELECT id, label, quote, lang, source_kind, score, status, max(fetched_at) AS fetched_at, count(*) AS times,
           count(gone_since) AS gone, gone_since, last_checked_at, count(DISTINCT page_id) AS pages
           FROM claims WHERE vendor_id = ?
           GROUP BY label, quote ORDER BY pages DESC, score DESC""",
        [vendor_id],
    )


async def vendor_pages(db: "Database", vendor_id: str, limit: int) -> list[Row]:
    """The vendor's published pages, those with most claims first."""
    return await rows(
        db,
        """SELECT id, url, title, lang, fetched_at, (SELECT count(*) FROM claims WHERE page_id = pages.id) AS claims
           FROM pages WHERE vendor_id = ? ORDER BY claims DESC, id LIMIT ?""",
        [vendor_id, limit],
    )


async def claim(db: "Database", claim_id: str) -> Row | None:
    """One claim with its page, block and vendor."""
    return await one(
        db,
        """SELECT claims.*, blocks.position, blocks.kind, blocks.text, pages.url, pages.title,
           pages.published_at, pages.voice_score, vendors.domain FROM claims
           JOIN blocks ON blocks.id = block_id JOIN pages ON pages.id = claims.page_id
           JOIN vendors ON vendors.id = claims.vendor_id WHERE claims.id = ?""",
        [claim_id],
    )


async def blocks_around(db: "Database", page_id: int, position: int, reach: int = 2) -> list[Row]:
    """The blocks of a page from `reach` before to `reach` after a position."""
    return await rows(
        db,
        "SELECT * FROM blocks WHERE page_id = ? AND position BETWEEN ? AND ? ORDER BY position",
        [page_id, position - reach, position + reach],
    )


async def provisions(db: "Database", label: str, lang: str) -> list[Row]:
    """What a claim of this label may fall under, in one language; what holds for every label first."""
    return await rows(
        db,
        f"""SELECT id, jurisdiction, about, citation_{lang} AS citation, line_{lang} AS line, address, mark
            FROM provisions JOIN labels_provisions ON provision_id = id WHERE label_id = ?
            ORDER BY position""",
        [label],
    )


async def policies(db: "Database", label: str, page_id: int, lang: str) -> list[Row]:
    """Rules of the platforms that the page names, on this label."""
    return await rows(
        db,
        f"""SELECT platform, citation_{lang} AS citation, line_{lang} AS line, address, mark FROM policies
            JOIN labels_policies ON labels_policies.policy_id = policies.id
            JOIN pages_policies ON pages_policies.policy_id = policies.id
            WHERE label_id = ? AND page_id = ? ORDER BY position""",
        [label, page_id],
    )


async def findings(db: "Database", label: str, lang: str) -> list[Row]:
    """What is known about this label."""
    return await rows(
        db,
        f"""SELECT line_{lang} AS line, address, mark, contrary FROM findings
            JOIN labels_findings ON finding_id = id WHERE label_id = ? ORDER BY position""",
        [label],
    )


async def capture(db: "Database", page_id: int) -> Row | None:
    """One page with its vendor and where its record lies."""
    return await one(
        db,
        """SELECT pages.*, vendors.name AS vendor, vendors.domain FROM pages
           JOIN vendors ON vendors.id = vendor_id WHERE pages.id = ?""",
        [page_id],
    )


async def page_blocks(db: "Database", page_id: int) -> list[Row]:
    """All blocks of a page in order."""
    return await rows(db, "SELECT * FROM blocks WHERE page_id = ? ORDER BY position", [page_id])


async def page_claims(db: "Database", page_id: int) -> list[Row]:
    """All claims of a page, in reading order."""
    return await rows(
        db,
        """SELECT claims.* FROM claims JOIN blocks ON blocks.id = block_id WHERE claims.page_id = ?
           ORDER BY position, start, claims.id""",
        [page_id],
    )


async def sources(db: "Database") -> list[Row]:
    """Where was read: `name` is the title of each source, defanged; files given to us come last."""
    found = await rows(db, "SELECT * FROM sources ORDER BY health IS NULL, title COLLATE NOCASE, id")
    for source in found:
        words = (source["title"] or source["id"]).split()
        source["name"] = " ".join(defang(word) if "." in word.strip(".,;:!?…") else word for word in words)
    return found


async def record(db: "Database", page_id: int) -> bytes | None:
    """The raw gzip member of a page's WARC record."""
    found = await one(db, "SELECT record FROM evidence WHERE page_id = ?", [page_id])
    return found["record"] if found else None
