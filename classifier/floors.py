"""How good the classifier must stay: data/floors.json holds what cross-validation has reached. Floors only rise."""

import json
from pathlib import Path
from typing import Any

from data import DATA

FILE = Path(str(DATA)) / "floors.json"
SLACK = 0.01  # a new corpus reshuffles the folds: differences this small mean nothing


def reached(measured: dict[str, Any]) -> dict[str, float]:
    """The numbers that have floors, of what fit() measured."""
    claims = {f"claims.{name}": row["f1"] for name, row in measured["claims"].items()}
    return claims | {f"voice.{name}": value for name, value in measured["voice"].items()}


def shortfalls(measured: dict[str, Any], floors: dict[str, float]) -> list[str]:
    """One line for each number below its floor."""
    found = reached(measured)
    return [
        f"{name}: {found.get(name, 0.0):.3f} is below the floor {floor:.3f}"
        for name, floor in floors.items()
        if found.get(name, 0.0) < floor - SLACK
    ]


def load_floors(file: Path = FILE) -> dict[str, float]:
    """The floors by name; none if there is no file yet."""
    return dict(json.loads(file.read_text("utf-8"))["floors"]) if file.exists() else {}


def raise_floors(measured: dict[str, Any], file: Path = FILE) -> dict[str, float]:
    """Write the higher of floor and number reached for each name, with the model that reached them; return them."""
    floors = load_floors(file)
    raised = {name: max(round(value, 3), floors.get(name, 0.0)) for name, value in reached(measured).items()}
    file.write_text(json.dumps({"model": measured["model"], "floors": raised}, indent=1) + "\n", "utf-8")
    return raised
