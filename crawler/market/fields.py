"""The fields of a row that some tool exported: taken out by name, read strictly, and none forgotten in silence."""

import ast
import json
import re
from datetime import UTC, datetime
from typing import Any

from crawler.blocks import _sound


class Row:
    """The fields of one ad. Names are compared without case, spaces and underscores: tools write them their own way."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.fields = {plain(name): _storable(value) for name, value in fields.items()}
        self.names = {plain(name): name for name in fields}
        if len(self.names) < len(fields):
            raise ValueError(f"two of the columns {short(', '.join(fields))} have the same name")
        self.odd: list[tuple[str, str]] = []

    def take(self, *names: str) -> Any:
        """The first of these fields that holds something; none of them is unknown any more."""
        values = [self.fields.pop(name, None) for name in names]
        return next((value for value in values if value not in (None, "", [], {})), None)

    def column(self, *names: str) -> str:
        """What the file calls the first of these fields that it has."""
        return next((self.names[name] for name in names if name in self.names), names[0])

    def text(self, *names: str) -> str | None:
        value = self.take(*names)
        if isinstance(value, dict | list):
            raise ValueError(f"{self.column(*names)} {short(value)} is no text")
        return None if value is None else " ".join(str(value).split()) or None

    def texts(self, *names: str) -> list[str]:
        """The texts of a field: a list, the same list as some tool printed it, or one text."""
        value = self.take(*names)
        if isinstance(value, str):
            value = _printed_list(value) or [value]
        elif not isinstance(value, list):
            value = [] if value is None else [value]
        if any(isinstance(text, dict | list) for text in value):
            raise ValueError(f"{self.column(*names)} {short(value)} is no list of texts")
        return [str(text) for text in value if text is not None]

    def records(self, *names: str) -> list[dict[str, Any]]:
        """The objects of a field; in a CSV cell they stand as JSON, with or without the brackets of a list."""
        value = self.take(*names)
        if isinstance(value, str):
            try:
                value = json.loads(value if value.startswith("[") else f"[{value}]")
            except (ValueError, RecursionError):
                self.odd.append((self.column(*names), short(value)))
                return []
        value = value if isinstance(value, list) else [value]
        return [record for record in value if isinstance(record, dict)]

    def date(self, *names: str) -> str | None:
        """A day or an instant in ISO 8601. One that a spreadsheet has rewritten could mean two days: it is not read."""
        return self.iso(self.column(*names), self.text(*names))

    def iso(self, name: str, value: str | None) -> str | None:
        try:
            return _iso(value) if value else None
        except (ValueError, OverflowError, OSError):
            self.odd.append((name, short(value)))
            return None

    def range(self, *names: str) -> str | None:
        """A range of numbers, in the words of Meta's own export: "lower_bound: 0, upper_bound: 99"."""
        value = self.take(*names)
        if isinstance(value, dict):
            return ", ".join(f"{name}: {bound}" for name, bound in sorted(value.items()))
        return None if value is None else " ".join(str(value).split())

    def unknown(self) -> list[str]:
        return [self.names[name] for name, value in self.fields.items() if value not in (None, "", [], {})]


def plain(name: str) -> str:
    """The name of a column without case, spaces, underscores."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def short(value: object) -> str:
    """A value for a message: in quotes, in one line, never long."""
    return ascii(value) if len(str(value)) < 80 else ascii(str(value)[:77]) + "..."


def one_line(text: str) -> str:
    """A text as a table can hold it, in one line."""
    return " ".join(_sound(text).split())


def _storable(value: Any) -> Any:
    """The same value with texts that a table can hold: no control characters, no halves of surrogate pairs."""
    if isinstance(value, str):
        return _sound(value)
    if isinstance(value, list):
        return [_storable(item) for item in value]
    return {_sound(name): _storable(item) for name, item in value.items()} if isinstance(value, dict) else value


def _printed_list(text: str) -> list[str] | None:
    """A list of texts as JSON or as Python prints it; None for any other text ("[NEW] fans", "[1]")."""
    if not (text.startswith("[") and text.endswith("]")):
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            value = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return value
    return None


def _iso(text: str) -> str:
    if re.fullmatch(r"\d{9,10}", text):  # seconds since 1970, as some tools give it
        return datetime.fromtimestamp(int(text), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    day = datetime.fromisoformat(text)
    if len(text) <= 10:
        return day.strftime("%Y-%m-%d")
    return (day if day.tzinfo else day.replace(tzinfo=UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
