"""Depth: HTML that the parser would choke on, seen before it is parsed."""

import re

MAX_DEPTH = 5_000  # the parser's time grows with the square of the depth: 100,000 open <div> take it 15 s
MAX_WORK = 200_000  # formatting elements times the blocks they are open in
TAG = re.compile(r"<(?:!--|(/?)([a-z][a-z0-9]*))")
RAW = ("script", "style")  # no tags inside but their own end
COUNTED_TAG = re.compile(
    rf"<(?:!--|(/?)(a|b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u|{'|'.join(RAW)})(?=[\s/>]))"
)
FORMATTING = frozenset("a b big code em font i nobr s small strike strong tt u".split())
UNNESTED = frozenset(
    "br hr img input meta link wbr col source area base embed param track"  # void
    " p li td tr th dt dd option optgroup tbody thead tfoot path".split()  # closed by the next of their like
)


def too_deep(html: str) -> bool:
    """Whether the parser would choke on `html`: elements nested too deep, or formatting reopened in block after block.

    The HTML standard has `<b>` and its like open again in every block until they are closed, so that a thousand of them
    before a few thousand `<p>` fill gigabytes. One look at every tag; comments and scripts are jumped over.
    """
    low = html.lower()
    if _surely_flat(low):
        return False
    names: list[str] = []  # open elements
    count: dict[str, int] = {}  # how many of each are open
    open_: dict[str, int] = {}  # formatting elements; only an end of the same name closes one
    formatting = work = after = 0
    for tag in TAG.finditer(low):
        if tag.start() < after:
            continue
        slash, name = tag.groups()
        if name is None or (not slash and name in RAW):  # <!-- or raw text: up to its end
            after = low.find(f"</{name}" if name else "-->", tag.end())
            if after < 0:
                break
        elif name in FORMATTING:
            formatting += _kept(open_, name, slash)
        elif slash:
            while count.get(name):  # closes what is open inside it too
                last = names.pop()
                count[last] -= 1
                if last == name:
                    break
        else:
            work += formatting
            if name not in UNNESTED and not low.startswith("/>", low.find(">", tag.end(), tag.end() + 500) - 1):
                names.append(name)
                count[name] = count.get(name, 0) + 1
        if len(names) + formatting > MAX_DEPTH or work > MAX_WORK:
            return True
    return False


def _surely_flat(low: str) -> bool:
    """A quick upper bound, good enough for nearly every page: as if each tag opened, and each formatting were kept."""
    if low.count("<") - low.count("</") > MAX_DEPTH:
        return False
    open_: dict[str, int] = {}
    formatting = work = after = counted = 0
    for tag in COUNTED_TAG.finditer(low):
        if tag.start() < after:
            continue
        slash, name = tag.groups()
        if formatting:
            work += formatting * low.count("<", counted, tag.start())
        counted = tag.end()
        if name is None or (not slash and name in RAW):
            after = low.find(f"</{name}" if name else "-->", tag.end())
            if after < 0:
                break
        elif name in FORMATTING:
            formatting += _kept(open_, name, slash)
    work += formatting * low.count("<", counted)
    return work + formatting <= MAX_WORK and formatting <= MAX_DEPTH


def _kept(open_: dict[str, int], name: str, slash: str) -> int:
    """How many more formatting elements are open after this tag."""
    change = (-1 if open_.get(name) else 0) if slash else 1
    open_[name] = open_.get(name, 0) + change
    return change
