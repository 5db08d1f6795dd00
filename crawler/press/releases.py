"""Press releases: what a release says of itself (who, where, when, to whom to turn), and whether a page is one at all.

Words by which releases mark their parts stand in data/lookups/releases.yml. What a page does not say stays None.
"""

import re
from dataclasses import dataclass, field
from functools import cache
from urllib.parse import urljoin, urlsplit

import trafilatura
from selectolax.lexbor import LexborHTMLParser

from crawler.frontier import clean
from crawler.page import Page, Release
from crawler.press.copies import signature
from crawler.press.dateline import DateLine, moment, read_dateline, words
from crawler.press.lines import AD, Line, mark_ads, read_lines, squeeze
from data.domains import registrable_domain
from data.platforms import not_vendors

MAX_HTML = 1_000_000  # characters; the longest real release seen is a tenth of it
MAX_LINES = 2_000  # from the headline on
MAX_BODY_TEXT = 100_000  # characters
MIN_BODY = 100  # characters
MAX_SECTION = 12  # lines of an about box or a contact block
ADDRESS = re.compile(r"(?<![@\w./-])(?:https?://|www\.)[^\s<>\"'«»()\[\]]{4,200}", re.I)


@dataclass(slots=True)
class _Parts:
    """Line numbers of what stands after the text."""

    about: list[tuple[str, list[int]]] = field(default_factory=list)  # name in the heading, lines of the text
    contact: list[int] = field(default_factory=list)
    all: set[int] = field(default_factory=set)  # those, their headings, and lines like "SOURCE Likeo Ltd"


def read_release(page: Page, html: str) -> Release | None:
    """The release that `page` is; None when it is none.

    A page is a release when a feed dates it, when its date line has a date, or when it is called one or has an about
    box and a second mark is there: the other of the two, a contact block, a date line, a date in its markup.
    Sets page.published_at (ISO 8601, UTC) to the feed's date, else the page's, else the date line's.
    """
    url = page.capture.url
    if len(html) > MAX_HTML or urlsplit(url).path in ("", "/") or _is_legal(urlsplit(url).path):
        return None
    tree = LexborHTMLParser(html)
    mark_ads(tree)
    lines = read_lines(tree)
    first = _headline(lines, page.title, tree)
    headline = lines[first].text if first is not None else None
    if headline and len(headline) < 60 and _is_legal(headline):
        return None
    lines = lines[first or 0 :][:MAX_LINES]
    parts = _parts(lines)
    read = trafilatura.bare_extraction(
        tree.html or "",
        url=url,
        include_comments=False,
        prune_xpath=f"//*[@{AD}]",
        with_metadata=True,
        date_extraction_params={"extensive_search": False, "original_date": True},
    )
    body_lines = _body(lines, parts, (read.text or "") if read else "")  # type: ignore[union-attr]
    paragraphs = [lines[number].text for number in body_lines]
    body = "\n".join(paragraphs)
    dated = _dateline(lines, paragraphs)
    own_date = moment(page.published_at) or moment(read.date if read else None)  # type: ignore[union-attr]
    announced = page.capture.published_at
    labelled = any(_is_label(line.text) for line in lines)
    marks = (labelled, parts.about, parts.contact, own_date, dated)
    told = (dated and dated.dated) or ((labelled or parts.about) and sum(map(bool, marks)) >= 2)
    if len(body) < MIN_BODY or _is_list(lines) or not (announced or told):
        return None
    page.published_at = announced or own_date or (dated and moment(dated.dated))
    issuer = _issuer(lines, [name for name, _ in parts.about])
    if dated and issuer and squeeze(dated.place) in squeeze(issuer):
        dated = None  # "Likeo, 12 March 2026 - Internet" below a headline names who wrote it, not a place
    return Release(
        wire=registrable_domain(urlsplit(url).hostname or "") or urlsplit(url).hostname or "",
        headline=headline,
        issuer=issuer,
        place=dated.place if dated else None,
        dated=dated.dated if dated else None,
        about="\n\n".join(_text(lines, numbers) for _, numbers in parts.about) or None,
        contact=_text(lines, parts.contact) or None,
        body=body,
        signature=signature(body),
        advertised=_advertised(_shown(lines, parts, body_lines), url),
    )


def _headline(lines: list[Line], title: str | None, tree: LexborHTMLParser) -> int | None:
    """The line that the page's title repeats; else the only h1; else None."""
    node = tree.css_first('meta[property="og:title"]')
    titles = [squeeze(text) for text in ((node.attributes.get("content") if node else None), title) if text]
    for repeats in (
        lambda said, line: said == line or said.startswith(line),
        lambda said, line: line in said,
    ):
        for heading in (True, False):
            for number, line in enumerate(lines):
                text = squeeze(line.text)
                if len(text) >= 15 and bool(line.heading) == heading and any(repeats(said, text) for said in titles):
                    return number
    ones = [number for number, line in enumerate(lines) if line.heading == 1]
    return ones[0] if len(ones) == 1 else None


def _parts(lines: list[Line]) -> _Parts:
    """About boxes, contact block and what else is no text of the release, in the lines from the headline on."""
    parts = _Parts()
    number = 1
    while number < len(lines):
        text = lines[number].text
        name, rest = about_heading(text)
        is_contact, contact_rest = _contact_heading(text)
        if not name and not is_contact:
            if number > 2 and _matches("end", text):
                parts.all.add(number)
            number += 1
            continue
        section = [number] if (rest if name else contact_rest) else []
        after = number + 1
        while after < len(lines) and len(section) < MAX_SECTION and not _ends(lines[after], lines[number]):
            section.append(after)
            after += 1
        within = [n for n in section if lines[n].block == lines[number].block]  # "<p>Contact<br>..." ends with its <p>
        if within and (name or _reaches(lines, within)):
            section, after = within, within[-1] + 1
        if section and (name or _reaches(lines, section)):
            parts.all.update(range(number, after))
            if name:
                parts.about.append((name, section))
            elif not parts.contact:
                parts.contact = section
        number = after if section else number + 1
    return parts


def _ends(line: Line, heading: Line) -> bool:
    """Whether the section below `heading` is over at `line`."""
    outside = line.depth < heading.depth or line.heading > 0 or bool(read_dateline(line.text))
    return outside or bool(about_heading(line.text)[0]) or _contact_heading(line.text)[0] or _matches("end", line.text)


def about_heading(text: str) -> tuple[str | None, str]:
    """The name in "About Likeo", and what follows in the same line ("About Likeo: Likeo is ..."); None for others."""
    found = _pattern("about").match(text[:200])
    if not found:
        return None, ""
    name, colon, rest = re.match(r"([^:]*?)\s*(?:(:|\s[-–—](?=\s))\s*(.*))?$", text[found.end() :], re.S).groups()  # type: ignore[union-attr]
    for article in words()["articles"].split():
        if name.casefold().startswith(article if article[-1] in "'’" else article + " "):
            name = name[len(article) :].strip()
            break
    first = name.split(" ")[0].casefold().rstrip(".!?") if name else ""
    if not name or len(name) > 80 or first in words()["nobody"].split() or not (name[0].isupper() or name[0].isdigit()):
        return None, ""
    if not colon and re.search(r"[.!?]\s*$|[.!?]\s", name.removesuffix(".")):
        return None, ""
    return name.strip(' ."“”«»'), rest or ""


def _contact_heading(text: str) -> tuple[bool, str]:
    found = _pattern("contact").match(text[:200])
    return (True, text[found.end() :].strip(" :–—-")) if found else (False, "")


def _reaches(lines: list[Line], numbers: list[int]) -> bool:
    """Whether a contact block has a way to reach somebody: an e-mail address, a number, a site."""
    text = " ".join(lines[number].text for number in numbers)
    return bool(re.search(r"\S@\S|www\.|https?://|(?:\d[\s./()-]?){6}", text))


def _issuer(lines: list[Line], about: list[str]) -> str | None:
    """Who speaks: as the wire names the source, else the one firm with an about box. None where the two differ."""
    named: list[str] = []
    for number, line in enumerate(lines):
        text = line.text
        if found := _pattern("issuer").match(text):
            name = text[found.end() :].strip(" :") or (lines[number + 1].text if number + 1 < len(lines) else "")
        elif found := re.match(r"SOURCE:?\s+(?=\S)|.{0,60}\|\s*Source:\s*(?=\S)", text):
            name = text[found.end() :]
        else:
            continue
        name = re.split(r",\s+(?=[a-zäöü])|\s+[|·]\s+|\s{2,}", name)[0].strip()
        name = name.removesuffix("Follow").strip()
        if name and len(name) <= 80:
            named.append(name)
    firms = {squeeze(name): name for name in reversed(named)}
    boxes = {squeeze(name): name for name in reversed(about)}
    if len(firms) > 1 or (not firms and len(boxes) != 1):
        return None
    if firms and boxes and not any(one in other or other in one for one in firms for other in boxes):
        return None
    return next(iter((firms or boxes).values()))


def _body(lines: list[Line], parts: _Parts, extracted: str) -> list[int]:
    """Numbers of the lines of the release's text: those that trafilatura kept, up to the first part after it."""
    said = squeeze(extracted[:MAX_BODY_TEXT])
    known, length, kept = squeeze(lines[0].text) if lines else "", 0, []
    for number, line in enumerate(lines):
        if number in parts.all:
            if length >= MIN_BODY:
                break
            continue  # a contact block above the text
        text = squeeze(line.text)
        if number and text and text != known and text in said:
            kept.append(number)
            length += len(line.text)
    return kept


def _dateline(lines: list[Line], paragraphs: list[str]) -> DateLine | None:
    """The first date line before the text's second paragraph."""
    second = squeeze(paragraphs[1]) if len(paragraphs) > 1 else None
    for line in lines[1:20] if lines else []:
        if found := read_dateline(line.text):
            return found
        if second and len(second) > 60 and squeeze(line.text) == second:
            break
    return None


def _is_list(lines: list[Line]) -> bool:
    """Whether several releases begin on the page."""
    return (
        len({line.text for line in lines if (found := read_dateline(line.text)) and len(line.text) > found.end + 20})
        > 1
    )


def _text(lines: list[Line], numbers: list[int]) -> str:
    """Lines of a section; its first one without the heading that stands in the same line."""
    said = [lines[number].text for number in numbers]
    if said:
        said[0] = about_heading(said[0])[1] or _contact_heading(said[0])[1] or said[0]
    return "\n".join(said)


def _shown(lines: list[Line], parts: _Parts, body: list[int]) -> list[Line]:
    """The lines that are the release's own: from the first of its text to the last, the parts after it, and a line or
    two between them: trafilatura drops "Website: likeo.example"."""
    last = body[-1]
    after = [n for n in range(last + 1, min(last + 3, len(lines))) if lines[n].depth >= lines[last].depth]
    return [lines[number] for number in sorted({*range(body[0], last + 1), *after, *parts.all})]


def _advertised(lines: list[Line], url: str) -> str | None:
    """The front page of the one outside site that the release's own lines name, as a link or as a written address."""
    own = registrable_domain(urlsplit(url).hostname or "")
    found: dict[str, str] = {}
    for line in lines:
        for link in [*line.links, *(found.rstrip(".,;:!?") for found in ADDRESS.findall(line.text))]:
            try:
                address = urlsplit(urljoin(url, link if not link.lower().startswith("www.") else f"http://{link}"))
                front = clean(f"{address.scheme}://{address.netloc}/")
                domain = registrable_domain(address.hostname or "")
            except ValueError:
                continue  # "http://shop.example:99999/" leads nowhere
            if address.scheme in ("http", "https") and domain and domain != own and domain not in not_vendors():
                found.setdefault(domain, front)
    return next(iter(found.values())) if len(found) == 1 else None


@cache
def _pattern(kind: str) -> re.Pattern[str]:
    options = "|".join(f"(?:{option})" for option in words()[kind])
    after = {"about": r"(?:\s+|(?<=['’]))", "contact": r"(?=\s*(?:[:–—-]|$))"}.get(kind, "")
    return re.compile(rf"\W{{0,3}}(?:{options}){after}", re.I)


def _matches(kind: str, text: str) -> bool:
    return bool(_pattern(kind).match(text[:200]))


def _is_label(text: str) -> bool:
    return bool(re.fullmatch(rf"\W*(?:{words()['label']})\W*", text, re.I))


def _is_legal(text: str) -> bool:
    """Whether a headline, or the last part of a path, is that of a wire's page about itself."""
    words_ = text.rstrip("/").rpartition("/")[2].partition(".")[0]
    options = "|".join(words()["legal"])
    return bool(re.fullmatch(rf"\W*(?:{options})(?:[-_ ](?:and|of|for|et|de|d['’]|e|und|y)\b.*)?\W*", words_, re.I))
