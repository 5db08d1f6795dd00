"""The twelve labels and what stands behind them: provisions, policies of platforms, findings. One strict loader."""

from dataclasses import dataclass
from importlib.resources.abc import Traversable

from catalog.errors import CatalogError
from catalog.records import by_id
from data import DATA

MARKS = ("R", "S", "verify")
"""How an entry was read: the page itself, a secondary page, or not at all (then it is never displayed)."""

JURISDICTIONS = ("eu", "fr", "uk", "us", "de", "ca", "qc", "au")


@dataclass(frozen=True)
class Provision:
    """A provision that a claim may fall under; `about` is the advert's words or the sale itself."""

    id: str
    jurisdiction: str
    citation_en: str
    citation_fr: str
    line_en: str
    line_fr: str
    address: str
    mark: str
    base: bool = False
    about: str = "advert"
    read_at: str = ""
    note: str = ""


@dataclass(frozen=True)
class Policy:
    """A platform's rule; `names` are the words by which a page names the platform."""

    id: str
    platform: str
    names: tuple[str, ...]
    citation_en: str
    citation_fr: str
    line_en: str
    line_fr: str
    address: str
    mark: str
    note: str = ""


@dataclass(frozen=True)
class Finding:
    """A known fact from research, a court or a platform; `contrary` findings speak against our reading."""

    id: str
    line_en: str
    line_fr: str
    address: str
    mark: str
    contrary: bool = False
    note: str = ""


@dataclass(frozen=True)
class Label:
    """One of the twelve claims, with the keys of what stands behind it; `examples`: language -> yes/no -> texts."""

    id: str
    name_en: str
    name_fr: str
    definition_en: str
    definition_fr: str
    why_en: str
    why_fr: str
    severity: int
    provisions: tuple[str, ...]
    policies: tuple[str, ...]
    evidence: tuple[str, ...]
    examples: dict[str, dict[str, list[str]]]


@dataclass(frozen=True)
class Taxonomy:
    """Everything by id, in the order of the files. Only entries whose mark is not `verify` may be displayed."""

    labels: dict[str, Label]
    provisions: dict[str, Provision]
    policies: dict[str, Policy]
    evidence: dict[str, Finding]

    def provisions_of(self, label: Label) -> list[Provision]:
        """What a claim of this label may fall under: its own provisions, then those that hold for every label."""
        own = [self.provisions[key] for key in label.provisions]
        base = [entry for entry in self.provisions.values() if entry.base]
        return [entry for entry in own + base if entry.mark != "verify"]

    def policies_of(self, label: Label) -> list[Policy]:
        """The platforms' rules on this label, of whatever platform."""
        return [self.policies[key] for key in label.policies if self.policies[key].mark != "verify"]

    def evidence_of(self, label: Label) -> list[Finding]:
        """What is known about this label."""
        return [self.evidence[key] for key in label.evidence if self.evidence[key].mark != "verify"]


def load_taxonomy(folder: Traversable = DATA / "taxonomy") -> Taxonomy:
    """The taxonomy of `folder`, checked. Raises CatalogError naming file and value."""
    taxonomy = Taxonomy(
        labels=by_id(Label, folder / "labels.yml"),
        provisions=by_id(Provision, folder / "provisions.yml"),
        policies=by_id(Policy, folder / "policies.yml"),
        evidence=by_id(Finding, folder / "evidence.yml"),
    )
    for name, entries in (
        ("provisions.yml", taxonomy.provisions),
        ("policies.yml", taxonomy.policies),
        ("evidence.yml", taxonomy.evidence),
    ):
        for entry in entries.values():
            _check(folder / name, entry.id, "mark", entry.mark, MARKS)
            if not entry.address.startswith(("https://", "http://")):
                raise CatalogError(f"{folder / name}: {entry.id}: address is {entry.address!r}, expected a web address")
    for provision in taxonomy.provisions.values():
        _check(folder / "provisions.yml", provision.id, "jurisdiction", provision.jurisdiction, JURISDICTIONS)
        _check(folder / "provisions.yml", provision.id, "about", provision.about, ("advert", "sale"))
    for label in taxonomy.labels.values():
        path = folder / "labels.yml"
        _check(path, label.id, "severity", label.severity, (1, 2, 3))
        for key in label.provisions:
            _check(path, label.id, "provisions", key, taxonomy.provisions)
        for key in label.policies:
            _check(path, label.id, "policies", key, taxonomy.policies)
        for key in label.evidence:
            _check(path, label.id, "evidence", key, taxonomy.evidence)
        for lang, examples in label.examples.items():
            for answer in examples:
                _check(path, label.id, f"examples of {lang}", answer, ("yes", "no"))
    return taxonomy


def _check(path: Traversable, entry: str, key: str, value: object, allowed: object) -> None:
    if value not in allowed:  # type: ignore[operator]
        raise CatalogError(f"{path}: {entry}: {key}: unknown value {value!r}")
