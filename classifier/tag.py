"""`fantomes tag`: JSON Lines in, JSON Lines out."""

import json
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from spacy.tokens import Doc

from classifier.corpus import KINDS
from classifier.features import Text
from classifier.language import warm_up
from classifier.model import Model, load_model
from classifier.pipeline import PageInput, judge_pages

Row = dict[str, Any]


def tag_lines(lines: Iterable[str | bytes], model_dir: Path) -> Iterator[Row]:
    """One result a line, in order; consecutive lines of one `page` are judged together.

    In: {"id", "page", "text", "context"?, "lang"?, "kind"?}. Out: {"id", "lang", "voice", "voice_score", "claims",
    "scores"}, "supported": false where claims are not judged in that language; {"id"?, "error"} for a line that cannot
    be read. Raises ClassifierError if there is no model.
    """
    model = load_model(model_dir)
    warm_up()
    waiting: deque[tuple[list[Row], list[list[Row]]]] = deque()  # pages on their way: all rows, and rows by language

    def inputs() -> Iterator[PageInput]:
        for _, group in groupby(map(_read_line, lines), key=lambda row: row.get("page")):
            rows = list(group)
            parts = _by_language(rows)
            waiting.append((rows, list(parts)))
            yield from (_input(part, rows) for part in parts)

    done: dict[int, Row] = {}
    for lang, doc in judge_pages(inputs(), model_dir):
        yield from _errors(waiting)
        rows, parts = waiting[0]
        done |= zip(map(id, parts.pop(0)), _results(lang, doc, model), strict=True)
        if not parts:
            yield from ({"id": row["id"], **done[id(row)]} if "error" not in row else _error(row) for row in rows)
            waiting.popleft()
            done.clear()
    yield from _errors(waiting)


def _errors(waiting: deque[tuple[list[Row], list[list[Row]]]]) -> Iterator[Row]:
    """Results of the pages at the front of which no line can be read."""
    while waiting and not waiting[0][1]:
        yield from map(_error, waiting.popleft()[0])


def _error(row: Row) -> Row:
    return {key: row[key] for key in ("id", "error") if key in row}


def _read_line(line: str | bytes) -> Row:
    """The row, or {"error"} and what is known of it."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return {"error": f"not JSON: {error}"}
    if not isinstance(row, dict):
        return {"error": "not a JSON object"}
    known = {key: row[key] for key in ("id", "page") if type(row.get(key)) in (str, int)}
    for key in ("id", "page"):
        if key not in known:
            return known | {"error": f"{key!r} must be a string or a number"}
    if not isinstance(row.get("text"), str):
        return known | {"error": "'text' must be a string"}
    for key in ("context", "lang", "kind"):
        if not isinstance(row.get(key) or "", str):
            return known | {"error": f"{key!r} must be a string"}
    row = {key: row[key] for key in ("id", "page", "text", "context", "lang", "kind") if row.get(key) is not None}
    lang = row["lang"] = (row.get("lang") or "").replace("_", "-").partition("-")[0]  # "en-GB": the language alone
    if lang and not (lang.isascii() and lang.isalpha() and len(lang) in (2, 3)):
        return known | {"error": f"'lang' must be an ISO 639 code: {lang[:20]!r}"}
    return row


def _by_language(rows: list[Row]) -> list[list[Row]]:
    """The good rows of a page by their given language; rows without one belong to the first that is given."""
    good = [row for row in rows if "error" not in row]
    first = next((row["lang"] for row in good if row.get("lang")), None)
    parts: dict[str | None, list[Row]] = defaultdict(list)
    for row in good:
        parts[row.get("lang") or first].append(row)
    return list(parts.values())


def _input(rows: list[Row], page: list[Row]) -> PageInput:
    """The rows of one language; the page's other texts are heard when its voice is judged."""
    blocks = [
        Text(row["text"], row["kind"] if row.get("kind") in KINDS else "", row.get("context") or "") for row in rows
    ]
    own = {row["text"] for row in rows}
    others = [row["text"] for row in page if "error" not in row] if len(rows) < len(page) else []
    heard = dict.fromkeys(text for text in (*others, *(block.context for block in blocks)) if text and text not in own)
    lang = next((row["lang"].lower() for row in rows if row.get("lang")), None)
    return PageInput(blocks, lang, tuple(Text(text) for text in heard))


def _results(lang: str, doc: Doc, model: Model) -> Iterator[Row]:
    claims: dict[int, list[Row]] = defaultdict(list)
    group = doc.spans["claims"]
    blocks = list(doc.spans["blocks"])
    for span, score, place in zip(group, group.attrs["scores"], group.attrs["blocks"], strict=True):
        shift = blocks[place].start_char
        found = {"label": span.label_, "score": round(score, 4)}
        claims[place].append(found | {"start": span.start_char - shift, "end": span.end_char - shift})
    for place, chances in enumerate(doc._.scores.probabilities.round(4).tolist()):
        yield {
            "lang": lang,
            "voice": doc._.voice,
            "voice_score": round(doc._.voice_score, 4),
            "claims": claims[place],
            "scores": dict(zip(model.labels, chances, strict=True)),
            # claims are judged in the languages of the corpus only; elsewhere none is not a finding
            **({} if lang in model.languages else {"supported": False}),
        }
