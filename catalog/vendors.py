"""From pages to vendors: one vendor = one registrable domain, and a doubt means no vendor.

Naming the wrong firm is unforgivable. Two guards stand here: what a press-release wire carries is never the wire's,
and one misjudged page makes no vendor (numbers and reasons: data/publication.yml).
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from sqlite_utils import Database

from catalog.domains import KnownDomains, domain_of, load_known_domains
from catalog.policy import PublicationPolicy, load_policy
from catalog.taxonomy import load_taxonomy

LATEST_PAGES = """
    SELECT pages.*, sources.kind AS source_kind FROM pages JOIN sources ON sources.id = pages.source_id
    WHERE pages.id = (
        SELECT id FROM pages AS other WHERE other.url = pages.url
        ORDER BY last_seen_at DESC, fetched_at DESC, id DESC LIMIT 1)
"""
"""The latest capture of each address: what the catalogue speaks of."""

SPOKEN_FOR = ("release", "ad", "app")  # kinds of page that stand on somebody else's domain
_FRONT_PAGE = re.compile(r"/?(index\.\w+)?")


@dataclass
class _Domain:
    """What the latest captures of one domain's own pages show (releases on wires do not count)."""

    voices: list[float] = field(default_factory=list)  # of each page, how sure it is that it promotes
    blocks: int = 0
    claim_blocks: int = 0  # those with a claim that may be published
    front: bool | None = None  # does the front page promote? None = it was not captured
    titles: Counter[str] = field(default_factory=Counter)


def assign_vendors(db: Database, progress: Callable[[int], None] = lambda n: None) -> dict[str, int]:
    """Rebuild the store's vendors from its pages and say in claims.vendor_id whose each claim is (null = nobody's).

    Returns counts: vendors, pages (read), releases, releases_without_vendor, domains_refused (a publishable claim, but
    not enough that shows a seller). Raises CatalogError.
    """
    policy = load_policy(load_taxonomy().labels)
    known = load_known_domains()
    with db.atomic():
        wires = _wires(db, known)
        domains: dict[str, _Domain] = {}
        owners: dict[int, str] = {}  # latest capture -> the domain that its claims would go to
        releases: set[int] = set()
        pages = list(db.query(LATEST_PAGES))
        for page in pages:
            domain = domain_of(page["url"])
            if domain in wires or page["kind"] in SPOKEN_FOR:
                releases.add(page["id"])
                domain = _subject(db, page, known, wires)
            elif domain is not None and domain not in known.platforms:
                _count(db, domains.setdefault(domain, _Domain()), page, policy)
            if domain is not None:
                owners[page["id"]] = domain
            progress(1)
        accepted = {domain for domain, seen in domains.items() if _is_vendor(seen, policy)}
        owners = {page: domain for page, domain in owners.items() if domain in accepted}
        db.execute("UPDATE claims SET vendor_id = NULL WHERE vendor_id IS NOT NULL")
        db.execute("DELETE FROM vendors")
        db.table("vendors").insert_all(
            {"id": vendor_id(domain), "name": vendor_name(domain, domains[domain].titles), "domain": domain}
            for domain in sorted(accepted)
        )
        for page_id, domain in owners.items():
            db.execute("UPDATE claims SET vendor_id = ? WHERE page_id = ?", [vendor_id(domain), page_id])
    return {
        "vendors": len(accepted),
        "pages": len(pages),
        "releases": len(releases),
        "releases_without_vendor": len(releases - set(owners)),
        "domains_refused": sum(1 for domain, seen in domains.items() if seen.claim_blocks and domain not in accepted),
    }


def vendor_id(domain: str) -> str:
    """The id of the vendor behind a registrable domain. No two domains share one: a domain has no underscore."""
    return domain.replace(".", "_")


def vendor_name(domain: str, titles: Counter[str]) -> str:
    """A name to show: the part of a page title that spells the domain's name ("Likéo - fans" on likeo.example), the
    one met most often; without such a part the domain's name capitalised. Titles are the seller's words: never more."""
    label = domain.split(".")[0]
    matches: Counter[str] = Counter()
    for title, times in titles.items():
        for part in re.split(r"\s+[-–—|·•:»]+\s+|[|·•»]|[:,]\s", title):
            part = " ".join(part.split())
            if _bare(part) == _bare(label) and part.isprintable():
                matches[part] += times
    if matches:
        return max(matches, key=lambda part: (matches[part], part))
    return label if label.startswith("xn--") else label.capitalize()


def _bare(text: str) -> str:
    folded = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in folded if letter.isalnum() and letter.isascii())


def _wires(db: Database, known: KnownDomains) -> set[str]:
    """Domains that carry other firms' releases: the known ones, and those on which releases were captured
    (then a page of that domain which came by another way, such as a WARC, is a release too)."""
    rows = db.query(
        "SELECT DISTINCT pages.url, pages.kind FROM pages JOIN sources ON sources.id = source_id"
        " WHERE sources.kind = 'feed' OR pages.kind = 'release'"
    )
    pages = [(domain_of(row["url"]), row["kind"]) for row in rows]
    advertised = {domain_of(row["advertised"] or "") for row in db.query("SELECT DISTINCT advertised FROM releases")}
    # a feed's source also visits the front page that a release leads to: that site carries nobody's releases
    found = {domain for domain, kind in pages if kind == "release" or domain not in advertised}
    return {domain for domain in found if domain is not None} | known.wires


def _subject(db: Database, page: dict[str, Any], known: KnownDomains, wires: set[str]) -> str | None:
    """The domain for which a page speaks that stands on somebody else's: the one site that it advertises, or nobody's.

    Whoever pays for an ad may write another firm's address under it: the advertiser's name must spell the domain's.
    """
    release = next(db.query("SELECT advertised FROM releases WHERE page_id = ?", [page["id"]]), None)
    if release is not None:
        urls = [release["advertised"] or ""]
    else:
        urls = [link["url"] for link in db.query("SELECT url FROM links WHERE page_id = ?", [page["id"]])]
    found = {domain_of(url) for url in urls} - known.platforms - wires - {None}
    domain = found.pop() if len(found) == 1 else None
    if domain is not None and page["kind"] == "ad":
        ad = next(db.query("SELECT advertiser FROM ads WHERE page_id = ?", [page["id"]]), {"advertiser": None})
        if _bare(domain.split(".")[0]) != _bare(ad["advertiser"] or ""):
            return None
    return domain


def _count(db: Database, domain: _Domain, page: dict[str, Any], policy: PublicationPolicy) -> None:
    promotes = policy.promotes(page["voice"], page["voice_score"])
    domain.voices.append(page["voice_score"] if page["voice"] == "promotion" else 0.0)
    if _FRONT_PAGE.fullmatch(urlsplit(page["url"]).path):
        domain.front = promotes or bool(domain.front)  # www and bare name, http and https: one of them is enough
    domain.titles[page["title"] or ""] += 1
    domain.blocks += db.execute("SELECT count(*) FROM blocks WHERE page_id = ?", [page["id"]]).fetchone()[0]
    query = (
        "SELECT block_id, label, score, status, decision FROM claims"
        " LEFT JOIN claim_decisions ON claim_decisions.claim_id = claims.id WHERE claims.page_id = ?"
    )
    claims, voice = db.query(query, [page["id"]]), (page["voice"], page["voice_score"])
    domain.claim_blocks += len(
        {
            claim["block_id"]
            for claim in claims
            if claim["decision"] == "confirmed"
            or (
                claim["decision"] is None
                and policy.lets_through(claim["status"], *voice, claim["label"], claim["score"])
            )
        }
    )


def _is_vendor(domain: _Domain, policy: PublicationPolicy) -> bool:
    """Where the front page was captured it must promote too.

    A shop of ceiling fans or a research blog can have a page that reads like a seller's; such a front page it has not.
    """
    if domain.front is False or not domain.claim_blocks:
        return False
    return any(
        sum(voice >= rule.voice_score for voice in domain.voices) >= rule.min_promotion_share * len(domain.voices)
        and domain.claim_blocks >= rule.min_claim_share * domain.blocks
        for rule in policy.vendors
    )
