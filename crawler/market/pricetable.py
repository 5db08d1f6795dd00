"""Tables of prices on panels' public pages: rows of service, rate, least and most, as <table> or as rows of <div>."""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

import yaml
from selectolax.lexbor import LexborHTMLParser, LexborNode

from crawler.blocks import SKIPPED
from crawler.market.listing import text_blocks
from crawler.market.panels import offer_key
from crawler.page import Offer
from data import DATA

MAX_CELLS = 30  # a row
MAX_NODES, MAX_TEXT = 100, 2_000  # a cell: elements and pieces of text, characters
MAX_HEADERS = 500  # candidates for the first row of a table made of <div>
MAX_OFFERS = 20_000  # a page
INLINE = frozenset("a abbr b bdi em font i mark small span strong sub sup u".split())  # within a word
CURRENCY = re.compile(r"R\$|US\$|[$€£₹₺₽¥]|\b(?:USD|EUR|GBP|CHF|BRL|INR|TRY|RUB|PLN)\b")
PER = re.compile(r"(?:/|\b(?:per|pour|pro|por|je|par|each)\b)\s*(\d[\d.,\s]*k?)\b", re.I)  # "/ 100", "per 1k"
THOUSAND = re.compile(r"\b(1\s?k|1[.,\s]?000)\b", re.I)  # in a header alone: in a cell it may be the price


def offers(html: str, url: str) -> list[Offer]:
    """The offers of all tables of prices in `html`, found at `url`, in the order of the page.

    A table counts when its header names a service, its price, and its number, least or most. Ask depth.too_deep first.
    """
    found: dict[str, Offer] = {}
    for header, rows, category in _tables(LexborHTMLParser(html)):
        columns = _columns(header)
        if columns is None:
            continue
        for row in rows:
            if len(row) == 1 or (len(row) < len(header) and len([cell for cell in row if cell]) == 1):
                category = next((cell for cell in row if cell), category)
            elif len(row) == len(header) and (offer := _offer(row, columns, header, category, url)):
                found.setdefault(repr(offer), offer)
            if len(found) >= MAX_OFFERS:
                return list(found.values())
    return list(found.values())


def _offer(row: list[str], columns: dict[str, int], header: list[str], category: str | None, url: str) -> Offer | None:
    cell = {column: row[position] for column, position in columns.items()}
    name = " ".join(block.text for block in text_blocks([("cell", cell["name"])]))
    price = cell["price"][:100] if re.search(r"\d", cell["price"]) else None
    if not any(map(str.isalpha, name)) or _columns(row) is not None:  # a header that is repeated
        return None
    least, most = (_count(cell.get(column, "")) for column in ("least", "most"))
    if columns.get("least") == columns.get("most") and "least" in columns:  # "50 / 10 000" in one cell
        ends = re.split(r"\s*(?:/|–|—|-|\bto\b|…)\s*", cell["least"])
        least, most = (_count(ends[0]), _count(ends[1])) if len(ends) == 2 else (None, None)
    head = header[columns["price"]]
    unit = PER.search(cell["price"]) or PER.search(head) or THOUSAND.search(head)
    currency = CURRENCY.search(cell["price"]) or CURRENCY.search(head)
    service = cell.get("service") or None
    return Offer(
        key=offer_key(url, service or category or "", name),
        name=name,
        category=category,
        service=service,
        price=price,
        per=_count(unit[1]) if unit and price else None,
        currency=currency[0] if currency and price else None,
        least=least,
        most=most,
        refill=_flag(cell.get("refill", "")),
        cancel=_flag(cell.get("cancel", "")),
    )


def _tables(tree: LexborHTMLParser) -> Iterator[tuple[list[str], list[list[str]], str | None]]:
    """(texts of the header, texts of the rows after it, category) of each table that could be one of prices."""
    tables: dict[int, tuple[LexborNode, list[list[str]]]] = {}
    for row in tree.css("tr"):
        table = row.parent if row.parent is None or row.parent.tag == "table" else row.parent.parent
        if table is not None:
            tables.setdefault(table.mem_id, (table, []))[1].append(_cells(row))
    for table, rows in tables.values():
        if start := next((n for n, cells in enumerate(rows, 1) if _columns(cells) is not None), 0):
            before = [cells[0] for cells in rows[: start - 1] if len(cells) == 1]
            yield rows[start - 1], rows[start:], _heading(table) or (before[-1] if before else None)
    tried: set[int] = set()
    for leaf in tree.css("div, span, li, p, b, strong, dt, h3, h4, h5, h6"):
        if _is_price(leaf.text(deep=False)[:60]) and leaf.parent is not None:
            for around in (leaf.parent, leaf.parent.parent):  # a cell's text may be wrapped once more
                if around is None or around.mem_id in tried or len(tried) > MAX_HEADERS or around.tag == "tr":
                    continue
                tried.add(around.mem_id)
                if _columns(cells := _cells(around)) is not None:
                    yield cells, list(_rows_after(around)), _heading(around)


def _rows_after(header: LexborNode) -> Iterator[list[str]]:
    """What follows the header row, or its wrapper; rows may be wrapped once more."""
    place: LexborNode | None = header
    if not any(_elements_after(header)) and header.parent is not None:
        place = header.parent
    count = len(_children(header))
    for sibling in _elements_after(place):
        inner = _children(sibling)
        wrapped = len(inner) != count and any(_children(row) for row in inner)
        for row in inner if wrapped else [sibling]:
            cells = _cells(row) if len(_children(row)) == count else [_text(row)]
            if _columns(cells) is not None:
                return  # the header of the next table
            yield cells


def _elements_after(node: LexborNode | None) -> Iterator[LexborNode]:
    while node is not None and (node := node.next) is not None:
        if node.tag and not node.tag.startswith(("-", "!")):
            yield node


def _heading(node: LexborNode) -> str | None:
    """The caption of a table, or the heading right before it."""
    if (caption := node.css_first("caption")) is not None:
        return _text(caption) or None
    before = node.prev
    while before is not None and (before.tag or "-").startswith(("-", "!")):
        before = before.prev
    return _text(before) or None if before is not None and re.fullmatch(r"h[1-6]", before.tag or "") else None


def _children(node: LexborNode) -> list[LexborNode]:
    found: list[LexborNode] = []
    child = node.child
    while child is not None and len(found) <= MAX_CELLS:
        if child.tag and not child.tag.startswith(("-", "!")):
            found.append(child)
        child = child.next
    return found


def _cells(row: LexborNode) -> list[str]:
    return [_text(cell) for cell in _children(row)]


def _text(cell: LexborNode) -> str:
    """What a cell says; nothing where it is too long for one, and half of its words would be somebody else's."""
    text: list[str] = []
    for number, node in enumerate(cell.traverse(include_text=True)):
        if number > MAX_NODES:
            return ""
        parent = node.parent.tag if node.parent is not None else None
        if node.tag == "-text" and parent not in SKIPPED:
            text.append(node.text_content or "")
        elif node.tag not in INLINE and not (node.tag or "").startswith("-"):
            text.append(" ")
    joined = "".join(text)
    return " ".join(joined.split()) if len(joined) < MAX_TEXT else ""


def _columns(header: list[str]) -> dict[str, int] | None:
    """Which column stands where; None when this is no header of a table of prices."""
    if not 3 <= len(header) <= MAX_CELLS or any(len(cell) > 60 for cell in header):
        return None
    found: dict[str, int] = {}
    for position, cell in enumerate(header):
        for column in _named(cell):
            found.setdefault(column, position)
    fits = {"name", "price"} <= found.keys() and found.keys() & {"service", "least", "most"}
    return found if fits else None


def _named(cell: str) -> list[str]:
    """The columns that a header cell names: one, or both least and most ("Min / Max")."""
    words, lookup = set(_plain(cell)), _lookup()
    if words & lookup["other"]:
        return []
    named = [column for column in lookup["columns"] if words & lookup[column]]
    return named[:2] if named[:2] == ["least", "most"] else named[:1]


def _is_price(word: str) -> bool:
    return _named(word) == ["price"]


def _flag(cell: str) -> bool | None:
    words = set(_plain(cell))
    said = (bool(words & _lookup()["yes"]), bool(words & _lookup()["no"]))
    return {(True, False): True, (False, True): False}.get(said)


def _count(text: str) -> int | None:
    """A whole number as people write it: "10 000", "10.000", "10k", "1.5M"; None for what could be two numbers."""
    match = re.fullmatch(r"(\d[\d\s.,'’]{0,20}?)\s*([kKmM])?", text.strip())
    if match is None:
        return None
    digits = re.sub(r"[\s'’]", "", match[1])
    if match[2] is None:
        number = int(re.sub(r"[.,]", "", digits))
    elif re.fullmatch(r"\d+(?:[.,]\d{1,2})?", digits):  # "1,000k" could be a thousand or a million
        number = round(float(digits.replace(",", ".")) * (1_000 if match[2] in "kK" else 1_000_000))
    else:
        return None
    return number if number < 10**15 else None


def _plain(text: str) -> list[str]:
    folded = unicodedata.normalize("NFKD", text.casefold())
    return re.findall(r"[^\W_]+|[^\w\s]", "".join(c for c in folded if not unicodedata.combining(c)))


@lru_cache
def _lookup() -> dict[str, frozenset[str]]:
    """Words by column, and the columns in the order in which they are looked for."""
    data = yaml.safe_load((DATA / "lookups" / "offers.yml").read_text("utf-8"))
    words = {name: frozenset(list_) for name, list_ in {**data["columns"], **data}.items() if name != "columns"}
    return {**words, "columns": tuple(data["columns"])}  # type: ignore[dict-item]
