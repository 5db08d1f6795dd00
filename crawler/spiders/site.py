"""Sites: from a page to the other pages of the same registered domain.

Only what a link leads to is visited, with GET; no form is ever sent. Links marked nofollow are followed: the mark is
for the ranking of search engines; what a crawler may visit stands in robots.txt, and terms often stand behind it.
"""

from functools import lru_cache
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from crawler.archive import Archive
from crawler.found import Found
from crawler.frontier import Lease, Link, clean
from crawler.page import Capture, Page, read_page
from crawler.sources import Source
from crawler.traps import MENU, Budget, is_trap, language_of, plain, priority
from data.domains import registrable_domain

# by crawl (an Archive is opened for each) and run; a crawl that goes on later starts with a new budget
_budgets: WeakKeyDictionary[Archive, dict[int, Budget]] = WeakKeyDictionary()


def read(capture: Capture, lease: Lease, source: Source, archive: Archive) -> Found:
    """The page and where it leads. Raises NotAPage."""
    page = read_page(capture)
    budgets = _budgets.setdefault(archive, {})
    budget = budgets.setdefault(lease.run, Budget(source.max_pages))
    found = [link for link in links(page, lease.depth, source) if budget.allows(link.url, link.priority)]
    return Found(pages=[page], links=found)


def links(page: Page, depth: int, source: Source) -> list[Link]:
    """Addresses on `page` to visit next: what the firm says of itself first, odd addresses last."""
    if depth >= source.max_depth:
        return []
    home = registrable_domain(urlsplit(page.capture.url).hostname or "")
    language = language_of(page.capture.url)
    found: dict[str, Link] = {}
    for raw, text in page.links:
        try:
            if home is None or registrable_domain(urlsplit(raw).hostname or "") != home:
                continue
            url = _address(raw)
        except ValueError:
            continue  # "http://shop.example:99999/" leads nowhere
        if url not in found and not is_trap(url):
            found[url] = Link(url, priority=priority(url, text, language))
    return sorted(found.values(), key=lambda link: -link.priority)


@lru_cache(MENU)
def _address(raw: str) -> str:
    return clean(plain(raw))
