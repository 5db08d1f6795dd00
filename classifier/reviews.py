"""What people decided about claims, as labelled blocks to learn from. The shipped corpus is never changed by it."""

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from sqlite_utils import Database

from classifier import ClassifierError
from classifier.corpus import Page, read_pages
from classifier.labels import labels

_LATEST = """
    SELECT url, sha256, lang, position, kind, context, text, label, voice, reviewer, decision FROM reviews
    WHERE id IN (SELECT max(id) FROM reviews GROUP BY reviewer, url, sha256, position, label)
    ORDER BY url, sha256, position, label, reviewer
"""


def export_reviews(db: Database) -> Iterator[dict[str, Any]]:
    """Each reviewed block as a line of the corpus: `labels` as confirmed, `decided` all that was confirmed or rejected.

    A person's latest word counts; where two people disagree on a label or on the page's voice, it is left out.
    On a page that people found to be no promotion, no block has a label, whatever was said of single claims.
    """
    voices: dict[tuple[str, str], set[str]] = defaultdict(set)
    blocks: dict[tuple[str, str, int], dict[str, Any]] = {}
    answers: dict[tuple[str, str, int], dict[str, set[bool]]] = defaultdict(lambda: defaultdict(set))
    for url, sha256, lang, position, kind, context, text, label, voice, _, decision in db.execute(_LATEST):
        voices[url, sha256].add(voice)
        blocks[url, sha256, position] = {"lang": lang, "kind": kind, "context": context, "text": text}
        answers[url, sha256, position][label].add(decision == "confirmed")
    for (url, sha256, position), block in blocks.items():
        agreed = {label: said.pop() for label, said in answers[url, sha256, position].items() if len(said) == 1}
        if len(voices[url, sha256]) > 1 or not agreed:
            continue
        [voice] = voices[url, sha256]
        promoted = voice == "promotion"
        page = f"review-{sha256[:12]}"
        yield {
            "id": f"{page}-{position}", "page": page, "lang": block["lang"], "voice": voice, "form": "reviewed",
            "kind": block["kind"], "context": block["context"], "text": block["text"],
            "labels": sorted(label for label, yes in agreed.items() if yes and promoted),
            "decided": sorted(agreed) if promoted else list(labels()),
        }  # fmt: skip


def reviewed_pages(db: Database) -> list[Page]:
    """The reviewed blocks as pages to train on. Raises ClassifierError if a review holds what the corpus may not."""
    lines = (json.dumps(row, ensure_ascii=False) for row in export_reviews(db))
    try:
        return read_pages(lines, "reviews")
    except ClassifierError as error:
        raise ClassifierError(f"table {error}") from error
