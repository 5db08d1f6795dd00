"""Block -> claim, over the pages of the working store."""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from spacy.tokens import Doc
from sqlite_utils import Database

from classifier.explain import Examples, explain, load_examples
from classifier.features import Text
from classifier.model import Model, load_model
from classifier.pipeline import PageInput, judge_pages

BATCH_PAGES = 50  # pages a transaction: a stopped run loses at most these


def classify(
    db: Database, model_dir: Path, everything: bool = False, progress: Callable[[int], None] = lambda n: None
) -> dict[str, Any]:
    """Judge the pages that this model has not read yet (`everything`: all), and replace their claims.

    `progress` is called with the number of pages done since the last call. Returns counts: pages, blocks, claims (per
    label), voices, languages, seconds. Stopped at any moment, a rerun goes on. Raises ClassifierError.
    """
    started = time.monotonic()
    model, examples = load_model(model_dir), load_examples(model_dir)
    version = model.version
    where = "" if everything else " WHERE model IS NULL OR model != ?"
    pages = [row[0] for row in db.execute(f"SELECT id FROM pages{where} ORDER BY id", [] if everything else [version])]
    counts: dict[str, Counter[str]] = {"claims": Counter(), "voices": Counter(), "languages": Counter()}
    blocks = 0
    for start in range(0, len(pages), BATCH_PAGES):
        batch = pages[start : start + BATCH_PAGES]
        rows = {page: _blocks(db, page) for page in batch}
        inputs = (PageInput([Text(text, kind, context) for _, _, kind, text, context in rows[page]]) for page in batch)
        with db.atomic():
            for page, (lang, doc) in zip(batch, judge_pages(inputs, model_dir), strict=True):
                claims = list(_claims(db, page, doc, rows[page], version))
                _explain(claims, rows[page], lang, model, examples)
                _store(db, page, lang, doc, version, claims)
                counts["claims"].update(claim["label"] for claim in claims)
                counts["voices"][doc._.voice] += 1
                counts["languages"][lang] += 1
                blocks += len(rows[page])
        progress(len(batch))
    totals = {name: dict(counter.most_common()) for name, counter in counts.items()}
    return {"pages": len(pages), "blocks": blocks, **totals, "seconds": round(time.monotonic() - started, 2)}


def _blocks(db: Database, page: int) -> list[tuple[int, int, str, str, str]]:
    """(block id, position, kind, text, text of the block before) in reading order."""
    found = db.execute(
        "SELECT id, position, kind, text FROM blocks WHERE page_id = ? ORDER BY position", [page]
    ).fetchall()
    before = ["", *(text for _, _, _, text in found)]
    return [(*row, context) for row, context in zip(found, before, strict=False)]


def _claims(
    db: Database, page: int, doc: Doc, rows: list[tuple[int, int, str, str, str]], version: str
) -> Iterator[dict[str, Any]]:
    sha256, url, fetched_at = db.execute("SELECT sha256, url, fetched_at FROM pages WHERE id = ?", [page]).fetchone()
    group = doc.spans["claims"]
    blocks = list(doc.spans["blocks"])
    attrs = zip(group.attrs["scores"], group.attrs["rules"], group.attrs["blocks"], strict=True)
    for claim, (score, rule, place) in zip(group, attrs, strict=True):
        block, position, _, text, _ = rows[place]
        shift = blocks[place].start_char
        start, end = claim.start_char - shift, claim.end_char - shift
        parts = (sha256, url, fetched_at, position, claim.label_, start, end)
        yield {
            "id": hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:16],
            "page_id": page,
            "block_id": block,
            "label": claim.label_,
            "score": score,
            "start": start,
            "end": end,
            "quote": text[start:end],
            "rule": rule,
            "model": version,
        }


def _explain(
    claims: list[dict[str, Any]],
    rows: list[tuple[int, int, str, str, str]],
    lang: str,
    model: Model,
    examples: Examples,
) -> None:
    """Add to each claim why it was tagged."""
    known = {block: (kind, context) for block, _, kind, _, context in rows}
    quotes = []
    for claim in claims:
        kind, context = known[claim["block_id"]]
        # as the model judged it: only the beginning of a block answers the block before
        text = Text(claim["quote"], kind, "" if claim["start"] else context)
        quotes.append((text, model.labels.index(claim["label"])))
    for claim, why in zip(claims, explain(model, examples, quotes, lang), strict=True):
        claim["words"] = json.dumps(why.words, ensure_ascii=False)
        claim["examples"] = json.dumps(why.examples, ensure_ascii=False)


def _store(db: Database, page: int, lang: str, doc: Doc, version: str, claims: list[dict[str, Any]]) -> None:
    db.execute("DELETE FROM claims WHERE page_id = ?", [page])
    if claims:
        db["claims"].insert_all(claims, replace=True)  # type: ignore[union-attr]
    db.execute(
        "UPDATE pages SET lang = ?, voice = ?, voice_score = ?, model = ? WHERE id = ?",
        [lang, doc._.voice, doc._.voice_score, version, page],
    )
