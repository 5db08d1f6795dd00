"""Cross-validation of everything we have and of what others would use, on the same folds: pages nobody learned from."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from classifier.baselines import Baseline
from classifier.corpus import Page
from classifier.evaluate import Judged, join, judge, measure, places, truth
from classifier.model import load_model
from classifier.train import SETTINGS, fit, folds, languages

OURS = "Fantômes"
Result = dict[str, tuple[Judged, dict[str, Any]]]
"""By system: what it said, and measure() of it."""


def cross_validate(
    pages: Sequence[Page], baselines: dict[str, Baseline], progress: Callable[[int], None] = lambda n: None
) -> Result:
    """compare() of all pages, each fold judged by what the other folds taught. Raises ClassifierError."""
    chosen = folds(pages)
    parts: list[Result] = []
    for fold in range(SETTINGS["folds"]):
        known = [page for page, own in zip(pages, chosen, strict=True) if own != fold]
        tested = [page for page, own in zip(pages, chosen, strict=True) if own == fold]
        with tempfile.TemporaryDirectory() as folder:
            fit(known).model.save(Path(folder))
            parts.append(compare(known, tested, baselines, Path(folder), progress))
    judged = {name: join([part[name][0] for part in parts]) for name in parts[0]}
    return {name: (found, measure(found, languages(pages))) for name, found in judged.items()}


def compare(
    known: Sequence[Page],
    unseen: Sequence[Page],
    baselines: dict[str, Baseline],
    model_dir: Path,
    progress: Callable[[int], None] = lambda n: None,
) -> Result:
    """What each system says of `unseen` pages: ours by the model in `model_dir`, the baselines taught with `known`.

    Ours is the whole pipeline, voices and withdrawals included. `progress` gets 1 for each system. Raises
    ClassifierError.
    """
    judged = {OURS: judge(unseen, model_dir)}
    progress(1)
    for name, baseline in baselines.items():
        chances = baseline(known, unseen)
        voices = [(page.voice, page.voice) for page in unseen]  # they judge none: nothing to count
        judged[name] = Judged(truth(unseen), chances >= 0.5, chances, *places(unseen), voices)
        progress(1)
    spoken = load_model(model_dir).languages
    return {name: (found, measure(found, spoken)) for name, found in judged.items()}
