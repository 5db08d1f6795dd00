"""What may be published without a person having looked, and when a domain becomes a vendor: data/publication.yml."""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources.abc import Traversable

from catalog.errors import CatalogError
from catalog.records import read_yaml, record
from data import DATA


@dataclass(frozen=True)
class Publisher:
    """Who answers for this copy of the catalogue."""

    name: str
    contact: str


@dataclass(frozen=True)
class Rule:
    """A door to publication: claims of status `takes` become `gives` when voice and label reach their scores."""

    id: str
    takes: str
    gives: str
    voice: str
    voice_score: float
    scores: dict[str, float]

    def lets_through(
        self, status: str, voice: str | None, voice_score: float | None, label: str, score: float
    ) -> str | None:
        """What stands in the claim's `policy` column, or None when this rule does not publish the claim."""
        least = self.scores.get(label)
        if status != self.takes or voice != self.voice or least is None or voice_score is None:
            return None
        if voice_score < self.voice_score or score < least:
            return None
        return f"{self.id}: {self.voice} ≥ {self.voice_score:.2f}, {label} ≥ {least:.2f}"


@dataclass(frozen=True)
class VendorRule:
    """What a domain's own pages must show: how many promote, how surely, and how thick the claims stand on them."""

    id: str
    voice_score: float
    """From which a page counts as promotion here."""
    min_promotion_share: float
    """Of the pages."""
    min_claim_share: float
    """Of the blocks of all pages: those with a publishable claim."""


@dataclass(frozen=True)
class PublicationPolicy:
    """The whole policy."""

    publisher: Publisher
    rules: tuple[Rule, ...]
    vendors: tuple[VendorRule, ...]

    def promotes(self, voice: str | None, voice_score: float | None) -> bool:
        """True when a rule would publish a page of this voice."""
        return any(voice == rule.voice and (voice_score or 0) >= rule.voice_score for rule in self.rules)

    def lets_through(
        self, status: str, voice: str | None, voice_score: float | None, label: str, score: float
    ) -> tuple[str, str] | None:
        """(policy column, published status) of the first rule that publishes the claim, or None."""
        for rule in self.rules:
            policy = rule.lets_through(status, voice, voice_score, label, score)
            if policy is not None:
                return policy, rule.gives
        return None


def load_policy(labels: Iterable[str], path: Traversable = DATA / "publication.yml") -> PublicationPolicy:
    """The policy of `path`; each rule must give a score to each of `labels`. Raises CatalogError."""
    content = read_yaml(path)
    if not isinstance(content, dict) or set(content) != {"publisher", "rules", "vendors"}:
        raise CatalogError(f"{path}: expected exactly the keys publisher, rules, vendors")
    policy = PublicationPolicy(
        publisher=record(Publisher, content["publisher"], path),
        rules=tuple(record(Rule, row, path) for row in content["rules"]),
        vendors=tuple(record(VendorRule, row, path) for row in content["vendors"]),
    )
    expected = set(labels)
    for rule in policy.rules:
        for label in sorted(set(rule.scores) ^ expected):
            raise CatalogError(f"{path}: {rule.id}: scores: label {label!r} is missing or unknown")
        for name, number in [("voice_score", rule.voice_score), *rule.scores.items()]:
            if not 0 <= number <= 1:
                raise CatalogError(f"{path}: {rule.id}: {name} is {number}, expected 0 to 1")
    return policy
