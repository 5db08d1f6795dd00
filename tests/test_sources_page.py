"""What the catalogue says of its sources, of people's decisions, and of how long words stood there."""

import asyncio
import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import yaml
from datasette.app import Datasette

from catalog.messages import messages
from catalog.publish import publish
from catalog.serve import METADATA
from catalog.vendors import assign_vendors
from tests.store import StoreBuilder, fill

HEALTH = ("ok", "below-floor", "incomplete", "silent", "failing", "never")


def state(name: str, health: str = "ok", **changes: Any) -> dict[str, Any]:
    row = {"id": name, "kind": "site", "title": name, "health": health, "state": "finished", "pages": 12, "blocks": 340}
    return (
        row
        | {"started_at": "2026-11-18T10:00:00Z", "finished_at": "2026-11-19T10:00:00Z", "gave": "2026-11-19"}
        | changes
    )


@pytest.fixture
def store(tmp_path: Path) -> StoreBuilder:
    return fill(tmp_path)


def published(
    store: StoreBuilder, health: list[dict[str, Any]] | None = None
) -> tuple[dict[str, Any], sqlite3.Connection]:
    assign_vendors(store.db)
    counts = publish(store.db, store.archive, store.folder / "catalog.db", health=health)
    connection = sqlite3.connect(store.folder / "catalog.db")
    connection.row_factory = sqlite3.Row
    return counts, connection


def shown(store: StoreBuilder, path: str) -> str:
    """The words of a page of ours."""
    metadata = yaml.safe_load(METADATA.read_text(encoding="utf-8"))
    datasette = Datasette(immutables=[str(store.folder / "catalog.db")], metadata=metadata)
    answer = asyncio.run(datasette.client.get(path))
    assert answer.status_code == 200, path
    main = re.sub(r"(?s).*<main|</main>.*", "", answer.text)
    return " ".join(re.sub(r"<[^>]+>", " ", main).replace("\u00a0", " ").split())


def decide(store: StoreBuilder, quote: str, decision: str) -> None:
    """What a person says of the claim with this quote."""
    store.db.execute(
        "INSERT INTO reviews (url, sha256, position, label, lang, kind, context, text, decision, reviewer, decided_at)"
        " SELECT url, sha256, position, label, 'fr', blocks.kind, '', text, ?, 'ann', '2026-11-22' FROM claims"
        " JOIN blocks ON blocks.id = block_id JOIN pages ON pages.id = claims.page_id WHERE quote = ?",
        [decision, quote],
    )


def test_the_page_says_how_each_source_is(store: StoreBuilder) -> None:
    rows = [state(f"source-{word}", word) for word in HEALTH]
    rows[5] |= {"gave": None, "pages": 0}
    rows.append(state("quiet", "never", state=None))  # never visited: nothing to say
    rows.append(state("panel", kind="panel", title="Tarifs de http://likeo.example/ et likeo.example, etc."))
    store.db.execute("INSERT INTO sources VALUES ('warc:a.warc.gz', 'archive', NULL, 'a.warc.gz')")
    store.db.execute("UPDATE pages SET source_id = 'warc:a.warc.gz' WHERE id = 4")
    published(store, rows)
    for lang in ("en", "fr"):
        text, t = shown(store, f"/{lang}/sources"), messages(lang)
        assert "://" not in text.replace("hxxp://", "")
        for word in HEALTH:
            assert f"source-{word}" in text
            assert t.table["sources_states"][word] in text
        assert "quiet" not in text
        assert "hxxp://likeo[.]example/ et likeo[.]example, etc." in text
        assert t.table["sources_never"] in text
        assert (t.table["sources_unknown"] in text, t.table["sources_given"] in text) == (True, True)
    assert "19 November 2026" in shown(store, "/en/sources")
    assert "19 novembre 2026" in shown(store, "/fr/sources")


def test_the_table_holds_the_same_and_no_address_that_was_not_published(store: StoreBuilder) -> None:
    _, catalog = published(store, [state("site-source", title="A site"), state("other", "silent")])
    rows = {row["id"]: dict(row) for row in catalog.execute("SELECT * FROM sources")}
    assert set(rows) == {"site-source", "feed-source", "other"}
    assert rows["site-source"]["url"] == "hxxp://site[.]example/"
    assert rows["other"] == {
        **{
            "id": "other",
            "kind": "site",
            "title": "other",
            "url": None,
            "health": "silent",
            "pages": 12,
            "blocks": 340,
        },
        **{"last_run_at": "2026-11-19T10:00:00Z", "last_gave_at": "2026-11-19"},
    }
    assert rows["feed-source"]["health"] is None


def test_without_a_report_the_page_still_answers(store: StoreBuilder) -> None:
    store.db.execute("DELETE FROM claims")
    published(store)
    assert messages("en").table["sources_none"] in shown(store, "/en/sources")


def test_the_report_of_the_crawler_fits(store: StoreBuilder) -> None:
    """Both rooms meet here: what crawler.health gives is what publish takes."""
    from datetime import date

    from crawler.health import HEALTH as words
    from crawler.health import report
    from crawler.sources import Source

    assert set(words) == set(HEALTH) == set(messages("en").table["sources_states"])
    run = {"source_id": "site-source", "started_at": "2026-11-19T10:00:00Z", "finished_at": "2026-11-19T11:00:00Z"}
    store.db.table("runs").insert(run)
    source = Source("site-source", "site", "Shops", "me", ("http://likeo.example/",))
    _, catalog = published(store, json.loads(json.dumps(report(store.db, [source], date(2026, 11, 20)))))
    row = catalog.execute("SELECT * FROM sources WHERE id = 'site-source'").fetchone()
    assert (row["title"], row["health"], row["last_run_at"]) == ("Shops", "never", "2026-11-19T11:00:00Z")
    assert row["url"] == "hxxp://site[.]example/"  # of the page published


def test_what_a_person_rejected_is_never_published(store: StoreBuilder) -> None:
    decide(store, "Real followers", "rejected")
    counts, catalog = published(store)
    quotes = {row["quote"] for row in catalog.execute("SELECT quote FROM claims")}
    assert "Real followers" not in quotes
    assert "instant delivery" in quotes  # another claim of the same block
    assert (counts["rejected"], counts["claims"]) == (1, 13)


def test_what_a_person_confirmed_says_so_whatever_its_score(store: StoreBuilder) -> None:
    decide(store, "le tout gratuitement", "confirmed")
    counts, catalog = published(store)
    row = catalog.execute("SELECT * FROM claims WHERE quote = 'le tout gratuitement'").fetchone()
    assert (row["status"], row["policy"]) == ("confirmed", "review")
    assert counts["below_policy"] == 0
    for lang in ("en", "fr"):
        text, table = shown(store, f"/{lang}/claim/{row['id']}"), messages(lang).table
        assert table["confirmed_note"] in text
        assert table["machine_note"] not in text


def test_a_decision_does_not_survive_a_changed_word(store: StoreBuilder) -> None:
    decide(store, "le tout gratuitement", "confirmed")
    decide(store, "sans mot de passe", "rejected")
    store.db.execute("UPDATE blocks SET text = replace(text, 'été', 'hiver')")
    counts, catalog = published(store)
    quotes = {row["quote"]: row["status"] for row in catalog.execute("SELECT quote, status FROM claims")}
    assert "le tout gratuitement" not in quotes  # pending again, and below the policy
    assert quotes["sans mot de passe"] == "machine"
    assert counts["rejected"] == 0


def test_claims_and_vendors_say_until_when(store: StoreBuilder) -> None:
    """An address that is gone says so in careful words; one that is there says when somebody looked."""
    at = {"first_seen_at": "2026-11-20T10:00:00Z", "last_seen_at": "2026-11-21T09:30:00Z"}
    checks = {"http://likeo.example/faq": "2026-11-25T08:00:00Z", "http://likeo.example/": None}
    for url, gone in checks.items():
        row = {"url": url, **at, "last_checked_at": "2026-11-26T08:00:00Z", "gone_since": gone, "outcome": "stored"}
        store.db.table("addresses").insert(row)
    _, catalog = published(store)
    row = catalog.execute("SELECT * FROM claims WHERE label = 'endorsed'").fetchone()
    assert (row["first_seen_at"], row["last_seen_at"]) == ("2026-11-21T09:30:00Z", "2026-11-21T09:30:00Z")
    assert (row["last_checked_at"], row["gone_since"]) == ("2026-11-26T08:00:00Z", "2026-11-25T08:00:00Z")
    there = catalog.execute("SELECT * FROM claims WHERE label = 'instant' AND vendor_id = 'likeo_example'").fetchone()
    assert there["gone_since"] is None
    english = shown(store, f"/en/claim/{row['id']}")
    assert "last checked on 26 November 2026 · no longer found there since 25 November 2026" in english
    assert "Not found there any more since 25 November 2026, 08:00 UTC" in english
    assert "n’y figure plus depuis le 25 novembre 2026" in shown(store, f"/fr/claim/{row['id']}")
    assert "no longer" not in shown(store, f"/en/claim/{there['id']}")
    vendor = shown(store, "/en/vendor/likeo_example")
    assert "Last checked on 26 November 2026." in vendor
    assert vendor.count("no longer found there since 25 November 2026") == 2  # the claims of the page that is gone
