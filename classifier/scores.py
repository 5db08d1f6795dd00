"""From texts to numbers: what the trained model says of blocks, their segments and the page they stand on.

Training and judging both go through here, so that they see the same thing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

from classifier.corpus import VOICES
from classifier.features import EVIDENCE, NAME_COLUMNS, Text, column, features
from classifier.lexicon import lexicon
from classifier.model import Model
from classifier.text import segments

CHUNK = 4096  # blocks vectorised at once: bounds the memory on a page of any length
TOPIC_WEIGHT = 0.6  # of what a page is about against its words; by cross-validation and on real text


@dataclass
class BlockScores:
    """Of n blocks: calibrated probabilities (n x L), segment offsets, and per segment the raw decisions."""

    probabilities: NDArray[np.float64]
    segments: list[list[tuple[int, int]]]
    segment_decisions: list[NDArray[np.float64]]


def segment_texts(item: Text, offsets: Sequence[tuple[int, int]]) -> list[Text]:
    """The segments of a block as texts of their own; only the first still answers the block before."""
    return [
        Text(item.text[start:end], item.kind, "" if place else item.context)
        for place, (start, end) in enumerate(offsets)
    ]


def score_blocks(model: Model, blocks: Sequence[Text], lang: str) -> tuple[BlockScores, csr_matrix]:
    """Judge blocks of one language; also their vectors, which the page's voice is judged from."""
    result = BlockScores(np.zeros((0, len(model.labels))), [], [])
    vectors, probabilities = [], []
    for start in range(0, len(blocks), CHUNK):
        chunk = blocks[start : start + CHUNK]
        offsets = [segments(block.text) for block in chunk]
        vector, decisions, parts = _decide(model, chunk, offsets, lang)
        best = np.array([part.max(axis=0) for part in parts])
        vectors.append(vector)
        probabilities.append(calibrate(decisions, best, model.calibration))
        result.segments += offsets
        result.segment_decisions += parts
    if vectors:
        result.probabilities = np.vstack(probabilities)
        return result, vstack(vectors, format="csr")
    return result, model.vectors([])


def _decide(
    model: Model, blocks: Sequence[Text], offsets: list[list[tuple[int, int]]], lang: str
) -> tuple[csr_matrix, NDArray[np.float64], list[NDArray[np.float64]]]:
    """Vectors and decisions of blocks, and the decisions of their segments (a single segment is the block)."""
    texts, owners = list(blocks), []
    for place, spans in enumerate(offsets):
        if len(spans) > 1:
            texts += segment_texts(blocks[place], spans)
            owners.append(place)
    vectors, decisions = _linear(model, texts, lang)
    parts = [decisions[place : place + 1] for place in range(len(blocks))]
    row = len(blocks)
    for place in owners:
        parts[place] = decisions[row : row + len(offsets[place])]
        row += len(offsets[place])
    return vectors[: len(blocks)], decisions[: len(blocks)], parts


def decide(model: Model, texts: Sequence[Text], lang: str) -> NDArray[np.float64]:
    """The raw decisions of texts (n x L): above 0 is a yes."""
    return _linear(model, texts, lang)[1]


def _linear(model: Model, texts: Sequence[Text], lang: str) -> tuple[csr_matrix, NDArray[np.float64]]:
    known = lexicon(lang)
    vectors = model.vectors([features(text, known) for text in texts])
    return vectors, np.asarray(vectors @ model.claim_weights, dtype=np.float64) + model.claim_bias


def calibrate(
    decisions: NDArray[np.float64], best: NDArray[np.float64], calibration: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Probabilities (n x L) from the blocks' decisions and those of their best segments."""
    return sigmoid(decisions * calibration[:, 0] + best * calibration[:, 1] + calibration[:, 2])


def sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logistic function."""
    return 1 / (1 + np.exp(-np.clip(values, -30, 30)))


def page_evidence(vectors: csr_matrix, pages: csr_matrix) -> NDArray[np.float64]:
    """How much of each page (pages x 2 E) is about the trade: share of blocks with each EVIDENCE, and any at all."""
    present = (vectors[:, evidence_columns()] > 0).astype(np.float64)
    sizes = np.maximum(np.asarray(pages.sum(axis=1)).ravel(), 1)
    shares = np.asarray((pages @ present).todense()) / sizes[:, None]
    return np.hstack([np.sqrt(shares), shares > 0])


@cache
def evidence_columns() -> NDArray[np.int64]:
    """Columns of the vectors in which the EVIDENCE stands."""
    return np.array([column(name) for name in EVIDENCE])


def page_vectors(vectors: csr_matrix, pages: csr_matrix) -> csr_matrix:
    """One row of unit length a page, of names only; `pages` (pages x blocks) says which blocks it is made of."""
    total = pages @ vectors[:, :NAME_COLUMNS]
    lengths = np.sqrt(np.asarray(total.multiply(total).sum(axis=1)).ravel())
    lengths[lengths == 0] = 1
    return csr_matrix(total.multiply(1 / lengths[:, None]))


def score_voices(model: Model, vectors: csr_matrix, members: csr_matrix) -> NDArray[np.float64]:
    """Probabilities (pages x V) from the vectors of the blocks that are `members` (pages x blocks) of the pages."""
    words = page_vectors(vectors, members) @ model.voice_weights + model.voice_bias
    topic = page_evidence(vectors, members) @ model.topic_weights + model.topic_bias[0]
    return softmax(join_voices(np.asarray(words, dtype=np.float64), topic) / model.voice_temperature[0])


def join_voices(words: NDArray[np.float64], topic: NDArray[np.float64]) -> NDArray[np.float64]:
    """Decisions (pages x V): who is heard in the words, and whether the page is about the trade at all."""
    toward = np.where(np.array(VOICES) == "neutral", -TOPIC_WEIGHT, TOPIC_WEIGHT)
    return words + topic[:, None] * toward


def softmax(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows that sum to one."""
    shifted = np.exp(values - values.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)
