"""Withdrawal rules: their own examples are the tests."""

from pathlib import Path

import pytest

from classifier import ClassifierError
from classifier.withdrawals import Withdrawal, load_withdrawals
from data import DATA

RULES = [rule for file in sorted(Path(str(DATA / "withdrawals")).glob("*.yml")) for rule in load_withdrawals(file)]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_examples(rule: Withdrawal) -> None:
    label = sorted(rule.labels)[0]
    assert rule.withdrawn
    assert rule.kept
    assert [text for text in rule.withdrawn if not rule.withdraws(label, text, text)] == []
    assert [text for text in rule.kept if rule.withdraws(label, text, text)] == []


def test_ids_say_their_language() -> None:
    files = Path(str(DATA / "withdrawals")).glob("*.yml")
    assert all(rule.id.startswith(file.stem + ".") for file in files for rule in load_withdrawals(file))


def test_other_labels_are_left_alone() -> None:
    [rule] = [rule for rule in RULES if rule.id == "en.secure-payment"]
    assert rule.withdraws("safe", "Secure payment", "Secure payment")
    assert not rule.withdraws("instant", "Secure payment", "Secure payment")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("- id: en.x\n  reason: asked\n  withdrawn: []\n  kept: []\n", "pattern"),
        ("- id: en.x\n  reason: bored\n  pattern: a\n  withdrawn: []\n  kept: []\n", "reason"),
        ("- id: en.x\n  reason: asked\n  pattern: '('\n  withdrawn: []\n  kept: []\n", "en.x"),
        ("- id: en.x\n  reason: asked\n  pattern: a\n  colour: red\n  withdrawn: []\n  kept: []\n", "unknown key"),
    ],
)
def test_reads_strictly(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "en.yml"
    file.write_text(text)
    with pytest.raises(ClassifierError) as error:
        load_withdrawals(file)
    assert str(file) in str(error.value)
    assert named in str(error.value)
