"""A small filled working store with a real archive, for tests of all after the classifier. Invented firms only."""

import gzip
import hashlib
import io
import json
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from datasette.app import Datasette
from sqlite_utils import Database
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from catalog.publish import publish
from catalog.serve import METADATA, SETTINGS
from catalog.vendors import assign_vendors
from crawler.blocks import Block
from crawler.page import digest
from data.migrations import open_store

WARC = "crawl-0001.warc.gz"


@dataclass
class StoreBuilder:
    """Adds captures to a store and their WARC records to an archive folder; ids are given in order."""

    folder: Path
    db: Database = field(init=False)

    def __post_init__(self) -> None:
        self.db = open_store(self.folder / "fantomes.db")
        self.archive.mkdir(exist_ok=True)

    @property
    def archive(self) -> Path:
        return self.folder / "archive"

    def page(
        self,
        url: str,
        blocks: list[tuple],  # (kind, text) or (kind, text, {label: quote or (quote, score)})
        *,
        source: str = "site",  # its kind; one source a kind
        title: str = "",
        voice: str = "promotion",
        voice_score: float = 0.97,
        lang: str = "en",
        fetched_at: str = "2026-11-20T10:00:00Z",
        links: tuple[str, ...] = (),
        encoding: str = "",  # "gzip" (content) or "chunked" (transfer)
    ) -> int:
        """One capture with its blocks, claims, links and archived answer. Returns its id."""
        body = "\n".join(f"<p>{text}</p>" for _, text, *_ in blocks).encode()
        offset, length, sha256 = self._archive(url, body, encoding, fetched_at)
        self.db.table("sources").upsert(
            {"id": f"{source}-source", "kind": source, "url": f"http://{source}.example/", "title": f"A {source}"},
            pk="id",
        )
        row = {
            "url": url,
            "source_id": f"{source}-source",
            "fetched_at": fetched_at,
            "last_seen_at": fetched_at,
            "status": 200,
            "sha256": sha256,
            "text_sha256": digest([Block(kind, text) for kind, text, *_ in blocks]),
            "warc": WARC,
            "warc_offset": offset,
            "warc_length": length,
            "charset": "utf-8",
            "lang": lang,
            "title": title,
            "voice": voice,
            "voice_score": voice_score,
            "model": "test-1",
            "kind": "release" if source == "feed" else "page",
        }
        page_id = self.db.table("pages").insert(row).last_pk
        for url_ in links:
            self.db.table("links").insert({"page_id": page_id, "url": url_, "host": url_.split("/")[2], "text": ""})
        for position, (kind, text, *tags) in enumerate(blocks):
            block = {"page_id": page_id, "position": position, "kind": kind, "text": text}
            block_id = self.db.table("blocks").insert(block).last_pk
            for label, tag in (tags[0] if tags else {}).items():
                quote, score = tag if isinstance(tag, tuple) else (tag, 0.995)
                self._claim(page_id, block_id, text, label, quote, score)
        return page_id

    def _claim(self, page_id: int, block_id: int, text: str, label: str, quote: str, score: float) -> None:
        start = text.index(quote)
        claim_id = hashlib.sha256(f"{page_id} {block_id} {label} {start}".encode()).hexdigest()[:16]
        self.db.table("claims").insert(
            {
                "id": claim_id,
                "page_id": page_id,
                "block_id": block_id,
                "label": label,
                "score": score,
                "start": start,
                "end": start + len(quote),
                "quote": quote,
                "rule": None,
                "model": "test-1",
            }
        )

    def _archive(self, url: str, body: bytes, encoding: str, fetched_at: str) -> tuple[int, int, str]:
        headers = [("Content-Type", "text/html; charset=utf-8")]
        if encoding == "gzip":
            body = gzip.compress(body, mtime=0)
            headers.append(("Content-Encoding", "gzip"))
        sha256 = hashlib.sha256(body).hexdigest()
        if encoding == "chunked":
            headers.append(("Transfer-Encoding", "chunked"))
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        with (self.archive / WARC).open("ab") as file:
            offset = file.tell()
            writer = WARCWriter(file, gzip=True, warc_version="WARC/1.1")
            http = StatusAndHeaders("200 OK", headers, protocol="HTTP/1.1")
            date = {"WARC-Date": fetched_at}
            writer.write_record(
                writer.create_warc_record(url, "response", io.BytesIO(body), warc_headers_dict=date, http_headers=http)
            )
            return offset, file.tell() - offset, sha256


HOSTILE = (
    "<script>alert(1)</script> <img src=x onerror=alert(2)> \u202egnitset\u202c '); DROP TABLE claims;-- {{ 7*7 }} "
    '=HYPERLINK("http://evil.test") \u200f\u0001 100% real fans'
)
"""What a seller may write into a page to harm its reader."""


def fill(folder: Path) -> StoreBuilder:
    """The store that most tests use: two sellers with sites, one release on a wire, a critic, and hostile text."""
    store = StoreBuilder(folder)
    store.page(
        "http://likeo.example/",
        [
            ("title", "Likéo - des fans pour tous"),
            (
                "heading",
                "10 000 abonnés français, livrés en 5 minutes",
                {"local": "abonnés français", "instant": "livrés en 5 minutes"},
            ),
            ("text", "Choisissez votre forfait Instagram."),
            ("item", "Abonnés garantis à vie : un évènement unique !", {"guarantee": "Abonnés garantis à vie"}),
            (
                "text",
                "De vrais comptes, sans mot de passe, et le tout gratuitement pour l'été.",
                {
                    "real": "De vrais comptes",
                    "safe": ("sans mot de passe", 0.99),
                    "free": ("le tout gratuitement", 0.6),
                },
            ),
            ("link", "http://likeo.example/forfaits"),
            ("text", "Payez par carte."),
        ],
        title="Likéo - des fans pour tous",
        lang="fr",
        encoding="gzip",
    )
    store.page(
        "http://likeo.example/faq",
        [
            ("heading", "Questions"),
            ("text", "Vos abonnés sont-ils de vraies personnes ?"),
            (
                "text",
                "Oui, chaque abonné est une vraie personne sur Instagram.",
                {"real": "chaque abonné est une vraie personne"},
            ),
            ("text", "Nous sommes n° 1 en France depuis 2012.", {"endorsed": "n° 1 en France depuis 2012"}),
        ],
        title="FAQ | Likéo",
        lang="fr",
        fetched_at="2026-11-21T09:30:00Z",
    )
    store.page(
        "http://likeo.example/contact",
        [("text", "Écrivez-nous.")],
        title="Contact | Likéo",
        lang="fr",
        voice="neutral",
        voice_score=0.6,
    )
    store.page(
        "https://shop.crowdly.test/buy?ref=http://likeo.example/",
        [
            ("heading", "Real followers, instant delivery", {"real": "Real followers", "instant": "instant delivery"}),
            ("text", "30-day refill guarantee on every TikTok order.", {"guarantee": "30-day refill guarantee"}),
            ("text", HOSTILE, {"real": ("100% real fans", 0.99)}),
            (
                "text",
                "Become the name that everyone on YouTube trusts; sales follow.",
                {"credibility": "the name that everyone on YouTube trusts", "business": "sales follow"},
            ),
            ("button", "https://shop.crowdly.test/checkout"),
        ],
        title="</title><script>alert(3)</script> Crowdly",
        encoding="chunked",
        fetched_at="2026-11-19T23:59:00Z",
    )
    store.page(
        "http://wire.example/releases/7",
        [
            ("heading", "Likéo lance les fans instantanés"),
            (
                "text",
                "Les fans arrivent en une minute, promet la société.",
                {"instant": "Les fans arrivent en une minute"},
            ),
        ],
        source="feed",
        title="Likéo lance les fans instantanés - Wire",
        lang="fr",
        links=(
            "http://www.likeo.example/?utm_source=wire",
            "https://www.facebook.com/likeo",
            "http://wire.example/about",
        ),
    )
    store.page(
        "http://critic.example/billet",
        [("text", "On m'a promis de vrais fans : j'ai ri."), ("quote", "De vrais fans, garantis !")],
        title="Le billet",
        lang="fr",
        voice="criticism",
        voice_score=0.99,
    )
    return store


def served(store: StoreBuilder) -> Datasette:
    """The store published, and Datasette over it with the settings of `fantomes serve`."""
    assign_vendors(store.db)
    publish(store.db, store.archive, store.folder / "catalog.db")
    settings = {name: json.loads(value) if value.isdigit() else value == "on" for name, value in SETTINGS.items()}
    return Datasette(
        immutables=[str(store.folder / "catalog.db")],
        metadata=yaml.safe_load(METADATA.read_text(encoding="utf-8")),
        settings=settings,
    )
