"""The pictures of `make evaluate`: how sure, how right."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve

from classifier.evaluate import Judged
from classifier.labels import labels
from classifier.measure import calibration_error

BINS = 10


def reliability(judged: Judged, known: Sequence[str], target: Path) -> None:
    """Of the blocks that got a probability, how many carried the label: all twelve together, in `known` languages."""
    rows = np.isin(judged.langs, known)
    said, so = judged.chances[rows].ravel(), judged.truth[rows].ravel()
    bins = np.minimum((said * BINS).astype(int), BINS - 1)
    found = [(said[bins == place].mean(), so[bins == place].mean(), (bins == place).sum()) for place in range(BINS)
             if (bins == place).any()]  # fmt: skip
    figure, axes = _axes("probability given", "share that carried the label")
    axes.plot([0, 1], [0, 1], color="#999", linewidth=1)
    axes.plot([x for x, *_ in found], [y for _, y, _ in found], marker="o", color="#1a5c8a")
    for x, y, count in found:
        axes.annotate(f"{count:,}", (x, y), textcoords="offset points", xytext=(6, -10), fontsize=7, color="#555")
    axes.set_title(f"calibration error {calibration_error(so, said):.3f}", fontsize=9)
    _save(figure, target)


def precision_recall(judged: dict[str, Judged], known: Sequence[str], target: Path) -> None:
    """One curve a system: all labels together, as the probability that is asked for falls."""
    figure, axes = _axes("recall", "precision")
    for name, found in judged.items():
        rows = np.isin(found.langs, known)
        precision, recall, _ = precision_recall_curve(found.truth[rows].ravel(), found.chances[rows].ravel())
        axes.plot(recall, precision, label=name, linewidth=1.4)
    axes.legend(fontsize=8, frameon=False)
    _save(figure, target)


def by_label(judged: Judged, known: Sequence[str], target: Path) -> None:
    """A small curve for each label."""
    figure = Figure(figsize=(8, 6), layout="constrained")
    rows = np.isin(judged.langs, known)
    for place, (label, axes) in enumerate(zip(labels(), figure.subplots(3, 4).flat, strict=True)):
        precision, recall, _ = precision_recall_curve(judged.truth[rows, place], judged.chances[rows, place])
        axes.plot(recall, precision, color="#1a5c8a", linewidth=1.2)
        axes.set(xlim=(0, 1), ylim=(0, 1.02))
        axes.set_title(label, fontsize=9)
        axes.tick_params(labelsize=6)
    figure.supxlabel("recall", fontsize=9)
    figure.supylabel("precision", fontsize=9)
    _save(figure, target)


def _axes(across: str, up: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel=across, ylabel=up)
    return figure, axes


def _save(figure: Figure, target: Path) -> None:
    figure.savefig(target, dpi=110, metadata={"Software": None})
