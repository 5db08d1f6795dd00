"""Rules for what a seller's page asks, denies, quotes, conditions or reports: said, but not asserted."""

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources.abc import Traversable
from typing import Any

import yaml

from classifier import ClassifierError
from classifier.labels import labels
from classifier.text import fold
from data import DATA

REASONS = frozenset({"asked", "denied", "quoted", "conditioned", "reported", "other"})


@dataclass(frozen=True)
class Withdrawal:
    """One rule. `pattern` is searched in the folded text of the quoted sentence (or of the whole block)."""

    id: str
    reason: str
    pattern: re.Pattern[str]
    labels: frozenset[str]
    whole_block: bool = False
    withdrawn: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()

    def withdraws(self, label: str, sentence: str, block: str) -> bool:
        """Whether a claim with this label, made in this sentence of this block, is not asserted."""
        return label in self.labels and bool(self.pattern.search(fold(block if self.whole_block else sentence)))


@cache
def withdrawals(lang: str) -> tuple[Withdrawal, ...]:
    """Rules of data/withdrawals/<lang>.yml; none if the language has no file. Raises ClassifierError."""
    source = DATA / "withdrawals" / f"{lang}.yml"
    return load_withdrawals(source) if source.is_file() else ()


def load_withdrawals(source: Traversable) -> tuple[Withdrawal, ...]:
    """Rules of one file, strictly read. Raises ClassifierError naming file, rule and value."""
    try:
        entries = yaml.safe_load(source.read_text("utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ClassifierError(f"{source}: cannot read the withdrawals: {error}") from error
    rules = tuple(_rule(dict(entry), f"{source}: {entry.get('id', entry)}") for entry in entries or ())
    if len({rule.id for rule in rules}) < len(rules):
        raise ClassifierError(f"{source}: an id stands twice")
    return rules


def _rule(entry: dict[str, Any], where: str) -> Withdrawal:
    try:
        rule = Withdrawal(
            id=entry.pop("id"),
            reason=entry.pop("reason"),
            pattern=re.compile(entry.pop("pattern")),
            labels=frozenset(entry.pop("labels", labels())),
            whole_block=entry.pop("scope", "quote") == "block",
            withdrawn=tuple(entry.pop("withdrawn")),
            kept=tuple(entry.pop("kept")),
        )
    except (KeyError, re.error) as error:
        raise ClassifierError(f"{where}: missing or wrong: {error}") from error
    if entry or rule.reason not in REASONS or rule.labels - set(labels()):
        raise ClassifierError(f"{where}: unknown key, reason or label")
    return rule
