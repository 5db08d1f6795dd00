"""Whose page is it: the registrable domain of an address, and the domains that are never a seller's."""

import re
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from urllib.parse import urlsplit

from catalog.errors import CatalogError
from catalog.records import read_yaml
from data import DATA
from data.domains import registrable_domain

# What a registry accepts. An underscore (possible in host names) would let two domains share one vendor id.
_NAME = re.compile(r"((?!-)[a-z0-9-]{1,63}(?<!-)\.)+(?!-)(?=[a-z0-9-]*[a-z])[a-z0-9-]{1,63}(?<!-)")


def domain_of(url: str) -> str | None:
    """The registrable domain of a web address, in ASCII; None for files, IP addresses and what is no address."""
    try:
        parts = urlsplit(url)
        name = (parts.hostname or "").encode("idna").decode("ascii")
    except (ValueError, UnicodeError):
        return None
    domain = registrable_domain(name) if parts.scheme in ("http", "https") else None
    return domain if domain and _NAME.fullmatch(domain) else None


@dataclass(frozen=True)
class KnownDomains:
    """Domains that are never a vendor."""

    platforms: frozenset[str]
    wires: frozenset[str]


def load_known_domains(path: Traversable = DATA / "lookups" / "platforms.yml") -> KnownDomains:
    """Platforms and wires. Raises CatalogError naming file and value."""
    content = read_yaml(path)
    if not isinstance(content, dict) or set(content) != {"platforms", "wires"}:
        raise CatalogError(f"{path}: expected exactly the keys platforms, wires")
    for name in [*content["platforms"], *content["wires"]]:
        if domain_of(f"https://{name}/") != name:
            raise CatalogError(f"{path}: {name!r} is no registrable domain")
    return KnownDomains(frozenset(content["platforms"]), frozenset(content["wires"]))
