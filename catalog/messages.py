"""What our pages say, in French and English: messages as data, filled with escaped values."""

from functools import cache
from importlib.resources import files
from typing import Any

from markupsafe import Markup, escape

from catalog.errors import CatalogError
from catalog.records import read_yaml

LANGUAGES = ("en", "fr")


class Messages:
    """The messages of one language: `t("key", name=value)`, and how it writes dates and numbers."""

    def __init__(self, lang: str) -> None:
        self.lang = lang
        self.other = "fr" if lang == "en" else "en"
        self.table: dict[str, Any] = read_yaml(files("catalog") / "locale" / f"{lang}.yml")

    def __call__(self, key: str, **values: object) -> Markup:
        """The message; values are escaped, the message itself is ours. Raises CatalogError for an unknown key."""
        if key not in self.table:
            raise CatalogError(f"locale/{self.lang}.yml: no message {key!r}")
        return Markup(self.table[key]).format(**values)  # noqa: S704 - our own text; format() escapes the values

    def word(self, key: str, value: str | None) -> str:
        """The name of a code (`langs`, `kinds`, `source_kinds`, `jurisdictions`), or the code itself."""
        return self.table[key].get(value, value or "?")

    def number(self, n: float, places: int = 0) -> str:
        """A number as this language writes it."""
        text = f"{n:,.{places}f}"
        return text.translate(str.maketrans({",": self.table["thousands"], ".": self.table["decimal"]}))

    def percent(self, share: float) -> str:
        """A probability; 100 % is never claimed."""
        text = self.number(min(share * 100, 99.9) if share > 0.995 else share * 100, 1 if share > 0.995 else 0)
        return f"{text}\u202f%" if self.lang == "fr" else f"{text}%"

    def count(self, kind: str, n: int) -> str:
        """ "12 claims"."""
        one, many = self.table["count"][kind]
        return f"{self.number(n)}\u00a0{many if n > 1 or (n == 0 and self.lang == 'en') else one}"

    def date(self, stamp: str | None) -> str:
        """The day of an ISO 8601 stamp, or the stamp itself when it is none."""
        try:
            year, month, day = (int(part) for part in (stamp or "")[:10].split("-"))
            return self.table["date"].format(day=day, month=self.table["months"][month - 1], year=year)
        except (ValueError, IndexError):
            return str(escape(stamp or "?"))

    def moment(self, stamp: str | None) -> str:
        """Day and time of an ISO 8601 stamp in UTC."""
        day, sep, time = (stamp or "").partition("T")
        return f"{self.date(day)}, {time[:5]} UTC" if sep else self.date(stamp)


@cache
def messages(lang: str) -> Messages:
    """The messages of a language, read once."""
    return Messages(lang)


def preferred(accept_language: str) -> str:
    """The language of ours that an Accept-Language header ranks first; English when it names none of them."""
    best, weight = "en", 0.0
    for part in accept_language.split(","):
        tag, _, quality = part.strip().partition(";q=")
        try:
            q = float(quality) if quality else 1.0
        except ValueError:
            continue
        lang = tag.strip().lower().split("-")[0]
        if lang in LANGUAGES and q > weight:
            best, weight = lang, q
    return best
