"""Search over quotes and the blocks they stand in: accents ignored, beginnings of words, filters with counts."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from catalog.highlight import CLOSE, OPEN
from catalog.reading import Row, one, rows

if TYPE_CHECKING:  # Datasette loads its plugins while it is being imported
    from datasette.database import Database

FACETS = {"label": "label", "lang": "lang", "source": "source_kind", "vendor": "vendor_id"}
"""Filters: the name in the address and the column of claims."""

PAGE_SIZE = 20
MAX_PAGE = 500  # deeper pages cost more and more (OFFSET) and nobody reads them: CSV and JSON hold everything
MAX_QUERY = 200  # characters; a longer one is cut


@dataclass(frozen=True)
class Question:
    """What a reader asks for."""

    words: str = ""
    filters: tuple[tuple[str, str], ...] = ()  # (name out of FACETS, value)
    page: int = 1

    @property
    def expression(self) -> str:
        """The FTS5 expression, or "" when there is no word to look for."""
        return fts_expression(self.words)


def fts_expression(words: str) -> str:
    """A reader's words as a safe FTS5 expression: each word by its beginning, a quoted phrase as it stands.

    Everything is put in FTS5 quotation marks, so that no sign of the reader's is an operator
    (https://www.sqlite.org/fts5.html#full_text_query_syntax).
    """
    terms = []
    for phrase, word in re.findall(r'"([^"]*)"|([^\s"]+)', words[:MAX_QUERY]):
        tokens = re.findall(r"[^\W_]+", phrase or word)
        if phrase and tokens:
            terms.append('"' + " ".join(tokens) + '"')
        else:
            terms.extend(f'"{token}"*' for token in tokens)
    return " ".join(terms)


def _where(question: Question, without: str = "") -> tuple[str, dict[str, Any]]:
    """The condition on claims and its values; `without` leaves one filter out (to count its alternatives)."""
    parts, values = ["1"], {}
    if question.words.strip():
        # a quote lies inside its block: what the block does not match, the quote does not either
        parts.append("block_id IN (SELECT rowid FROM blocks_fts WHERE blocks_fts MATCH :words)")
        values["words"] = question.expression or '""'
    for name, value in question.filters:
        if name != without:
            parts.append(f"claims.{FACETS[name]} = :{name}")
            values[name] = value
    return " AND ".join(parts), values


async def count(db: "Database", question: Question) -> int:
    """How many claims answer."""
    where, values = _where(question)
    found = await one(db, f"SELECT count(*) AS n FROM claims WHERE {where}", values)
    return found["n"] if found else 0


async def facet(db: "Database", question: Question, name: str) -> list[Row]:
    """Values of one filter with their counts, given the words and the other filters."""
    where, values = _where(question, without=name)
    column = FACETS[name]
    return await rows(
        db,
        f"SELECT {column} AS value, max(vendor) AS vendor, count(*) AS n FROM claims WHERE {where}"
        f" GROUP BY {column} ORDER BY n DESC, value LIMIT 50",
        values,
    )


async def results(db: "Database", question: Question) -> list[Row]:
    """One page of claims; with words, those whose quote itself matches come first. `quote_hit` and `block_hit` are the
    texts with OPEN and CLOSE around matches (None where nothing matches)."""
    where, values = _where(question)
    values |= {"limit": PAGE_SIZE, "offset": (question.page - 1) * PAGE_SIZE}
    columns = "claims.*, blocks.text AS block"
    if "words" not in values:
        return await rows(
            db,
            f"""SELECT {columns}, NULL AS quote_hit, NULL AS block_hit FROM claims JOIN blocks ON blocks.id = block_id
                WHERE {where} ORDER BY fetched_at DESC, claims.rowid LIMIT :limit OFFSET :offset""",
            values,
        )
    values |= {"open": OPEN, "close": CLOSE}
    return await rows(
        db,
        f"""WITH quotes AS MATERIALIZED (SELECT rowid AS id, highlight(claims_fts, 0, :open, :close) AS hit
              FROM claims_fts WHERE claims_fts MATCH :words),
            texts AS MATERIALIZED (SELECT rowid AS id, snippet(blocks_fts, 0, :open, :close, '…', 24) AS hit
              FROM blocks_fts WHERE blocks_fts MATCH :words)
            SELECT {columns}, quotes.hit AS quote_hit, texts.hit AS block_hit FROM claims
            JOIN blocks ON blocks.id = block_id LEFT JOIN quotes ON quotes.id = claims.rowid
            LEFT JOIN texts ON texts.id = block_id
            WHERE {where} ORDER BY quotes.id IS NULL, score DESC, claims.rowid LIMIT :limit OFFSET :offset""",
        values,
    )


async def vendors_named(db: "Database", question: Question) -> list[Row]:
    """Vendors whose name or domain matches the words."""
    if not question.expression:
        return []
    return await rows(
        db,
        """SELECT * FROM vendors WHERE rowid IN (SELECT rowid FROM vendors_fts WHERE vendors_fts MATCH ?)
           ORDER BY name LIMIT 8""",
        [question.expression],
    )
