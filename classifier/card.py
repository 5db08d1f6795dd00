"""docs/evaluation.md, with its pictures, and docs/model-card.md: made from what was measured, never by hand."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from classifier import plots
from classifier.compare import OURS, Result
from classifier.evaluate import report
from classifier.labels import labels


def write_docs(folder: Path, trained: dict[str, Any], parts: Mapping[str, Result]) -> list[Path]:
    """Write all into `folder`. `trained`: what fit() measured; `parts`: results of compare(), by name of the text."""
    folder.mkdir(parents=True, exist_ok=True)
    known = trained["languages"]
    sections = []
    for name, result in parts.items():
        slug = name.split()[0].lower()
        plots.reliability(result[OURS][0], known, folder / f"{slug}-reliability.png")
        plots.precision_recall({system: judged for system, (judged, _) in result.items()}, known,
                               folder / f"{slug}-systems.png")  # fmt: skip
        plots.by_label(result[OURS][0], known, folder / f"{slug}-labels.png")
        sections.append(_section(name, slug, result))
    evaluation, card = folder / "evaluation.md", folder / "model-card.md"
    evaluation.write_text(_EVALUATION.format(model=trained["model"], sections="\n".join(sections)), "utf-8")
    card.write_text(_card(trained, parts), "utf-8")
    return [evaluation, card]


def _section(name: str, slug: str, result: Result) -> str:
    return f"""## {name}

{_systems(result)}

The whole pipeline, voice and withdrawals included, by label and language:

```
{report(result[OURS][1])}
```

![Precision and recall of the systems]({slug}-systems.png) ![Calibration]({slug}-reliability.png)

![Precision and recall by label]({slug}-labels.png)
"""


def _systems(result: Result) -> str:
    head = "| system | precision | recall | F1 | weakest label | blocks of critics and bystanders with a claim |"
    rows = [head, "|---|---|---|---|---|---|"]
    for name, (_, measured) in result.items():
        found = measured["claims"]["all"]
        weakest = min(labels(), key=lambda label: found[label]["f1"])
        micro, accused = found["micro"], measured["false_accusations"]
        rows.append(
            f"| {name} | {micro['precision']:.3f} | {micro['recall']:.3f} | {micro['f1']:.3f}"
            f" | {weakest} {found[weakest]['f1']:.2f} | {accused['blocks']} of {accused['of_blocks']} |"
        )
    return "\n".join(rows)


def _card(trained: dict[str, Any], parts: Mapping[str, Result]) -> str:
    headline = []
    for name, result in parts.items():
        measured = result[OURS][1]
        micro, accused = measured["claims"]["all"]["micro"], measured["false_accusations"]
        headline.append(
            f"| {name} | {micro['precision']:.3f} | {micro['recall']:.3f} | {micro['f1']:.3f} | "
            f"{measured['voice']['pages']:.3f} | {accused['blocks']} of {accused['of_blocks']} | "
            f"{measured['calibration_error']['all']:.3f} |"
        )
    return _CARD.format(
        model=trained["model"],
        pages=trained["pages"],
        blocks=trained["blocks"],
        languages=", ".join(trained["languages"]),
        thresholds=json.dumps(trained["thresholds"]),
        headline="\n".join(headline),
    )


_EVALUATION = """<!-- made by `make evaluate`; do not edit -->
# How good is the classifier?

Model `{model}`. All systems learned from the same pages and were tested on pages they had not seen; pages that share
near-duplicate text are never split between the two. *Keywords* tags a label where one of its plain words stands
(data/patterns); *fastText* is the supervised mode of floret; *spaCy textcat* is `textcat_multilabel`, two epochs for
time: more would help it. They are given every block without its page's voice. Ours is the whole pipeline: voice,
claims, withdrawals.

{sections}"""

_CARD = """<!-- made by `make evaluate`; do not edit -->
# Model card: the claim classifier of Fantômes

- **What it does.** Reads the blocks of a page and says who speaks (promotion, criticism, neutral), and which of twelve
  claims a seller of fans, followers, likes or views makes, in which words. Model `{model}`.
- **Made of.** Linear models (scikit-learn: LinearSVC, logistic calibration) on words, word pairs, word beginnings and
  hand-made word classes (data/patterns), inside a spaCy pipeline; no network, no pickle, nothing is downloaded.
- **Learned from** {blocks:,} blocks of {pages:,} invented pages in {languages} (data/corpus), nothing else.
- **Meant for** finding claims that a person then reads. A tag is not a verdict, and no claim of a page in another
  language is published. **Not meant for** judging people, or texts that are not about bought fans.
- **Decides** from these probabilities on: {thresholds}. What may be published is stricter: data/publication.yml.

| measured on | precision | recall | F1 | voice of pages | critics' blocks with a claim | calibration error |
|---|---|---|---|---|---|---|
{headline}

By label and language, with curves and baselines: [evaluation.md](evaluation.md).

**Known weaknesses.** Voices of very short texts; agencies and tools that speak like sellers; long paragraphs in which a
claim is only in the air; `professional`, `visibility` and `endorsed` are the least sure labels. The corpus was written
and labelled by language models under one guide; agreement between them is higher than between people.
"""
