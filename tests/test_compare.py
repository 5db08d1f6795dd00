"""Systems side by side on pages they have not seen; what is published of it; the scorer for others."""

import json
from pathlib import Path

import pytest
from classifying import small_model

from classifier import ClassifierError
from classifier.baselines import BASELINES
from classifier.card import write_docs
from classifier.compare import OURS, compare
from classifier.corpus import load_corpus
from classifier.labels import labels
from classifier.measure import prf
from classifier.score import read_answers
from classifier.train import load_measured


def test_systems_side_by_side(tmp_path: Path) -> None:
    pages = load_corpus(small_model() / "corpus")
    known, unseen = pages[:60], pages[60:90]
    result = compare(known, unseen, BASELINES, small_model())
    assert list(result) == [OURS, *BASELINES]
    for judged, measured in result.values():
        assert judged.chances.shape == judged.given.shape == (sum(len(page.blocks) for page in unseen), 12)
        assert ((judged.chances >= 0) & (judged.chances <= 1.0001)).all()
        assert measured["claims"]["all"]["micro"]["support"] > 0
    made = write_docs(tmp_path, load_measured(small_model()), {"a test": result})
    text = made[0].read_text("utf-8")
    assert all(name in text for name in result)
    assert "false accusations" in text
    pictures = sorted(file.name for file in tmp_path.glob("*.png"))
    assert pictures == ["a-labels.png", "a-reliability.png", "a-systems.png"]
    assert all(f"({name})" in text for name in pictures)


def test_scoring_answers_of_others(tmp_path: Path) -> None:
    pages = load_corpus(small_model() / "corpus")[-40:]
    file = tmp_path / "answers.jsonl"
    right = [
        {"id": block.id, "labels": sorted(block.labels), "voice": page.voice} for page in pages for block in page.blocks
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in right))
    judged = read_answers(file, pages)
    assert prf(judged.truth, judged.given, labels())["micro"]["f1"] == 1
    assert all(is_voice == heard for is_voice, heard in judged.voices)
    file.write_text(json.dumps({"id": right[0]["id"], "labels": ["real", "free"]}) + "\n")
    assert read_answers(file, pages).given.sum() == 2


@pytest.mark.parametrize("line", ["{", '{"id": "nobody", "labels": []}', '{"id": 3}', "[]"])
def test_names_answers_that_it_cannot_read(tmp_path: Path, line: str) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_text(line + "\n")
    with pytest.raises(ClassifierError, match=r"answers\.jsonl:1: not an answer"):
        read_answers(file, load_corpus(small_model() / "corpus")[:3])
