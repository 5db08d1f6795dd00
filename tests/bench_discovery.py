"""How much of a crawl is promotion: discovery against breadth-first and random order, on the enlarged sample web.

    python tests/bench_discovery.py [FOLDER]     two minutes of processor time, half for the model; FOLDER keeps it

The model has learned from four folds of the corpus, the web shows pages of the fifth. Store, frontier, extraction and
ranking are the crawler's own; answers come from memory, one after the other: order is all that is compared here.
Discovery ends when no candidate is worth a visit: then its last column is that of the pages it fetched.
(tests/test_discovery.py does it over HTTP.) A page counts as promotion when the corpus says so, not the model.
"""

import random
import sys
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from urllib.parse import urlsplit

from bigweb import TRADE, BigWeb, bigweb, corpus

from classifier.corpus import load_corpus
from classifier.judge import promotion
from classifier.train import fit
from crawler.archive import now
from crawler.discovery import PER_DOMAIN, Discovery, Judge, save_look
from crawler.frontier import Lease, Settled, SqliteFrontier
from crawler.page import Capture, NotAPage, Page, Record, read_page
from crawler.sources import Source
from crawler.store import save_check, save_page, save_source
from data import DATA
from data.migrations import open_store, write

FOLD, BUDGETS, AT_ONCE = 0, (100, 300, 1000), 16
SEEDS = (7, 8, 9)  # GROWTH, FLOOR and BOILERPLATE were chosen on seeds 1 to 6
Order = list[str]


def held_out_model(folder: Path) -> Path:
    """A model that has not seen the fold."""
    if not (folder / "model.npz").exists():
        shown = {(page.id, page.lang) for page in corpus(FOLD)}
        fit([page for page in load_corpus(DATA / "corpus") if (page.id, page.lang) not in shown]).model.save(folder)
    return folder


def page_of(web: BigWeb, url: str) -> Page | None:
    """What the crawler reads at an address; None where there is nothing, or no visitor is wanted."""
    if url not in web.pages or urlsplit(url).hostname in web.closed:
        return None
    try:
        return read_page(Capture(url, now(), 200, "text/html", web.pages[url], Record("", 0, 0, "")))
    except NotAPage:
        return None


def plain(web: BigWeb, budget: int, per_domain: int, chance: random.Random | None = None) -> Order:
    """Every link of every page, in the order found or by `chance`; `per_domain` pages of a domain at most."""
    queue, seen = deque(web.start), set(web.start)
    fetched: Order = []
    count = Counter[str]()
    while queue and len(fetched) < budget:
        if chance:
            queue.rotate(chance.randrange(len(queue)))
        url = queue.popleft()
        if count[host := urlsplit(url).hostname or ""] >= per_domain:
            continue
        count[host] += 1
        fetched.append(url)
        page = page_of(web, url)
        for link, _ in page.links if page else ():
            if link not in seen:
                seen.add(link)
                queue.append(link)
    return fetched


def focused(web: BigWeb, judge: Judge, budget: int) -> Order:
    """As the crawler does it, AT_ONCE addresses at a time."""
    source = Source("s", "site", "S", "tests", tuple(web.start), delay=0, max_pages=budget, discover=True)
    with tempfile.TemporaryDirectory() as folder:
        db = open_store(Path(folder) / "f.db")
        with write(db):
            save_source(db, source.id, source.kind, None, None)
        frontier = SqliteFrontier(db)
        discovery = Discovery(db, judge, [source], frozenset())
        run = frontier.begin(source.id, list(source.start))
        fetched: Order = []
        while leases := frontier.lease({run: 0.0}, AT_ONCE):
            offered = 0
            for done, lease in enumerate(leases, 1):
                if discovery.enough(run, source, lease.url):
                    frontier.settle(lease, lambda: Settled("enough"), [], budget)
                    continue
                fetched.append(lease.url)
                page = page_of(web, lease.url)
                looks = [discovery.look(run, page)] if page else []
                links = discovery.links(run, source, lease.depth, looks, AT_ONCE - (len(leases) - done) - offered)
                offered += len(links)

                def store(lease: Lease = lease, page: Page | None = page, looks: list = looks) -> Settled:
                    save_check(db, lease.url, now(), "stored" if page else "robots")
                    for look in looks:
                        save_page(db, source.id, look.page)
                        save_look(db, run, look)
                    return Settled("stored")

                frontier.settle(lease, store, links, budget)
    return fetched


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp(prefix="fantomes-bench-"))
    model = held_out_model(folder)
    one = cache(lambda blocks: promotion([blocks], model)[0])  # the same texts in every order: judged once

    def judge(pages: Sequence[Sequence[tuple[str, str]]]) -> list[float]:
        return [one(tuple(blocks)) for blocks in pages]

    texts = corpus(FOLD)
    head = " ".join(f"{f'@{budget}':>6}" for budget in BUDGETS)
    print(f"{'seed':4} {'order':28} {head}  sellers' domains found @ the same   pages fetched")
    most = max(BUDGETS)
    for seed in SEEDS:
        web = bigweb(texts, seed)
        sellers = {domain for domain, role in web.roles.items() if role in TRADE}
        orders: dict[str, Callable[[], Order]] = {
            "breadth-first": partial(plain, web, most, most),
            f"breadth-first, {PER_DOMAIN} a domain": partial(plain, web, most, PER_DOMAIN),
            f"random, {PER_DOMAIN} a domain": partial(plain, web, most, PER_DOMAIN, random.Random(seed)),
            "discovery": partial(focused, web, judge, most),
        }
        print(f"{seed:4} ({len(web.pages):,} pages, {len(web.promotes):,} promote; {len(sellers)} sellers' domains)")
        for name, order in orders.items():
            found = order()
            harvest = [sum(url in web.promotes for url in found[:n]) / min(n, len(found)) for n in BUDGETS]
            share = [len({urlsplit(url).hostname for url in found[:n]} & sellers) / len(sellers) for n in BUDGETS]
            rates = " ".join(f"{rate:6.2f}" for rate in harvest)
            print(f"{'':4} {name:28} {rates}  {' '.join(f'{part:10.2f}' for part in share)} {len(found):13}")


if __name__ == "__main__":
    main()
