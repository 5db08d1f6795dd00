"""The trained model: what it holds, how it is written and read (skops: no pickle, no trusted types)."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED

import numpy as np
import skops.io
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction import FeatureHasher
from sklearn.feature_extraction.text import TfidfTransformer

from classifier import ClassifierError
from classifier.features import Features
from data import DATA

FILE_NAME = "model.skops"
# features are hashed: no vocabulary to load, and hostile text cannot make it grow
NAME_BUCKETS = 2**18
MARK_BUCKETS = 2**14
BUCKETS = NAME_BUCKETS + MARK_BUCKETS
MARK_WEIGHT = 0.15  # a text has a few marks and hundreds of names; chosen by cross-validation and on real text


@dataclass
class Model:
    """Everything learned. F = BUCKETS, L = labels, V = voices."""

    version: str
    labels: list[str]
    voices: list[str]
    languages: list[str]
    """Languages in which claims are judged."""
    tfidf: TfidfTransformer
    claim_weights: NDArray[np.float32]
    """F x L"""
    claim_bias: NDArray[np.float64]
    calibration: NDArray[np.float64]
    """L x 3: weight of the block's decision, of its best segment's, constant; then a logistic function."""
    thresholds: NDArray[np.float64]
    """L: the probability from which a claim is asserted."""
    voice_weights: NDArray[np.float32]
    """NAME_BUCKETS x V"""
    voice_bias: NDArray[np.float64]
    topic_weights: NDArray[np.float64]
    """2 E: page_evidence() of scores.py -> whether a page is about bought fans"""
    topic_bias: NDArray[np.float64]
    """One number"""
    voice_temperature: NDArray[np.float64]
    """One number by which the voice's decisions are divided before the softmax."""

    def vectors(self, rows: Sequence[Features]) -> csr_matrix:
        """One row a text: see vectors()."""
        return vectors(self.tfidf, rows)

    def save(self, folder: Path) -> Path:
        """Write the model file into `folder`, whole or not at all. Raises ClassifierError."""
        target = folder / FILE_NAME
        try:
            folder.mkdir(parents=True, exist_ok=True)
            unfinished = target.with_suffix(".part")
            parts = {name: getattr(self, name) for name in self.__dataclass_fields__}
            skops.io.dump(parts, unfinished, compression=ZIP_DEFLATED, compresslevel=3)
            unfinished.replace(target)
        except OSError as error:
            raise ClassifierError(f"{target}: cannot write the model: {error}") from error
        load_model.cache_clear()
        return target


def counts(rows: Sequence[Features]) -> csr_matrix:
    """How often each feature name occurs: what the TF-IDF weights are learned from."""
    return _hasher(NAME_BUCKETS).transform(row.names for row in rows)


def vectors(tfidf: TfidfTransformer, rows: Sequence[Features]) -> csr_matrix:
    """One row of BUCKETS columns a text: TF-IDF of the names (of unit length), then the marks."""
    if not rows:
        return csr_matrix((0, BUCKETS))
    marks = _hasher(MARK_BUCKETS).transform(row.marks for row in rows)
    marks.data[:] = MARK_WEIGHT
    return hstack([tfidf.transform(counts(rows)), marks], format="csr")


def _hasher(buckets: int) -> FeatureHasher:
    return FeatureHasher(buckets, input_type="string", alternate_sign=False)


@lru_cache(maxsize=2)
def load_model(folder: Path) -> Model:
    """The model in `folder`. Raises ClassifierError if there is none, or it is not one that this version can read."""
    source = folder / FILE_NAME
    if not source.is_file():
        raise ClassifierError(f"no model at {source}: run `fantomes train`")
    try:
        content = source.read_bytes()
        if untrusted := skops.io.get_untrusted_types(data=content):
            raise ClassifierError(f"{source}: holds types that are not trusted: {', '.join(untrusted)}")
        return Model(**skops.io.loads(content, trusted=[]))
    except ClassifierError:
        raise
    except Exception as error:  # a damaged file fails in zipfile, json, numpy or skops
        raise ClassifierError(f"{source}: cannot read the model, run `fantomes train`: {error}") from error


def digest(settings: dict[str, Any]) -> str:
    """Version of a model: hash of the settings and of all files that decide what it says of a page."""
    total = hashlib.sha256(repr(sorted(settings.items())).encode())
    rooms = [DATA / name for name in ("patterns", "withdrawals", "taxonomy")]
    files = [file for room in rooms for file in sorted(room.iterdir(), key=lambda file: file.name)]
    here = Path(__file__).parent
    code = ("config.cfg", "text.py", "lexicon.py", "features.py", "scores.py", "model.py", "train.py")
    for file in (*files, *(here / name for name in code)):
        total.update(file.read_bytes())
    return total.hexdigest()[:12]
