"""Traps: addresses of a site that have no end, change something, or show again what another address shows.

What an address alone gives away is judged here by words and patterns (data/lookups/links.yml); what it does not give
away (a maze of invented names) is kept within a share of the source's budget.
"""

import logging
import re
import unicodedata
from collections import Counter
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

import yaml

from data import DATA

log = logging.getLogger(__name__)

FIRST, COPY, LIST, ODD = 2.0, -1.0, -2.0, -3.0  # priorities; 0 = any other page of the site
MENU = 20_000  # links remembered: most of a site's stand on all its pages
MAX_URL = 500  # characters; longer ones are made by machines
MAX_PARTS = 10  # of a path
MAX_NUMBER = 30  # of a page in a list: "?page=31" is not visited
LEAST = 20  # addresses that any part of a site may hold
MAX_HOSTS = 20  # of one registered domain; more of them are made by machines
LONG_TEXT = 40  # characters; a longer link is a headline, not the name of a page about the firm

NO_PAGE = re.compile(
    r"\.(?:pdf|jpe?g|png|gif|webp|svg|ico|css|js|mjs|json|xml|rss|atom|txt|zip|gz|rar|7z|exe|dmg|apk|mp[34]|avi|mov|webm"
    r"|woff2?|ttf|eot|docx?|xlsx?|pptx?|csv|ics|vcf)$",
    re.I,
)
PATH_SESSION = re.compile(r";[^/]*|/\((?:[A-Z]\([^)]*\))+\)", re.I)  # ;jsessionid=..., /(S(...))/ of ASP.NET
DATES = re.compile(
    r"/(?:19|20|21)\d\d[-/](?:0?[1-9]|1[0-2])(?:[-/][0-3]?\d)?/?$"
)  # of a calendar: gigs of a month, or no end
TOKEN = re.compile(r"[0-9a-f]{24,}|(?=[^/]*\d)(?=[^/]*[a-z])(?=[^/]*[A-Z])[0-9A-Za-z]{20,}")  # made by no person


@cache
def _words() -> dict[str, Any]:
    words = yaml.safe_load((DATA / "lookups" / "links.yml").read_text("utf-8"))
    return {
        "first": frozenset(phrase for phrases in words["first"].values() for phrase in phrases),
        "never": frozenset(word for group in words["never"] for word in group),
        **{key: frozenset(words[key]) for key in words if key not in ("first", "never")},
    }


def plain(url: str) -> str:
    """The address without what names a visit and not a page."""
    parts = urlsplit(url)
    path, query = PATH_SESSION.sub("", parts.path), parts.query
    if query:
        words, kept = _words(), []
        pairs = parse_qsl(query, keep_blank_values=True)
        for name, value in pairs:
            session = name.lower() in words["session_parameters"] and len(value) >= 12
            if not session and name.lower() not in words["visit_parameters"]:
                kept.append((name, value))
        if len(kept) < len(pairs):  # else the query keeps its spelling: servers may care
            query = urlencode(kept)
    return urlunsplit(parts._replace(path=path or "/", query=query))


@lru_cache(MENU)
def is_trap(url: str) -> bool:
    """Whether an address is not to be visited at all."""
    parts = urlsplit(url)
    segments = [unquote(segment).lower() for segment in parts.path.split("/") if segment]
    words = _words()
    if len(url) > MAX_URL or len(segments) > MAX_PARTS or NO_PAGE.search(parts.path):
        return True
    if any(segment.partition(".")[0] in words["never"] for segment in segments):
        return True
    if segments and max(Counter(segments).values()) > 2:  # /a/b/a/b/a/b: relative links that lead in a circle
        return True
    if len(segments) > 3 and max(Counter(pairwise(segments)).values()) > 1:
        return True
    names = {name.partition("[")[0].lower() for name, _ in _query(parts.query)}
    return bool(names & words["never_parameters"]) or _number(url) > MAX_NUMBER


@lru_cache(MENU)
def priority(url: str, text: str, language: str | None) -> float:
    """How soon to visit an address that stands with the words `text` on a page whose address names `language`."""
    parts = urlsplit(url)
    query = _query(parts.query)
    others = [name for name, _ in query if name.lower() not in _words()["language_parameters"]]
    if len(others) > 1 or TOKEN.search(parts.path + "?" + parts.query):
        return ODD
    if _number(url) > 1 or DATES.search(parts.path):
        return LIST
    if (other := language_of(url)) is not None and other != language:
        return COPY
    last = parts.path.rstrip("/").rpartition("/")[2].partition(".")[0]
    known = _words()["first"]
    return FIRST if _fold(unquote(last)) in known or (len(text) <= LONG_TEXT and _fold(text) in known) else 0.0


class Budget:
    """How many of a run's addresses may lie where: one part of a site holds at most as many as are still free.

    So a site without traps may put half of `max_pages` into one folder, and ten mazes leave an eleventh part for the
    rest. Pages about the firm have a share of their own, and so have the odd ones.
    """

    def __init__(self, max_pages: int) -> None:
        self.max_pages = max_pages
        self._seen: set[str] = set()
        self._home: str | None = None  # the first host; all others are one part together
        self._hosts: set[str] = set()
        self._held: Counter[str] = Counter()  # addresses by part of the site
        self._full: set[str] = set()

    def allows(self, url: str, priority: float) -> bool:
        """Whether there is room for an address; says in the log where there is no more, once."""
        if url in self._seen:
            return True
        parts = urlsplit(url)
        host = parts.hostname or ""
        self._home = self._home or host
        if priority <= LIST or priority >= FIRST:
            part = "pages about the firm" if priority >= FIRST else "lists, dates, filters, tokens"
            most = max(LEAST, self.max_pages // 5)
        else:
            folder = next((part for part in parts.path.split("/")[1:-1] if part not in _words()["languages"]), "")
            part = f"{host}/{parts.path if parts.query else folder}" if host == self._home else "other hosts"
            most = max(LEAST, self.max_pages - len(self._seen))
        if host not in self._hosts and len(self._hosts) >= MAX_HOSTS:
            part, most = "other hosts", 0
        if self._held[part] >= most:
            if part not in self._full:
                log.warning("%s: not visited, enough of %r; more only with a larger max_pages", url, part)
                self._full.add(part)
            return False
        self._seen.add(url)
        self._hosts.add(host)
        self._held[part] += 1
        return True


def _query(query: str) -> list[tuple[str, str]]:
    return parse_qsl(query, keep_blank_values=True) if query else []


def _number(url: str) -> int:
    """The number of the page in a list, 0 where there is none."""
    parts = urlsplit(url)
    words = _words()
    numbers = [value for name, value in _query(parts.query) if name.lower() in words["page_parameters"]]
    numbers += [after for before, after in pairwise(parts.path.split("/")) if before.lower() in words["page_parts"]]
    return max((int(number[:9]) for number in numbers if number.isascii() and number.isdigit()), default=0)


def language_of(url: str) -> str | None:
    """The language that an address names: /fr/..., fr.shop.example, ?lang=fr."""
    parts = urlsplit(url)
    words = _words()
    for mark in (parts.path.split("/", 2)[1] if "/" in parts.path else "", (parts.hostname or "").partition(".")[0]):
        language = mark.lower().replace("_", "-").partition("-")[0]
        if language in words["languages"] and len(mark) in (2, 5):
            return language
    return next(
        (value.lower()[:2] for name, value in _query(parts.query) if name.lower() in words["language_parameters"]), None
    )


def _fold(text: str) -> str:
    bare = unicodedata.normalize("NFKD", text.lower())
    return " ".join(re.findall(r"[^\W_]+", "".join(c for c in bare if not unicodedata.combining(c))))
