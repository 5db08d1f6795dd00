"""What the classifier looks at in a text: words, word beginnings, classes of words, pairs of them, and marks.

Marks are the plainest words of each claim (the classes in capitals in data/patterns) and what stands around them:
a denial, a question, the shop. They are few and weigh alike, whatever else the text says.
"""

from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple
from zlib import crc32

from classifier.lexicon import Lexicon
from classifier.text import words

# Features are hashed to columns: no vocabulary to load, and hostile text cannot make it grow.
NAME_COLUMNS = 2**18
MARK_COLUMNS = 2**14
COLUMNS = NAME_COLUMNS + MARK_COLUMNS

MAX_WORDS = 400  # of one text; pairs of classes grow with it
CONTEXT_WORDS = 40
_ANSWERS = frozenset((
    "yes", "no", "never", "not", "absolutely", "sure", "of", "oui", "non", "jamais", "absolument", "si", "nunca",
    "ja", "nein", "niemals", "sim", "nao", "mai", "assolutamente",
))  # fmt: skip
_STOPS = frozenset(".!?;:…")
_YES = frozenset(["yes", "oui", "si", "sim", "ja"])
_DENIAL_REACH = 3  # words between a denial and what it denies
_AROUND = frozenset((
    "ask", "hedge", "shop", "warn", "other_seller", "howto", "metric", "we", "your", "neg", "fake", "platform",
    "offer", "deliver", "person", "testimony", "active",
))  # fmt: skip


# Names of features that show whether a page is about bought fans at all, whoever speaks on it.
_BESIDE_FANS = ["offer", "platform", "deliver", "your", "money", "speed", "real", "guarantee", "warn", "fake", "we"]
EVIDENCE = (
    *(f"c {name}" for name in ("fans", "trade", "trade+", "platform", "warn", "fake", "we", "your")),
    *(f"n{distance} offer {what}" for distance in (1, 2) for what in ("fans", "platform", "trade")),
    *(f"n{distance} #{digits} fans" for distance in (1, 2) for digits in (3, 4, 5)),
    *("x {} {}".format(*sorted(("fans", other))) for other in [*_BESIDE_FANS, "hedge", "trade"]),
    *("x {} {}".format(*sorted(("platform", other))) for other in ["offer", "visible", "real", "your", "trade"]),
    "x trade warn",
)


class Text(NamedTuple):
    """One text to judge: a block, or a segment of it."""

    text: str
    kind: str = ""
    """Of the block; empty if not known."""
    context: str = ""
    """The block before it: an answer is read with its question."""


class Features(NamedTuple):
    """What is present in a text."""

    names: list[int]
    """Columns, repeated as often as they occur; weighed by rarity."""
    marks: set[str]
    """Weighed alike, see mark_column()."""


@lru_cache(maxsize=1 << 16)
def column(name: str) -> int:
    """Where a named feature stands in a vector."""
    return crc32(name.encode()) % NAME_COLUMNS


@lru_cache(maxsize=1 << 14)
def mark_column(mark: str) -> int:
    """Where a mark stands in a vector."""
    return NAME_COLUMNS + crc32(mark.encode()) % MARK_COLUMNS


@lru_cache(maxsize=4096)
def features(item: Text, lexicon: Lexicon) -> Features:
    """Everything that is known of the text; remembered, because the pages of a site repeat themselves."""
    found = words(item.text)[:MAX_WORDS]
    classes = lexicon.classes(found)
    context = _context(item.context, lexicon)
    answer = found[0] if found and found[0] in _ANSWERS else ""
    asked = item.text.rstrip().endswith("?")
    own = [_word_columns(word) for word in found]
    names = [place for places in own for place in places]
    # a pair of words: the columns of both, mixed (a number is quicker made than a name)
    names += [(a[0] * 0x9E3779B1 + b[0] * 0x85EBCA6B >> 9) % NAME_COLUMNS for a, b in pairwise(own)]
    names += _class_features(found, classes)
    names += [column(f"k {name}") for name in context]
    if item.context.rstrip().endswith("?"):
        names += [column(f"q {name}") for name in context]
    if answer:
        names += [column(f"y {answer} {name}") for name in context]
    names.append(column(f"l {min(6, len(found) // 5)}"))
    if item.kind:
        names.append(column(f"k {item.kind}"))
    if asked:
        names.append(column("?"))
    return Features(names, set(_marks(found, classes, context, answer, asked)))


@lru_cache(maxsize=1 << 16)
def _word_columns(word: str) -> tuple[int, ...]:
    """Of the word, and of its beginnings, which stand for its other forms."""
    return (column(f"w {word}"), *(column(f"p {word[:length]}") for length in (5, 4) if len(word) > length))


def _marks(
    found: list[str], classes: list[tuple[str, ...]], context: tuple[str, ...], answer: str, asked: bool
) -> Iterator[str]:
    present: set[str] = set()
    around: set[str] = set()
    denied = -_DENIAL_REACH - 1
    for place, (word, known) in enumerate(zip(found, classes, strict=True)):
        for name in known:
            if name.isupper():
                present.add(name)
                if place - denied <= _DENIAL_REACH:
                    yield f"denied {name}"
            elif name in _AROUND:
                around.add(name)
        if "neg" in known:
            denied = place
        elif word in _STOPS:
            denied = -_DENIAL_REACH - 1
    yield from present
    plain = [name for name in present if not name.endswith("+")]
    yield from (f"{name} {near}" for name in plain for near in around)
    if asked:
        yield from (f"asked {name}" for name in plain)
    if len(found) <= 6:
        yield from (f"short {name}" for name in plain)
    before = [name for name in context if name.isupper() and not name.endswith("+")]
    yield from (f"before {name}" for name in before)
    if answer:
        yield "yes" if answer in _YES else "no"
        yield from (f"{answer} {name}" for name in before)


@lru_cache(maxsize=4096)
def _context(text: str, lexicon: Lexicon) -> tuple[str, ...]:
    """Classes in the block before; remembered, because the first segment has the same."""
    return tuple(sorted({name for known in lexicon.classes(words(text)[:CONTEXT_WORDS]) for name in known}))


def _class_features(found: list[str], classes: list[tuple[str, ...]]) -> list[int]:
    kept = [_plain(known) if known else _mark(word) for word, known in zip(found, classes, strict=True)]
    out = [column(f"c {name}") for name in {name for known in kept for name in known}]
    sequence = [known for known in kept if known]
    for distance in (1, 2):  # classes side by side, or with one other between them
        for first, second in zip(sequence, sequence[distance:], strict=False):
            out += _neighbours(distance, first, second)
    sentence: set[str] = set()
    for known in [*kept, ("|",)]:  # classes in the same sentence
        if known == ("|",):
            names = sorted(sentence)
            out += [_together(a, b) for place, a in enumerate(names) for b in names[place + 1 :]]
            sentence = set()
        else:
            sentence.update(known)
    return out


@lru_cache(maxsize=1 << 16)
def _neighbours(distance: int, first: tuple[str, ...], second: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(column(f"n{distance} {a} {b}") for a in first for b in second)


@lru_cache(maxsize=1 << 14)
def _together(first: str, second: str) -> int:
    return column(f"x {first} {second}")


@lru_cache(maxsize=1 << 16)
def _mark(word: str) -> tuple[str, ...]:
    """What stands for a word without a class: how large a number, not which; the end of a sentence."""
    if word.isdigit():
        return (f"#{min(len(word), 5)}",)
    return ("|",) if word in _STOPS else ()


@lru_cache(maxsize=1 << 14)
def _plain(known: tuple[str, ...]) -> tuple[str, ...]:
    """Classes that are not marks."""
    return tuple(name for name in known if name.islower())
