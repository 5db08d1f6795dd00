"""What others would use, to stand beside our classifier: each learns from pages and gives probabilities for others.

They are given the texts alone and judge no voices; blocks of critics and bystanders teach them what is no claim.
"""

import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import spacy
from numpy.typing import NDArray
from spacy.training import Example
from spacy.util import compounding, fix_random_seed, minibatch

from classifier.corpus import Page
from classifier.labels import labels
from classifier.lexicon import lexicon
from classifier.text import words

Baseline = Callable[[Sequence[Page], Sequence[Page]], NDArray[np.float64]]
"""(pages to learn from, pages to judge) -> probabilities, a row a block, a column a label"""

# of textcat, for time: each takes more than a minute a fold. More would help: an early trial rose to the seventh.
EPOCHS = 2


def keywords(known: Sequence[Page], pages: Sequence[Page]) -> NDArray[np.float64]:
    """A label where one of its plain words stands: the classes in capitals of data/patterns. Learns nothing."""
    rows = []
    for page in pages:
        classes = lexicon(page.lang)
        for block in page.blocks:
            found = {name for names in classes.classes(words(block.text)) for name in names}
            rows.append([label.upper() in found for label in labels()])
    return np.array(rows, dtype=np.float64)


def fasttext(known: Sequence[Page], pages: Sequence[Page]) -> NDArray[np.float64]:
    """fastText supervised (as in floret), one classifier a label, word pairs and character n-grams."""
    import floret

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "blocks.txt"
        lines = (
            " ".join([*(f"__label__{label}" for label in sorted(marks) or ["none"]), *words(text)])
            for text, marks in _texts(known)
        )
        file.write_text("".join(f"{line}\n" for line in lines), "utf-8")
        model = floret.train_supervised(
            str(file), loss="ova", epoch=25, lr=0.5, dim=100, wordNgrams=2, minn=3, maxn=5, thread=1, verbose=0
        )
    # model.predict() asks NumPy 2 for what it no longer does; the object beneath gives the same without NumPy
    said = (
        {name: chance for chance, name in model.f.predict(" ".join(words(text)) + "\n", -1, 0.0, "strict")}
        for text, _ in _texts(pages)
    )
    return np.array([[row.get(f"__label__{label}", 0.0) for label in labels()] for row in said])


def textcat(known: Sequence[Page], pages: Sequence[Page]) -> NDArray[np.float64]:
    """spaCy's textcat_multilabel as it comes (words, and a small convolutional network)."""
    fix_random_seed(0)
    chance = random.Random(0)  # noqa: S311 - an order, not secrecy
    nlp = spacy.blank("xx")
    pipe = nlp.add_pipe("textcat_multilabel")
    for label in labels():
        pipe.add_label(label)  # type: ignore[attr-defined]
    examples = [
        Example.from_dict(nlp.make_doc(text), {"cats": {label: float(label in marks) for label in labels()}})
        for text, marks in _texts(known)
    ]
    optimizer = nlp.initialize(lambda: examples)
    for _ in range(EPOCHS):
        chance.shuffle(examples)
        for batch in minibatch(examples, compounding(8, 64, 1.01)):
            nlp.update(batch, sgd=optimizer, drop=0.2)
    docs = nlp.pipe(text for text, _ in _texts(pages))
    return np.array([[doc.cats[label] for label in labels()] for doc in docs])


def _texts(pages: Sequence[Page]) -> Iterator[tuple[str, frozenset[str]]]:
    return ((block.text, block.labels) for page in pages for block in page.blocks)


BASELINES: dict[str, Baseline] = {"keywords": keywords, "fastText": fasttext, "spaCy textcat": textcat}
