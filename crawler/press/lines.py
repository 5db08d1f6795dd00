"""Lines of a page as a reader sees them, without navigation and advertisements: what a press release is read from.

Blocks (crawler/blocks.py) are what is classified: they join the lines that <br> parts, and keep what surrounds a text.
"""

import re
import unicodedata
from dataclasses import dataclass, field

from selectolax.lexbor import LexborHTMLParser, LexborNode

from crawler.blocks import BLOCK_TAGS, SKIPPED
from crawler.press.dateline import words

MAX_AD = 800  # characters; what is longer is no advertisement between two paragraphs
MAX_ADS = 50  # a page
AD = "data-fantomes-ad"  # marks an element to be left out
AD_CLASS = re.compile(
    r"(?:^|[\s_-])(?:sponsor(?:ed)?|promoted|adv|ads?|advert\w*|publicite|anzeige|werbung)(?:$|[\s_-])", re.I
)
AROUND = frozenset("nav footer aside form".split())  # what a wire puts around a release


@dataclass(slots=True)
class Line:
    """A line as a reader sees it. `depth`: block elements it stands in; `heading`: 1 to 6 for h1 to h6, else 0."""

    text: str
    depth: int
    heading: int = 0
    block: int = 0  # lines that only <br> parts have the same number
    links: list[str] = field(default_factory=list)  # href as they stand


def mark_ads(tree: LexborHTMLParser) -> None:
    """Mark advertisements between the paragraphs: by class, or by the word that must stand above them.

    They are not taken out: an element inside another that was would be read after it was freed.
    """
    labels = words()["advertisement"].split()
    for node in tree.css("[class]"):
        if AD_CLASS.search(node.attributes.get("class") or "") and len(node.text()) < MAX_AD:
            node.attrs[AD] = ""
    above = (node for node in tree.css("p,div,span,strong,b,small,h3,h4,h5,h6") if _own_text(node) in labels)
    for node, _ in zip(above, range(MAX_ADS), strict=False):
        if node.parent is not None and len(node.parent.text()) < MAX_AD:
            node.parent.attrs[AD] = ""


def _own_text(node: LexborNode) -> str:
    child = node.child
    alone = child is not None and child.tag == "-text" and child.next is None
    return (child.text_content or "").strip(" :\n\t").casefold() if alone and child is not None else ""


def read_lines(tree: LexborHTMLParser) -> list[Line]:
    """The page's lines in reading order, without navigation; block elements and <br> end a line. Never recurses."""
    found: list[Line] = []
    line = Line("", 0)
    heading = depth = block = 0
    stack: list[tuple[LexborNode, bool]] = [(tree.body, False)] if tree.body is not None else []

    def end_line() -> None:
        nonlocal line
        line.text = " ".join(line.text.split())
        if line.text:
            found.append(line)
        line = Line("", depth, heading, block)

    while stack:
        node, closing = stack.pop()
        tag = node.tag or ""
        if not closing and node.next is not None and tag != "body":
            stack.append((node.next, False))
        if tag == "-text":
            line.text += node.text_content or ""
        elif tag in ("br", "hr"):
            block += tag == "hr"
            end_line()
        elif tag in SKIPPED or tag in AROUND or tag.startswith("-") or AD in node.attributes:
            continue
        else:
            if tag in BLOCK_TAGS:
                depth += -1 if closing else 1
                heading = int(tag[1]) if tag[1:].isdigit() and not closing else 0 if closing else heading
                block += 1
                end_line()
            if closing:
                continue
            if tag == "a" and (href := node.attributes.get("href")):
                line.links.append(href)
            stack.append((node, True))
            if node.child is not None:
                stack.append((node.child, False))
    end_line()
    return found


def squeeze(text: str) -> str:
    """Letters and digits alone, without case: the same words however they are set."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text).casefold()))
