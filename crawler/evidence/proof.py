"""Proof: the captures in the store behind a vendor, a claim or an address, and what was tagged in them."""

import json
import re
from dataclasses import dataclass
from typing import Any

from sqlite_utils import Database

from crawler.evidence.record import EvidenceError
from crawler.frontier import clean, host_of
from data.domains import registrable_domain

Row = dict[str, Any]

# A tag that a person rejected is said of nobody any more.
CLAIMS = """
    SELECT claims.id, claims.page_id, claims.vendor_id AS vendor, claims.label, claims.score, claims.status,
        claims.rule, claims.model, blocks.position AS block, claims.start, claims."end", claims.quote, blocks.text
    FROM claims JOIN blocks ON blocks.id = claims.block_id JOIN pages ON pages.id = claims.page_id
    WHERE 'rejected' IS NOT (
        SELECT decision FROM reviews WHERE reviews.url = pages.url AND reviews.sha256 = pages.sha256
            AND reviews.position = blocks.position AND reviews.label = claims.label
        ORDER BY reviews.id DESC LIMIT 1)
    AND {which} ORDER BY claims.page_id, blocks.position, claims.start, claims.id"""
PAGES = "SELECT * FROM pages WHERE {which} ORDER BY url, fetched_at, id"


@dataclass
class Proof:
    """`pages` (with their `text`) and `claims` are rows; captures of one address stand together, oldest first."""

    kind: str  # vendor, claim or page
    name: str
    pages: list[Row]
    claims: list[Row]


def find(db: Database, what: str) -> Proof:
    """The proof of `what`: a vendor's id or domain, a claim's id, or a page's address (`hxxps://shop[.]example/`).

    A vendor's captures are those that a claim of his stands on, and of his own site all captures, the old ones too, of
    these addresses; a claim of an old capture has no vendor, and is listed so. What a wire or a library showed at
    the same address on another day may be another's words. Raises EvidenceError when there is nothing.
    """
    what = what.strip()
    for kind, look in (("vendor", _vendor), ("claim", _claim), ("page", _page)):
        for name in dict.fromkeys((what, refang(what))):
            proof = look(db, kind, name)
            if proof and proof.pages:
                for page in proof.pages:
                    blocks = db.query("SELECT text FROM blocks WHERE page_id = ? ORDER BY position", [page["id"]])
                    page["text"] = "\n".join(block["text"] for block in blocks)
                return proof
    raise EvidenceError(
        f"{what!r}: nothing to export: no vendor with claims, no claim, and no captured address of that name"
        " (tags that a person rejected are not exported)"
    )


def refang(address: str) -> str:
    """`hxxps://shop[.]example/` as it was before it was made harmless."""
    return re.sub(r"(?i)^h(xx|tt)p", "http", address.replace("[.]", "."))


def defang(address: str) -> str:
    """An address that no program makes a link of; also one that stands in another's query."""
    return re.sub(r"(?i)http(s?:/*[^/?#&\s]*)", lambda found: "hxxp" + found[1].replace(".", "[.]"), address)


def _vendor(db: Database, kind: str, name: str) -> Proof | None:
    rows = list(db.query("SELECT id, domain FROM vendors WHERE id = :name OR domain = lower(:name)", {"name": name}))
    if not rows:
        return None
    vendor, domain = rows[0]["id"], rows[0]["domain"]
    claims = list(db.query(CLAIMS.format(which="claims.vendor_id = ?"), [vendor]))
    proven = {claim["page_id"] for claim in claims}
    urls = "url IN (SELECT url FROM pages WHERE id IN (SELECT value FROM json_each(?)))"
    pages = [
        page
        for page in db.query(PAGES.format(which=urls), [json.dumps(sorted(proven))])
        if page["id"] in proven or registrable_domain(host_of(page["url"])) == domain
    ]
    older = json.dumps([page["id"] for page in pages if page["id"] not in proven])
    which = "claims.vendor_id IS NULL AND claims.page_id IN (SELECT value FROM json_each(?))"
    claims += db.query(CLAIMS.format(which=which), [older])
    return Proof(
        kind, vendor, pages, sorted(claims, key=lambda row: (row["page_id"], row["block"], row["start"], row["id"]))
    )


def _claim(db: Database, kind: str, name: str) -> Proof | None:
    claims = list(db.query(CLAIMS.format(which="claims.id = ?"), [name]))
    pages = [page for claim in claims for page in db.query(PAGES.format(which="id = ?"), [claim["page_id"]])]
    return Proof(kind, name, pages, claims)


def _page(db: Database, kind: str, name: str) -> Proof | None:
    try:
        addresses = [name, clean(name)]
    except ValueError:
        addresses = [name, name]
    pages = list(db.query(PAGES.format(which="url IN (?, ?)"), addresses))
    claims = list(db.query(CLAIMS.format(which="pages.url IN (?, ?)"), addresses))
    return Proof(kind, pages[0]["url"], pages, claims) if pages else None
