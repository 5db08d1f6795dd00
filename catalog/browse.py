"""The addresses of our pages and what each shows: /en/... and /fr/..., on hooks that Datasette 0.65 and 1.0a share."""

import json
from collections.abc import Awaitable, Callable
from itertools import groupby
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from datasette.utils.asgi import Request, Response

from catalog import reading, search
from catalog.evidence import hash_program
from catalog.highlight import marked, matched, plain
from catalog.messages import LANGUAGES, Messages, messages, preferred
from catalog.policy import load_policy
from catalog.taxonomy import JURISDICTIONS, load_taxonomy

if TYPE_CHECKING:  # Datasette loads its plugins while it is being imported
    from datasette.app import Datasette
    from datasette.database import Database

Context = dict[str, Any]
View = Callable[["Database", Messages, Request], Awaitable[tuple[str, Context] | Response]]

DATABASE = "catalog"
VENDOR_QUOTES = 6  # quotes shown of each kind on a vendor's page; the rest is one click away
VENDOR_PAGES = 30


class NotFound(Exception):
    """There is nothing at this address."""


async def home(db: "Database", t: Messages, request: Request) -> tuple[str, Context]:
    """The first page."""
    labels = await reading.labels(db, t.lang)
    return "home", {
        "labels": labels,
        "names": {label["id"]: label["name"] for label in labels},
        "latest": await reading.latest_claims(db, 8),
        "vendors": await reading.vendors(db, limit=8),
    }


async def vendors(db: "Database", t: Messages, request: Request) -> tuple[str, Context]:
    """All vendors."""
    labels = await reading.labels(db, t.lang)
    sorts = ["claims", "name", "latest", *(label["id"] for label in labels)]
    sort = request.args.get("sort") or "claims"
    sort = sort if sort in sorts else "claims"
    return "vendors", {"vendors": await reading.vendors(db, sort), "labels": labels, "sort": sort}


async def vendor(db: "Database", t: Messages, request: Request) -> tuple[str, Context]:
    """One vendor's claims by kind."""
    found = await reading.vendor(db, request.url_vars["id"])
    if found is None:
        raise NotFound
    labels = {label["id"]: label for label in await reading.labels(db, t.lang)}
    quotes = await reading.vendor_quotes(db, found["id"])
    order = list(labels)
    quotes.sort(key=lambda quote: order.index(quote["label"]))
    groups = []
    for label, group in groupby(quotes, key=lambda quote: quote["label"]):
        members = list(group)
        groups.append({"label": labels[label], "quotes": members[:VENDOR_QUOTES], "of": len(members)})
        groups[-1]["claims"] = sum(member["times"] for member in members)
    return "vendor", {
        "vendor": found,
        "groups": groups,
        "pages": await reading.vendor_pages(db, found["id"], VENDOR_PAGES),
    }


async def claim(db: "Database", t: Messages, request: Request) -> tuple[str, Context]:
    """One claim in its place, with what stands behind its label."""
    found = await reading.claim(db, request.url_vars["id"])
    if found is None:
        raise NotFound
    labels = {label["id"]: label for label in await reading.labels(db, t.lang)}
    provisions = await reading.provisions(db, found["label"], t.lang)
    adverts = [entry for entry in provisions if entry["about"] == "advert"]
    nearest = ["fr", "eu"] if t.lang == "fr" else ["eu"]  # the sentence names one provision, as close as we can tell
    named = {entry["jurisdiction"] for entry in adverts}
    return "claim", {
        "claim": found,
        "label": labels[found["label"]],
        "around": await reading.blocks_around(db, found["page_id"], found["position"]),
        "provisions": adverts,
        "first_provision": next((entry for entry in adverts if entry["jurisdiction"] == nearest[0]), None),
        "near": nearest,
        "far": [name for name in JURISDICTIONS if name in named and name not in nearest],
        "sale": [entry for entry in provisions if entry["about"] == "sale"],
        "policies": await reading.policies(db, found["label"], found["page_id"], t.lang),
        "findings": await reading.findings(db, found["label"], t.lang),
        "words": json.loads(found["words"]),
        "examples": json.loads(found["examples"]),
    }


async def capture(db: "Database", t: Messages, request: Request) -> tuple[str, Context]:
    """A page as archived: its text with the claims marked, and how to check it."""
    page_id = int(request.url_vars["id"])
    found = await reading.capture(db, page_id)
    record = await reading.record(db, page_id)
    if found is None or record is None:
        raise NotFound
    labels = {label["id"]: label for label in await reading.labels(db, t.lang)}
    claims = await reading.page_claims(db, page_id)
    blocks = await reading.page_blocks(db, page_id)
    for block in blocks:
        block["claims"] = [claim for claim in claims if claim["block_id"] == block["id"]]
        spans = [(claim["start"], claim["end"], labels[claim["label"]]["name"]) for claim in block["claims"]]
        block["marked"] = marked(block["text"], spans)
    return "capture", {
        "page": found,
        "blocks": blocks,
        "claims": claims,
        "labels": labels,
        "command": hash_program(record),
        "record_length": len(record),
    }


async def record(db: "Database", t: Messages, request: Request) -> Response:
    """The raw WARC record, as a download."""
    found = await reading.record(db, int(request.url_vars["id"]))
    if found is None:
        raise NotFound
    name = f"capture-{int(request.url_vars['id'])}.warc.gz"
    # no Content-Encoding: the compression belongs to the file, a browser must not take it off
    return Response(
        found, headers={"content-disposition": f'attachment; filename="{name}"'}, content_type="application/warc"
    )


async def find(db: "Database", t: Messages, request: Request) -> tuple[str, Context]:
    """Search with filters."""
    filters = [(name, request.args.get(name) or "") for name in search.FACETS]
    page = request.args.get("page") or ""
    question = search.Question(
        (request.args.get("q") or "")[: search.MAX_QUERY],
        tuple((name, value) for name, value in filters if value),
        min(int(page), search.MAX_PAGE) if page.isascii() and page.isdigit() and int(page) else 1,
    )
    found = await search.count(db, question)
    results = await search.results(db, question) if found else []
    for row in results:
        row["shown"] = matched(row["quote_hit"]) if row["quote_hit"] else plain(row["quote"])
        row["context"] = matched(row["block_hit"]) if row["block_hit"] and row["block"] != row["quote"] else None
    labels = {label["id"]: label for label in await reading.labels(db, t.lang)}
    chosen = dict(question.filters)

    def address(**changes: object) -> str:
        values = {"q": question.words, **chosen, **changes}
        return "search?" + urlencode({name: value for name, value in values.items() if value})

    facets = {name: await search.facet(db, question, name) for name in search.FACETS}
    names = {
        "label": lambda row: labels[row["value"]]["name"] if row["value"] in labels else row["value"],
        "lang": lambda row: t.word("langs", row["value"]),
        "source": lambda row: t.word("source_kinds", row["value"]),
        "vendor": lambda row: plain(row["vendor"]),
    }
    for name, rows in facets.items():
        for row in rows:
            row["name"] = names[name](row)
            row["chosen"] = row["value"] == chosen.get(name)
            row["address"] = address(**{name: None if row["chosen"] else row["value"]})
    pages = min(-(-found // search.PAGE_SIZE), search.MAX_PAGE)
    export = {"_search": question.words, **{search.FACETS[name]: value for name, value in question.filters}}
    return "search", {
        "question": question,
        "found": found,
        "results": results,
        "facets": facets,
        "chosen": chosen,
        "labels": labels,
        "vendors": await search.vendors_named(db, question) if question.page == 1 and not chosen else [],
        "pages": pages,
        "previous": address(page=question.page - 1) if question.page > 1 else None,
        "next": address(page=question.page + 1) if question.page < pages else None,
        "export": urlencode({name: value for name, value in export.items() if value}),
    }


async def labels(db: "Database", t: Messages, request: Request) -> tuple[str, Context]:
    """The twelve kinds of claim."""
    found = await reading.labels(db, t.lang)
    for label in found:
        label["findings"] = await reading.findings(db, label["id"], t.lang)
    return "labels", {"labels": found}


async def sources(db: "Database", t: Messages, request: Request) -> tuple[str, Context]:
    """Where was read, and how it went."""
    return "sources", {"sources": await reading.sources(db)}


async def about(db: "Database", t: Messages, request: Request) -> tuple[str, Context]:
    """Method, limits, right of reply."""
    taxonomy = load_taxonomy()
    return "about", {"labels": await reading.labels(db, t.lang), "policy": load_policy(taxonomy.labels)}


async def nowhere(db: "Database", t: Messages, request: Request) -> tuple[str, Context]:
    """An address of ours that leads nowhere."""
    raise NotFound


VIEWS: list[tuple[str, View]] = [
    (r"", home),
    (r"vendors", vendors),
    (r"vendor/(?P<id>[^/]+)", vendor),
    (r"claim/(?P<id>[^/]+)", claim),
    (r"capture/(?P<id>[0-9]{1,18})", capture),
    (r"capture/(?P<id>[0-9]{1,18})/record\.warc\.gz", record),
    (r"search", find),
    (r"labels", labels),
    (r"sources", sources),
    (r"about", about),
    (r".*", nowhere),
]
"""Addresses below /en/ and /fr/; the same in both languages, so that a page has one twin."""


def routes() -> list[tuple[str, Callable[..., Awaitable[Response]]]]:
    """Routes for Datasette's register_routes hook."""
    found: list[tuple[str, Callable[..., Awaitable[Response]]]] = [(r"^/$", _front), (r"^/robots\.txt$", _robots)]
    found += [(rf"^/(?P<lang>{'|'.join(LANGUAGES)})/?$", _answer(home))]
    found += [(rf"^/(?P<lang>{'|'.join(LANGUAGES)})/{pattern}$", _answer(view)) for pattern, view in VIEWS if pattern]
    return found


def _answer(view: View) -> Callable[..., Awaitable[Response]]:
    async def answer(datasette: "Datasette", request: Request) -> Response:
        return await _page(datasette, request, view, request.url_vars["lang"])

    return answer


async def _front(datasette: "Datasette", request: Request) -> Response:
    """The first page in the browser's language."""
    response = await _page(datasette, request, home, preferred(request.headers.get("accept-language", "")))
    response.headers["vary"] = "Accept-Language"
    return response


async def _robots(datasette: "Datasette", request: Request) -> Response:
    """Our pages may be indexed; tables, queries and Datasette's own addresses may not."""
    return Response.text(
        "User-agent: *\nDisallow: /catalog\nDisallow: /-/\nDisallow: /*/search\nDisallow: /*/capture/\n"
    )


async def _page(datasette: "Datasette", request: Request, view: View, lang: str) -> Response:
    t = messages(lang)
    status = 200
    context: Context
    publication: reading.Row = {}
    if DATABASE not in datasette.databases:
        name, context, status = "error", {"error": t("error_503")}, 503
    else:
        db = datasette.get_database(DATABASE)
        publication = await reading.publication(db)
        try:
            answer = await view(db, t, request)
            if isinstance(answer, Response):
                return answer
            name, context = answer
        except NotFound:
            name, context, status = "error", {"error": t("error_404")}, 404
    rest = request.path.removeprefix(datasette.urls.path("/")).removeprefix(f"{lang}").lstrip("/")
    question = f"?{request.query_string}" if request.query_string else ""
    context |= {
        "t": t,
        "lang": lang,
        "publication": publication,
        "plain": plain,
        "marked": marked,
        "link": lambda path="": datasette.urls.path(f"/{lang}/{path}"),
        "site": lambda path: datasette.urls.path(f"/{path}"),
        "here": rest + question,
        "twin": datasette.urls.path(f"/{t.other}/{rest}") + question,
        "noindex": name in ("capture", "search", "error"),
    }
    return Response.html(await datasette.render_template(f"catalog/{name}.html", context, request), status=status)
