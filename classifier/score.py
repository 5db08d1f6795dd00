"""Score anybody's answers to the corpus, so that others can compare with us."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from classifier import ClassifierError
from classifier.corpus import Page
from classifier.evaluate import Judged, places, truth
from classifier.labels import labels


def read_answers(file: Path, pages: Sequence[Page]) -> Judged:
    """Answers, a line each: {"id": of a block, "labels": [...], "voice": of its page, if judged}.

    A block without an answer has no label; a page's voice is the first that is given for it, else taken as right.
    Raises ClassifierError, naming file, line and value.
    """
    rows = {block.id: row for row, block in enumerate(block for page in pages for block in page.blocks)}
    page_of = places(pages)[1]
    given = np.zeros((len(rows), len(labels())), dtype=bool)
    heard: dict[int, str] = {}
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ClassifierError(f"{file}: cannot read: {error}") from error
    for number, line in enumerate(lines, 1):
        try:
            answer = json.loads(line)
            row = rows[answer["id"]]
            for label in answer["labels"]:
                given[row, labels().index(label)] = True
            if "voice" in answer:
                heard.setdefault(int(page_of[row]), str(answer["voice"]))
        except (ValueError, KeyError, TypeError) as error:
            raise ClassifierError(f"{file}:{number}: not an answer to this corpus: {error!r}") from error
    voices = [(page.voice, heard.get(place, page.voice)) for place, page in enumerate(pages)]
    return Judged(truth(pages), given, given.astype(float), *places(pages), voices)
