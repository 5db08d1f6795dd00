"""Words and phrases that mean the same to us, as classes: `genuine`, `vrais`, `echte` are all `real`.

A class carries no verdict. The model learns which classes side by side make a claim, so that
what it learns from one wording, trade or language serves the others.
"""

from functools import cache
from importlib.resources.abc import Traversable

import yaml

from classifier import ClassifierError
from classifier.text import words
from data import DATA

# the same loader in C, where PyYAML was built with it
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Phrase = tuple[list[str], bool, str]  # words, whether the last is open-ended, class


class Lexicon:
    """The classes of one language: data/patterns/common.yml and <language>.yml."""

    def __init__(self, sources: list[Traversable]) -> None:
        self._exact: dict[str, set[str]] = {}
        self._prefix: dict[str, set[str]] = {}
        self._phrases: dict[tuple[str, str], list[_Phrase]] = {}  # by their first two words
        self._open_pairs: dict[str, list[_Phrase]] = {}  # of two words, the second open-ended: by the first
        self._known: dict[str, tuple[str, ...]] = {}
        for source in sources:
            for name, terms in _read(source).items():
                for term in terms.split(","):
                    self._add(name, term.strip())
        self._starts = {first for first, _ in self._phrases} | self._open_pairs.keys()
        self._longest_prefix = max(map(len, self._prefix), default=0)

    def _add(self, name: str, term: str) -> None:
        parts = words(term.removesuffix("*"))
        open_end = term.endswith("*")
        if len(parts) == 1:
            (self._prefix if open_end else self._exact).setdefault(parts[0], set()).add(name)
        elif len(parts) == 2 and open_end:
            self._open_pairs.setdefault(parts[0], []).append((parts, True, name))
        elif parts:
            self._phrases.setdefault((parts[0], parts[1]), []).append((parts, open_end, name))

    def _classes(self, word: str) -> tuple[str, ...]:
        found = set(self._exact.get(word, ()))
        for length in range(1, min(len(word), self._longest_prefix) + 1):
            found |= self._prefix.get(word[:length], set())
        return tuple(sorted(found))

    def classes(self, text: list[str]) -> list[tuple[str, ...]]:
        """For each of the folded words, its classes; a phrase adds its class, and class+ (surer), to its first word."""
        found = []
        for position, word in enumerate(text):
            known = self._known.get(word)
            if known is None:
                if len(self._known) > 100_000:  # hostile text could fill the memory with words
                    self._known.clear()
                known = self._known[word] = self._classes(word)
            if word in self._starts:
                following = text[position + 1] if position + 1 < len(text) else ""
                for parts, open_end, name in (
                    *self._phrases.get((word, following), ()),
                    *self._open_pairs.get(word, ()),
                ):
                    here = text[position : position + len(parts)]
                    if here == parts or (open_end and _begins(here, parts)):
                        known = (*known, name + "+") if name in known else (*known, name, name + "+")
            found.append(known)
        return found


def _begins(here: list[str], parts: list[str]) -> bool:
    return len(here) == len(parts) and here[:-1] == parts[:-1] and here[-1].startswith(parts[-1])


def _read(source: Traversable) -> dict[str, str]:
    try:
        entries = yaml.load(source.read_text("utf-8"), Loader=_Loader)  # noqa: S506 - a safe loader, see above
    except (OSError, yaml.YAMLError) as error:
        raise ClassifierError(f"{source}: cannot read the word classes: {error}") from error
    if not isinstance(entries, dict) or not all(isinstance(terms, str) for terms in entries.values()):
        raise ClassifierError(f"{source}: every class must be one line of terms")
    return entries


@cache
def lexicon(lang: str) -> Lexicon:
    """Classes for a language; English terms are read everywhere, sellers mix it in. Raises ClassifierError."""
    folder = DATA / "patterns"
    names = ["common", "en", lang] if lang != "en" else ["common", "en"]
    return Lexicon([folder / f"{name}.yml" for name in names if (folder / f"{name}.yml").is_file()])
