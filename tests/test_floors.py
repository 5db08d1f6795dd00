"""The trained model is as good as it was; floors only rise."""

import json
import subprocess
from pathlib import Path

import pytest

from classifier.floors import FILE, load_floors, raise_floors, shortfalls
from classifier.train import load_measured
from data import DATA

ROOT = Path(__file__).parents[1]
MEASURED = {
    "model": "abc",
    "claims": {"free": {"f1": 0.8}, "micro": {"f1": 0.7}},
    "voice": {"pages": 0.9, "samples": 0.6},
}


def test_the_trained_model_reaches_its_floors() -> None:
    floors = load_floors()
    assert len(floors) == 15
    assert shortfalls(load_measured(Path(str(DATA)) / "model"), floors) == []


def test_floors_only_rise() -> None:
    """Against the last commit, where there is one."""
    name = FILE.relative_to(ROOT).as_posix()
    before = subprocess.run(["git", "show", f"HEAD:{name}"], cwd=ROOT, capture_output=True, text=True, check=False)
    if before.returncode:
        pytest.skip("no earlier floors")
    floors = load_floors()
    for label, floor in json.loads(before.stdout)["floors"].items():
        assert floors[label] >= floor, label


def test_raising(tmp_path: Path) -> None:
    file = tmp_path / "floors.json"
    assert load_floors(file) == {}
    first = raise_floors(MEASURED, file)
    assert first == load_floors(file) == {
        "claims.free": 0.8, "claims.micro": 0.7, "voice.pages": 0.9, "voice.samples": 0.6
    }  # fmt: skip
    worse = MEASURED | {"voice": {"pages": 0.95, "samples": 0.5}}
    assert shortfalls(worse, first) == ["voice.samples: 0.500 is below the floor 0.600"]
    assert raise_floors(worse, file) == first | {"voice.pages": 0.95}
