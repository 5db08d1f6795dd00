"""Measure the whole pipeline on labelled blocks that it has not seen."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.corpus import VOICES, Page
from classifier.features import Text
from classifier.labels import labels
from classifier.measure import calibration_error, prf
from classifier.pipeline import PageInput, judge_pages


@dataclass
class Judged:
    """What was so and what a system said, of n blocks (L labels) on p pages."""

    truth: NDArray[np.bool_]
    given: NDArray[np.bool_]
    """n x L: claims as they stand at the end, after the voice and the withdrawals"""
    chances: NDArray[np.float64]
    """n x L: probabilities of the labels from the text alone"""
    langs: NDArray[np.str_]
    page: NDArray[np.int64]
    """n: of which page"""
    voices: list[tuple[str, str]]
    """p: the page's voice, and the one that was heard"""


def join(parts: Sequence[Judged]) -> Judged:
    """What was judged in parts, as one."""
    starts = np.cumsum([0, *(len(part.voices) for part in parts)])
    return Judged(
        np.vstack([part.truth for part in parts]),
        np.vstack([part.given for part in parts]),
        np.vstack([part.chances for part in parts]),
        np.concatenate([part.langs for part in parts]),
        np.concatenate([part.page + start for part, start in zip(parts, starts, strict=False)]),
        [voices for part in parts for voices in part.voices],
    )


def truth(pages: Sequence[Page]) -> NDArray[np.bool_]:
    """The labels of all blocks, a row a block."""
    return np.array([[label in block.labels for label in labels()] for page in pages for block in page.blocks])


def judge(pages: Sequence[Page], model_dir: Path) -> Judged:
    """Let the pipeline read the pages. Languages and contexts are given, as to `tag`. Raises ClassifierError."""
    marks = truth(pages)
    given, chances = np.zeros_like(marks), np.zeros(marks.shape)
    voices, row = [], 0
    for page, (_, doc) in zip(pages, judge_pages(map(_input, pages), model_dir), strict=True):
        group = doc.spans["claims"]
        for claim, place in zip(group, group.attrs["blocks"], strict=True):
            given[row + place, labels().index(claim.label_)] = True
        chances[row : row + len(page.blocks)] = doc._.scores.probabilities
        voices.append((page.voice, str(doc._.voice)))
        row += len(page.blocks)
    return Judged(marks, given, chances, *places(pages), voices)


def places(pages: Sequence[Page]) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """Language and page of each block."""
    langs = np.array([page.lang for page in pages for _ in page.blocks])
    return langs, np.repeat(np.arange(len(pages)), [len(page.blocks) for page in pages])


def measure(judged: Judged, languages: Sequence[str]) -> dict[str, Any]:
    """All that the table shows: "claims" and "calibration_error" (of all twelve probabilities on all blocks), each for
    "all" `languages` together and for each; "voice" (confusion of pages, share right of pages and blocks);
    "false_accusations" (blocks and pages of critics and bystanders that have a claim).
    """
    known = np.isin(judged.langs, languages)
    groups = {"all": known} | {lang: judged.langs == lang for lang in languages if lang in judged.langs}
    confusion = Counter(judged.voices)
    right = np.array([is_voice == heard for is_voice, heard in judged.voices])
    honest_page = np.array([is_voice != "promotion" for is_voice, _ in judged.voices])
    honest, accused = honest_page[judged.page], judged.given.any(axis=1)
    return {
        "pages": len(judged.voices),
        "blocks": len(judged.truth),
        "claims": {name: prf(judged.truth[rows], judged.given[rows], labels()) for name, rows in groups.items()},
        "calibration_error": {
            name: calibration_error(judged.truth[rows], judged.chances[rows]) for name, rows in groups.items()
        },
        "voice": {
            "confusion": {is_voice: {heard: confusion[is_voice, heard] for heard in VOICES} for is_voice in VOICES},
            "pages": float(right.mean()) if len(right) else 0.0,
            "blocks": float(right[judged.page].mean()) if len(right) else 0.0,
        },
        "false_accusations": {
            "blocks": int((honest & accused).sum()), "of_blocks": int(honest.sum()),
            "pages": len(set(judged.page[honest & accused].tolist())), "of_pages": int(honest_page.sum()),
        },
    }  # fmt: skip


def _input(page: Page) -> PageInput:
    blocks = [Text(block.text, block.kind, block.context) for block in page.blocks]
    judged = {block.text for block in blocks}
    heard = dict.fromkeys(block.context for block in blocks if block.context and block.context not in judged)
    return PageInput(blocks, page.lang, tuple(Text(text) for text in heard))


def report(result: dict[str, Any]) -> str:
    """The result of measure() as a table to read."""
    lines = [f"{result['pages']} pages, {result['blocks']} blocks", ""]
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
