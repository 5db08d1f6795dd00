"""What all commands share: places and options, progress, errors in one line, the answer as text or JSON."""

import itertools
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from data import DATA
from data.migrations import StoreError
from data.problem import Problem

ROOT = Path(str(DATA))
OPTIONAL = {"floret": "dev", "matplotlib": "dev", "distributed": "cluster", "redis": "cluster"}  # package -> extra


def place(option: str, default: str, text: str, folder: bool = False) -> Callable[[Any], Any]:
    """An option for a file or folder of ours, under data/ unless said otherwise."""
    kind = click.Path(file_okay=not folder, dir_okay=folder, path_type=Path)
    return click.option(option, type=kind, default=ROOT / default, show_default=f"data/{default}", help=text)


db_option = place("--db", "fantomes.db", "Working store.")
archive_option = place("--archive", "archive", "Folder of WARC files.", folder=True)
catalog_option = place("--catalog", "catalog.db", "Public catalogue.")
model_option = place("--model", "model", "Folder of the trained model.", folder=True)
corpus_option = place("--corpus", "corpus", "Folder of labelled blocks.", folder=True)
quiet_option = click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
contact_option = click.option(
    "--contact", envvar="FANTOMES_CONTACT", help="Your e-mail address or page, for the keepers of the sites."
)


@contextmanager
def told() -> Iterator[None]:
    """Problems become one clear line on stderr and exit code 1; anything else is a bug and shows as such."""
    try:
        yield
    except Problem as error:
        raise click.ClickException(str(error)) from error
    except ModuleNotFoundError as error:
        if error.name not in OPTIONAL:
            raise
        raise click.ClickException(
            f"{error.name} is not installed: pip install -e '.[{OPTIONAL[error.name]}]'"
        ) from error


@contextmanager
def bar(what: str, quiet: bool, length: int | None = None) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal, silence elsewhere."""
    if quiet or not sys.stderr.isatty():
        yield lambda done: None
    else:
        many: Any = itertools.count() if length is None else None  # without a length it only counts
        shown: Any = click.progressbar(many, length=length, label=what, file=sys.stderr, show_pos=True)
        with shown:
            yield shown.update


def existing(db: Path) -> Path:
    """The store's path, if there is one: a mistyped --db must not publish an empty catalogue."""
    if not db.exists():
        raise StoreError(f"{db}: no store there: run `fantomes crawl` or `fantomes ingest`")
    return db


def say(result: Any, quiet: bool, as_json: bool, lines: list[str]) -> None:
    """The end of a command: `result` as JSON, or `lines` for people."""
    if as_json:
        click.echo(json.dumps(result, ensure_ascii=False))
    elif not quiet:
        for line in lines:
            click.echo(line)


def warn(warnings: list[str]) -> None:
    """Tell what does not stop the command, on stderr."""
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)


def counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items()) or "nothing"
