"""Domains that are never a seller's own: platforms and press-release wires (data/lookups/platforms.yml)."""

from functools import cache

import yaml

from data import DATA


@cache
def _listed(kind: str) -> frozenset[str]:
    return frozenset(yaml.safe_load((DATA / "lookups" / "platforms.yml").read_text("utf-8"))[kind])


def wires() -> frozenset[str]:
    """Registrable domains that carry other firms' press releases."""
    return _listed("wires")


@cache
def not_vendors() -> frozenset[str]:
    """Registrable domains of platforms and wires: a link to one of them leads to no seller's site."""
    return _listed("platforms") | _listed("wires")
