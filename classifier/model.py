"""The trained model: what it holds, how it is written and read (NumPy arrays and JSON: nothing in it can run)."""

import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack

from classifier import ClassifierError
from classifier.features import COLUMNS, MARK_COLUMNS, NAME_COLUMNS, Features, mark_column
from data import DATA

FILE_NAME = "model.npz"
MARK_WEIGHT = 0.15  # a text has a few marks and hundreds of names; chosen by cross-validation and on real text


@dataclass
class Model:
    """Everything learned. F = COLUMNS, N = NAME_COLUMNS, L = labels, V = voices."""

    version: str
    labels: list[str]
    voices: list[str]
    languages: list[str]
    """Languages in which claims are judged."""
    idf: NDArray[np.float32]
    """N: how rare a name is."""
    claim_weights: NDArray[np.float32]
    """F x L"""
    claim_bias: NDArray[np.float64]
    calibration: NDArray[np.float64]
    """L x 3: weight of the block's decision, of its best segment's, constant; then a logistic function."""
    thresholds: NDArray[np.float64]
    """L: the probability from which a claim is asserted."""
    voice_weights: NDArray[np.float32]
    """N x V"""
    voice_bias: NDArray[np.float64]
    topic_weights: NDArray[np.float64]
    """2 E: page_evidence() of scores.py -> whether a page is about bought fans"""
    topic_bias: NDArray[np.float64]
    """One number"""
    voice_temperature: NDArray[np.float64]
    """One number by which the voice's decisions are divided before the softmax."""

    def vectors(self, rows: Sequence[Features]) -> csr_matrix:
        """One row a text: see vectors()."""
        return vectors(self.idf, rows)

    def save(self, folder: Path) -> Path:
        """Write the model into `folder`, whole or not at all. Raises ClassifierError."""
        parts = {name: getattr(self, name) for name in self.__dataclass_fields__}
        arrays = {name: part for name, part in parts.items() if isinstance(part, np.ndarray)}
        target = folder / FILE_NAME
        save_arrays(target, {name: part for name, part in parts.items() if name not in arrays}, arrays)
        load_model.cache_clear()
        return target


def save_arrays(target: Path, plain: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
    """Write arrays, and what JSON can hold, as one .npz, whole or not at all. Raises ClassifierError."""
    unfinished = target.with_suffix(".part")
    content = np.frombuffer(json.dumps(plain).encode(), np.uint8)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, plain=content, **arrays)
        unfinished.replace(target)
    except OSError as error:
        raise ClassifierError(f"{target}: cannot write: {error}") from error


def load_arrays(source: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """What save_arrays() wrote. Raises ClassifierError."""
    if not source.is_file():
        raise ClassifierError(f"no model at {source}: run `fantomes train`")
    try:
        with np.load(io.BytesIO(source.read_bytes()), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return json.loads(arrays.pop("plain").tobytes()), arrays
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ClassifierError(f"{source}: cannot read the model, run `fantomes train`: {error}") from error


def counts(rows: Sequence[Features]) -> csr_matrix:
    """How often each name occurs: what their rarity is learned from."""
    found = csr_matrix(
        (
            np.ones(sum(len(row.names) for row in rows)),
            np.fromiter(chain.from_iterable(row.names for row in rows), np.int32),
            np.cumsum([0, *(len(row.names) for row in rows)]),
        ),
        shape=(len(rows), NAME_COLUMNS),
    )
    found.sum_duplicates()
    return found


def vectors(idf: NDArray[np.float32], rows: Sequence[Features]) -> csr_matrix:
    """One row of COLUMNS columns a text: TF-IDF of the names (of unit length), then the marks."""
    if not rows:
        return csr_matrix((0, COLUMNS))
    found = counts(rows)
    found.data = (1 + np.log(found.data)) * idf[found.indices]
    lengths = np.sqrt(np.add.reduceat(np.append(found.data**2, 0), found.indptr[:-1]))
    lengths[np.diff(found.indptr) == 0] = 1
    found.data /= np.repeat(lengths, np.diff(found.indptr))
    marks = csr_matrix(
        (
            np.full(sum(len(row.marks) for row in rows), MARK_WEIGHT),
            np.array([mark_column(mark) - NAME_COLUMNS for row in rows for mark in row.marks], np.int32),
            np.cumsum([0, *(len(row.marks) for row in rows)]),
        ),
        shape=(len(rows), MARK_COLUMNS),
    )
    return hstack([found, marks], format="csr")


@lru_cache(maxsize=2)
def load_model(folder: Path) -> Model:
    """The model in `folder`. Raises ClassifierError if there is none, or it is not one that this version can read."""
    plain, arrays = load_arrays(folder / FILE_NAME)
    parts: dict[str, Any] = plain | arrays
    try:
        return Model(**parts)
    except TypeError as error:
        raise ClassifierError(f"{folder / FILE_NAME}: cannot read the model, run `fantomes train`: {error}") from error


def digest(settings: dict[str, Any]) -> str:
    """Version of a model: hash of the settings and of all files that decide what it says of a page."""
    total = hashlib.sha256(repr(sorted(settings.items())).encode())
    rooms = [DATA / name for name in ("patterns", "withdrawals", "taxonomy")]
    files = [file for room in rooms for file in sorted(room.iterdir(), key=lambda file: file.name)]
    here = Path(__file__).parent
    code = ("config.cfg", "text.py", "lexicon.py", "features.py", "scores.py", "model.py", "dataset.py", "train.py")
    for file in (*files, *(here / name for name in code)):
        total.update(file.read_bytes())
    return total.hexdigest()[:12]
