"""The model file: no untrusted types, clear errors, the same model from the same corpus."""

from pathlib import Path

import numpy as np
import pytest
from classifying import PARTS, small_model

from classifier import ClassifierError
from classifier.model import FILE_NAME, load_model
from classifier.train import train


def test_holds_only_plain_arrays() -> None:
    """Read without pickle: nothing in a model file can run."""
    with np.load(small_model() / FILE_NAME, allow_pickle=False) as file:
        assert all(file[name].dtype.kind in "fu" for name in file.files)


def test_refuses_pickled_objects(tmp_path: Path) -> None:
    np.savez(tmp_path / FILE_NAME, allow_pickle=True, plain=np.array([object()], dtype=object))
    with pytest.raises(ClassifierError, match="cannot read the model"):
        load_model(tmp_path)


def test_is_small_and_complete() -> None:
    model = load_model(small_model())
    assert (small_model() / FILE_NAME).stat().st_size < 30e6
    assert {"fr", "en"} <= set(model.languages)
    assert model.thresholds.shape == (12,)
    assert len(model.version) == 12


def test_training_is_deterministic(tmp_path: Path) -> None:
    train(tmp_path, small_model() / "corpus")
    first, second = load_model(small_model()), load_model(tmp_path)
    assert first.version == second.version
    assert np.array_equal(first.claim_weights, second.claim_weights)
    assert np.array_equal(first.voice_weights, second.voice_weights)
    assert np.array_equal(first.calibration, second.calibration)


def test_another_corpus_is_another_version(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for part in PARTS:
        text = (small_model() / "corpus" / part).read_text("utf-8")
        (corpus / part).write_text(text.replace("abonnés", "fans"), "utf-8")
    train(tmp_path, corpus)
    assert load_model(tmp_path).version != load_model(small_model()).version


def test_says_that_there_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ClassifierError, match="run `fantomes train`") as error:
        load_model(tmp_path)
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize("content", [b"", b"not a model", b"PK\x05\x06" + bytes(18)])
def test_says_that_the_model_is_damaged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(ClassifierError, match="cannot read the model"):
        load_model(tmp_path)
