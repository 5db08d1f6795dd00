"""How the catalogue is served: Datasette over one read-only file."""

import sys
from importlib.resources import files
from pathlib import Path

from catalog.browse import DATABASE
from catalog.errors import CatalogError

METADATA = files("catalog") / "metadata.yaml"
"""Datasette's own pages: descriptions, facets, ready questions."""

SETTINGS = {
    "suggest_facets": "off",  # 22 against 3 requests a second on 100,000 claims
    "sql_time_limit_ms": "1500",  # anybody may ask in SQL; nobody may hold the server
    "default_page_size": "50",
    "max_returned_rows": "1000",
    "truncate_cells_html": "400",
    "max_csv_mb": "200",
    "template_debug": "off",
    "default_cache_ttl": "0",  # a new publication shows at once
}


def command(catalog_path: Path, host: str = "127.0.0.1", port: int = 8001) -> list[str]:
    """The argv that serves the catalogue on host:port. A new publication needs a restart.

    Raises CatalogError when there is no catalogue, or its file has another name: the addresses of the tables begin
    with the file's name.
    """
    if not catalog_path.is_file():
        raise CatalogError(f"{catalog_path}: no catalogue there: run `fantomes publish`")
    if catalog_path.stem != DATABASE:
        raise CatalogError(f"{catalog_path}: the file must be named {DATABASE}.db")
    options = [word for name, value in SETTINGS.items() for word in ("--setting", name, value)]
    return [
        *(sys.executable, "-m", "datasette", "serve", "-i", str(catalog_path), "--metadata", str(METADATA)),
        *("--host", host, "--port", str(port), *options),
    ]
