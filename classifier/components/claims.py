"""fantomes_claims: on a seller's page, which labels a block carries and which part of it says so."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from spacy.language import Language
from spacy.pipeline import Pipe
from spacy.tokens import Doc, Span, SpanGroup

from classifier import ClassifierError
from classifier.features import Text
from classifier.model import Model, load_model
from classifier.scores import decide, sigmoid
from classifier.text import clauses


class Claims(Pipe):
    """Sets doc.spans["claims"], one span a label and block, with attrs "scores", "rules" and "blocks" in its order."""

    def __init__(
        self,
        lang: str,
        name: str,
        model: Model,
        thresholds: dict[str, float],
        share_of_best: float,
        voice_power: float,
    ) -> None:
        self.lang = lang
        self.name = name
        self.model = model
        self.share_of_best = share_of_best
        self.voice_power = voice_power
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
        # the less sure it is that a seller speaks, the more the text itself must say
        heard = doc._.voice_score**self.voice_power
        asserted = doc._.scores.probabilities * heard >= self.thresholds
        # a block without a word has no segment
        chosen = [(int(p), int(label)) for p, label in np.argwhere(asserted) if doc._.scores.segments[p]]
        quotes = self._quotes(doc, chosen)
        claims, scores = [], []
        for (place, label), (start, end) in zip(chosen, quotes, strict=True):
            shift = blocks[place].start_char
            claims.append(_span(doc, shift + start, shift + end, self.model.labels[label]))
            scores.append(float(doc._.scores.probabilities[place, label]))
        places = [place for place, _ in chosen]
        doc.spans["claims"] = SpanGroup(
            doc, name="claims", spans=claims, attrs={"scores": scores, "rules": [None] * len(claims), "blocks": places}
        )
        return doc

    def _quotes(self, doc: Doc, chosen: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Offsets in the block of each (block, label): the strongest segments, then the strongest clauses in them."""
        segments = doc._.scores.segments
        found = [self._strongest(segments[p], doc._.scores.segment_decisions[p][:, label]) for p, label in chosen]
        parts = [clauses(doc._.blocks[p].text, *span) for (p, _), span in zip(chosen, found, strict=True)]
        texts = [
            Text(doc._.blocks[place].text[start:end], doc._.blocks[place].kind)
            for (place, _), spans in zip(chosen, parts, strict=True)
            if len(spans) > 1
            for start, end in spans
        ]
        decisions = decide(self.model, texts, self.lang)
        row = 0
        for number, ((_, label), spans) in enumerate(zip(chosen, parts, strict=True)):
            if len(spans) > 1:
                own = decisions[row : row + len(spans), label]
                row += len(spans)
                if own.max() > 0:  # else only the whole carries it
                    found[number] = self._strongest(spans, own)
        return found

    def _strongest(self, spans: list[tuple[int, int]], decisions: NDArray[np.float64]) -> tuple[int, int]:
        """The strongest of neighbouring spans, and those after it that say it almost as strongly."""
        chances = sigmoid(decisions)
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
    default_config={"thresholds": {}, "share_of_best": 0.9, "voice_power": 3},
)
def make_claims(
    nlp: Language,
    name: str,
    lang: str,
    model: str,
    thresholds: dict[str, float],
    share_of_best: float,
    voice_power: float,
) -> Claims:
    """`lang`: of the pages; `model`: folder of the trained model; the numbers: see config.cfg."""
    return Claims(lang, name, load_model(Path(model)), thresholds, share_of_best, voice_power)
