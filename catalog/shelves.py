"""The taxonomy as tables: in the catalogue all that may be displayed, in the working store the labels."""

import sqlite3
from collections.abc import Iterable
from typing import TypeVar

from sqlite_utils import Database

from catalog.taxonomy import Finding, Policy, Provision, Taxonomy

Entry = TypeVar("Entry", Provision, Policy, Finding)


def fill_store_labels(db: Database, taxonomy: Taxonomy) -> None:
    """Write the twelve labels into the working store, so that every room can read names from a table."""
    db.table("labels").upsert_all(
        [
            {
                "id": label.id,
                "name_en": label.name_en,
                "name_fr": label.name_fr,
                "definition": label.definition_en,
                "definition_fr": label.definition_fr,
                "severity": label.severity,
            }
            for label in taxonomy.labels.values()
        ],
        pk="id",
    )


def fill_shelves(catalog: sqlite3.Connection, taxonomy: Taxonomy) -> None:
    """Write labels, provisions, policies, findings and what belongs to what; entries marked `verify` stay out."""
    labels = list(taxonomy.labels.values())
    catalog.executemany(
        "INSERT INTO labels VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (e.id, e.name_en, e.name_fr, e.definition_en, e.definition_fr, e.why_en, e.why_fr, e.severity, position)
            for position, e in enumerate(labels)
        ],
    )
    catalog.executemany(
        "INSERT INTO provisions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                e.id,
                e.jurisdiction,
                e.about,
                e.citation_en,
                e.citation_fr,
                e.line_en,
                e.line_fr,
                e.address,
                e.mark,
                position,
            )
            for position, e in enumerate(_displayed(taxonomy.provisions.values()))
        ],
    )
    catalog.executemany(
        "INSERT INTO policies VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (e.id, e.platform, e.citation_en, e.citation_fr, e.line_en, e.line_fr, e.address, e.mark, position)
            for position, e in enumerate(_displayed(taxonomy.policies.values()))
        ],
    )
    catalog.executemany(
        "INSERT INTO findings VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (e.id, e.line_en, e.line_fr, e.address, e.mark, e.contrary, position)
            for position, e in enumerate(_displayed(taxonomy.evidence.values()))
        ],
    )
    for table, entries in (
        ("labels_provisions", taxonomy.provisions_of),
        ("labels_policies", taxonomy.policies_of),
        ("labels_findings", taxonomy.evidence_of),
    ):
        catalog.executemany(
            f"INSERT INTO {table} VALUES (?, ?)", [(label.id, entry.id) for label in labels for entry in entries(label)]
        )


def _displayed(entries: Iterable[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.mark != "verify"]
