"""Measure the whole pipeline on labelled blocks that it has not seen."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from classifier.corpus import VOICES, Page, load_pages
from classifier.features import Text
from classifier.labels import labels
from classifier.measure import calibration_error, prf
from classifier.model import load_model
from classifier.pipeline import PageInput, read_pages


def evaluate(path: Path, model_dir: Path) -> dict[str, Any]:
    """Tag every page of a file of labelled blocks and compare. Languages and contexts are given, as to `tag`.

    Returns "blocks", "claims" (per language and "all": prf per label and micro), "calibration_error" (of all twelve
    probabilities on all blocks), "voice" (confusion of pages, accuracy of pages and blocks), "false_accusations".
    Languages without a model have voices but no claims measured. Raises ClassifierError.
    """
    pages = load_pages(path)
    model = load_model(model_dir)
    truth = np.array([[label in block.labels for label in labels()] for page in pages for block in page.blocks])
    given = np.zeros_like(truth)
    chances = np.zeros(truth.shape)
    confusion: Counter[tuple[str, str]] = Counter()
    right_blocks = 0
    row = 0
    accused_pages = 0
    for page, (_, doc) in zip(pages, read_pages(map(_input, pages), model_dir), strict=True):
        confusion[page.voice, doc._.voice] += 1
        right_blocks += len(page.blocks) * (page.voice == doc._.voice)
        group = doc.spans["claims"]
        for claim, place in zip(group, group.attrs["blocks"], strict=True):
            given[row + place, labels().index(claim.label_)] = True
        accused_pages += bool(len(group)) and page.voice != "promotion"
        chances[row : row + len(page.blocks)] = doc._.scores.probabilities
        row += len(page.blocks)
    langs = np.array([page.lang for page in pages for _ in page.blocks])
    honest = np.array([page.voice != "promotion" for page in pages for _ in page.blocks])
    judged = np.isin(langs, model.languages)
    groups = {"all": judged} | {lang: langs == lang for lang in model.languages if lang in langs}
    honest_pages = sum(page.voice != "promotion" for page in pages)
    return {
        "model": model.version,
        "pages": len(pages),
        "blocks": len(truth),
        "claims": {name: prf(truth[rows], given[rows], labels()) for name, rows in groups.items()},
        "calibration_error": {
            name: calibration_error(truth[rows], chances[rows]) for name, rows in groups.items()
        },
        "voice": {
            "confusion": {said: {so: confusion[said, so] for so in VOICES} for said in VOICES},
            "pages": sum(confusion[voice, voice] for voice in VOICES) / max(1, len(pages)),
            "blocks": right_blocks / max(1, len(truth)),
        },
        "false_accusations": {
            "blocks": int(given[honest].any(axis=1).sum()), "of_blocks": int(honest.sum()),
            "pages": accused_pages, "of_pages": honest_pages,
        },
    }  # fmt: skip


def _input(page: Page) -> PageInput:
    blocks = [Text(block.text, block.kind, block.context) for block in page.blocks]
    judged = {block.text for block in blocks}
    heard = dict.fromkeys(block.context for block in blocks if block.context and block.context not in judged)
    return PageInput(blocks, page.lang, tuple(Text(text) for text in heard))


def report(result: dict[str, Any]) -> str:
    """The result of evaluate() as a table to read."""
    lines = [f"model {result['model']}: {result['pages']} pages, {result['blocks']} blocks", ""]
    for name, measured in result["claims"].items():
        error = result["calibration_error"][name]
        lines.append(f"{name:<13} precision  recall      f1  support   (calibration error {error:.3f})")
        for label, row in measured.items():
            values = f"{row['precision']:9.3f} {row['recall']:7.3f} {row['f1']:7.3f} {row['support']:8d}"
            lines.append(f"  {label:<12}{values}")
        lines.append("")
    voice = result["voice"]
    lines.append(f"voice: {voice['pages']:.3f} of pages, {voice['blocks']:.3f} of blocks right")
    lines.append("  is \\ judged  " + "".join(f"{voice_name:>11}" for voice_name in VOICES))
    for is_voice, row in voice["confusion"].items():
        lines.append(f"  {is_voice:<13}" + "".join(f"{row[judged]:11d}" for judged in VOICES))
    accused = result["false_accusations"]
    lines.append(
        f"false accusations: {accused['blocks']} of {accused['of_blocks']} blocks, "
        f"{accused['pages']} of {accused['of_pages']} pages of critics and bystanders have a claim"
    )
    return "\n".join(lines)
