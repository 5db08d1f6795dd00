"""fantomes_voice: who speaks on the page, judged from all its text before any claim is read."""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix
from spacy.language import Language
from spacy.pipeline import Pipe
from spacy.tokens import Doc
from spacy.util import minibatch

from classifier.model import Model, load_model
from classifier.scores import BlockScores, score_blocks, score_voices


class Voice(Pipe):
    """Sets doc._.voice and doc._.voice_score (its probability), and doc._.scores for the components after it."""

    def __init__(self, lang: str, name: str, model: Model, promotion_threshold: float) -> None:
        self.lang = lang
        self.name = name
        self.model = model
        self.promotion_threshold = promotion_threshold

    def __call__(self, doc: Doc) -> Doc:
        return next(self.pipe([doc]))

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 64) -> Iterator[Doc]:
        """Judge many pages at once: their blocks are vectorised together."""
        for docs in minibatch(stream, batch_size):
            docs = list(docs)
            self._judge(docs)
            yield from docs

    def _judge(self, docs: list[Doc]) -> None:
        texts = [text for doc in docs for text in (*doc._.blocks, *doc._.heard)]
        scores, vectors = score_blocks(self.model, texts, self.lang)
        edges = np.cumsum([0, *(len(doc._.blocks) + len(doc._.heard) for doc in docs)])
        members = csr_matrix((np.ones(len(texts)), np.arange(len(texts)), edges), shape=(len(docs), len(texts)))
        spans = list(pairwise(edges))
        voices = score_voices(self.model, vectors, members)
        for doc, (start, _), chances in zip(docs, spans, voices, strict=True):
            end = start + len(doc._.blocks)
            doc._.scores = BlockScores(
                scores.probabilities[start:end], scores.segments[start:end], scores.segment_decisions[start:end]
            )
            doc._.voice, doc._.voice_score = self._choose(dict(zip(self.model.voices, chances.tolist(), strict=True)))

    def _choose(self, chances: dict[str, float]) -> tuple[str, float]:
        if chances["promotion"] < self.promotion_threshold:
            chances = {voice: chance for voice, chance in chances.items() if voice != "promotion"}
        voice = max(chances, key=lambda name: chances[name])
        return voice, chances[voice]


@Language.factory(
    "fantomes_voice",
    assigns=["doc._.voice", "doc._.voice_score", "doc._.scores"],
    default_config={"promotion_threshold": 0.65},
)
def make_voice(nlp: Language, name: str, lang: str, model: str, promotion_threshold: float) -> Voice:
    """`lang`: of the pages; `model`: folder of the trained model; `promotion_threshold`: see config.cfg."""
    return Voice(lang, name, load_model(Path(model)), promotion_threshold)
