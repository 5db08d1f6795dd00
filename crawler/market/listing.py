"""One ad as its library lists it: the fields of Meta's and of Google's library, whatever tool wrote them down.

Every field is taken out of its row by name. What is left over is told to the user; what breaks the meaning raises.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from crawler.blocks import Block, _keep
from crawler.frontier import clean
from crawler.market.fields import Row, short
from crawler.page import Ad
from data.domains import registrable_domain

META = "meta"
GOOGLE = "google"
BARE_HOST = re.compile(r"(?:[a-z0-9-]+\.)+[a-z][a-z0-9-]+(?:[/?#]\S*)?", re.I)
GOOGLE_AD = re.compile(r"/advertiser/(AR\d+)/creative/(CR\d+)")


@dataclass(slots=True)
class Listing:
    """One ad; `json` is what is archived of it; `unknown` columns and `odd` (column, value) were not read."""

    url: str
    title: str | None
    blocks: list[Block]
    links: list[tuple[str, str]]
    ad: Ad
    json: bytes
    unknown: list[str]
    odd: list[tuple[str, str]]


def meta(fields: dict[str, Any]) -> Listing:
    """An ad of Meta's Ad Library, by the names of `ads_archive` or its exports. Raises ValueError: field, value."""
    row = Row(fields)
    snapshot = row.text("adsnapshoturl") or ""
    ad_id = row.text("adarchiveid", "libraryid", "id", "adid") or next(iter(re.findall(r"[?&]id=(\d+)", snapshot)), "")
    if not re.fullmatch(r"[0-9]{1,30}", ad_id):
        raise ValueError(f"ad id {short(ad_id)} is no number (a spreadsheet shortens long numbers: export it anew)")
    bodies = row.texts("adcreativebodies", "adcreativebody")
    titles = row.texts("adcreativelinktitles", "adcreativelinktitle")
    descriptions = row.texts("adcreativelinkdescriptions", "adcreativelinkdescription")
    captions = row.texts("adcreativelinkcaptions", "adcreativelinkcaption")
    payers = row.records("beneficiarypayers")
    payer = next((name for record in payers if isinstance(name := record.get("payer"), str) and name), None)
    bylines = row.texts("bylines", "byline", "fundingentity", "disclaimer")
    breakdown = row.records("agecountrygenderreachbreakdown")
    places = row.records("targetlocations")
    countries = [record.get("country") for record in breakdown] or [
        record.get("name") for record in places if record.get("excluded") is not True
    ]
    currency = row.text("currency")
    spend, reach, shown = row.range("spend"), row.range("eutotalreach"), row.range("impressions")
    row.take("languages", "estimatedaudiencesize", "demographicdistribution", "deliverybyregion", "regiondistribution")
    row.take(
        "adcreationtime",
        "targetages",
        "targetgender",
        "mediatype",
        "totalreachbylocation",
        "brtotalreach",
        "potentialreach",
    )
    links = _links(captions)
    ad = Ad(
        library=META,
        ad=ad_id,
        advertiser=row.text("pagename"),
        advertiser_id=row.text("pageid"),
        payer=payer or ", ".join(bylines) or None,
        started=row.date("addeliverystarttime"),
        stopped=row.date("addeliverystoptime"),
        landing=links[0][0] if links else None,
        countries=_names(countries),
        platforms=_names(name for text in row.texts("publisherplatforms") for name in text.split(",")),
        reach=reach or (f"impressions {shown}" if shown else None),
        spend=f"{spend} {currency or ''}".strip() if spend else None,
    )
    texts = [("heading", t) for t in titles] + [("text", t) for t in bodies + descriptions]
    return _listing(f"https://www.facebook.com/ads/library/?id={ad_id}", ad, texts, captions, links, row, fields)


def google(fields: dict[str, Any]) -> Listing:
    """An ad of Google's Ads Transparency Center, as tools and its public dataset write it. Raises ValueError."""
    row = Row(fields)
    page = row.text("creativepageurl", "adlibraryurl", "gatclink", "detailsurl", "url") or ""
    ids = GOOGLE_AD.search(page)
    advertiser_id = row.text("advertiserid") or (ids[1] if ids else "")
    creative = row.text("creativeid", "id") or (ids[2] if ids else "")
    for name, value, letters in (("advertiser id", advertiser_id, "AR"), ("creative id", creative, "CR")):
        if not re.fullmatch(rf"{letters}\d{{1,30}}", value):
            raise ValueError(f"{name} {short(value)} is not {letters} and a number")
    regions = row.records("regionstats", "regiondata")
    names = row.texts("regions", "regionlist", "region", "regioncode", "countries")
    shown = row.range("timesshown", "impressions")
    titles = row.texts("headlines", "headline", "title")
    texts = row.texts("descriptions", "description", "adtext", "text", "body", "variantcontent")
    # what a tool was asked for (target domain) says nothing of where an ad leads
    row.take("targetdomain", "domain")
    landing = [link for link in _links(row.texts("destinationurl", "landingpage", "originalurl")) if _outside(link[0])]
    by_region = [Row(region) for region in regions]
    codes = [region.text("regioncode", "region") for region in by_region]
    started = [day for region in by_region if (day := row.iso("firstshown", region.text("firstshown")))]
    stopped = [day for region in by_region if (day := row.iso("lastshown", region.text("lastshown")))]
    row.take("format", "adformat", "adformattype", "varianttype", "variantformat", "topic", "previewurl", "imageurl")
    row.take("advertiserlocation", "advertisercountry", "country", "advertiserverificationstatus", "starturl", "query")
    row.take("audienceselectionapproachinfo", "numserveddays", "daysactive", "variants", "mediastorekeys", "videourl")
    ad = Ad(
        library=GOOGLE,
        ad=creative,
        advertiser=row.text("advertiserdisclosedname", "advertisername", "advertiser", "advertiserlegalname"),
        advertiser_id=advertiser_id,
        payer=row.text("paidforby", "fundedby"),
        started=row.date("firstshown", "firstseen", "firstshownat") or min(started, default=None),
        stopped=row.date("lastshown", "lastseen", "lastshownat") or max(stopped, default=None),
        landing=landing[0][0] if landing else None,
        countries=_names(codes or (name for text in names for name in text.split(","))),
        platforms=_names(name for text in row.texts("platforms", "surfaces") for name in text.split(",")),
        reach=f"times shown {shown}" if shown else None,
    )
    url = f"https://adstransparency.google.com/advertiser/{advertiser_id}/creative/{creative}"
    parts = [("heading", text) for text in titles] + [("text", text) for text in texts]
    return _listing(url, ad, parts, [], landing, row, fields)


def _outside(url: str) -> bool:
    """Some tools name their own page of the library as the original address."""
    return registrable_domain(urlsplit(url).hostname or "") != "google.com"


def _listing(
    url: str,
    ad: Ad,
    texts: list[tuple[str, str]],
    captions: list[str],
    links: list[tuple[str, str]],
    row: Row,
    fields: dict[str, Any],
) -> Listing:
    # ASCII: no text that a stranger writes is unfit for it; keys in order: one ad is the same bytes on every page
    archived = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode("ascii")
    parts = [*texts, *(("link", caption) for caption in captions)]
    blocks = text_blocks(parts)
    title = next((block.text[:200] for block in blocks if block.kind == "heading"), ad.advertiser)
    return Listing(url, title, blocks, links, ad, archived, row.unknown(), row.odd)


def text_blocks(parts: Iterable[tuple[str, str]]) -> list[Block]:
    """(kind, text) pairs as blocks, by the rules of blocks.py: clean, none twice, long ones cut at a space."""
    found: dict[str, Block] = {}
    for kind, text in parts:
        _keep(found, kind, text)
    return list(found.values())


def _names(values: Iterable[object]) -> list[str]:
    """Names and codes, sorted, each once."""
    return sorted({name for value in values if isinstance(value, str) and (name := value.strip())})


def _links(captions: list[str]) -> list[tuple[str, str]]:
    """The addresses that captions show: "likeo.example" is one, "Likéo, fans for all" is none."""
    found: dict[str, str] = {}
    for caption in captions:
        text = caption.strip()
        address = text if text.lower().startswith(("http://", "https://")) else f"https://{text}"
        try:
            if (
                len(text) < 500
                and BARE_HOST.fullmatch(address.partition("://")[2])
                and registrable_domain(urlsplit(address).hostname or "")
            ):
                found.setdefault(clean(address), text)
        except ValueError:
            continue  # "https://shop.example:99999" leads nowhere
    return list(found.items())
