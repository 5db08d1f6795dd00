"""Labelled blocks, page by page: our own corpus, and evaluation files of the same shape."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from classifier import ClassifierError
from classifier.labels import labels
from classifier.text import words

VOICES = ("promotion", "criticism", "neutral")
KINDS = frozenset(
    ["title", "meta", "heading", "text", "item", "cell", "button", "link", "alt", "option", "quote", "data"]
)


@dataclass(frozen=True)
class Block:
    """One labelled block; `context` is the text before it on its page."""

    id: str
    text: str
    kind: str
    labels: frozenset[str]
    context: str
    spans: tuple[tuple[int, int, str], ...] = ()
    """Where they were marked: the shortest stretches (start, end, label) that carry the labels."""
    decided: frozenset[str] | None = None
    """Labels that a reviewer decided on; of the others nothing is known. None: all."""


@dataclass
class Page:
    """The labelled blocks of one page, in order."""

    id: str
    lang: str
    voice: str
    blocks: list[Block] = field(default_factory=list)


def load_corpus(folder: Path | Traversable) -> list[Page]:
    """Pages of all *.jsonl files in `folder`, by file name. Raises ClassifierError."""
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".jsonl")), key=lambda file: file.name)
    if not files:
        raise ClassifierError(f"{folder}: no corpus files (*.jsonl)")
    return [page for file in files for page in load_pages(file)]


def load_pages(file: Path | Traversable) -> list[Page]:
    """Pages of one JSON Lines file: the corpus (`voice`, `kind`) or an evaluation set (`page_voice`, `context`).

    Raises ClassifierError, naming file, line and value.
    """
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ClassifierError(f"{file}: cannot read: {error}") from error
    return read_pages(lines, str(file))


def read_pages(lines: Iterable[str], name: str) -> list[Page]:
    """Pages of labelled blocks, a JSON object a line. Raises ClassifierError: `name`, number of the line, value."""
    pages: dict[tuple[str, str], Page] = {}  # a page may hold several languages: one Page each
    for number, line in enumerate(lines, 1):
        where = f"{name}:{number}"
        try:
            row = json.loads(line)
            voice = row["voice"] if "voice" in row else row["page_voice"]
            page = pages.setdefault((row["page"], row["lang"]), Page(row["page"], row["lang"], voice))
            block = _block(row, page.blocks[-1].text if page.blocks else "")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ClassifierError(f"{where}: not a labelled block: {error!r}") from error
        _check(block, page, voice, where)
        page.blocks.append(block)
    return list(pages.values())


def _block(row: dict[str, Any], before: str) -> Block:
    return Block(
        row["id"],
        row["text"],
        row.get("kind", ""),
        frozenset(row["labels"]),
        # an evaluation set samples blocks, so the text before one is given with it
        row.get("context") or "" if "context" in row else before,
        tuple((start, end, label) for start, end, label in row.get("spans", ())),
        frozenset(row["decided"]) if "decided" in row else None,
    )


def _check(block: Block, page: Page, voice: str, where: str) -> None:
    if voice not in VOICES:
        raise ClassifierError(f"{where}: voice must be one of {', '.join(VOICES)}: {voice!r}")
    if voice != page.voice:
        raise ClassifierError(f"{where}: page {page.id!r} has two voices: {page.voice}, {voice}")
    if block.kind and block.kind not in KINDS:
        raise ClassifierError(f"{where}: unknown kind {block.kind!r}")
    if unknown := block.labels - set(labels()):
        raise ClassifierError(f"{where}: unknown label {', '.join(sorted(unknown))}")
    if block.labels and voice != "promotion":
        raise ClassifierError(f"{where}: labels on a {voice} page: {', '.join(sorted(block.labels))}")
    if not isinstance(block.text, str) or not block.text.strip():
        raise ClassifierError(f"{where}: empty text")
    for start, end, label in block.spans:
        if label not in block.labels or not block.text[start:end].strip():
            raise ClassifierError(f"{where}: no such stretch: {[start, end, label]}")


def near_duplicates(pages: Iterable[Page], share: float = 0.6) -> list[tuple[str, str]]:
    """Pairs of block ids from different pages that have `share` of their word triples in common (of the longer one).

    Blocks of fewer than six words are left out: short headings are alike by nature.
    """
    grams: dict[str, set[tuple[str, ...]]] = {}
    page_of: dict[str, str] = {}
    holders: dict[tuple[str, ...], list[str]] = defaultdict(list)
    pairs = []
    for page in pages:
        for block in page.blocks:
            text = words(block.text)
            own: set[tuple[str, ...]] = set(zip(text, text[1:], text[2:], strict=False))
            if len(own) < 4:
                continue
            shared = Counter(other for gram in own for other in holders[gram] if page_of[other] != page.id)
            pairs += [(other, block.id) for other, n in shared.items() if n >= share * max(len(own), len(grams[other]))]
            grams[block.id], page_of[block.id] = own, page.id
            for gram in own:
                holders[gram].append(block.id)
    return pairs


def families(pages: Sequence[Page]) -> list[int]:
    """A number for each page; pages that share near-duplicate blocks have the same one (folds must not split them)."""
    owner = {block.id: place for place, page in enumerate(pages) for block in page.blocks}
    family = list(range(len(pages)))

    def root(place: int) -> int:
        while family[place] != place:
            place = family[place]
        return place

    for first, second in near_duplicates(pages):
        family[root(owner[second])] = root(owner[first])
    return [root(place) for place in range(len(pages))]
