"""Strict reading of YAML data files into dataclasses: an unknown, missing or mistyped key names its file and value."""

from dataclasses import MISSING, fields
from importlib.resources.abc import Traversable
from typing import Any, TypeVar, get_args, get_origin

import yaml

from catalog.errors import CatalogError

Record = TypeVar("Record")


def read_yaml(path: Traversable) -> Any:
    """The content of one YAML file. Raises CatalogError when it is absent or broken."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CatalogError(f"{path}: cannot read: {error}") from error


def record(kind: type[Record], row: Any, path: Traversable) -> Record:
    """One dataclass instance from one mapping; lists become tuples. Raises CatalogError."""
    if not isinstance(row, dict):
        raise CatalogError(f"{path}: expected a mapping, found {row!r}")
    where = f"{path}: {row.get('id', kind.__name__)}"
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    for key, value in row.items():
        if key not in known:
            raise CatalogError(f"{where}: unknown key {key!r}")
        expected: Any = known[key].type
        if not _fits(value, expected):
            raise CatalogError(f"{where}: {key} is {value!r}, expected {getattr(expected, '__name__', expected)}")
    for name, field in known.items():
        if name not in row and field.default is MISSING and field.default_factory is MISSING:
            raise CatalogError(f"{where}: missing key {name!r}")
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in row.items()})


def _fits(value: object, expected: Any) -> bool:
    if expected is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if expected in (str, int, bool):
        return type(value) is expected
    if get_origin(expected) in (tuple, list):
        return isinstance(value, list) and all(_fits(member, get_args(expected)[0]) for member in value)
    if get_origin(expected) is dict:
        key, member = get_args(expected)
        return isinstance(value, dict) and all(_fits(k, key) and _fits(v, member) for k, v in value.items())
    raise TypeError(expected)


def by_id(kind: type[Record], path: Traversable) -> dict[str, Record]:
    """All records of a YAML list, by their `id`, in its order. Raises CatalogError, also for an id given twice."""
    rows = read_yaml(path)
    if not isinstance(rows, list):
        raise CatalogError(f"{path}: expected a list of entries")
    found: dict[str, Record] = {}
    for row in rows:
        entry = record(kind, row, path)
        key = entry.id  # type: ignore[attr-defined]
        if key in found:
            raise CatalogError(f"{path}: id {key!r} stands twice")
        found[key] = entry
    return found
