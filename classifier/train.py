"""Training: corpus -> model, with what cross-validation measured. Deterministic."""

import json
from collections.abc import Callable, Sequence
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
from classifier.corpus import VOICES, Page, families, load_corpus
from classifier.dataset import Dataset, vectorise
from classifier.explain import Examples, make_examples
from classifier.features import COLUMNS
from classifier.labels import labels
from classifier.measure import calibration_error, prf
from classifier.model import Model, digest
from classifier.scores import calibrate, join_voices, page_evidence, page_vectors, softmax
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
    reviewed = [page for page in reviewed if page.lang in known]
    fold = np.concatenate([folds(pages), np.full(len(reviewed), -1)])  # -1: learned from, never tested on
    pages = [*pages, *reviewed]
    voices = np.array([VOICES.index(page.voice) for page in pages])
    idf, data = vectorise(pages, SETTINGS["seed"])
    progress(1)

    decisions = np.zeros((len(data.page), len(labels())))
    best = np.zeros_like(decisions)
    for tested_fold in range(SETTINGS["folds"]):
        weights, bias = _fit_claims(data, (fold != tested_fold) & (voices == 0))
        rows = fold[data.page] == tested_fold
        decisions[rows] = data.vectors[rows] @ weights + bias
        best[rows] = _best(data, rows, weights, bias)[rows]
        progress(1)
    tested = (voices[data.page] == 0) & (fold[data.page] >= 0)
    calibration = _calibration(decisions[tested], best[tested], data.labels[tested])
    probabilities = calibrate(decisions, best, calibration)
    thresholds = _thresholds(data.labels[tested], probabilities[tested])
    weights, bias = _fit_claims(data, voices == 0)
    progress(1)

    voice, voice_measured = _train_voice(data, voices, fold)
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


def _examples(pages: list[Page], data: Dataset, model: Model) -> Examples:
    blocks = [(page.lang, block) for page in pages for block in page.blocks]
    found = [(place, label) for place, label in np.argwhere(data.labels & data.known).tolist()]
    rows = [(blocks[place][1].id, blocks[place][1].text, blocks[place][0], label) for place, label in found]
    return make_examples(rows, data.vectors[[place for place, _ in found]], model.claim_weights)


def folds(pages: Sequence[Page]) -> NDArray[np.int64]:
    """The fold of each page, 0 to SETTINGS["folds"] - 1; pages of a family share one. Ours: data/corpus/folds.csv."""
    chosen = np.zeros(len(pages), dtype=np.int64)
    for fold, (_, test) in enumerate(GroupKFold(SETTINGS["folds"]).split(pages, groups=families(pages))):
        chosen[test] = fold
    return chosen


def _content(pages: list[Page]) -> list[Any]:
    """The corpus as the version is hashed from it: the same in every process (sets are not)."""
    blocks = ((page, block) for page in pages for block in page.blocks)
    return [
        (page.id, page.lang, page.voice, b.kind, sorted(b.labels), b.context, b.text, b.spans, sorted(b.decided or ()))
        for page, b in blocks
    ]


def languages(pages: Sequence[Page]) -> list[str]:
    """Languages in which there is enough to learn from."""
    counts: dict[str, int] = {}
    for page in pages:
        counts[page.lang] = counts.get(page.lang, 0) + len(page.blocks)
    return sorted(lang for lang, count in counts.items() if count >= SETTINGS["min_blocks_of_a_language"])


def _fit_claims(data: Dataset, pages: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
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
    data: Dataset, rows: NDArray[np.bool_], weights: NDArray[np.float64], bias: NDArray[np.float64]
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
    data: Dataset, voices: NDArray[np.int64], fold: NDArray[np.int64]
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
    for tested_fold in range(SETTINGS["folds"]):
        rows = fold[of_page] == tested_fold
        fitted = _fit_voice(words, evidence, truth, ~rows)
        heard = words[rows] @ fitted["voice_weights"] + fitted["voice_bias"]
        decisions[rows] = join_voices(heard, evidence[rows] @ fitted["topic_weights"] + fitted["topic_bias"])
    grid = np.arange(0.3, 3.01, 0.1)
    tested = np.flatnonzero(fold[of_page] >= 0)
    losses = [
        -np.log(softmax(decisions[tested] / t)[np.arange(len(tested)), truth[tested]] + 1e-12).mean() for t in grid
    ]
    fitted = _fit_voice(words, evidence, truth, np.ones(len(truth), dtype=bool))
    fitted["voice_temperature"] = np.array([grid[int(np.argmin(losses))]])
    whole = np.array([len(sample) > max(SETTINGS["samples"]) for sample in samples])[tested]
    right = (decisions.argmax(axis=1) == truth)[tested]
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
