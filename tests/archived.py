"""A store like that of tests/store.py over an archive that our own Archive wrote: dated records, requests, chain."""

import json

from crawler.archive import Archive
from tests.store import StoreBuilder

SHOP = "https://www.shop.example/"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
ASK = b"GET / HTTP/1.1\r\nHost: www.shop.example\r\n\r\n"
BLOCKS = [
    ("title", "Shop of fans"),
    ("text", "Only real followers, as we say since 2012.", {"real": "real followers"}),
    ("text", "Instant delivery, on every order you place.", {"instant": "Instant delivery"}),
]


class Archived(StoreBuilder):
    """Pages in an archive that our own Archive wrote, with requests and chain."""

    def __post_init__(self):
        super().__post_init__()
        self.writer = Archive(self.archive, "test")

    def page(self, url, blocks, *, fetched_at="2026-11-20T10:00:00Z", extra=b"", **more):
        self.date, self.extra = fetched_at, extra
        page = super().page(url, blocks, fetched_at=fetched_at, **more)
        self.db.execute("UPDATE pages SET warc = ? WHERE id = ?", [self.record.warc, page])
        return page

    def _archive(self, url, body, encoding, fetched_at):
        self.record = self.writer.response(url, self.date, HEAD, body + self.extra, ASK)
        return self.record.offset, self.record.length, self.record.sha256


def claim_ids(db, page):
    return [row["id"] for row in db.query("SELECT id FROM claims WHERE page_id = ? ORDER BY block_id", [page])]


def archived_ad(folder):
    """An ad, a `conversion` of the library's third answer, with one claim. Returns store, page id and payload."""
    store, date, url = Archived(folder), "2026-11-20T10:00:00Z", "https://library.example/ads?id=7"
    answer = HEAD.replace(b"text/html", b"application/json")
    for number in range(3):
        answered = store.writer.response(f"https://library.example/api?page={number}", date, answer, b"[%d]" % number)
    text = 'De "vrais" abonnés, livrés en 5 min'
    ad = json.dumps({"body": text}, ensure_ascii=False).encode()
    record = store.writer.conversion(url, date, "application/json", ad, of=answered)
    store.writer.close()
    page = store.page(url, [("text", text, {"instant": "livrés en 5 min"})], lang="fr")
    store.writer.close()
    place = [record.warc, record.offset, record.length, record.sha256, page]
    store.db.execute("UPDATE pages SET warc=?, warc_offset=?, warc_length=?, sha256=?, kind='ad' WHERE id=?", place)
    return store, page, ad
