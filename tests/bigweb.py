"""The enlarged sample web: 300 invented domains, some 2,600 pages, a quarter of them promotion; made from a seed.

Text. Pages of the trade, its critics and its neighbours are pages of the corpus, as given by the caller: from a fold
that the judging model has not learned from. Firms that have nothing to do with fans (shops, payment, themes, hosting)
say sentences written here. A page of the corpus may stand on two sites; each site shows most of its blocks, not all.

Links, after how the trade links, and so that no rule of the crawler is met by construction:
- sellers and panels link to service firms on every page (payment, theme, cookies: promoting pages that lead nowhere),
  now and then to partners that sell other things, to a paper "as seen in", to a list that ranks them,
  few to each other;
- lists of affiliates link to several sellers a page, and beside them to papers, shops, services and other lists;
- wires carry releases of sellers and of bakers; forums and directories link to everybody;
- critics and papers link to sellers too, mostly to everything else; a third of the sellers is linked by those alone, or
  by nobody;
- most of the web is shops, clubs, blogs and agencies that link among themselves, the known ones more.
Half of the links to sellers say nothing ("here", the bare name); some links to critics speak of followers.
Names tell what a firm does in four cases of ten.
"""

import csv
import html
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from data import DATA

ROLES = {  # domains and pages a domain, least and most; the number of pages falls off quickly
    "seller": (45, 3, 25), "panel": (10, 2, 12), "list": (12, 3, 25), "wire": (4, 15, 50), "forum": (5, 10, 40),
    "directory": (5, 5, 25), "critic": (12, 1, 8), "paper": (18, 8, 50), "agency": (22, 2, 14), "club": (24, 2, 14),
    "blog": (52, 3, 20), "shop": (66, 3, 24), "service": (25, 2, 12),
}  # fmt: skip
TRADE = ("seller", "panel", "list")
OUT = {  # mean number of links that a page of a role has to each role, beside what stands on all pages of its site
    "seller": {"shop": 0.25, "paper": 0.12, "list": 0.12, "wire": 0.06, "blog": 0.12, "seller": 0.06, "agency": 0.06},
    "panel": {"seller": 0.3, "shop": 0.15, "service": 0.3, "forum": 0.15, "panel": 0.1},
    "list": {"seller": 2.5, "panel": 0.4, "list": 0.3, "paper": 0.5, "shop": 0.8, "blog": 0.6, "service": 0.5,
             "agency": 0.4, "critic": 0.15},
    "wire": {"seller": 0.25, "shop": 0.6, "agency": 0.2, "blog": 0.2},
    "forum": {"seller": 0.7, "panel": 0.4, "blog": 0.8, "shop": 0.6, "paper": 0.5, "critic": 0.3, "list": 0.15},
    "directory": {"seller": 0.7, "shop": 3.0, "agency": 1.5, "club": 1.0, "service": 1.0, "blog": 1.0, "list": 0.2},
    "critic": {"seller": 0.5, "paper": 1.5, "critic": 0.6, "blog": 0.6},
    "paper": {"seller": 0.05, "paper": 0.8, "shop": 0.6, "club": 0.5, "critic": 0.2, "blog": 0.4, "wire": 0.1},
    "agency": {"shop": 1.0, "paper": 0.3, "blog": 0.4, "agency": 0.2, "seller": 0.03},
    "club": {"club": 0.8, "paper": 0.4, "shop": 0.5, "blog": 0.3},
    "blog": {"blog": 1.2, "shop": 0.8, "paper": 0.6, "club": 0.4, "seller": 0.03, "agency": 0.2},
    "shop": {"shop": 0.5, "blog": 0.3, "paper": 0.2},
    "service": {"shop": 0.5, "service": 0.2, "blog": 0.2},
}  # fmt: skip
FORMS = {  # voice, and the forms of corpus pages that fit; an empty set: any
    "seller": ("promotion", frozenset("home product faq terms testimonials about shop city agency policy".split())),
    "panel": ("promotion", frozenset("panel reseller docs pricing".split())),
    "list": ("promotion", frozenset("affiliate blog comparison guide".split())),
    "wire": ("", frozenset(["release"])),
    "forum": ("", frozenset(["forum", "forum-ad", "thread"])),
    "critic": ("criticism", frozenset[str]()),
    "agency": ("neutral", frozenset("agency".split())),
    "club": ("neutral", frozenset("fan-club fans sports band supporters".split())),
}
SYLLABLES = "ba bri co da dra fe fli go gru ha jo ka lu ma mo ni no pa pli ra ro sa sti ta tu va vo wi za zo".split()
HINTS = {
    "seller": "fans likes followers boost social abonnes".split(), "panel": "panel smm reseller".split(),
    "list": "best top compare reviews".split(), "wire": "wire news".split(), "forum": "forum board".split(),
    "paper": "gazette post herald".split(), "agency": "media studio social".split(), "club": "fans club".split(),
    "service": "pay themes cookies host".split(), "critic": "watch facts".split(),
}  # fmt: skip
TRADE_WORDS = (
    "buy followers at {name}", "cheap likes and views", "acheter des abonnés", "real fans from {name}",
    "{name}: followers delivered fast", "more subscribers today", "order followers now", "des fans pour votre page",
)  # fmt: skip
EMPTY_WORDS = ("{name}", "here", "visit site", "website", "voir le site", "more", "{name}", "read on")
ABOUT_FANS = ("how fake followers work", "what became of bought likes", "faux abonnés : notre enquête")
THINGS = (
    "bread rolls", "bicycle bells", "oak tables", "wool socks", "garden seeds", "fishing rods", "wedding cakes",
    "guitar strings", "tiles and mortar", "running shoes", "board games", "tea and honey", "roof repairs", "dog leads",
    "house moves", "piano lessons", "winter tyres", "cut flowers", "old maps", "kitchen knives",
)  # fmt: skip
SENTENCES = {
    "shop": ("We sell {thing} in our shop and by post.", "Open from Tuesday to Saturday, nine to six.",
             "Delivery within three days, returns within fourteen.", "Our {thing} are made in small numbers.",
             "Ask us for a price by telephone.", "Nouveautés : {thing}, à voir au magasin."),
    "service": ("A theme for shops, with three layouts and a dark mode.",
                "Accept cards and bank transfers on your site.",
                "Hosting on our own machines, with daily copies.", "A banner that asks visitors about cookies.",
                "Plans from five a month; cancel whenever you like.", "See the manual for the programming interface."),
    "blog": ("This week I tried {thing} for the first time.", "It rained on Sunday, so I wrote this.",
             "Photographs follow when I find the cable.", "My neighbour knows all about {thing}.",
             "Un dimanche à la campagne, avec {thing}."),
    "paper": ("The town council voted on {thing} yesterday.", "Police closed the bridge for two hours.",
              "The harvest is late this year, growers say.", "A museum of {thing} opens in spring.",
              "Le conseil municipal se réunit jeudi."),
    "directory": ("Firms of the region, sorted by trade.", "Entries are free; write to the editor.", "{thing}"),
    "wire": ("The firm announced a new workshop for {thing}.", "It employs forty people.", "Contact: press office."),
}  # fmt: skip
MIXED = {"paper": 0.25, "wire": 0.5, "directory": 0.0, "blog": 0.1, "shop": 0.0, "service": 0.0}
"""Share of pages taken from the corpus, where a role has both: of any voice but the seller's (wires: any)."""
FOOTERS = ("powered by {name}", "theme by {name}", "payments by {name}", "hosted by {name}", "cookies: {name}")


@dataclass
class Text:
    """A page of the corpus."""

    id: str
    lang: str
    voice: str
    form: str
    blocks: list[tuple[str, str]] = field(default_factory=list)


def corpus(fold: int, leave_out: Sequence[str] = ()) -> list[Text]:
    """The pages of a fold of the corpus, without those that stand in the files `leave_out`."""
    folds = csv.DictReader((DATA / "corpus" / "folds.csv").read_text("utf-8").splitlines())
    chosen = {(row["page"], row["lang"]) for row in folds if row["fold"] == str(fold)}
    pages: dict[tuple[str, str], Text] = {}
    files = sorted((file for file in (DATA / "corpus").iterdir() if file.name.endswith(".jsonl")), key=lambda f: f.name)
    for file in files:
        for line in file.read_text("utf-8").splitlines() if file.name not in leave_out else ():
            row = json.loads(line)
            if (key := (row["page"], row["lang"])) in chosen:
                page = pages.setdefault(key, Text(*key, row["voice"], row.get("form", "")))
                page.blocks.append((row["kind"], row["text"]))
    return list(pages.values())


@dataclass
class Site:
    """A domain, its role, and the paths of its pages."""

    domain: str
    role: str
    name: str
    paths: list[str]
    footer: list["Site"] = field(default_factory=list)


@dataclass
class BigWeb:
    """`pages`: HTML by address; `promotes`: addresses of pages that promote, as the corpus has it; `start`: seeds."""

    pages: dict[str, bytes]
    promotes: set[str]
    roles: dict[str, str]
    start: list[str]
    closed: set[str]

    def robots(self, host: str) -> bytes:
        """What a host's robots.txt says; `closed` hosts want no visitors."""
        return b"User-agent: *\nDisallow: /\n" if host in self.closed else b"User-agent: *\nDisallow:\n"


def bigweb(texts: Sequence[Text], seed: int, scale: float = 1.0) -> BigWeb:
    """The web of a seed; `scale` is a factor for the number of domains."""
    chance = random.Random(seed)
    sites = _sites(chance, scale)
    writer = _Texts(texts, chance)
    by_role = {role: [site for site in sites if site.role == role] for role in ROLES}
    for site in sites:
        site.footer = chance.sample(by_role["service"], k=min(len(by_role["service"]), chance.choice((0, 1, 2, 2, 3))))
    unlinked = set(map(id, chance.sample(by_role["seller"], k=len(by_role["seller"]) // 3)))
    known = {role: [site for site in found if id(site) not in unlinked] for role, found in by_role.items()}
    weights = {role: [chance.paretovariate(1.2) for _ in found] for role, found in by_role.items()}
    web = BigWeb({}, set(), {site.domain: site.role for site in sites}, [], set())
    for site in sites:
        for path in site.paths:
            blocks, voice = writer.page(site.role)
            links = []
            for role, mean in OUT[site.role].items():
                for _ in range(_count(chance, mean)):
                    trade = site.role in TRADE or site.role in ("wire", "forum", "directory")
                    found = known[role] if trade else by_role[role]
                    of = [weight for weight, one in zip(weights[role], by_role[role], strict=True) if one in found]
                    links.append((chance.choices(found, of)[0], role))
            url = f"http://{site.domain}{path}"
            web.pages[url] = _render(chance, site, path, blocks, links)
            if voice == "promotion":
                web.promotes.add(url)
    for role, count in (("seller", 2), ("list", 1), ("wire", 1), ("forum", 1)):
        web.start += [f"http://{site.domain}/" for site in chance.sample(known[role], count)]
    open_ = sorted({site.domain for site in sites} - {url.split("/")[2] for url in web.start})
    web.closed = set(chance.sample(open_, len(open_) // 30))
    return web


def _sites(chance: random.Random, scale: float) -> list[Site]:
    sites, taken = [], set[str]()
    for role, (count, least, most) in ROLES.items():
        for _ in range(max(2, round(count * scale))):
            pages = min(most, int(least * chance.paretovariate(1.1)))
            while True:
                name = "".join(chance.choices(SYLLABLES, k=3))
                if role in HINTS and chance.random() < 0.4:
                    name += chance.choice(("", "-")) + chance.choice(HINTS[role])
                domain = name + chance.choice((".example", ".test"))
                if domain not in taken:
                    break
            taken.add(domain)
            sites.append(Site(domain, role, name.capitalize(), ["/", *(f"/p{n}" for n in range(1, pages))]))
    return sites


class _Texts:
    """Gives each page of the corpus in turn before any is given again."""

    def __init__(self, corpus: Sequence[Text], chance: random.Random) -> None:
        self.chance = chance
        self.corpus = corpus
        self.decks: dict[str, list[Text]] = {}

    def page(self, role: str) -> tuple[list[tuple[str, str]], str]:
        """Blocks (kind, text) and voice of a page for a site of a role."""
        if self.chance.random() >= MIXED.get(role, 1.0):
            thing = self.chance.choice(THINGS)
            said = self.chance.sample(SENTENCES[role], k=self.chance.choice((2, 3)))
            return [("title", thing.capitalize()), *(("text", text.format(thing=thing)) for text in said)], "neutral"
        if not self.decks.get(role):
            self.decks[role] = self.chance.sample(found := self._fitting(role), k=len(found))
        page = self.decks[role].pop()
        kept = [block for block in page.blocks if self.chance.random() < 0.85] or page.blocks
        return kept, page.voice

    def _fitting(self, role: str) -> list[Text]:
        voice, forms = FORMS.get(role, ("", frozenset()))
        return [
            page
            for page in self.corpus
            if (page.voice == voice if voice else role in ("wire", "forum") or page.voice != "promotion")
            and (not forms or page.form in forms)
        ]


def _count(chance: random.Random, mean: float) -> int:
    whole = int(2 * mean)  # between nothing and twice the mean
    return chance.randint(0, whole) + (chance.random() < mean - whole / 2)


def _render(
    chance: random.Random, site: Site, path: str, blocks: list[tuple[str, str]], links: list[tuple[Site, str]]
) -> bytes:
    """HTML of a page: menu, blocks with links between them, footer."""
    tags = {"heading": "h2", "item": "li", "cell": "td", "button": "button", "quote": "blockquote"}
    title = next((text for kind, text in blocks if kind == "title"), site.name)
    near = [other for other in site.paths if other != path]
    menu = ["/", *chance.sample(near, k=min(len(near), 6))]
    body = [f"<nav>{' '.join(f'<a href={other}>{site.name} {other[1:]}</a>' for other in menu)}</nav>"]
    body += [
        f"<{tags.get(kind, 'p')}>{html.escape(text)}</{tags.get(kind, 'p')}>"
        for kind, text in blocks
        if kind not in ("title", "meta")
    ]
    for other, role in links:
        words = chance.choice(TRADE_WORDS if role in ("seller", "panel") and chance.random() < 0.5 else EMPTY_WORDS)
        if role in ("critic", "paper") and chance.random() < 0.3:
            words = chance.choice(ABOUT_FANS)
        deep = chance.choice(other.paths) if chance.random() < 0.3 else "/"
        anchor = f'<a href="http://{other.domain}{deep}">{words.format(name=other.name)}</a>'
        body.insert(chance.randint(1, len(body)), f"<p>{anchor}</p>")
    foot = (
        f'<a href="http://{other.domain}/">{FOOTERS[n % len(FOOTERS)].format(name=other.name)}</a>'
        for n, other in enumerate(site.footer)
    )
    page = f"<title>{html.escape(title)}</title>{''.join(body)}<footer>{' '.join(foot)}</footer>"
    return page.encode()
