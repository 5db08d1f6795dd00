"""Panels: the public pages of one, offers out of its tables of prices. Never an account, a key or an order."""

from crawler.archive import Archive
from crawler.found import Found
from crawler.frontier import Lease
from crawler.market.panels import is_interface
from crawler.market.pricetable import offers
from crawler.page import Capture, decode, read_page
from crawler.sources import Source
from crawler.spiders import site


def read(capture: Capture, lease: Lease, source: Source, archive: Archive) -> Found:
    """The page, with the offers that it lists, and the pages that it leads to. Raises NotAPage."""
    page = read_page(capture)
    page.offers = offers(decode(capture.body, capture.content_type)[0], capture.url)
    if page.offers:
        page.kind = "panel"
    return Found(
        pages=[page], links=[link for link in site.links(page, lease.depth, source) if not is_interface(link.url)]
    )
