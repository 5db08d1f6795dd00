"""Sites: from a page to the other pages of the same registered domain."""

import re
from urllib.parse import urlsplit

from crawler.archive import Archive
from crawler.found import Found
from crawler.frontier import Lease, Link, clean
from crawler.page import Capture, Page, read_page
from crawler.sources import Source
from data.domains import registrable_domain

# Never followed: what is no page, what changes something (baskets, log-ins), and what has no end (calendars, sorting).
NOT_A_PAGE = re.compile(
    r"\.(?:pdf|jpe?g|png|gif|webp|svg|ico|css|js|mjs|json|xml|rss|atom|txt|zip|gz|rar|7z|exe|dmg|apk|mp[34]|avi|mov|webm"
    r"|woff2?|ttf|eot|docx?|xlsx?|pptx?|csv)$",
    re.I,
)
NOT_FOR_READERS = re.compile(
    r"/(?:cart|basket|panier|checkout|commande|login|log-in|signin|connexion|logout|register|inscription|wp-admin|wp-json"
    r"|calendar|calendrier|feed)(?:/|$)|[?&](?:add-to-cart|replytocom|orderby|sort|date|month|share)=",
    re.I,
)
MAX_URL = 500  # characters; longer ones are made by machines


def read(capture: Capture, lease: Lease, source: Source, archive: Archive) -> Found:
    """The page and where it leads. Raises NotAPage."""
    page = read_page(capture)
    return Found(pages=[page], links=links(page, lease.depth, source))


def links(page: Page, depth: int, source: Source) -> list[Link]:
    """Addresses on `page` to visit next, in the order of the page."""
    if depth >= source.max_depth:
        return []
    home = registrable_domain(urlsplit(page.capture.url).hostname or "")
    found: dict[str, None] = {}
    for url, _ in page.links:
        try:
            if len(url) <= MAX_URL and _is_followed(url, home):
                found[clean(url)] = None
        except ValueError:
            continue  # "http://shop.example:99999/" leads nowhere
    return [Link(url) for url in found]


def _is_followed(url: str, home: str | None) -> bool:
    parts = urlsplit(url)
    if home is None or registrable_domain(parts.hostname or "") != home:
        return False
    tail = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return not NOT_A_PAGE.search(parts.path) and not NOT_FOR_READERS.search(tail)
