"""Files that people saved: a page, an export of an ad library, a panel's list of services, an app's page in a store."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from crawler.archive import Archive, now
from crawler.frontier import clean
from crawler.market import ads
from crawler.market.apps import read_app
from crawler.market.panels import read_services
from crawler.page import MAX_BODY, Capture, NotAPage, Page, Record, decode, read_page

SAVED_FROM = re.compile(rb"<!--\s*saved from url=\(\d+\)(https?://[^\s<>]+)\s*-->", re.I)
NOT_HTML = re.compile(rb"filedesc://|From: <Saved by|MIME-Version:", re.I)  # ARC, MHTML
HTML = re.compile(
    r"\s*(?:$|<(?!svg|!doctype svg)[a-z!]|<\?xml.{,4000}?<html)", re.I | re.S
)  # not scripts that hold some


@dataclass(slots=True)
class Saved:
    """What a saved file holds. `outcome` counts a file that is known for what it is, and has no page."""

    pages: list[Page] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    outcome: str = ""


def read_saved(path: Path, url: str | None, archive: Archive) -> Saved:
    """Read a saved file, and archive it as a `resource` if it holds a page.

    The address of a page is `url`, or the one that the browser wrote into the file, or the file's own. A `canonical`
    link is not believed: any page may name any other there. Raises NotAPage, OSError, ArchiveError.
    """
    from crawler.spiders.feed import entries  # not above: with what reads releases it takes 50 MB

    with path.open("rb") as file:
        body = file.read(MAX_BODY + 1)
    if len(body) > MAX_BODY:
        raise NotAPage("too-large", f"the limit is {MAX_BODY} bytes")
    if NOT_HTML.match(body):
        raise NotAPage("not-text", "an archive of another kind; save the page as HTML, or convert it to WARC")
    date = now()  # when we saw it; the file's own date proves nothing
    capture = Capture(_address(path, body, url), date, 200, _media_type(body), body, Record("", 0, 0, ""))
    if (export := ads.read_export(body, path.name)) is not None:
        capture.body = ads.blotted(body)
        if capture.body != body:
            export.warnings.append(f"{path.name}: holds an access token, which was overwritten in what is archived")
        _keep(capture, archive)
        return Saved(ads.pages(export.listings, capture, archive), export.warnings, "no-ads")
    if b"<html" not in body[:4096].lower() and entries(body, capture.url) is not None:
        return Saved(outcome="feed")  # it only names pages; what it quotes of them is no evidence
    page = read_services(capture) or read_app(capture) or read_page(capture)
    _keep(capture, archive)
    return Saved([page])


def _keep(capture: Capture, archive: Archive) -> None:
    capture.record = archive.resource(capture.url, capture.fetched_at, capture.content_type, capture.body)


def _address(path: Path, body: bytes, url: str | None) -> str:
    # The browser writes its comment before <html>, behind those that the page brings along: of two addresses one was
    # written by the page, to be taken for somebody else's.
    saved = SAVED_FROM.search(body[:4096])
    try:
        if saved and not url and len(set(SAVED_FROM.findall(body))) > 1:
            raise ValueError("it says in two ways where it was saved from; give --url")
        return clean(url or (saved[1].decode("ascii", "replace") if saved else path.resolve().as_uri()))
    except ValueError as error:
        raise NotAPage("bad address", str(error)) from error


def _media_type(body: bytes) -> str:
    """What a file holds, by its content; read_page refuses what is no HTML."""
    text = decode(body, "")[0]
    if text.lstrip()[:1] in ("{", "["):
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            pass
        else:
            return "application/json"
    return "text/html" if HTML.match(text) else "text/plain"
