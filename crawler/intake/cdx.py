"""An index of captures, as Common Crawl and other archives serve it: which captures of an address there are, and where.

The interface: https://pywb.readthedocs.io/en/latest/manual/cdxserver_api.html, and collinfo.json lists the indexes.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urljoin, urlsplit

from crawler.frontier import clean, host_of
from crawler.intake.client import Client, ClientError

MAX_PAGES = 50  # of one index's answer; a page has some 15,000 captures
MAX_ANSWER = 50_000_000  # bytes of one page
MAX_SERVICES = 1_000  # indexes; Common Crawl has some 120
MAX_FAILED = 3  # indexes in a row that do not answer; then the rest is not asked
MAX_ADDRESSES = 100_000  # whose captures are compared; a larger domain is asked for in parts
QUERY = [("output", "json"), ("filter", "=status:200"), ("filter", "~mime:(text/html|application/xhtml)")]


@dataclass(frozen=True, slots=True)
class Entry:
    """A capture as the index lists it."""

    url: str
    date: str  # UTC, ISO 8601
    digest: str  # of the payload: SHA-1 in base 32
    filename: str
    offset: int
    length: int


def search(client: Client, what: str, index: str, warnings: list[str]) -> dict[str, list[Entry]]:
    """The first and the last capture of each address of `what`, over all indexes; one that fails is a warning.

    `what` is a domain, or an address, which may end in * for all that begins so. Raises ClientError.
    """
    question = _question(what)
    found: dict[str, list[Entry]] = {}
    services = _services(client, index)
    failed: list[str] = []  # in a row
    belongs = _asked_for(question)
    for service in services:
        try:
            for entry in _entries(client, service, question, warnings):
                if not belongs(entry.url):
                    raise ClientError(f"{service}: lists {entry.url[:200]}, which is not of {what}")
                if entry.url not in found and len(found) >= MAX_ADDRESSES:
                    warnings.append(f"{service}: {what} has more than {MAX_ADDRESSES} addresses; ask for parts of it")
                    return found
                found[entry.url] = _ends([*found.get(entry.url, []), entry])
        except ClientError as error:
            failed.append(str(error))
            warnings.append(str(error))
            if len(failed) == min(MAX_FAILED, len(services)):  # it is down, or wants to be left alone
                if not found:
                    raise
                warnings.append(f"{index}: {MAX_FAILED} indexes in a row do not answer; the rest was not asked")
                break
        else:
            failed.clear()
    return found


def _ends(entries: list[Entry]) -> list[Entry]:
    """The earliest and the latest of `entries`; one, where that is the same."""
    dates = [entry.date for entry in entries]
    return list(dict.fromkeys([entries[dates.index(min(dates))], entries[dates.index(max(dates))]]))


def _question(what: str) -> list[tuple[str, str]]:
    try:
        address = clean(what if "://" in what else f"http://{what}")
    except ValueError as error:
        raise ClientError(f"{what!a} is no domain and no address: {error}") from error
    if "/" not in what:
        return [("url", urlsplit(address).hostname or ""), ("matchType", "domain"), *QUERY]
    return [("url", address), *QUERY]


def _asked_for(question: list[tuple[str, str]]) -> Callable[[str], bool]:
    """Whether an address is on the hosts of the question; servers compare without scheme, port and www."""
    asked = question[0][1]
    domain = re.sub(r"^www\d*\.", "", (urlsplit(asked).hostname or "") if "/" in asked else asked)
    return lambda url: f".{host_of(url)}".endswith(f".{domain}")


def _services(client: Client, index: str) -> list[str]:
    """The addresses of the indexes, the oldest first; `index` itself where it is one of them."""
    if index.endswith(("-index", "/cdx")):
        return [index]
    address = urljoin(index.rstrip("/") + "/", "collinfo.json")
    answer = client.get(address, MAX_ANSWER)
    try:
        if answer.status != 200:
            raise ValueError(f"status {answer.status}")
        services = sorted({str(entry["cdx-api"]) for entry in json.loads(answer.body)})
        if not 0 < len(services) <= MAX_SERVICES:
            raise ValueError(f"lists {len(services)} indexes, from 1 to {MAX_SERVICES} are asked")
        if strange := [url for url in services if urlsplit(url).netloc != urlsplit(index).netloc]:
            raise ValueError(f"leads to another server, {strange[0][:200]!a}")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ClientError(f"{address}: is no list of indexes: {error}") from error
    return services


def _entries(client: Client, service: str, question: list[tuple[str, str]], warnings: list[str]) -> Iterator[Entry]:
    """The captures that one index lists. Raises ClientError."""
    answer = client.get(service, MAX_ANSWER, [*question, ("showNumPages", "true")])
    if answer.status == 404:  # {"message": "No Captures found for: ..."}
        return
    try:
        pages = int(json.loads(answer.body)["pages"]) if answer.status == 200 else -1
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        pages = -1
    if pages < 0:
        raise ClientError(f"{service}: status {answer.status}: {answer.body[:200]!a}")
    if pages > MAX_PAGES:
        warnings.append(f"{service}: {pages} pages of captures, of which {MAX_PAGES} are read; ask for parts")
    for page in range(min(pages, MAX_PAGES)):
        answer = client.get(service, MAX_ANSWER, [*question, ("page", str(page))])
        if answer.status == 404:
            continue
        if answer.status != 200:
            raise ClientError(f"{service}: page {page}: status {answer.status}: {answer.body[:200]!a}")
        for number, line in enumerate(answer.body.splitlines(), 1):
            try:
                if entry := _entry(line):
                    yield entry
            except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
                raise ClientError(f"{service}: page {page}, line {number}: {error!r}: {line[:200]!a}") from error


def _entry(line: bytes) -> Entry | None:
    """A line of the index; None for what is no page: the filters are the server's to obey or not."""
    values = json.loads(line)
    if values.get("status") != "200":
        return None
    date = datetime.strptime(values["timestamp"], "%Y%m%d%H%M%S")
    entry = Entry(
        clean(values["url"]),
        date.strftime("%Y-%m-%dT%H:%M:%SZ"),
        values["digest"].removeprefix("sha1:"),
        values["filename"].strip(),
        int(values["offset"]),
        int(values["length"]),
    )
    if entry.length <= 0 or entry.offset < 0:
        raise ValueError("no place in a file")
    return entry
