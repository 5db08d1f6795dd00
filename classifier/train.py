"""Training: corpus -> model, with what cross-validation measured. Deterministic."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.svm import LinearSVC

from classifier import ClassifierError
from classifier.corpus import VOICES, Page, families, load_corpus
from classifier.features import COLUMNS, NAME_COLUMNS, Features, Text, features
from classifier.labels import labels
from classifier.lexicon import lexicon
from classifier.measure import prf
from classifier.model import Model, counts, digest, vectors
from classifier.scores import calibrate, join_voices, page_evidence, page_vectors, segment_texts, softmax
from classifier.text import segments
from data import DATA

SETTINGS: dict[str, Any] = {
    "folds": 5,
    "claims_C": 1.5,
    "voice_C": 1.0,
    "topic_C": 0.3,
    "min_blocks_of_a_language": 200,
    "samples": (1, 1, 2, 2, 3, 5),  # blocks drawn from a page, to learn the voice of fragments too
    "seed": 0,
}


@dataclass
class _Set:
    """The corpus as arrays: n blocks, their segments, and paragraphs joined from neighbouring blocks."""

    vectors: csr_matrix
    labels: NDArray[np.bool_]
    page: NDArray[np.int64]
    segment_vectors: csr_matrix
    segment_owner: NDArray[np.int64]
    joined_vectors: csr_matrix
    joined_labels: NDArray[np.bool_]
    joined_page: NDArray[np.int64]


def train(
    model_dir: Path, corpus_dir: Path | None = None, progress: Callable[[int], None] = lambda n: None
) -> dict[str, Any]:
    """Fit on the corpus and write the model; returns what cross-validation (grouped by page family) measured.

    `progress` is called with the number of steps done, of `folds` + 3. Raises ClassifierError.
    """
    source = corpus_dir if corpus_dir is not None else DATA / "corpus"
    pages = load_corpus(source)
    languages = _languages(pages)
    pages = [page for page in pages if page.lang in languages]
    voices = np.array([VOICES.index(page.voice) for page in pages])
    if len(set(voices)) < len(VOICES):
        raise ClassifierError(f"{source}: needs pages of every voice in languages with enough blocks")
    family = np.array(families(pages))
    idf, data = _vectorise(pages)
    progress(1)

    folds = list(GroupKFold(SETTINGS["folds"]).split(pages, groups=family))
    decisions = np.zeros((len(data.page), len(labels())))
    best = np.zeros_like(decisions)
    for done, (fit, test) in enumerate(folds, 2):
        weights, bias = _fit_claims(data, np.isin(np.arange(len(pages)), fit) & (voices == 0))
        rows = np.isin(data.page, test)
        decisions[rows] = data.vectors[rows] @ weights + bias
        best[rows] = _best(data, rows, weights, bias)[rows]
        progress(done)
    promoted = voices[data.page] == 0
    calibration = _calibration(decisions[promoted], best[promoted], data.labels[promoted])
    probabilities = calibrate(decisions, best, calibration)
    thresholds = _thresholds(data.labels[promoted], probabilities[promoted])
    weights, bias = _fit_claims(data, voices == 0)
    progress(SETTINGS["folds"] + 2)

    voice, voice_measured = _train_voice(data, voices, folds)
    model = Model(
        version=digest(SETTINGS | {"corpus": _content(pages)}),
        labels=list(labels()),
        voices=list(VOICES),
        languages=languages,
        idf=idf,
        claim_weights=weights.astype(np.float32),
        claim_bias=bias,
        calibration=calibration,
        thresholds=thresholds,
        **voice,
    )
    model.save(model_dir)
    progress(SETTINGS["folds"] + 3)
    measured = prf(data.labels[promoted], probabilities[promoted] >= thresholds, labels())
    return {
        "model": model.version,
        "pages": len(pages),
        "blocks": len(data.page),
        "languages": languages,
        "claims": measured,
        "voice": voice_measured,
        "thresholds": dict(zip(labels(), thresholds.round(3).tolist(), strict=True)),
    }


def _content(pages: list[Page]) -> list[Any]:
    """The corpus as the version is hashed from it: the same in every process (sets are not)."""
    blocks = ((page, block) for page in pages for block in page.blocks)
    return [(page.id, page.lang, page.voice, b.kind, sorted(b.labels), b.context, b.text) for page, b in blocks]


def _languages(pages: list[Page]) -> list[str]:
    counts: dict[str, int] = {}
    for page in pages:
        counts[page.lang] = counts.get(page.lang, 0) + len(page.blocks)
    return sorted(lang for lang, count in counts.items() if count >= SETTINGS["min_blocks_of_a_language"])


def _vectorise(pages: list[Page]) -> tuple[NDArray[np.float32], _Set]:
    rows: list[Features] = []
    parts: list[Features] = []
    joined: list[Features] = []
    marks, page_of, owner, joined_marks, joined_page = [], [], [], [], []
    chance = random.Random(SETTINGS["seed"])  # noqa: S311 - sampling, not secrecy
    for place, page in enumerate(pages):
        words = lexicon(page.lang)
        for block in page.blocks:
            # every other block hides its kind: tag is often given none
            text = Text(block.text, block.kind if len(rows) % 2 else "", block.context)
            spans = segments(block.text)
            if len(spans) > 1:
                parts += [features(part, words) for part in segment_texts(text, spans)]
                owner += [len(rows)] * len(spans)
            rows.append(features(text, words))
            marks.append([label in block.labels for label in labels()])
            page_of.append(place)
        for text, found in _joined(page, chance):
            joined.append(features(text, words))
            joined_marks.append([label in found for label in labels()])
            joined_page.append(place)
    idf = _rarity(rows)
    return idf, _Set(
        vectors(idf, rows), np.array(marks), np.array(page_of),
        vectors(idf, parts), np.array(owner),
        vectors(idf, joined), np.array(joined_marks), np.array(joined_page),
    )  # fmt: skip


def _rarity(rows: list[Features]) -> NDArray[np.float32]:
    """Inverse document frequency of each name, smoothed as scikit-learn's TfidfTransformer does."""
    found = np.bincount(counts(rows).indices, minlength=NAME_COLUMNS)
    return (np.log((1 + len(rows)) / (1 + found)) + 1).astype(np.float32)


def _joined(page: Page, chance: random.Random) -> list[tuple[Text, frozenset[str]]]:
    """Paragraphs of two to four neighbouring blocks: real pages have long blocks, the corpus mostly short ones."""
    run = [block for block in page.blocks if block.kind in ("text", "item", "heading", "meta", "cell")]
    found, start = [], 0
    while start < len(run):
        group = run[start : start + chance.choice((2, 2, 3, 4))]
        start += len(group)
        if len(group) < 2 or any(block.text.rstrip().endswith("?") for block in group):
            continue  # an answer depends on its question: left as they are
        text = " ".join(b.text if b.text[-1] in ".!?…" else b.text + chance.choice((".", ":", "", " -")) for b in group)
        found.append((Text(text), frozenset().union(*(block.labels for block in group))))
    return found


def _fit_claims(data: _Set, pages: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    texts = vstack([data.vectors[pages[data.page]], data.joined_vectors[pages[data.joined_page]]], format="csr")
    marks = np.vstack([data.labels[pages[data.page]], data.joined_labels[pages[data.joined_page]]])
    used = np.flatnonzero(texts.getnnz(axis=0))
    texts = texts[:, used]
    weights, bias = np.zeros((COLUMNS, marks.shape[1])), np.zeros(marks.shape[1])
    for place in range(marks.shape[1]):
        fitted = LinearSVC(C=SETTINGS["claims_C"], class_weight="balanced", random_state=SETTINGS["seed"])
        fitted.fit(texts, marks[:, place])
        weights[used, place], bias[place] = fitted.coef_[0], fitted.intercept_[0]
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
    for fit, test in folds:
        fitted = _fit_voice(words, evidence, truth, np.isin(of_page, fit))
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
