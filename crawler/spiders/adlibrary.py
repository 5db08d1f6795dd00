"""Meta's Ad Library over its interface `ads_archive`: one answer a page of ads, the next by `paging.next`.

The access token comes from the environment and goes into a header of the request alone (the Graph API takes it there,
see https://github.com/restfb/restfb/issues/1107): so it stands in no address, frontier, log or store. What the
interface sends back of it (in `paging.next`, `ad_snapshot_url`, some errors) is taken out before anything is read.
"""

import json
import logging
import os
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

from w3lib.url import add_or_replace_parameter

from crawler.archive import Archive
from crawler.found import Found
from crawler.frontier import Lease, Link, clean
from crawler.market.ads import pages, without_token
from crawler.market.fields import one_line, short
from crawler.market.listing import Listing, meta
from crawler.page import MAX_BODY, Capture, NotAPage
from crawler.sources import Source

log = logging.getLogger(__name__)
TOKEN = "FANTOMES_META_TOKEN"  # noqa: S105 - the name of the variable
HOST = "graph.facebook.com"
DEFAULT_LIMIT = 25  # ads an answer where the address names no limit
# Codes of the Graph API, see https://developers.facebook.com/docs/graph-api/guides/error-handling
TOKEN_CODES = frozenset({10, 102, 104, 190, 463, 467, *range(200, 300)})  # expired, withdrawn, not allowed
QUOTA_CODES = frozenset({4, 17, 32, 341, 613, *range(80000, 80015)})
BUSY_CODES = frozenset({1, 2})  # "reduce the amount of data", "an unknown error", "temporarily unavailable"
BAD_QUERY = 100


class Stopped(Exception):
    """The source can give no more in this run: a line for people, without the token. `outcome` is what to count.

    `again`: the address is good, and is to be asked for once more in the next run.
    """

    def __init__(self, outcome: str, line: str, again: bool) -> None:
        super().__init__(line)
        self.outcome, self.again = outcome, again


def token() -> str:
    """The access token out of the environment. Raises Stopped when there is none, or one that no token can be."""
    value = os.environ.get(TOKEN, "")
    if not value:
        raise Stopped("token", f"{TOKEN} is not set: a source of kind adlibrary needs an access token of Meta", True)
    if not re.fullmatch(r"[A-Za-z0-9_.-]{8,1000}", value):  # so that it reads the same in headers, addresses and JSON
        raise Stopped("token", f"{TOKEN} is no access token: letters and digits are expected, 8 to 1000", True)
    return value


def signed(url: str, source: Source) -> tuple[dict[str, str], dict[str, Any]]:
    """Headers and meta for the request of `url`: the token goes to Meta alone, by https, and follows no redirect.

    `meta["secret"]` is what the archive has to blot out. Raises Stopped.
    """
    parts = urlsplit(url)
    if not source.loopback and (parts.scheme, parts.netloc) != ("https", HOST):
        raise Stopped("token", f"{source.id}: {parts.hostname} is not {HOST}: the token is not sent there", False)
    secret = token()
    return {"Authorization": f"Bearer {secret}"}, {"secret": secret, "dont_redirect": True}


def read(capture: Capture, lease: Lease, source: Source, archive: Archive) -> Found:
    """The ads of an answer, of any HTTP status, and the address of the next. Raises NotAPage, Stopped."""
    if len(capture.body) > MAX_BODY:
        raise NotAPage("too-large", f"{len(capture.body)} bytes, the limit is {MAX_BODY}")
    text = without_token(capture.body.decode("utf-8", "replace"), os.environ.get(TOKEN, ""))
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        answer = None
    if isinstance(answer, dict) and isinstance(answer.get("error"), dict):
        return _refused(answer["error"], capture, source)
    if capture.status >= 500:
        return _smaller(capture)
    if capture.status != 200:
        return Found(f"http-{capture.status}")
    if not isinstance(answer, dict) or not isinstance(answer.get("data"), list):
        raise NotAPage("no-ads-archive", f"no list of ads in {text[:80]!r}")
    found = pages(_listings(answer["data"], capture), capture, archive)
    return Found("ads" if found else "no-ads", pages=found, links=_next(answer.get("paging"), capture))


def _listings(data: list[Any], capture: Capture) -> list[Listing]:
    """The ads that can be read; one that cannot is told of and stays in the archived answer."""
    found: dict[str, Listing] = {}
    unknown: set[str] = set()
    for number, fields in enumerate(data, 1):
        try:
            if not isinstance(fields, dict):
                raise ValueError(f"{short(fields)} is no ad")
            listing = meta(fields)
        except (ValueError, RecursionError) as error:
            log.warning("%s: ad %d is left out: %s", capture.url, number, error)
            continue
        found.setdefault(listing.url, listing)
        unknown.update(listing.unknown, (f"{column} {value}" for column, value in listing.odd))
    if unknown:
        log.warning("%s: fields left unread: %s", capture.url, ", ".join(sorted(unknown))[:500])
    return list(found.values())


def _next(paging: Any, capture: Capture) -> list[Link]:
    """The next page of the same interface: a cursor leads to no other host, where the token has no business."""
    address = paging.get("next") if isinstance(paging, dict) else None
    if not isinstance(address, str) or not address:
        return []
    try:
        url = clean(address)
    except ValueError:
        url = ""
    here, there = urlsplit(capture.url), urlsplit(url)
    if (here.scheme, here.netloc) != (there.scheme, there.netloc):
        log.warning("%s: paging.next leads elsewhere, to %s: not followed", capture.url, short(there.netloc))
        return []
    return [Link(url)]


def _refused(error: dict[str, Any], capture: Capture, source: Source) -> Found:
    """What an error of the Graph API means for the source."""
    stated = error.get("code")
    code = stated if isinstance(stated, int) else None
    said = one_line(str(error.get("message")))[:300]
    if code in TOKEN_CODES:
        raise Stopped("token", f"{source.id}: Meta refuses the token of {TOKEN} (error {code}): {said}", True)
    if code in QUOTA_CODES or capture.status == 429:
        raise Stopped("quota", f"{source.id}: Meta's limit of requests is reached (error {code}): go on later", True)
    if code == BAD_QUERY:
        raise Stopped("bad-query", f"{source.id}: Meta refuses the query {capture.url} (error {code}): {said}", False)
    if code in BUSY_CODES or capture.status >= 500:
        return _smaller(capture)
    log.warning("%s: error %s: %s", capture.url, short(stated), said)
    return Found("meta-error" if code is None else f"meta-{code}", failed=True)


def _smaller(capture: Capture) -> Found:
    """The same question for half as many ads, down to one: the answer to "reduce the amount of data"."""
    given = parse_qs(urlsplit(capture.url).query).get("limit", [""])[0]
    limit = int(given) if given.isascii() and given.isdigit() and len(given) < 10 else DEFAULT_LIMIT
    if limit <= 1:
        return Found("too-much-data", failed=True)
    return Found("smaller", links=[Link(add_or_replace_parameter(capture.url, "limit", str(limit // 2)))])
