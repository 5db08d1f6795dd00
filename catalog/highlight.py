"""Text of sellers made showable: escaped, isolated, with marks on claims or on the words searched for."""

import re
from collections.abc import Iterable
from itertools import pairwise

from markupsafe import Markup, escape

OPEN, CLOSE = "\ue000", "\ue001"
"""What FTS5 puts around a match: private-use signs, which `plain` takes out of the text first."""

# Control signs have no place in HTML; a sign in their stead shows that something stood there.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff\ue000\ue001]")


def plain(text: str | None) -> str:
    """Text with every sign that HTML cannot hold replaced; offsets stay as they were."""
    return _CONTROL.sub("\ufffd", text or "")


def marked(text: str, spans: Iterable[tuple[int, int, str]]) -> Markup:
    """Escaped text with <mark> around spans (start, end, what to say of it). Spans may overlap or touch.

    Where they overlap one mark names both. Spans are cut to the text.
    """
    text = plain(text)
    inside = [(max(start, 0), min(end, len(text)), name) for start, end, name in spans if start < end]
    cuts = sorted({0, len(text), *(at for start, end, _ in inside for at in (start, end) if 0 <= at <= len(text))})
    parts = []
    for left, right in pairwise(cuts):
        names = list(dict.fromkeys(name for start, end, name in inside if start <= left and right <= end))
        piece = escape(text[left:right])
        parts.append(Markup('<mark title="{}">{}</mark>').format(", ".join(names), piece) if names else piece)
    return Markup("").join(parts)


def matched(text: str) -> Markup:
    """Escaped text with <mark> where FTS5 found a word (between OPEN and CLOSE)."""
    pieces = re.split(f"({OPEN}|{CLOSE})", text)
    tags = {OPEN: Markup("<mark>"), CLOSE: Markup("</mark>")}
    return Markup("").join(tags[piece] if piece in tags else escape(plain(piece)) for piece in pieces)
