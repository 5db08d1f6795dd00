"""Walls: pages that stand in a page's way (a bot check, a cookie question, a parked domain ...), which are no content.

A page is a wall when it says what walls say and next to nothing else: an article about captchas, a shop with a cookie
banner or with a log-in in its header says much else. In doubt it is a page: the classifier finds no claim in a wall,
but what is dropped here is lost to the catalogue. The words are data: data/lookups/walls.yml.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import yaml

from crawler.blocks import Block
from data import DATA

MAX_TEXT = 1_500  # characters; no wall says more
MAX_SMALL = 80  # characters of a block that says what walls say besides ("go back to the home page")
MAX_REST = 80  # characters of other text beside what the wall says; a host's name, a footer
MAX_REST_MARKED = 400  # the same, where software has signed the page
MAX_HTML = 200_000  # characters searched for marks and password fields
MAX_BLOCKS = 30  # of a wall that no software has signed
SHORT = 25  # characters; shorter blocks that are links or buttons are not counted
OFFER = re.compile(r"[€$£]\s?\d|\d\s?(?:[€$£]|eur\b|usd\b)|\d[ .,+]*(?:fans|followers?|abonn|likes)\b", re.I)
PASSWORD = re.compile(r"<input[^>]{0,300}type\s*=\s*[\"']?password", re.I)


class Text(Protocol):
    """What is asked of a page: crawler.page.Page and crawler.blocks.PageText have it."""

    blocks: list[Block]


class _Patterns:
    """Regular expressions, one a line; those with ^ apart, which need one look at a text and not one at each letter."""

    def __init__(self, lines: str) -> None:
        at_start = [line[1:] for line in lines.splitlines() if line.startswith("^")]
        inside = [line for line in lines.splitlines() if not line.startswith("^")]
        self.at_start = re.compile("|".join(at_start) or r"(?!)", re.I)
        self.inside = re.compile("|".join(inside) or r"(?!)", re.I)

    def find(self, text: str) -> re.Match[str] | None:
        """What fits, but for questions: who asks "Is your account suspended?" sells something against it."""
        found = self.at_start.match(text) or self.inside.search(text)
        return None if found is None or text[found.end() :].lstrip().startswith("?") else found


@dataclass(frozen=True, slots=True)
class _Kind:
    name: str
    headers: dict[str, re.Pattern[str]]
    marks: list[str]
    says: _Patterns
    also: _Patterns


@cache
def _kinds() -> list[_Kind]:
    data = yaml.safe_load((DATA / "lookups" / "walls.yml").read_text("utf-8"))
    return [
        _Kind(
            name,
            {header: re.compile(value, re.I) for header, value in rules.get("headers", {}).items()},
            rules.get("marks", []),
            _Patterns(rules["says"]),
            _Patterns(rules.get("also", "")),
        )
        for name, rules in data.items()
    ]


def wall(page: Text, html: str, status: int, headers: Mapping[str, str]) -> str | None:
    """The kind of wall that an answer is, None for a page. Names of `headers` in lower case."""
    for kind in _kinds():
        if any(name in headers and value.match(headers[name]) for name, value in kind.headers.items()):
            return kind.name
    size = 0
    for block in page.blocks:
        size += len(block.text)
        if size > MAX_TEXT:
            return None
    html = html[:MAX_HTML]
    texts = [block.text.replace("’", "'") for block in page.blocks]
    offer = any(map(OFFER.search, texts))
    for kind in _kinds():
        if (kind.name == "soft-404" and status != 200) or (kind.name == "login" and not PASSWORD.search(html)):
            continue
        marked = any(mark in html and not any(mark in text for text in texts) for mark in kind.marks)
        if not marked and (offer or len(texts) > MAX_BLOCKS or not any(map(kind.says.find, texts))):
            continue
        rest = sum(_rest(block, text, kind) for block, text in zip(page.blocks, texts, strict=True))
        if rest <= (MAX_REST_MARKED if marked else MAX_REST):
            return kind.name
    return None


def _rest(block: Block, text: str, kind: _Kind) -> int:
    """How many characters of a block a wall of this kind would not show."""
    if block.kind in ("title", "meta") or (len(text) <= SHORT and block.kind in ("link", "button", "option", "alt")):
        return 0
    if said := kind.says.find(text):
        return len(text) - len(said[0])
    return 0 if len(text) <= MAX_SMALL and kind.also.find(text) else len(text)
