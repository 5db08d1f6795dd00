"""Pages given as blocks -> who speaks on them and what they claim: the classifier for callers that have no store."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix
from spacy.tokens import Doc

from classifier.features import Text, features
from classifier.language import page_language
from classifier.lexicon import lexicon
from classifier.model import load_model
from classifier.pipeline import PageInput, judge_pages
from classifier.scores import score_voices
from classifier.text import MAX_BLOCK_CHARS, clean


@dataclass(frozen=True, slots=True)
class Claim:
    """What one block claims. `quote` = its text[start:end], counted in Unicode characters of the text as given."""

    label: str
    score: float  # calibrated probability
    block: int  # place of the block on its page, from 0
    start: int
    end: int
    quote: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """Of one page. Claims are judged in the languages of the corpus only: elsewhere none is not a finding."""

    model: str  # version
    lang: str
    voice: str
    voice_score: float  # probability of that voice
    claims: list[Claim]


def judge(pages: Iterable[Sequence[tuple[str, str]]], model_dir: Path) -> Iterator[Judgement]:
    """One judgement a page, in order. A page is its blocks, (kind, text) in reading order, as the crawler stores them.

    Says what `classify` says of the same blocks. Pages are read in batches: memory stays bounded, however many there
    are. Not for several threads at once. Raises ClassifierError when there is no model.
    """
    version = load_model(model_dir).version
    waiting: deque[Sequence[tuple[str, str]]] = deque()

    def inputs() -> Iterator[PageInput]:
        for blocks in pages:
            waiting.append(blocks)
            before = ["", *(text for _, text in blocks)]
            yield PageInput([Text(text, kind, context) for (kind, text), context in zip(blocks, before, strict=False)])

    for lang, doc in judge_pages(inputs(), model_dir):
        claims = list(_claims(doc, waiting.popleft()))
        yield Judgement(version, lang, doc._.voice, float(doc._.voice_score), claims)


def promotion(pages: Sequence[Sequence[tuple[str, str]]], model_dir: Path) -> list[float]:
    """The probability that each page is promotion, and nothing else of it: a fifth of the time that judge() takes.

    Pages as for judge(); a page may be as small as the words of a link. Raises ClassifierError when there is no model.
    """
    model = load_model(model_dir)
    rows, edges = [], [0]
    for page in pages:
        texts = [Text(clean(text[:MAX_BLOCK_CHARS]), kind) for kind, text in page]
        before = ["", *(text.text for text in texts)]
        lang = page_language(text for _, text in page)
        known = lexicon(lang if lang in model.languages else "xx")
        rows += [features(text._replace(context=last), known) for text, last in zip(texts, before, strict=False)]
        edges.append(len(rows))
    members = csr_matrix((np.ones(len(rows)), np.arange(len(rows)), edges), shape=(len(edges) - 1, len(rows)))
    found = score_voices(model, model.vectors(rows), members) if rows else np.zeros((len(pages), len(model.voices)))
    return [float(chance) for chance in found[:, model.voices.index("promotion")]]


def _claims(doc: Doc, blocks: Sequence[tuple[str, str]]) -> Iterator[Claim]:
    group = doc.spans["claims"]
    starts = [block.start_char for block in doc.spans["blocks"]]
    for claim, score, place in zip(group, group.attrs["scores"], group.attrs["blocks"], strict=True):
        start, end = claim.start_char - starts[place], claim.end_char - starts[place]
        yield Claim(claim.label_, score, place, start, end, blocks[place][1][start:end])
