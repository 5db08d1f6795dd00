"""The date line of a press release: "PARIS, le 12 mars 2026 /WIRE/ --", "Berlin (ots) -", "Milano, 12 marzo 2026 -"."""

import re
from datetime import UTC, date, datetime
from functools import cache
from typing import Any, NamedTuple

import yaml

from data import DATA

HEAD = 160  # characters of a line in which its date line must end
MAX_PLACE = 60  # characters
SEPARATOR = re.compile(r"[\s)/\]]*(?:--|[-–—:|.)/]|$)")
TAG = re.compile(r"\((?P<round>[^()]{2,40})\)(?=\s*(?:--|[-–—:,]|$))|/\s*[^/\d][^/]{1,40}/")  # (ots), /WIRE/
LEADING_TAG = re.compile(r"^\((?P<tag>[^()\d]{2,40})\)\s*[-–—:]*\s*")


class DateLine(NamedTuple):
    """Where and when a release says it was written; `dated` is an ISO 8601 date. `end`: characters that it takes."""

    place: str
    dated: str | None
    end: int


@cache
def words() -> dict[str, Any]:
    """data/lookups/releases.yml."""
    return dict(yaml.safe_load((DATA / "lookups" / "releases.yml").read_text("utf-8")))


@cache
def _months() -> dict[str, int]:
    return {name: number for number, names in enumerate(words()["months"], 1) for name in names.split()}


@cache
def _dates() -> re.Pattern[str]:
    month = "|".join(sorted(_months(), key=len, reverse=True))
    return re.compile(
        rf"\b(?P<d>\d{{1,2}})(?:st|nd|rd|th|er|º|°|\.)?\s+(?:of\s+|de\s+)?(?P<m>{month})\.?,?\s+(?:del?\s+)?(?P<y>\d{{4}})\b"
        rf"|\b(?P<m2>{month})\.?\s+(?P<d2>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<y2>\d{{4}})\b"
        r"|\b(?P<y3>\d{4})-(?P<n3>\d\d)-(?P<d3>\d\d)\b|\b(?P<d4>\d{1,2})(?P<sep>[./])(?P<n4>\d{1,2})(?P=sep)(?P<y4>\d{4})\b",
        re.I,
    )


def read_dateline(line: str) -> DateLine | None:
    """The date line at the beginning of `line`: a place with a date, a wire's name, or both. None for other lines."""
    if leading := LEADING_TAG.match(line):
        inner = read_dateline(line[leading.end() :])
        return inner and inner._replace(end=inner.end + leading.end())
    head = line[:HEAD]
    day, tag = _dates().search(head), TAG.search(head)
    if tag and day and tag.start() < day.start() and (day.end() <= tag.end() or head.startswith(",", tag.end())):
        tag = None  # "(Roma, 12 marzo 2026)"; "Brévigny (Loire), le 12 mars": a region, not a wire
    marks = [mark for mark in (day, tag) if mark and mark.start() <= MAX_PLACE + 20]
    if not marks:
        return None
    before = head[: min(mark.start() for mark in marks)]
    if tag not in marks and not re.search(r"[,|–—-]\s*\w{0,3}\s*\w*-?\w*\s*$", before):
        return None  # "Ouverture le 3 mars" is no place
    end = max(mark.end() for mark in marks)
    if tag not in marks and not SEPARATOR.match(head[end:]):
        return None
    if tag not in marks and not line[end:].strip(" .)") and not re.search(r"\b(?:le|den)\s*$", before):
        return None  # "Likeo, 2026-03-12" below a headline names who wrote it, not a place
    place = _place(before)
    dated = read_day(day) if day in marks and day else None
    if place is None or (dated is None and not (tag and tag["round"] and re.match(r"\s*[-–—]", line[tag.end() :]))):
        return None  # without a date only "Berlin (ots) -" is known for one; "Colour (if any):" is none
    closing = SEPARATOR.match(head[end:])
    return DateLine(place, dated, end + (closing.end() if closing else 0))


def read_day(found: re.Match[str]) -> str | None:
    """ISO 8601 date of a match; None for no day of the calendar, and for 03/04/2026, which is two days."""
    day = int(found["d"] or found["d2"] or found["d3"] or found["d4"])
    year = int(found["y"] or found["y2"] or found["y3"] or found["y4"])
    number = found["n3"] or found["n4"]
    month = int(number) if number else _months()[(found["m"] or found["m2"]).lower()]
    if found["sep"] == "/" and month <= 12 and day <= 12 and day != month:
        return None
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        return None


def moment(text: str | None, now: datetime | None = None) -> str | None:
    """A date as a page's markup gives it: UTC to the second, or the day alone where no hour is given (ISO 8601).

    None for what is no date, and for one that lies more than a day ahead.
    """
    try:
        read = datetime.fromisoformat((text or "").strip())
        if len((text or "").strip()) <= 10:
            shown, read = read.date().isoformat(), read.replace(tzinfo=UTC)
        else:
            read = read.replace(tzinfo=read.tzinfo or UTC).astimezone(UTC)
            shown = read.strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError):
        return None
    return shown if read.year > 1990 and (read - (now or datetime.now(UTC))).days < 1 else None


def _place(before: str) -> str | None:
    not_places, joints = words()["not_places"].split(), words()["joints"].split()
    parts = before.strip(' \t,–—-(/|:"“«').split()
    while parts and parts[-1].strip(",").casefold() in not_places:  # "Paris, le jeudi"
        parts.pop()
    place = " ".join(parts).rstrip(" ,–—-|")
    names = [part.strip(",()") for part in place.split()]
    if not names or len(place) > MAX_PLACE or len(names) > 8 or names[0].casefold().rstrip(":") in not_places:
        return None
    if any(not (name[:1].isupper() or name.casefold() in joints or not name.strip("-–—")) for name in names):
        return None
    return place if names[0][:1].isupper() and re.fullmatch(r"[\w\s,.()'’–—-]+", place) else None
