"""fantomes_claims: on a seller's page, which labels a block carries and which part of it says so."""

from pathlib import Path

import numpy as np
from spacy.language import Language
from spacy.pipeline import Pipe
from spacy.tokens import Doc, Span, SpanGroup

from classifier import ClassifierError
from classifier.model import Model, load_model
from classifier.scores import sigmoid


class Claims(Pipe):
    """Sets doc.spans["claims"], one span a label and block, with attrs "scores", "rules" and "blocks" in its order."""

    def __init__(self, lang: str, name: str, model: Model, thresholds: dict[str, float], share_of_best: float) -> None:
        self.lang = lang
        self.name = name
        self.model = model
        self.share_of_best = share_of_best
        if unknown := set(thresholds) - set(model.labels):
            raise ClassifierError(f"config.cfg: thresholds for unknown labels: {', '.join(sorted(unknown))}")
        chosen = zip(model.labels, model.thresholds, strict=True)
        self.thresholds = np.array([thresholds.get(label, learned) for label, learned in chosen])

    def __call__(self, doc: Doc) -> Doc:
        doc.spans["claims"] = SpanGroup(doc, name="claims", attrs={"scores": [], "rules": [], "blocks": []})
        if doc._.scores is None:
            raise ClassifierError(f"{self.name}: needs fantomes_voice before it in the pipeline")
        if doc._.voice != "promotion" or self.lang not in self.model.languages:
            return doc
        blocks = list(doc.spans["blocks"])
        claims, scores, places = [], [], []
        for place, label in np.argwhere(doc._.scores.probabilities >= self.thresholds):
            if not doc._.scores.segments[place]:
                continue  # no word in it
            start, end = self._quote(doc, place, label)
            shift = blocks[place].start_char
            name = self.model.labels[label]
            claims.append(_span(doc, shift + start, shift + end, name))
            scores.append(float(doc._.scores.probabilities[place, label]))
            places.append(int(place))
        doc.spans["claims"] = SpanGroup(
            doc, name="claims", spans=claims, attrs={"scores": scores, "rules": [None] * len(claims), "blocks": places}
        )
        return doc

    def _quote(self, doc: Doc, place: int, label: int) -> tuple[int, int]:
        """Offsets in the block: its strongest segment and the neighbours that say it almost as strongly."""
        spans = doc._.scores.segments[place]
        chances = sigmoid(doc._.scores.segment_decisions[place][:, label])
        first = last = int(np.argmax(chances))
        while last + 1 < len(spans) and chances[last + 1] >= self.share_of_best * chances.max():
            last += 1
        return spans[first][0], spans[last][1]


def _span(doc: Doc, start: int, end: int, label: str) -> Span:
    span = doc.char_span(start, end, label=label, alignment_mode="expand")
    if span is None:  # only if the tokens did not cover the text
        raise ClassifierError(f"no tokens at {start}-{end} of a page")
    return span


@Language.factory(
    "fantomes_claims",
    requires=["doc._.voice", "doc._.scores"],
    assigns=["doc.spans"],
    default_config={"thresholds": {}, "share_of_best": 0.9},
)
def make_claims(
    nlp: Language, name: str, lang: str, model: str, thresholds: dict[str, float], share_of_best: float
) -> Claims:
    """`lang`: of the pages; `model`: folder of the trained model; `thresholds`: see config.cfg."""
    return Claims(lang, name, load_model(Path(model)), thresholds, share_of_best)
