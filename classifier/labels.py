"""The labels a claim can have, in the order of the taxonomy."""

from functools import cache

import yaml

from classifier import ClassifierError
from data import DATA


@cache
def labels() -> tuple[str, ...]:
    """Label ids of data/taxonomy/labels.yml. Raises ClassifierError."""
    source = DATA / "taxonomy" / "labels.yml"
    try:
        entries = yaml.safe_load(source.read_text("utf-8"))
        return tuple(entry["id"] for entry in entries)
    except (OSError, yaml.YAMLError, TypeError, KeyError) as error:
        raise ClassifierError(f"{source}: no list of labels with an id each: {error}") from error
