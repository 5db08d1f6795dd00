"""Pages of the store get a voice and claims; a rerun changes nothing and a stopped run goes on."""

import hashlib
from pathlib import Path

import pytest
from classifying import small_model
from sqlite_utils import Database

from classifier import ClassifierError
from classifier import classify as module
from classifier.classify import classify
from data.migrations import open_store

SELLER = [
    ("title", "Buy Instagram followers"),
    ("heading", "Real followers, no bots"),
    ("text", "Real people will follow you. Your order starts within five minutes."),
    ("heading", "Do you need my password?"),
    ("text", "No, never, your account stays safe."),
    ("button", "Buy followers now"),
]
CRITIC = [
    ("title", "Why I tell my clients not to buy followers"),
    ("text", "Sellers promise real people; what comes are bots and empty accounts."),
    ("text", "The platform removes them, and the reputation goes with them."),
    ("text", "Researchers bought likes and reported them: few were deleted."),
]


def add_page(db: Database, url: str, blocks: list[tuple[str, str]]) -> int:
    page = db["pages"].insert(
        {
            "url": url, "source_id": "s", "fetched_at": "2026-11-22T10:00:00Z", "last_seen_at": "2026-11-22T10:00:00Z",
            "status": 200, "sha256": hashlib.sha256(url.encode()).hexdigest(), "text_sha256": "t",
            "warc": "a.warc.gz", "warc_offset": 0, "warc_length": 1,
        }
    ).last_pk  # fmt: skip
    rows = ({"page_id": page, "position": n, "kind": kind, "text": text} for n, (kind, text) in enumerate(blocks))
    db["blocks"].insert_all(rows)
    return page


@pytest.fixture
def db(tmp_path: Path) -> Database:
    db = open_store(tmp_path / "store.db")
    db["sources"].insert({"id": "s", "kind": "site"})
    add_page(db, "http://likeo.example/", SELLER)
    add_page(db, "http://blog.example/", CRITIC)
    return db


def claims(db: Database) -> list[dict]:
    return list(db.query("SELECT * FROM claims ORDER BY id"))


def test_writes_voices_and_claims(db: Database) -> None:
    counts = classify(db, small_model())
    assert counts["pages"] == 2
    assert counts["blocks"] == len(SELLER) + len(CRITIC)
    assert counts["voices"] == {"promotion": 1, "criticism": 1}
    assert counts["languages"] == {"en": 2}
    found = claims(db)
    assert sum(counts["claims"].values()) == len(found) > 0
    assert {row["page_id"] for row in found} == {1}
    assert {"real", "instant", "safe"} <= {row["label"] for row in found}


def test_quotes_are_the_text_at_their_place(db: Database) -> None:
    classify(db, small_model())
    for row in db.query('SELECT start, "end", quote, text FROM claims JOIN blocks ON blocks.id = block_id'):
        assert row["quote"] == row["text"][row["start"] : row["end"]] != ""
    [instant] = db.query("SELECT quote FROM claims WHERE label = 'instant'")
    assert instant["quote"] == "Your order starts within five minutes."


def test_a_rerun_reads_nothing_and_changes_nothing(db: Database) -> None:
    classify(db, small_model())
    before = claims(db)
    assert classify(db, small_model())["pages"] == 0
    assert classify(db, small_model(), everything=True)["pages"] == 2
    assert claims(db) == before


def test_another_version_reads_again_and_replaces(db: Database) -> None:
    classify(db, small_model())
    before = claims(db)
    db.execute("UPDATE pages SET model = 'older' WHERE id = 1")
    db.execute("UPDATE claims SET label = 'free', id = 'stale' || substr(id, 6)")
    assert classify(db, small_model())["pages"] == 1
    assert claims(db) == before


def test_a_stopped_run_goes_on(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH_PAGES", 1)

    def stop(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        classify(db, small_model(), progress=stop)
    assert db.execute("SELECT count(*) FROM pages WHERE model IS NULL").fetchone() == (1,)
    assert classify(db, small_model())["pages"] == 1


def test_progress_counts_pages(db: Database) -> None:
    seen: list[int] = []
    classify(db, small_model(), progress=seen.append)
    assert seen == [2]


def test_a_page_without_blocks(db: Database) -> None:
    add_page(db, "http://empty.example/", [])
    assert classify(db, small_model())["pages"] == 3


def test_without_a_model(db: Database, tmp_path: Path) -> None:
    with pytest.raises(ClassifierError, match="run `fantomes train`"):
        classify(db, tmp_path)
