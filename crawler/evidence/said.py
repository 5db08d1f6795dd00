"""Said: whether a text of the store stands in the record that is to prove it.

No second extraction: what a page's blocks are changes with every mended parser, what is written in the record does not.
Letters and digits are compared, since a parser may join what tags, signs and spaces part.
"""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from html import unescape

from crawler.blocks import page_text
from crawler.depth import too_deep
from crawler.page import Capture, decode

LOOSE = ("app", "panel")  # kinds of page whose blocks are put together out of a label here and a number there
TAG = re.compile(r"<[^<>]*>")
SIGNS = re.compile(r"[\W_]+")


def unsaid(capture: Capture, kind: str, texts: list[str]) -> list[str]:
    """Those of `texts` that stand nowhere in a capture; `kind` is that of its page."""
    left = texts
    for reading in _readings(capture):
        whole = SIGNS.sub("", reading)
        left = [text for text in left if SIGNS.sub("", text) not in whole]
        if left and kind in LOOSE:
            words = set(SIGNS.split(reading))
            left = [text for text in left if not words.issuperset(SIGNS.split(text))]
        if not left:
            break
    return left


def _readings(capture: Capture) -> Iterator[str]:
    """The body without tags; then as a visitor is shown it, with what stands in tags and scripts."""
    text, _ = decode(capture.body, capture.content_type)
    if text.lstrip()[:1] in ("{", "["):
        with suppress(ValueError, RecursionError):
            text = re.sub(r"\\[bfnrt]", " ", json.dumps(json.loads(text), ensure_ascii=False))
    yield unescape(TAG.sub(" ", text))
    if not too_deep(text):
        shown = page_text(text, capture.url)
        yield "\n".join(block.text for block in shown.blocks)
