"""A block's text as the classifier reads it: cleaned (same length), folded, cut into words and segments."""

import re
import unicodedata
from functools import lru_cache

MAX_BLOCK_CHARS = 20_000
"""Characters of one block that are read; a block that goes on is judged by its beginning, so that time stays linear."""

# C0/C1 controls, bidirectional controls (a vendor can hide or reverse words with them), lone surrogates (no UTF-8 form)
_UNPRINTABLE = dict.fromkeys((*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)), " ")
_UNPRINTABLE |= dict.fromkeys(range(0xD800, 0xE000), "\ufffd")
_NEEDS_CLEANING = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

_WORD = re.compile(r"\d+|[^\W\d_]+|[^\w\s]")
_WORDS = re.compile(r"\w+")

# A segment ends after . ! ? … (with closing quotes), and around bullets, pipes and the marks vendors use as bullets.
_BREAK = re.compile(
    r"(?<=[.!?…])[\"»”’)\]]*\s+(?=[^\s\d])"
    r"|\s*[•·|▪►➜➤◆●■]+\s*"
    r"|\s+[–—]\s+"
    r"|\s*(?=[✅✔☑✓❌⭐★🔹🔸👉]️?)"
    r"|\s{2,}"
)
# A clause ends at a comma or before a word that joins two, in the six languages; it has at least three words.
_JOINT = re.compile(
    r"(?<=[,;:])\s+|\s+(?=(?:and|but|so|while|et|mais|donc|car|afin|und|aber|damit|y|pero|para|e|ed|ma|mas|perché)\s)",
    re.IGNORECASE,
)
_CLAUSE_WORDS = 3
_HAS_WORD = re.compile(r"\w")


def clean(text: str) -> str:
    """The same text, character for character, with what spaCy or a reader would choke on replaced."""
    return text.translate(_UNPRINTABLE) if _NEEDS_CLEANING.search(text) else text


@lru_cache(maxsize=1 << 16)
def _fold_word(word: str) -> str:
    word = unicodedata.normalize("NFKD", word).casefold()
    return "".join(char for char in word if not unicodedata.combining(char))


def fold(text: str) -> str:
    """Lower case, no accents, no styled letters (𝗥𝗲𝗮𝗹 -> real); the length may change."""
    text = text.lower() if text.isascii() else " ".join(map(_fold_word, text.split(" ")))
    return text.replace("’", "'")


def words(text: str) -> list[str]:
    """Folded words, numbers and single marks, in order; an apostrophe only parts words ("j'ai": j, ai)."""
    return _WORD.findall(fold(text[:MAX_BLOCK_CHARS]).replace("'", " "))


def word_offsets(text: str) -> list[tuple[int, int]]:
    """Where the words and numbers of a text stand."""
    return [mark.span() for mark in _WORDS.finditer(text)]


def segments(text: str) -> list[tuple[int, int]]:
    """Offsets of the sentences and bulleted parts of a block, trimmed; at least one if the block holds a word."""
    text = text[:MAX_BLOCK_CHARS]
    found, start = [], 0
    for mark in _BREAK.finditer(text):
        found.append((start, mark.start()))
        start = mark.end()
    found.append((start, len(text)))
    trimmed = (_trim(text, *span) for span in found)
    return [(start, end) for start, end in trimmed if _HAS_WORD.search(text, start, end)]


def clauses(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Offsets of the clauses of a segment: all of it, in pieces of at least three words."""
    cuts = [start]
    for mark in _JOINT.finditer(text, start, end):
        before, after = text[cuts[-1] : mark.start()], text[mark.end() : end]
        if min(len(before.split()), len(after.split())) >= _CLAUSE_WORDS:
            cuts += [mark.start(), mark.end()]
    cuts.append(end)
    return list(zip(cuts[::2], cuts[1::2], strict=True))


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
