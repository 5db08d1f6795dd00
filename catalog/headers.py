"""Response headers that keep a reader safe: what a page may load, and who hears of it."""

import base64
import hashlib
import re
from collections.abc import Awaitable, Callable, MutableMapping
from functools import cache
from pathlib import Path
from typing import Any

import datasette as datasette_package

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]

_COMMON = "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; connect-src 'self'; "
OURS = _COMMON + "style-src 'self'; img-src 'self'"
"""Our pages: one style sheet, no script at all."""

_OUR_PATH = re.compile(r"^/($|robots\.txt$|(en|fr)(/|$))")
_UNINDEXED = re.compile(r"^/((en|fr)/(search|capture)\b|catalog\b|-/)")
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


@cache
def datasettes() -> str:
    """Datasette's own pages: its scripts and styles, and of inline scripts only those in its own templates.

    A script that somebody smuggled into a cell has another hash and does not run. Inline styles cannot be told apart:
    Datasette writes column names into them.
    """
    scripts = set()
    for template in (Path(datasette_package.__file__).parent / "templates").glob("*.html"):
        for script in _SCRIPT.findall(template.read_text(encoding="utf-8")):
            scripts |= {script.replace("{{ datasette_allow_facet }}", value) for value in ("true", "false")}
    hashes = " ".join(sorted(f"'sha256-{_sha256(script)}'" for script in scripts if "{{" not in script))
    return _COMMON + f"style-src 'self' 'unsafe-inline'; img-src 'self' data:; script-src 'self' {hashes}"


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")


def with_headers(app: App, base_url: str = "/") -> App:
    """An ASGI application that adds the headers to each answer of `app`; readers get no cookie."""

    async def wrapped(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await app(scope, receive, send)
        path = "/" + scope["path"].removeprefix(base_url)
        added = {
            b"content-security-policy": (OURS if _OUR_PATH.match(path) else datasettes()).encode("ascii"),
            b"x-content-type-options": b"nosniff",
            b"referrer-policy": b"no-referrer",
        }
        if _UNINDEXED.match(path):
            added[b"x-robots-tag"] = b"noindex, nofollow"

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                kept = [(name, value) for name, value in message.get("headers", []) if name.lower() not in added]
                message = {**message, "headers": [*kept, *added.items()]}
            await send(message)

        return await app(scope, receive, send_with_headers)

    return wrapped
