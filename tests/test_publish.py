"""The door to the public: what passes, what does not, and that the file is always whole."""

import hashlib
import io
import os
import sqlite3
import subprocess
import sys

import pytest
from warcio.archiveiterator import ArchiveIterator

from catalog import publish as publish_module
from catalog.errors import CatalogError
from catalog.evidence import hash_program
from catalog.publish import publish
from catalog.taxonomy import load_taxonomy
from catalog.vendors import assign_vendors
from tests.store import HOSTILE, WARC, fill


@pytest.fixture
def store(tmp_path):
    store = fill(tmp_path)
    assign_vendors(store.db)
    return store


def published(store):
    """(counts, connection to the catalogue) of a fresh publication."""
    path = store.folder / "catalog.db"
    counts = publish(store.db, store.archive, path)
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    return counts, connection


def test_only_what_the_policy_lets_through(store):
    counts, catalog = published(store)
    quotes = {row["quote"] for row in catalog.execute("SELECT quote FROM claims")}
    assert "le tout gratuitement" not in quotes  # 0.6
    assert len(quotes) == counts["claims"] == 14
    assert counts["below_policy"] == 1
    urls = {row["url"] for row in catalog.execute("SELECT url FROM pages")}
    assert not any("critic" in url or "contact" in url for url in urls)
    assert {row["status"] for row in catalog.execute("SELECT status FROM claims")} == {"machine"}
    assert all("≥" in row["policy"] for row in catalog.execute("SELECT policy FROM claims"))


def test_a_quote_is_its_stretch_of_the_block(store):
    _, catalog = published(store)
    rows = catalog.execute(
        'SELECT quote, start, "end", text FROM claims JOIN blocks ON blocks.id = block_id'
    ).fetchall()
    assert len(rows) == 14
    assert all(row["quote"] == row["text"][row["start"] : row["end"]] for row in rows)
    assert catalog.execute("SELECT count(*) FROM blocks WHERE text = ?", [HOSTILE]).fetchone()[0] == 1


def test_the_contract_columns_are_there(store):
    _, catalog = published(store)
    contract = {
        "sources": "id kind url",
        "pages": "id url source_id fetched_at status sha256 warc warc_offset lang title voice voice_score",
        "blocks": "id page_id position kind text",
        "claims": "id page_id block_id vendor_id label score start end quote rule model status "
        "policy lang source_kind vendor fetched_at",
        "vendors": "id name domain",
        "labels": "id name_en name_fr definition severity",
        "evidence": "page_id sha256 warc_filename warc_offset record",
        "publication": "built_at version policy claims",
    }
    for table, columns in contract.items():
        found = {row["name"] for row in catalog.execute(f"PRAGMA table_info({table})")}
        assert set(columns.split()) <= found, table
    assert catalog.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert catalog.execute("PRAGMA foreign_key_check").fetchall() == []


def test_addresses_are_defanged_in_every_column_but_the_page_s_own_words(store):
    _, catalog = published(store)
    ours = {
        entry.address
        for group in vars(load_taxonomy()).values()
        for entry in group.values()
        if hasattr(entry, "address")
    }
    found = []
    for (table,) in catalog.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        for row in catalog.execute(f"SELECT * FROM {table}"):
            for column in row.keys():  # noqa: SIM118 - a Row iterates over its values
                value = row[column]
                words = (table, column) in {
                    ("blocks", "text"),
                    ("claims", "quote"),
                    ("pages", "title"),
                } or "_fts" in table
                if isinstance(value, str) and not words and value not in ours and "http" in value.lower():
                    found.append((table, column, value))
    assert found == []
    domains = [row["domain"] for row in catalog.execute("SELECT domain FROM vendors ORDER BY id")]
    assert domains == ["crowdly[.]test", "likeo[.]example"]


def test_each_page_carries_the_proof_that_a_stranger_needs(store, tmp_path):
    _, catalog = published(store)
    rows = catalog.execute(
        "SELECT evidence.*, pages.sha256 AS page_sha256 FROM evidence JOIN pages ON pages.id = page_id"
    )
    encodings = set()
    for row in rows.fetchall():
        archived = (store.archive / row["warc_filename"]).read_bytes()
        assert archived[row["warc_offset"] :].startswith(row["record"])
        record = next(iter(ArchiveIterator(io.BytesIO(row["record"]))))
        encodings |= {name.lower() for name, _ in record.http_headers.headers}
        file = tmp_path / "record.warc.gz"
        file.write_bytes(row["record"])
        command = [sys.executable, "-c", hash_program(row["record"]), str(file)]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        assert shown == row["sha256"] == row["page_sha256"]
    assert {"content-encoding", "transfer-encoding"} <= encodings  # else the case that matters was not tried


def test_pages_without_their_evidence_stay_out(store):
    likeo, _ = store.db.execute("SELECT warc_offset, warc_length FROM pages WHERE id IN (1, 2) ORDER BY id").fetchall()
    path = store.archive / WARC
    content = bytearray(path.read_bytes())
    content[likeo[0] + 60 : likeo[0] + 70] = bytes(10)  # a spoiled record
    path.write_bytes(content)
    store.db.execute("UPDATE pages SET warc = 'gone.warc.gz' WHERE id = 5")
    store.db.execute("UPDATE pages SET warc = '../fantomes.db' WHERE id = 4")
    counts, catalog = published(store)
    assert [row["id"] for row in catalog.execute("SELECT id FROM pages")] == [2]
    assert counts["without_evidence"] == 12
    assert len(counts["warnings"]) == 3
    assert any("gone.warc.gz" in warning for warning in counts["warnings"])
    assert any("not below" in warning for warning in counts["warnings"])


def test_a_record_of_another_page_is_no_evidence(store):
    _, second = store.db.execute("SELECT warc_offset, warc_length FROM pages WHERE id IN (1, 4) ORDER BY id").fetchall()
    store.db.execute("UPDATE pages SET warc_offset = ?, warc_length = ? WHERE id = 1", list(second))
    counts, _ = published(store)
    assert len(counts["warnings"]) == 1
    assert "SHA-256" in counts["warnings"][0]


def test_a_newer_capture_replaces_the_older(store):
    store.page(
        "http://likeo.example/faq", [("text", "Plus rien à dire.")], fetched_at="2026-11-22T00:00:00Z", lang="fr"
    )
    assign_vendors(store.db)
    _, catalog = published(store)
    assert catalog.execute("SELECT count(*) FROM pages WHERE url LIKE '%faq'").fetchone()[0] == 0


def test_a_failed_publication_leaves_the_old_one(store, monkeypatch):
    published(store)
    path = store.folder / "catalog.db"
    before = path.read_bytes()

    def broken(*_):
        raise sqlite3.OperationalError("disk is full")

    monkeypatch.setattr(publish_module, "_describe", broken)
    with pytest.raises(CatalogError, match=r"catalog\.db.*disk is full"):
        publish(store.db, store.archive, path)
    assert path.read_bytes() == before
    assert [name for name in os.listdir(store.folder) if name.endswith(".part")] == []


def test_a_reader_keeps_the_old_file_while_the_new_one_comes(store):
    _, reader = published(store)
    before = reader.execute("SELECT count(*) FROM claims").fetchone()[0]
    store.db.execute("DELETE FROM claims WHERE label = 'real'")
    counts, fresh = published(store)
    assert reader.execute("SELECT count(*) FROM claims").fetchone()[0] == before
    assert fresh.execute("SELECT count(*) FROM claims").fetchone()[0] == counts["claims"] < before


def test_equal_content_has_an_equal_version(store):
    first, _ = published(store)
    second, catalog = published(store)
    assert first["version"] == second["version"]
    store.db.execute("UPDATE claims SET score = 0.81 WHERE label = 'safe'")
    third, _ = published(store)
    assert third["version"] != first["version"]
    assert catalog.execute("SELECT version FROM publication").fetchone()[0] == second["version"]


def test_the_store_knows_the_labels_after_publication(store):
    published(store)
    assert [row["id"] for row in store.db["labels"].rows] == list(load_taxonomy().labels)


def test_platform_rules_only_where_the_page_names_the_platform(store):
    _, catalog = published(store)
    named = {}
    for row in catalog.execute(
        """SELECT url, platform FROM pages_policies
           JOIN pages ON pages.id = page_id JOIN policies ON policies.id = policy_id"""
    ):
        named.setdefault(row["url"], set()).add(row["platform"])
    assert set(named["hxxp://likeo[.]example/faq"]) == {"Instagram", "Meta (Facebook, Instagram, Threads)"}
    assert {"TikTok", "YouTube"} == next(value for url, value in named.items() if "crowdly" in url)
    assert not any("wire" in url for url in named)


def test_search_tables_ignore_accents(store):
    _, catalog = published(store)
    found = catalog.execute("SELECT count(*) FROM blocks_fts WHERE blocks_fts MATCH 'evenement'").fetchone()[0]
    assert found == 1


def test_an_archive_that_is_not_there_publishes_nothing_and_says_so(store, tmp_path):
    counts = publish(store.db, tmp_path / "nowhere", store.folder / "catalog.db")
    assert counts["claims"] == 0
    assert counts["without_evidence"] == 14


def test_a_place_that_cannot_be_written_is_one_clear_error(store, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CatalogError, match="cannot be written"):
        publish(store.db, store.archive, tmp_path / "file" / "catalog.db")


def test_hashes_in_the_builder_are_real(store):
    """The builder must not make the evidence tests empty: its hash is that of the bytes in the file."""
    row = store.db.execute("SELECT sha256, warc_offset, warc_length FROM pages WHERE id = 2").fetchone()
    member = (store.archive / WARC).read_bytes()[row[1] : row[1] + row[2]]
    record = next(iter(ArchiveIterator(io.BytesIO(member))))
    assert hashlib.sha256(record.raw_stream.read()).hexdigest() == row[0]
