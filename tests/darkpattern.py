"""Our features on somebody else's question, to compare with the literature: `make sanity FILE=dataset.tsv`.

The set is dataset/dataset.tsv of https://github.com/yamanalab/ec-darkpattern: 2,356 sentences of shops, half of them
dark patterns. Published accuracies of five folds: logistic regression .961, gradient boosting .962, RoBERTa-large .975.
"""

import csv
import sys
from pathlib import Path

import click
import numpy as np
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import LinearSVC

from classifier.dataset import rarity
from classifier.features import Text, features
from classifier.lexicon import lexicon
from classifier.model import vectors
from classifier.train import SETTINGS


def accuracy(file: Path) -> list[float]:
    """Of each fold."""
    with file.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    found = [features(Text(row["text"]), lexicon("en")) for row in rows]
    truth = np.array([row["label"] == "1" for row in rows])
    scores = []
    for fit, test in StratifiedKFold(5, shuffle=True, random_state=SETTINGS["seed"]).split(found, truth):
        texts = vectors(rarity([found[place] for place in fit]), found)
        model = LinearSVC(C=SETTINGS["claims_C"], class_weight="balanced", random_state=SETTINGS["seed"])
        scores.append(float(model.fit(texts[fit], truth[fit]).score(texts[test], truth[test])))
    return scores


if __name__ == "__main__":
    folds = accuracy(Path(sys.argv[1]))
    click.echo(f"accuracy {np.mean(folds):.3f} (folds: {', '.join(f'{score:.3f}' for score in folds)})")
