"""Decisions of people as labelled text, and a model that learns from them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from classifying import small_model
from sqlite_utils import Database

from classifier import ClassifierError
from classifier.features import Text
from classifier.model import load_model
from classifier.reviews import export_reviews, reviewed_pages
from classifier.scores import score_blocks
from classifier.train import train
from data.migrations import open_store

ROW = {
    "url": "https://a.example/", "sha256": "a" * 64, "position": 3, "label": "real", "lang": "en", "kind": "text",
    "text": "Our fans have a pulse", "decision": "confirmed", "reviewer": "ann", "decided_at": "2026-01-02T03:04:05Z",
}  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    db = open_store(tmp_path / "fantomes.db")
    yield db
    db.close()


def decide(db: Database, **changes: Any) -> None:
    with db.atomic():
        db["reviews"].insert(ROW | changes)  # type: ignore[union-attr]


def test_a_decision_becomes_a_labelled_block(store: Database) -> None:
    decide(store)
    decide(store, label="free", decision="rejected")
    [row] = export_reviews(store)
    assert (row["labels"], row["decided"], row["voice"]) == (["real"], ["free", "real"], "promotion")
    [page] = reviewed_pages(store)
    assert (page.voice, page.lang, page.blocks[0].text) == ("promotion", "en", ROW["text"])
    assert page.blocks[0].decided == {"real", "free"}


def test_the_latest_word_counts(store: Database) -> None:
    decide(store)
    decide(store, decision="rejected")
    [row] = export_reviews(store)
    assert (row["labels"], row["decided"]) == ([], ["real"])


def test_people_who_disagree_teach_nothing(store: Database) -> None:
    decide(store)
    decide(store, reviewer="bob", decision="rejected")
    assert list(export_reviews(store)) == []
    decide(store, reviewer="bob")
    assert len(list(export_reviews(store))) == 1
    decide(store, reviewer="bob", voice="criticism")
    assert list(export_reviews(store)) == []


def test_a_critic_makes_no_claim(store: Database) -> None:
    decide(store, voice="criticism")
    [row] = export_reviews(store)
    assert (row["labels"], len(row["decided"])) == ([], 12)


def test_an_unknown_label_is_named(store: Database) -> None:
    decide(store, label="cheap")
    with pytest.raises(ClassifierError, match="table reviews:1: unknown label cheap"):
        reviewed_pages(store)


def test_the_model_learns_from_them(store: Database, tmp_path: Path) -> None:
    for place in range(12):
        decide(store, position=place, text=f"{ROW['text']} and a heartbeat, number {place}")
    corpus = small_model() / "corpus"
    train(tmp_path / "model", corpus, reviewed=reviewed_pages(store))
    before, after = load_model(small_model()), load_model(tmp_path / "model")
    assert before.version != after.version
    asked = [Text("These fans have a pulse and a heartbeat")]
    place = after.labels.index("real")
    first, second = (score_blocks(model, asked, "en")[0].probabilities[0, place] for model in (before, after))
    assert second > first + 0.2
