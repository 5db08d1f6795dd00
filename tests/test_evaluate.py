"""What is measured is what happened."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from classifying import small_model

from classifier.compare import OURS, compare
from classifier.corpus import load_corpus, load_pages
from classifier.evaluate import report
from classifier.measure import calibration_error, prf
from classifier.train import load_measured
from data.migrations import open_store


def test_prf() -> None:
    truth = np.array([[True, False], [True, True], [False, False], [False, True]])
    given = np.array([[True, False], [False, True], [True, False], [False, True]])
    result = prf(truth, given, ["a", "b"])
    assert result["a"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2}
    assert result["b"]["f1"] == 1.0
    assert result["micro"]["f1"] == pytest.approx(0.75)
    assert prf(truth[:0], given[:0], ["a", "b"])["micro"] == {"precision": 0, "recall": 0, "f1": 0, "support": 0}


def test_calibration_error() -> None:
    said = np.array([0.75] * 4 + [0.25] * 4)
    assert calibration_error(np.array([True] * 3 + [False] * 4 + [True]), said) == pytest.approx(0)
    assert calibration_error(np.array([False] * 8), said) == pytest.approx(0.5)


def test_evaluates_a_file(tmp_path: Path) -> None:
    rows = [
        ("s", "en", "promotion", ["real"], "All our followers are real people from active accounts, no bots."),
        ("s", "en", "promotion", ["instant"], "Buy Instagram followers with fast delivery"),
        ("s", "en", "promotion", [], "Buy 500 Instagram followers"),
        ("c", "en", "criticism", [], "Sellers of followers promise real people and deliver bots, researchers found."),
        ("j", "ja", "neutral", [], "ニュース"),
    ]
    file = tmp_path / "eval.jsonl"
    keys = ("page", "lang", "page_voice", "labels", "text")
    file.write_text(
        "".join(json.dumps({"id": n, **dict(zip(keys, row, strict=True))}) + "\n" for n, row in enumerate(rows))
    )
    result = compare([], load_pages(file), {}, small_model())[OURS][1]
    assert result["blocks"] == 5
    assert result["pages"] == 3
    assert set(result["claims"]) == {"all", "en"}
    assert result["claims"]["en"]["real"]["support"] == 1
    assert result["claims"]["en"]["real"]["recall"] == 1
    assert sum(sum(row.values()) for row in result["voice"]["confusion"].values()) == 3
    assert result["false_accusations"]["of_blocks"] == 2
    assert result["false_accusations"]["of_pages"] == 2
    text = report(result)
    assert "false accusations: 0 of 2 blocks" in text
    assert "professional" in text


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "fantomes", *map(str, words)]
    return subprocess.run(argv, cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=300, check=False)


def test_the_commands_as_a_user_runs_them(tmp_path: Path) -> None:
    """Review -> export -> train with it -> evaluate -> score, on the command line."""
    store, corpus = tmp_path / "fantomes.db", small_model() / "corpus"
    with open_store(store) as db:
        db["reviews"].insert(  # type: ignore[union-attr]
            {
                "url": "https://a.example/", "sha256": "a" * 64, "position": 0, "label": "real", "lang": "en",
                "kind": "text", "text": "Fans with a pulse", "decision": "confirmed", "reviewer": "ann",
                "decided_at": "2026-01-02T03:04:05Z",
            }
        )  # fmt: skip
    exported = run("export-reviews", "--db", store)
    row = json.loads(exported.stdout)
    assert (row["labels"], row["decided"]) == (["real"], ["real"])
    model = ("--model", tmp_path / "model")
    trained = run("train", "--with-reviews", "--db", store, "--corpus", corpus, *model, "--json")
    assert trained.returncode == 0, trained.stderr
    assert json.loads(trained.stdout)["blocks"] == 1 + load_measured(small_model())["blocks"]
    file = tmp_path / "blocks.jsonl"
    file.write_text(json.dumps(row | {"text": "All our followers are real people", "decided": ["real"]}) + "\n")
    evaluated = json.loads(run("evaluate", file, *model, "--corpus", corpus, "--json").stdout)
    assert (evaluated["of"], evaluated["blocks"], evaluated["baselines"]) == ("blocks", 1, {})
    answers = tmp_path / "answers.jsonl"
    answers.write_text(json.dumps({"id": load_corpus(corpus)[0].blocks[0].id, "labels": ["real"]}) + "\n")
    scored = run("score", answers, "--corpus", corpus)
    assert "false accusations:" in scored.stdout
    answers.write_text("nonsense\n")
    wrong = run("score", answers, "--corpus", corpus)
    assert (wrong.returncode, wrong.stderr.count("\n")) == (1, 1)
    assert f"{answers}:1" in wrong.stderr
