"""A small real model for tests: trained once a run, on a part of the corpus, in a folder of its own."""

import shutil
import tempfile
from functools import cache
from pathlib import Path

from classifier.train import train
from data import DATA

PARTS = ("plain.jsonl", "mix.jsonl", "frn.jsonl", "enn.jsonl")


@cache
def small_model() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="fantomes-model-"))
    corpus = folder / "corpus"
    corpus.mkdir()
    for part in PARTS:
        shutil.copy(str(DATA / "corpus" / part), corpus / part)
    train(folder, corpus)
    return folder
