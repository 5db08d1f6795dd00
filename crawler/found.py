"""What a kind of source makes of an answer: pages to store, and addresses that it leads to."""

from dataclasses import dataclass, field

from crawler.frontier import Link
from crawler.page import Page


@dataclass(slots=True)
class Found:
    """`outcome` is the short word under which the answer is counted: stored, feed, empty-feed, ads, quota ..."""

    outcome: str = "stored"
    pages: list[Page] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    failed: bool = False  # worth another look in the next run
