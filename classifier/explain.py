"""Why a claim was tagged: the words that weighed most, and the labelled examples most alike to the model's eye."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from classifier import ClassifierError
from classifier.features import Text, features
from classifier.lexicon import lexicon
from classifier.model import Model, load_arrays, save_arrays
from classifier.text import word_offsets

FILE_NAME = "examples.npz"
WORDS = 4
EXAMPLES = 3
KEPT_FEATURES = 16  # of an example: those that speak most for its label
MAX_WORDS = 40  # of a quote; each is left out once


@dataclass
class Explanation:
    """Of one claim."""

    words: list[tuple[str, float]]
    """The words of the quote without which the label's decision would fall most, and by how much; heaviest first."""
    examples: list[tuple[str, str]]
    """(id, text) of blocks of the corpus with the same label, in the same language if there are any; nearest first."""


@dataclass
class Examples:
    """What each labelled text of the corpus has that speaks for its label: e rows, one a text and label."""

    ids: list[str]
    texts: list[str]
    langs: list[str]
    labels: NDArray[np.int64]
    vectors: csr_matrix
    """e x F, rows of unit length"""

    def __post_init__(self) -> None:
        self._groups: dict[tuple[int, str], tuple[NDArray[np.int64], csr_matrix]] = {}

    def group(self, label: int, lang: str) -> tuple[NDArray[np.int64], csr_matrix]:
        """Rows with the label, in the language if there are any, and their vectors."""
        if (label, lang) not in self._groups:
            same = self.labels == label
            own = same & (np.array(self.langs) == lang)
            rows = np.flatnonzero(own if own.any() else same)
            self._groups[label, lang] = rows, self.vectors[rows]
        return self._groups[label, lang]

    def save(self, folder: Path) -> None:
        """Write them beside the model. Raises ClassifierError."""
        vectors = {"data": self.vectors.data, "indices": self.vectors.indices, "indptr": self.vectors.indptr}
        plain = {"ids": self.ids, "texts": self.texts, "langs": self.langs, "columns": self.vectors.shape[1]}
        save_arrays(folder / FILE_NAME, plain, vectors | {"labels": self.labels})


@lru_cache(maxsize=2)
def load_examples(folder: Path) -> Examples:
    """The examples beside the model in `folder`. Raises ClassifierError."""
    plain, arrays = load_arrays(folder / FILE_NAME)
    try:
        shape = (len(plain["ids"]), plain["columns"])
        vectors = csr_matrix((arrays["data"], arrays["indices"], arrays["indptr"]), shape=shape)
        return Examples(plain["ids"], plain["texts"], plain["langs"], arrays["labels"], vectors)
    except (KeyError, ValueError) as error:
        raise ClassifierError(f"{folder / FILE_NAME}: cannot read, run `fantomes train`: {error}") from error


def make_examples(
    rows: Sequence[tuple[str, str, str, int]], vectors: csr_matrix, weights: NDArray[np.float32]
) -> Examples:
    """From (id, text, language, label) and the vector of each: kept is what most speaks for the label."""
    spoken = [_heaviest(vectors[place], weights[:, label]) for place, (*_, label) in enumerate(rows)]
    indptr = np.cumsum([0, *(len(columns) for columns, _ in spoken)])
    columns = np.concatenate([columns for columns, _ in spoken]).astype(np.int32)
    values = np.concatenate([values for _, values in spoken]).astype(np.float32)
    ids, texts, langs, found = ([*part] for part in zip(*rows, strict=True))
    matrix = csr_matrix((values, columns, indptr), shape=(len(rows), vectors.shape[1]))
    return Examples(ids, texts, langs, np.array(found), matrix)


def _heaviest(vector: csr_matrix, weights: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Columns and values (of unit length together) of the KEPT_FEATURES that add most to the decision."""
    values = np.maximum(vector.data * weights[vector.indices], 0)
    top = np.argsort(-values, kind="stable")[:KEPT_FEATURES]
    return vector.indices[top], values[top] / (np.linalg.norm(values[top]) or 1)


def explain(model: Model, examples: Examples, quotes: Sequence[tuple[Text, int]], lang: str) -> list[Explanation]:
    """Explanations of claims: (quote as a text, number of the label) each, all in one language."""
    known = lexicon(lang)
    texts, spans = [], []
    for quote, _ in quotes:
        words = word_offsets(quote.text)[:MAX_WORDS]
        spans.append(words)
        texts += [quote, *(quote._replace(text=f"{quote.text[:s]} {quote.text[e:]}") for s, e in words)]
    vectors = model.vectors([features(text, known) for text in texts])
    found, row = [], 0
    for (quote, label), words in zip(quotes, spans, strict=True):
        decisions = vectors[row : row + len(words) + 1] @ model.claim_weights[:, label]
        falls = decisions[0] - decisions[1:]
        heaviest = [place for place in np.argsort(-falls, kind="stable")[:WORDS] if falls[place] > 0]
        weighed = [(quote.text[slice(*words[place])], round(float(falls[place]), 3)) for place in heaviest]
        found.append(Explanation(weighed, _nearest(model, examples, vectors[row], label, lang)))
        row += len(words) + 1
    return found


def _nearest(model: Model, examples: Examples, vector: csr_matrix, label: int, lang: str) -> list[tuple[str, str]]:
    rows, vectors = examples.group(label, lang)
    columns, values = _heaviest(vector, model.claim_weights[:, label])
    claim = np.zeros(examples.vectors.shape[1], dtype=np.float32)
    claim[columns] = values
    likeness = vectors @ claim
    best = rows[np.argsort(-likeness, kind="stable")[:EXAMPLES]]
    return [(examples.ids[place], examples.texts[place]) for place in best]
