"""Changes: which text came and went between two captures of an address, and which claims that touched.

Block by block, and word by word inside a block that changed. Nothing is left out: what matters less (a date, a counter,
a contact line, a block that only moved) is marked as minor. The time is bounded, whatever a page holds.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import cache, lru_cache
from typing import Any

import click
from sqlite_utils import Database

from crawler.frontier import clean
from crawler.press.dateline import words as release_words
from data.problem import Problem

MOST_BLOCKS = 1_500  # that differ; beyond, blocks are told apart by their text alone, in no order
MOST_WORDS = 300  # that differ in a block; beyond, they are shown as one change
NEAR = 3  # blocks away in which the other half of a changed block is looked for
ALIKE = 0.5  # share of words in common from which two blocks are one that changed
CONTACT = re.compile(r"[^\s@]{1,64}@\S+|(?:https?://|www\.)\S+")
DAYS = (  # of the week, in our languages
    "(?:mon|tues|wednes|thurs|fri|satur|sun)day|(?:lun|mar|mercre|jeu|vendre|same)di|dimanche"
    "|(?:mon|diens|donners|frei|sams|sonn)tag|mittwoch|lunes|martes|miércoles|jueves|viernes|sábado|domingo"
    "|(?:lune|marte|mercole|giove|vener)dì|sabato|domenica|(?:segunda|terça|quarta|quinta|sexta)-feira"
)
NUMBER = re.compile(r"[#\d][#\d\s.,:/+-]*")

Block = tuple[str, str]  # kind, text


class ChangesError(Problem):
    """There are no two captures to compare; the message says of which address."""


@dataclass(slots=True)
class Change:
    """A block that came (`old` is None), went (`new` is None), changed or moved."""

    kind: str
    old: str | None
    new: str | None
    minor: bool
    words: list[tuple[str, str]] = field(default_factory=list)  # ("=", "-" or "+", text): old without +, new without -

    @property
    def how(self) -> str:
        """added, removed, changed, or moved."""
        if self.old is None or self.new is None:
            return "added" if self.old is None else "removed"
        return "moved" if self.old == self.new else "changed"


@dataclass(slots=True)
class Diff:
    """What differs between two captures of an address."""

    url: str
    old: dict[str, Any]  # id, fetched_at, last_seen_at, sha256 of each capture
    new: dict[str, Any]
    changes: list[Change]
    touched: list[
        dict[str, Any]
    ]  # claims of the old capture whose block is there no more: id, label, quote, block, how


def diff(db: Database, url: str, old: str | None = None, new: str | None = None) -> Diff:
    """What changed at `url`, also a defanged one: between the last two captures, or those of the days `old` and `new`.

    A capture of a day (ISO 8601, as exact as you like) is the last one that was made by then, or the first one of all.
    Raises ChangesError.
    """
    url = re.sub(r"^hxxp", "http", url.strip().replace("[.]", "."), flags=re.I)
    try:
        url = clean(url)
    except ValueError as error:
        raise ChangesError(f"{url[:200]!a}: no address of a page") from error
    query = "SELECT id, fetched_at, last_seen_at, sha256 FROM pages WHERE url = ? ORDER BY fetched_at, id"
    captures = [
        dict(zip(("id", "fetched_at", "last_seen_at", "sha256"), row, strict=True)) for row in db.execute(query, [url])
    ]
    if not captures:
        raise ChangesError(f"{url}: no capture of this address")
    last = _as_of(captures, new) if new else len(captures) - 1
    first = _as_of(captures, old) if old else last - 1
    if not 0 <= first < last:
        known = f"{captures[0]['fetched_at']} to {captures[-1]['last_seen_at']}"
        raise ChangesError(f"{url}: no two captures to compare: {len(captures)} in all, {known}")
    before, after = captures[first], captures[last]
    changes = list(compare(_blocks(db, before["id"]), _blocks(db, after["id"])))
    return Diff(url, before, after, changes, list(_touched(db, before["id"], after["id"], changes)))


def compare(old: list[Block], new: list[Block]) -> Iterator[Change]:
    """The changes that lead from the blocks `old` to the blocks `new`, in reading order."""
    codes = [code for code in _opcodes(old, new, MOST_BLOCKS) if code[0] != "equal"]
    came: defaultdict[str, list[int]] = defaultdict(list)
    for _, _, _, j1, j2 in codes:
        for j in range(j1, j2):
            came[new[j][1]].append(j)
    taken: set[int] = set()
    moved: dict[int, int] = {}
    for _, i1, i2, _, _ in codes:
        for i in range(i1, i2):
            if waiting := came[old[i][1]]:
                moved[i] = waiting.pop(0)
                taken.add(moved[i])
    for _, i1, i2, j1, j2 in codes:
        for i in range(i1, i2):
            kind, text = old[i]
            middle = j1 + i - i1
            near = [j for j in range(max(j1, middle - NEAR), min(j2, middle + NEAR + 1)) if j not in taken]
            if i in moved:
                yield Change(kind, text, text, minor=kind == new[moved[i]][0])
            elif (half := _other_half(text, new, near)) is not None:
                taken.add(half)
                after = new[half][1]
                yield Change(kind, text, after, _bare(text) == _bare(after), list(_words(text, after)))
            else:
                yield Change(kind, text, None, minor=False)
        for j in range(j1, j2):
            if j not in taken:
                yield Change(new[j][0], None, new[j][1], minor=False)


def _as_of(captures: list[dict[str, Any]], day: str) -> int:
    """Place of the last capture that was made by `day`, "2026-11" being all of November; else of the first one."""
    return max((i for i, capture in enumerate(captures) if capture["fetched_at"][: len(day)] <= day), default=0)


def _blocks(db: Database, page: int) -> list[Block]:
    return db.execute("SELECT kind, text FROM blocks WHERE page_id = ? ORDER BY position", [page]).fetchall()


def _touched(db: Database, page: int, after: int, changes: list[Change]) -> Iterator[dict[str, Any]]:
    """Claims whose block went or changed: who decided about them decided about words that are there no more."""
    standing = {text for _, text in _blocks(db, after)}
    how = {change.old: change.how for change in changes if change.old not in standing}
    query = (
        "SELECT claims.id, label, quote, text AS block FROM claims JOIN blocks ON blocks.id = block_id"
        " WHERE claims.page_id = ? ORDER BY position, start, claims.id"
    )
    for claim in db.query(query, [page]):
        if claim["block"] in how:
            yield {**claim, "how": how[claim["block"]]}


def _opcodes(old: list[Any], new: list[Any], most: int) -> list[tuple[str, int, int, int, int]]:
    """difflib's opcodes; where more than `most` elements differ between the common ends, one "replace" for all."""
    head = 0
    while head < min(len(old), len(new)) and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    i, j = len(old) - tail, len(new) - tail
    if max(i, j) - head > most:
        inside = [("replace", head, i, head, j)]
    else:
        found = SequenceMatcher(None, old[head:i], new[head:j]).get_opcodes()
        inside = [(op, i1 + head, i2 + head, j1 + head, j2 + head) for op, i1, i2, j1, j2 in found]
    ends = [("equal", 0, head, 0, head)], [("equal", i, len(old), j, len(new))]
    return [*ends[0], *inside, *ends[1]]


def _other_half(text: str, new: list[Block], places: list[int]) -> int | None:
    """Which of the new blocks at `places` is `text`, changed: the one with most words in common."""
    alike = {j: 1.0 if _bare(text) == _bare(new[j][1]) else _alike(text, new[j][1]) for j in places}
    best = max(alike, key=lambda j: alike[j], default=None)
    return best if best is not None and alike[best] >= ALIKE else None


def _alike(one: str, other: str) -> float:
    """Share of words in common, in whatever order."""
    a, b = _counted(one), _counted(other)
    return 2 * (a & b).total() / max(1, a.total() + b.total())


@lru_cache(100)
def _counted(text: str) -> Counter[str]:
    return Counter(text.split())


def _words(old: str, new: str) -> Iterator[tuple[str, str]]:
    a, b = (re.findall(r"\w+|\s+|[^\w\s]", text) for text in (old, new))
    for op, i1, i2, j1, j2 in _opcodes(a, b, MOST_WORDS):
        if op == "equal" and i1 < i2:
            yield "=", "".join(a[i1:i2])
        elif op != "equal":
            yield from [("-", "".join(a[i1:i2]))] if i1 < i2 else []
            yield from [("+", "".join(b[j1:j2]))] if j1 < j2 else []


@cache
def _dates() -> re.Pattern[str]:
    """Days of the week, and months beside a number: "may", "set" and "out" are words too."""
    months = "|".join(sorted((name for names in release_words()["months"] for name in names.split()), key=len)[::-1])
    return re.compile(rf"\b(?:{DAYS})\b|(?<=\d)\.?\s*\b(?:{months})\b\.?|\b(?:{months})\b\.?(?=\s*\d)", re.I)


@lru_cache(100)
def _bare(text: str) -> str:
    """The text without its numbers, dates and contacts: where it is the same, only these changed."""
    return "".join(NUMBER.sub("#", _dates().sub("#", CONTACT.sub("@", text))).split())


def describe(found: Diff, styled: bool = False) -> Iterator[str]:
    """Lines for people: + came, - went, ~ changed ([-old-]{+new+}), = moved. `styled` for a terminal."""

    def shown(text: str, **style: Any) -> str:
        text = "".join(char if char.isprintable() else "\ufffd" for char in text)  # a page must not write to a terminal
        return click.style(text, **style) if styled else text

    yield shown(f"{found.url}: {found.old['fetched_at']} to {found.new['fetched_at']}", bold=True)
    for change in found.changes:
        note = shown(f" ({change.kind}{', minor' if change.minor else ''})", dim=True)
        if change.how == "added":
            yield shown(f"+ {change.new}", fg="green") + note
        elif change.how == "removed":
            yield shown(f"- {change.old}", fg="red") + note
        elif change.how == "moved":
            yield shown(f"= {change.old}", dim=True) + note
        else:
            parts = {"=": ("", "", None), "-": ("[-", "-]", "red"), "+": ("{+", "+}", "green")}
            yield (
                "~ "
                + "".join(shown(parts[s][0] + text + parts[s][1], fg=parts[s][2]) for s, text in change.words)
                + note
            )
    if not found.changes:
        yield "no text changed"
    for claim in found.touched:
        yield shown(f"touched: {claim['label']}, {claim['how']}: “{claim['quote']}”", fg="yellow")
