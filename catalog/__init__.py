"""The catalogue: vendors, publication, and the public pages as a Datasette plugin (entry point `catalog`)."""

from collections.abc import Callable
from typing import Any

from datasette import hookimpl
from markupsafe import Markup, escape

from catalog.browse import routes
from catalog.defang import is_address
from catalog.headers import with_headers
from catalog.highlight import plain


@hookimpl
def startup() -> None:
    """Make Datasette's error pages work beside spaCy, which brings the package rich.

    Where there is rich, Datasette 0.65.5 has it print every exception with all local variables; for an unknown address
    that call itself fails, and the reader gets a bare 500 in place of the 404.
    """
    from datasette import handle_exception  # not above: it loads the plugins, of which this module is one

    handle_exception.rich = None


@hookimpl
def register_routes() -> list[tuple[str, Callable[..., Any]]]:
    """Our pages."""
    return routes()


@hookimpl
def menu_links(datasette: Any) -> list[dict[str, str]]:
    """The way back from Datasette's own pages."""
    return [
        {"href": datasette.urls.path("/en/"), "label": "Fantômes"},
        {"href": datasette.urls.path("/fr/"), "label": "Fantômes (français)"},
    ]


@hookimpl
def extra_css_urls(database: str | None, datasette: Any) -> list[str]:
    """A few lines for the tables: quotes need room. Our own pages name no database and have their own sheet."""
    return [datasette.urls.path("/-/static-plugins/fantomes/tables.css")] if database else []


@hookimpl
def render_cell(value: object) -> Markup | None:
    """Never a link to a seller: Datasette would turn a cell that is an address into one."""
    return Markup(escape(plain(value))) if isinstance(value, str) and is_address(value) else None  # noqa: S704 - escaped


@hookimpl
def asgi_wrapper(datasette: Any) -> Callable[[Any], Any]:
    """Security headers on every answer."""
    return lambda app: with_headers(app, datasette.setting("base_url"))
