"""The corpus as arrays to learn from."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from classifier.corpus import Block, Page
from classifier.features import NAME_COLUMNS, Features, Text, features
from classifier.labels import labels
from classifier.lexicon import lexicon
from classifier.model import counts, vectors
from classifier.scores import segment_texts
from classifier.text import segments, words


@dataclass
class Dataset:
    """The corpus as arrays: n blocks, their segments, and m more texts made from them to learn from, see _more()."""

    vectors: csr_matrix
    labels: NDArray[np.bool_]
    known: NDArray[np.bool_]
    """n x L: whether the label was decided (in the corpus always, in a review perhaps)"""
    page: NDArray[np.int64]
    segment_vectors: csr_matrix
    segment_owner: NDArray[np.int64]
    more_vectors: csr_matrix
    more_labels: NDArray[np.bool_]
    more_page: NDArray[np.int64]


def vectorise(pages: Sequence[Page], seed: int) -> tuple[NDArray[np.float32], Dataset]:
    """How rare each name is, and the pages as arrays; `seed` decides which neighbours are joined."""
    rows: list[Features] = []
    parts: list[Features] = []
    more: list[Features] = []
    marks, known, page_of, owner, more_marks, more_page = [], [], [], [], [], []
    chance = random.Random(seed)  # noqa: S311 - sampling, not secrecy
    for place, page in enumerate(pages):
        known_words = lexicon(page.lang)
        for block in page.blocks:
            # every other block hides its kind: tag is often given none
            text = Text(block.text, block.kind if len(rows) % 2 else "", block.context)
            spans = segments(block.text)
            if len(spans) > 1:
                parts += [features(part, known_words) for part in segment_texts(text, spans)]
                owner += [len(rows)] * len(spans)
            rows.append(features(text, known_words))
            marks.append([label in block.labels for label in labels()])
            known.append([block.decided is None or label in block.decided for label in labels()])
            page_of.append(place)
        for text, found in _more(page, chance):
            more.append(features(text, known_words))
            more_marks.append([label in found for label in labels()])
            more_page.append(place)
    idf = rarity(rows)
    return idf, Dataset(
        vectors(idf, rows), np.array(marks), np.array(known), np.array(page_of),
        vectors(idf, parts), np.array(owner),
        vectors(idf, more), np.array(more_marks), np.array(more_page),
    )  # fmt: skip


def rarity(rows: list[Features]) -> NDArray[np.float32]:
    """Inverse document frequency of each name, smoothed as scikit-learn's TfidfTransformer does."""
    found = np.bincount(counts(rows).indices, minlength=NAME_COLUMNS)
    return (np.log((1 + len(rows)) / (1 + found)) + 1).astype(np.float32)


def _more(page: Page, chance: random.Random) -> Iterator[tuple[Text, frozenset[str]]]:
    """More texts to learn claims from: what neighbours say together, and each part of a block by itself."""
    yield from _joined(page, chance)
    for block in page.blocks:
        if block.spans:
            yield from _parts(block)


def _joined(page: Page, chance: random.Random) -> Iterator[tuple[Text, frozenset[str]]]:
    """Paragraphs of two to four neighbouring blocks: real pages have long blocks, the corpus mostly short ones."""
    run = [b for b in page.blocks if b.kind in ("text", "item", "heading", "meta", "cell") and b.decided is None]
    start = 0
    while start < len(run):
        group = run[start : start + chance.choice((2, 2, 3, 4))]
        start += len(group)
        if len(group) < 2 or any(block.text.rstrip().endswith("?") for block in group):
            continue  # an answer depends on its question: left as they are
        text = " ".join(b.text if b.text[-1] in ".!?…" else b.text + chance.choice((".", ":", "", " -")) for b in group)
        yield Text(text), frozenset().union(*(block.labels for block in group))


def _parts(block: Block) -> Iterator[tuple[Text, frozenset[str]]]:
    """The stretches marked in a block, its segments, and what is left when the stretches are cut out."""
    rest = block.text
    for start, end in sorted({(start, end) for start, end, _ in block.spans}, reverse=True):
        if (start, end) != (0, len(block.text)):
            yield Text(block.text[start:end]), _carried(block, start, end)
        rest = f"{rest[:start]} … {rest[end:]}"
    if len(words(rest)) > 4:
        yield Text(rest, context=block.context), frozenset()
    offsets = segments(block.text)
    if len(offsets) > 1:
        for part, (start, end) in zip(
            segment_texts(Text(block.text, "", block.context), offsets), offsets, strict=True
        ):
            yield part, _carried(block, start, end)


def _carried(block: Block, start: int, end: int) -> frozenset[str]:
    """Labels of which half a marked stretch, or half of this one, lies in common."""
    return frozenset(
        label for first, last, label in block.spans
        if 2 * (min(end, last) - max(start, first)) >= min(end - start, last - first)
    )  # fmt: skip
