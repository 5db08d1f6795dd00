"""Training: corpus -> model, with what cross-validation measured. Deterministic."""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.svm import LinearSVC

from classifier import ClassifierError
from classifier.corpus import VOICES, Block, Page, families, load_corpus
from classifier.explain import Examples, make_examples
from classifier.features import COLUMNS, NAME_COLUMNS, Features, Text, features
from classifier.labels import labels
from classifier.lexicon import lexicon
from classifier.measure import calibration_error, prf
from classifier.model import Model, counts, digest, vectors
from classifier.scores import calibrate, join_voices, page_evidence, page_vectors, segment_texts, softmax
from classifier.text import segments, words
from data import DATA

SETTINGS: dict[str, Any] = {
    "folds": 5,
    "claims_C": 1.5,
    "claims_tol": 0.03,
    "voice_C": 1.0,
    "topic_C": 0.3,
    "min_blocks_of_a_language": 200,
    "samples": (1, 1, 2, 2, 3, 5),  # blocks drawn from a page, to learn the voice of fragments too
    "seed": 0,
}
STEPS = SETTINGS["folds"] + 3
MEASURED_NAME = "measured.json"


@dataclass
class _Set:
    """The corpus as arrays: n blocks, their segments, and m more texts made from them to learn from, see _more()."""

    vectors: csr_matrix
    labels: NDArray[np.bool_]
    known: NDArray[np.bool_]
    """n x L: whether the label was decided (in the corpus always, in a review perhaps)"""
    page: NDArray[np.int64]
    segment_vectors: csr_matrix
    segment_owner: NDArray[np.int64]
    more_vectors: csr_matrix
    more_labels: NDArray[np.bool_]
    more_page: NDArray[np.int64]


@dataclass
class Fitted:
    """All that training makes; `measured` by cross-validation."""

    model: Model
    examples: Examples
    measured: dict[str, Any]


def train(
    model_dir: Path,
    corpus_dir: Path | None = None,
    progress: Callable[[int], None] = lambda n: None,
    reviewed: Sequence[Page] = (),
) -> dict[str, Any]:
    """Fit on the corpus, and on what people decided (`reviewed`), and write the model and what was measured.

    Returns what fit() measured; `progress` as in fit(). Raises ClassifierError.
    """
    source = corpus_dir if corpus_dir is not None else DATA / "corpus"
    try:
        fitted = fit(load_corpus(source), progress, reviewed)
    except ClassifierError as error:
        raise ClassifierError(f"{source}: {error}") from error
    fitted.examples.save(model_dir)
    fitted.model.save(model_dir)
    (model_dir / MEASURED_NAME).write_text(json.dumps(fitted.measured, indent=1) + "\n", "utf-8")
    progress(1)
    return fitted.measured


def load_measured(model_dir: Path) -> dict[str, Any]:
    """What cross-validation measured when the model in `model_dir` was trained. Raises ClassifierError."""
    file = model_dir / MEASURED_NAME
    try:
        return dict(json.loads(file.read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise ClassifierError(f"{file}: cannot read, run `fantomes train`: {error}") from error


def fit(pages: list[Page], progress: Callable[[int], None] = lambda n: None, reviewed: Sequence[Page] = ()) -> Fitted:
    """Learn from pages. Folds never split a page family; reviewed pages are learned from and never tested on.

    `progress` is called with the number of steps done since the last call, STEPS in all. Raises ClassifierError.
    """
    known = languages(pages)
    pages = [page for page in pages if page.lang in known]
    if {page.voice for page in pages} != set(VOICES):
        raise ClassifierError("needs pages of every voice in languages with enough blocks")
    folds = _folds(pages, len(reviewed))
    pages = [*pages, *(page for page in reviewed if page.lang in known)]
    voices = np.array([VOICES.index(page.voice) for page in pages])
    idf, data = _vectorise(pages)
    progress(1)

    decisions = np.zeros((len(data.page), len(labels())))
    best = np.zeros_like(decisions)
    for learned, test in folds:
        weights, bias = _fit_claims(data, np.isin(np.arange(len(pages)), learned) & (voices == 0))
        rows = np.isin(data.page, test)
        decisions[rows] = data.vectors[rows] @ weights + bias
        best[rows] = _best(data, rows, weights, bias)[rows]
        progress(1)
    tested = (voices[data.page] == 0) & (data.page < len(pages) - len(reviewed))
    calibration = _calibration(decisions[tested], best[tested], data.labels[tested])
    probabilities = calibrate(decisions, best, calibration)
    thresholds = _thresholds(data.labels[tested], probabilities[tested])
    weights, bias = _fit_claims(data, voices == 0)
    progress(1)

    voice, voice_measured = _train_voice(data, voices, folds)
    model = Model(
        version=digest(SETTINGS | {"corpus": _content(pages)}),
        labels=list(labels()),
        voices=list(VOICES),
        languages=known,
        idf=idf,
        claim_weights=weights.astype(np.float32),
        claim_bias=bias,
        calibration=calibration,
        thresholds=thresholds,
        **voice,
    )
    measured = {
        "model": model.version,
        "pages": len(pages),
        "blocks": len(data.page),
        "languages": known,
        "claims": prf(data.labels[tested], probabilities[tested] >= thresholds, labels()),
        "calibration_error": calibration_error(data.labels[tested], probabilities[tested]),
        "voice": voice_measured,
        "thresholds": dict(zip(labels(), thresholds.round(3).tolist(), strict=True)),
    }
    return Fitted(model, _examples(pages, data, model), measured)


def _examples(pages: list[Page], data: _Set, model: Model) -> Examples:
    blocks = [(page.lang, block) for page in pages for block in page.blocks]
    found = [(place, label) for place, label in np.argwhere(data.labels & data.known).tolist()]
    rows = [(blocks[place][1].id, blocks[place][1].text, blocks[place][0], label) for place, label in found]
    return make_examples(rows, data.vectors[[place for place, _ in found]], model.claim_weights)


def _folds(pages: list[Page], reviewed: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Places of pages to fit on and to test on."""
    split = GroupKFold(SETTINGS["folds"]).split(pages, groups=families(pages))
    always = np.arange(len(pages), len(pages) + reviewed)
    return [(np.concatenate([learned, always]), test) for learned, test in split]


def _content(pages: list[Page]) -> list[Any]:
    """The corpus as the version is hashed from it: the same in every process (sets are not)."""
    blocks = ((page, block) for page in pages for block in page.blocks)
    return [(page.id, page.lang, page.voice, b.kind, sorted(b.labels), b.context, b.text) for page, b in blocks]


def languages(pages: Sequence[Page]) -> list[str]:
    """Languages in which there is enough to learn from."""
    counts: dict[str, int] = {}
    for page in pages:
        counts[page.lang] = counts.get(page.lang, 0) + len(page.blocks)
    return sorted(lang for lang, count in counts.items() if count >= SETTINGS["min_blocks_of_a_language"])


def _vectorise(pages: list[Page]) -> tuple[NDArray[np.float32], _Set]:
    rows: list[Features] = []
    parts: list[Features] = []
    more: list[Features] = []
    marks, known, page_of, owner, more_marks, more_page = [], [], [], [], [], []
    chance = random.Random(SETTINGS["seed"])  # noqa: S311 - sampling, not secrecy
    for place, page in enumerate(pages):
        known_words = lexicon(page.lang)
        for block in page.blocks:
            # every other block hides its kind: tag is often given none
            text = Text(block.text, block.kind if len(rows) % 2 else "", block.context)
            spans = segments(block.text)
            if len(spans) > 1:
                parts += [features(part, known_words) for part in segment_texts(text, spans)]
                owner += [len(rows)] * len(spans)
            rows.append(features(text, known_words))
            marks.append([label in block.labels for label in labels()])
            known.append([block.decided is None or label in block.decided for label in labels()])
            page_of.append(place)
        for text, found in _more(page, chance):
            more.append(features(text, known_words))
            more_marks.append([label in found for label in labels()])
            more_page.append(place)
    idf = _rarity(rows)
    return idf, _Set(
        vectors(idf, rows), np.array(marks), np.array(known), np.array(page_of),
        vectors(idf, parts), np.array(owner),
        vectors(idf, more), np.array(more_marks), np.array(more_page),
    )  # fmt: skip


def _rarity(rows: list[Features]) -> NDArray[np.float32]:
    """Inverse document frequency of each name, smoothed as scikit-learn's TfidfTransformer does."""
    found = np.bincount(counts(rows).indices, minlength=NAME_COLUMNS)
    return (np.log((1 + len(rows)) / (1 + found)) + 1).astype(np.float32)


def _more(page: Page, chance: random.Random) -> Iterator[tuple[Text, frozenset[str]]]:
    """More texts to learn claims from: what neighbours say together, and each part of a block by itself."""
    yield from _joined(page, chance)
    for block in page.blocks:
        if block.spans:
            yield from _parts(block)


def _joined(page: Page, chance: random.Random) -> Iterator[tuple[Text, frozenset[str]]]:
    """Paragraphs of two to four neighbouring blocks: real pages have long blocks, the corpus mostly short ones."""
    run = [b for b in page.blocks if b.kind in ("text", "item", "heading", "meta", "cell") and b.decided is None]
    start = 0
    while start < len(run):
        group = run[start : start + chance.choice((2, 2, 3, 4))]
        start += len(group)
        if len(group) < 2 or any(block.text.rstrip().endswith("?") for block in group):
            continue  # an answer depends on its question: left as they are
        text = " ".join(b.text if b.text[-1] in ".!?…" else b.text + chance.choice((".", ":", "", " -")) for b in group)
        yield Text(text), frozenset().union(*(block.labels for block in group))


def _parts(block: Block) -> Iterator[tuple[Text, frozenset[str]]]:
    """The stretches marked in a block, its segments, and what is left when the stretches are cut out."""
    rest = block.text
    for start, end in sorted({(start, end) for start, end, _ in block.spans}, reverse=True):
        if (start, end) != (0, len(block.text)):
            yield Text(block.text[start:end]), _carried(block, start, end)
        rest = f"{rest[:start]} … {rest[end:]}"
    if len(words(rest)) > 4:
        yield Text(rest, context=block.context), frozenset()
    offsets = segments(block.text)
    if len(offsets) > 1:
        for part, (start, end) in zip(
            segment_texts(Text(block.text, "", block.context), offsets), offsets, strict=True
        ):
            yield part, _carried(block, start, end)


def _carried(block: Block, start: int, end: int) -> frozenset[str]:
    """Labels of which half a marked stretch, or half of this one, lies in common."""
    return frozenset(
        label for first, last, label in block.spans
        if 2 * (min(end, last) - max(start, first)) >= min(end - start, last - first)
    )  # fmt: skip


def _fit_claims(data: _Set, pages: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    own, more = pages[data.page], pages[data.more_page]
    texts = vstack([data.vectors[own], data.more_vectors[more]], format="csr")
    marks = np.vstack([data.labels[own], data.more_labels[more]])
    known = np.vstack([data.known[own], np.ones_like(data.more_labels[more])])
    used = np.flatnonzero(texts.getnnz(axis=0))
    texts = texts[:, used]
    weights, bias = np.zeros((COLUMNS, marks.shape[1])), np.zeros(marks.shape[1])

    def fit_one(place: int) -> tuple[NDArray[np.float64], float]:
        rows = known[:, place]
        # a finer tolerance takes five times as long and decides the same
        fitted = LinearSVC(
            C=SETTINGS["claims_C"], class_weight="balanced", tol=SETTINGS["claims_tol"], random_state=SETTINGS["seed"]
        ).fit(texts[rows], marks[rows, place])
        return fitted.coef_[0], fitted.intercept_[0]

    fitted = Parallel(n_jobs=-1)(delayed(fit_one)(place) for place in range(marks.shape[1]))
    for place, (learned, constant) in enumerate(fitted):
        weights[used, place], bias[place] = learned, constant
    return weights, bias


def _best(
    data: _Set, rows: NDArray[np.bool_], weights: NDArray[np.float64], bias: NDArray[np.float64]
) -> NDArray[np.float64]:
    best = np.full((len(data.page), weights.shape[1]), -np.inf)
    chosen = rows[data.segment_owner]
    np.maximum.at(best, data.segment_owner[chosen], data.segment_vectors[chosen] @ weights + bias)
    single = np.isinf(best[:, 0])
    best[single] = data.vectors[single] @ weights + bias
    return best


def _calibration(
    decisions: NDArray[np.float64], best: NDArray[np.float64], marks: NDArray[np.bool_]
) -> NDArray[np.float64]:
    rows = []
    for place in range(marks.shape[1]):
        both = np.column_stack([decisions[:, place], best[:, place]])
        fitted = LogisticRegression(C=1.0).fit(both, marks[:, place])
        rows.append([*fitted.coef_[0], fitted.intercept_[0]])
    return np.array(rows)


def _thresholds(marks: NDArray[np.bool_], probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Per label, the probability with the best F1 out of fold, kept within reason: few examples make it jump."""
    grid = np.arange(0.35, 0.61, 0.01)
    chosen = []
    for place in range(marks.shape[1]):
        truth, given = marks[:, place], probabilities[:, place]
        scores = [2 * (truth & (given >= t)).sum() / max(1, truth.sum() + (given >= t).sum()) for t in grid]
        chosen.append(grid[int(np.argmax(scores))])
    return np.array(chosen)


def _train_voice(
    data: _Set, voices: NDArray[np.int64], folds: list[tuple[Any, Any]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fit on whole pages and on random samples of their blocks."""
    chance = np.random.default_rng(SETTINGS["seed"])
    samples, sample_page = [], []
    for place in range(len(voices)):
        blocks = np.flatnonzero(data.page == place)
        sizes = [len(blocks), *(size for size in SETTINGS["samples"] if size < len(blocks))]
        samples += [np.sort(chance.choice(blocks, size, replace=False)) for size in sizes]
        sample_page += [place] * len(sizes)
    of_page = np.array(sample_page)
    edges = np.cumsum([0, *map(len, samples)])
    members = csr_matrix((np.ones(edges[-1]), np.concatenate(samples), edges), shape=(len(samples), len(data.page)))
    words, evidence = page_vectors(data.vectors, members), page_evidence(data.vectors, members)
    truth = voices[of_page]
    decisions = np.zeros((len(samples), len(VOICES)))
    for learned, test in folds:
        fitted = _fit_voice(words, evidence, truth, np.isin(of_page, learned))
        rows = np.isin(of_page, test)
        heard = words[rows] @ fitted["voice_weights"] + fitted["voice_bias"]
        decisions[rows] = join_voices(heard, evidence[rows] @ fitted["topic_weights"] + fitted["topic_bias"])
    grid = np.arange(0.3, 3.01, 0.1)
    losses = [-np.log(softmax(decisions / t)[np.arange(len(truth)), truth] + 1e-12).mean() for t in grid]
    fitted = _fit_voice(words, evidence, truth, np.ones(len(truth), dtype=bool))
    fitted["voice_temperature"] = np.array([grid[int(np.argmin(losses))]])
    whole = np.array([len(sample) > max(SETTINGS["samples"]) for sample in samples])
    right = decisions.argmax(axis=1) == truth
    return fitted, {"pages": float(right[whole].mean()), "samples": float(right[~whole].mean())}


def _fit_voice(
    words: csr_matrix, evidence: NDArray[np.float64], truth: NDArray[np.int64], rows: NDArray[np.bool_]
) -> dict[str, Any]:
    used = np.flatnonzero(words[rows].getnnz(axis=0))
    heard = words[rows][:, used]
    weights, bias = np.zeros((words.shape[1], len(VOICES)), dtype=np.float32), np.zeros(len(VOICES))
    for place in range(len(VOICES)):
        fitted = LogisticRegression(
            C=SETTINGS["voice_C"], class_weight="balanced", solver="liblinear", random_state=SETTINGS["seed"]
        ).fit(heard, truth[rows] == place)
        weights[used, place], bias[place] = fitted.coef_[0], fitted.intercept_[0]
    about = LogisticRegression(C=SETTINGS["topic_C"], class_weight="balanced", max_iter=1000)
    about.fit(evidence[rows], truth[rows] != VOICES.index("neutral"))
    return {
        "voice_weights": weights,
        "voice_bias": bias,
        "topic_weights": about.coef_[0],
        "topic_bias": about.intercept_,
    }
