"""Change over time: what differs between captures, what people decided, since when words stood there."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from crawler.changes import ChangesError, compare, describe, diff
from crawler.page import Capture, Offer, Page, Record, digest
from crawler.store import save_check, save_page, save_source
from data.migrations import open_store, write

URL = "http://brume.example/forfaits"
DAYS = [f"2026-11-{day:02}T10:00:00Z" for day in range(1, 29)]
PROMISE = "De vrais fans, livrés aujourd'hui"


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    db = open_store(tmp_path_factory.mktemp("store") / "fantomes.db")
    with write(db):
        save_source(db, "s", "site", URL, "S")
    yield db
    db.close()


@pytest.fixture
def db(opened: Database) -> Database:
    clear(opened)
    return opened


def clear(db: Database) -> None:
    for table in ("reviews", "claims", "offers", "blocks", "pages", "addresses"):
        db.execute(f"DELETE FROM {table}")


def saw(db: Database, day: int, *texts: Any, url: str = URL, offers: tuple[str, ...] = ()) -> int:
    """A capture of `url` on a day of November, one block a text (or (kind, text)); its page's id, 0 if unchanged."""
    from crawler.blocks import Block

    blocks = [Block(*text) if isinstance(text, tuple) else Block("text", text) for text in texts]
    at, sha256 = DAYS[day - 1], digest(blocks)
    capture = Capture(url, at, 200, "text/html", b"", Record("w", 0, 0, sha256))
    page = Page(capture, "utf-8", None, blocks, text_sha256=sha256, offers=[Offer(key, key) for key in offers])
    with write(db):
        new = save_page(db, "s", page)
    return db.execute("SELECT max(id) FROM pages").fetchone()[0] if new else 0


def tag(db: Database, page: int, text: str, quote: str | None = None, label: str = "real", nth: int = 0) -> str:
    """Tag the nth block with this text, as the classifier would. Returns the claim's id."""
    ids = db.execute("SELECT id FROM blocks WHERE page_id = ? AND text = ? ORDER BY position", [page, text]).fetchall()
    (block,), quote = ids[nth], quote or text
    start, claim = text.index(quote), f"{page}-{block}-{label}-{quote}"
    db.execute(
        'INSERT INTO claims (id, page_id, block_id, label, score, start, "end", quote, model)'
        " VALUES (?, ?, ?, ?, 1, ?, ?, ?, 'm')",
        [claim, page, block, label, start, start + len(quote), quote],
    )
    return claim


def decide(db: Database, claim: str, decision: str = "confirmed", **changes: Any) -> None:
    """What a person says of a claim, seeing its block and the one before."""
    row = next(
        db.query(
            "SELECT url, sha256, position, label, blocks.kind, text, coalesce((SELECT text FROM blocks AS other WHERE"
            " other.page_id = blocks.page_id AND other.position = blocks.position - 1), '') AS context FROM claims"
            " JOIN blocks ON blocks.id = block_id JOIN pages ON pages.id = claims.page_id WHERE claims.id = ?",
            [claim],
        )
    )
    row |= {"lang": "fr", "decision": decision, "reviewer": "ann", "decided_at": DAYS[0]}
    db.table("reviews").insert(row | changes)


def decision(db: Database, claim: str) -> str | None:
    rows = db.execute("SELECT decision FROM claim_decisions WHERE claim_id = ?", [claim]).fetchall()
    assert len(rows) == 1
    return rows[0][0]


# --- what people decided


def changed(text: str) -> st.SearchStrategy[str]:
    """The text with one character changed, taken away or put in; look-alikes among them."""
    alike = {"'": "’", " ": "\u00a0", "e": "е", "a": "а", "é": "e\u0301", "i": "і", ",": "‚", "v": "V", "D": "d"}
    swaps = [text[:i] + alike[char] + text[i + 1 :] for i, char in enumerate(text) if char in alike]
    places = st.integers(0, len(text))
    chars = st.characters(exclude_categories=("Cs", "Cc"))
    return st.one_of(
        st.sampled_from(swaps),
        st.builds(lambda i, char: text[:i] + char + text[i + 1 :], places, chars),
        st.builds(lambda i, char: text[:i] + char + text[i:], places, chars),
        st.builds(lambda i: text[:i] + text[i + 1 :], places),
    ).filter(lambda other: other != text and other.strip())


@settings(max_examples=150, deadline=None)
@given(other=changed(PROMISE), word=st.sampled_from(["confirmed", "rejected"]))
def test_one_changed_character_detaches_a_decision(opened: Database, other: str, word: str) -> None:
    clear(opened)
    before = tag(opened, saw(opened, 1, "Titre", PROMISE, "Fin"), PROMISE)
    decide(opened, before, word)
    after = tag(opened, saw(opened, 2, "Titre", other, "Fin"), other)
    assert (decision(opened, before), decision(opened, after)) == (word, None)


TEXTS = st.lists(st.sampled_from(["Livraison", "Prix : 9 €", "Contact", "Nos clients", "2026"]), max_size=4)


@settings(max_examples=100, deadline=None)
@given(above=TEXTS, below=TEXTS, other_above=TEXTS, other_below=TEXTS, word=st.sampled_from(["confirmed", "rejected"]))
def test_unchanged_words_keep_their_decision(
    opened: Database, above: list[str], below: list[str], other_above: list[str], other_below: list[str], word: str
) -> None:
    clear(opened)
    first = tag(opened, saw(opened, 1, *above, "Nos forfaits", PROMISE, *below), PROMISE)
    decide(opened, first, word)
    if page := saw(opened, 2, *other_above, "Nos forfaits", PROMISE, *other_below):
        assert decision(opened, tag(opened, page, PROMISE)) == word


@pytest.mark.parametrize("word", ["confirmed", "rejected"])
def test_the_same_sentence_elsewhere_does_not_get_it(db: Database, word: str) -> None:
    page = saw(db, 1, "Nos forfaits", PROMISE, "Ce que les autres promettent", PROMISE)
    first, second = tag(db, page, PROMISE), tag(db, page, PROMISE, nth=1)
    decide(db, first, word)
    elsewhere = tag(db, saw(db, 1, "Nos forfaits", PROMISE, url=URL + "?2"), PROMISE)
    label = tag(db, page, PROMISE, label="instant")
    assert [decision(db, claim) for claim in (first, second, elsewhere, label)] == [word, None, None, None]
    later = saw(db, 2, "Nouveau", "Nos forfaits", PROMISE, "Ce que les autres promettent", PROMISE)
    assert [decision(db, tag(db, later, PROMISE, nth=nth)) for nth in (0, 1)] == [word, None]


@pytest.mark.parametrize("after", [["Ce que les autres promettent", PROMISE], ["Nos forfaits", ("quote", PROMISE)]])
def test_another_place_needs_another_look(db: Database, after: list[Any]) -> None:
    """What is confirmed is confirmed in its sense; what was rejected is not published for having moved."""
    claim = tag(db, saw(db, 1, "Nos forfaits", PROMISE), PROMISE)
    decide(db, claim)
    moved = tag(db, saw(db, 2, *after), PROMISE)
    assert decision(db, moved) is None
    decide(db, claim, "rejected")
    assert decision(db, moved) == "rejected"


@pytest.mark.parametrize("word", ["confirmed", "rejected"])
def test_of_twins_the_one_that_was_looked_at_gets_it(db: Database, word: str) -> None:
    """In a later capture nobody can tell which of them it was: neither is confirmed, both stay rejected."""
    twins = ("Nos forfaits", PROMISE, "Nos forfaits", PROMISE)
    page = saw(db, 1, *twins)
    first, second = tag(db, page, PROMISE), tag(db, page, PROMISE, nth=1)
    decide(db, second, word)
    assert [decision(db, claim) for claim in (first, second)] == [None, word]
    later = saw(db, 2, "Nouveau", *twins)
    told = None if word == "confirmed" else word
    assert [decision(db, tag(db, later, PROMISE, nth=nth)) for nth in (0, 1)] == [told, told]


def test_twins_in_a_later_capture_are_not_confirmed(db: Database) -> None:
    decide(db, tag(db, saw(db, 1, "Nos forfaits", PROMISE), PROMISE))
    page = saw(db, 2, "Nos forfaits", PROMISE, "Nos forfaits", PROMISE)
    assert [decision(db, tag(db, page, PROMISE, nth=nth)) for nth in (0, 1)] == [None, None]


def test_the_latest_word_counts_and_comes_back_with_the_page(db: Database) -> None:
    claim = tag(db, saw(db, 1, "a", PROMISE), PROMISE)
    decide(db, claim)
    decide(db, claim, "rejected")
    decide(db, claim, reviewer="bob")
    assert decision(db, claim) == "confirmed"
    assert decision(db, tag(db, saw(db, 2, "a", PROMISE + "."), PROMISE + ".")) is None
    assert decision(db, tag(db, saw(db, 3, "a", PROMISE), PROMISE)) == "confirmed"


def test_a_page_found_to_be_a_critic_has_no_claims(db: Database) -> None:
    page = saw(db, 1, "a", PROMISE, "b", "Garanti à vie")
    claim, other = tag(db, page, PROMISE), tag(db, page, "Garanti à vie", label="guarantee")
    decide(db, claim, voice="criticism")
    assert [decision(db, one) for one in (claim, other)] == ["rejected", "rejected"]
    decide(db, other)
    assert decision(db, other) == "confirmed"  # a later word on this very claim


# --- since when, until when


def history(db: Database, view: str = "claim_history", **where: str) -> list[tuple[Any, ...]]:
    """(first seen, last seen, gone since) as days of November."""
    rows = db.query(f"SELECT * FROM {view} ORDER BY first_seen_at, last_seen_at")
    found = [row for row in rows if all(row[name] == value for name, value in where.items())]
    stamps = ("first_seen_at", "last_seen_at", "gone_since")
    return [tuple(row[stamp] and int(row[stamp][8:10]) for stamp in stamps) for row in found]


def gone(db: Database, day: int, outcome: str = "http-404") -> None:
    with write(db):
        save_check(db, URL, DAYS[day - 1], outcome)


def test_an_unchanged_page_is_seen_longer(db: Database) -> None:
    tag(db, saw(db, 1, PROMISE), PROMISE)
    assert saw(db, 5, PROMISE) == 0
    assert history(db) == [(1, 5, None)]
    gone(db, 6, "http-503")
    assert history(db) == [(1, 5, None)]  # nobody knows
    assert next(db.query("SELECT last_checked_at FROM claim_history"))["last_checked_at"] == DAYS[5]


def test_changed_and_changed_back(db: Database) -> None:
    tag(db, saw(db, 1, "x", PROMISE), PROMISE)
    saw(db, 3, "x")
    assert history(db) == [(1, 1, 3)]
    tag(db, saw(db, 5, "x", PROMISE), PROMISE)
    assert history(db) == [(1, 5, None)]
    saw(db, 7, "x")
    saw(db, 8, "y")
    assert history(db) == [(1, 5, 7)]


def test_missing_and_back(db: Database) -> None:
    tag(db, saw(db, 1, PROMISE), PROMISE)
    gone(db, 2)
    gone(db, 3)
    assert history(db) == [(1, 1, 2)]
    saw(db, 4, PROMISE)
    assert history(db) == [(1, 4, None)]
    gone(db, 6, "http-410")
    assert history(db) == [(1, 4, 6)]
    saw(db, 7, "tout autre chose")
    assert history(db) == [(1, 4, 7)]


def test_sights_that_come_late_undo_no_later_miss(db: Database) -> None:
    gone(db, 9)
    tag(db, saw(db, 3, PROMISE), PROMISE)
    assert history(db) == [(3, 3, 9)]
    saw(db, 5, PROMISE)
    gone(db, 12)
    saw(db, 10, PROMISE)
    assert history(db) == [(3, 10, 12)]
    saw(db, 13, PROMISE)
    assert history(db) == [(3, 13, None)]


def test_archives_that_come_late(db: Database) -> None:
    tag(db, saw(db, 10, "x", PROMISE), PROMISE)
    saw(db, 20, "x", PROMISE)
    tag(db, saw(db, 4, "y", PROMISE), PROMISE)
    assert history(db) == [(4, 20, None)]
    saw(db, 2, "avant")
    assert history(db) == [(4, 20, None)]
    saw(db, 15, "entretemps")  # between two sights of the same words
    assert history(db) == [(4, 20, None)]
    saw(db, 25, "après")
    assert history(db) == [(4, 20, 25)]


def test_the_same_quote_in_two_blocks_has_two_histories(db: Database) -> None:
    one, two = f"{PROMISE} !", f"Promis : {PROMISE}"
    page = saw(db, 1, one, two)
    tag(db, page, one, PROMISE)
    tag(db, page, two, PROMISE)
    saw(db, 3, one)
    assert history(db, block=one) == [(1, 3, None)]
    assert history(db, block=two) == [(1, 1, 3)]


def test_words_that_are_read_otherwise_are_not_gone(db: Database) -> None:
    """A new capture that the classifier has not read yet, or finds no claim in, still shows the words."""
    tag(db, saw(db, 1, PROMISE), PROMISE)
    saw(db, 3, "x", PROMISE)
    assert history(db) == [(1, 3, None)]


def test_other_addresses_say_nothing(db: Database) -> None:
    tag(db, saw(db, 1, PROMISE), PROMISE)
    saw(db, 3, "x", url=URL + "/")
    saw(db, 4, PROMISE, url=URL + "/")
    assert history(db) == [(1, 1, None)]


def test_offers_have_their_history(db: Database) -> None:
    saw(db, 1, "x", offers=("100 fans", "500 fans"))
    saw(db, 3, "x", offers=("100 fans",))
    assert history(db, "offer_history", key="500 fans") == [(1, 1, 3)]
    saw(db, 5, "x", offers=("100 fans", "500 fans"))
    assert history(db, "offer_history", key="500 fans") == [(1, 5, None)]
    saw(db, 2, "avant", offers=("50 fans",))  # late
    assert history(db, "offer_history", key="50 fans") == [(2, 2, 3)]
    assert history(db, "offer_history", key="100 fans") == [(1, 5, None)]
    gone(db, 9)
    assert history(db, "offer_history", key="100 fans") == [(1, 5, 9)]


# --- what differs


def blocks(*texts: str) -> list[tuple[str, str]]:
    return [("text", text) for text in texts]


def hows(old: list[tuple[str, str]], new: list[tuple[str, str]]) -> list[tuple[str, bool]]:
    return [(change.how, change.minor) for change in compare(old, new)]


@pytest.mark.parametrize(
    ("old", "new", "minor"),
    [
        ("Mis à jour le 12 mars 2026", "Mis à jour le 3 avril 2026", True),
        ("Updated Monday, May 4 2026", "Updated Friday, June 12 2026", True),
        ("Déjà 10 000 clients servis", "Déjà 12\u202f500 clients servis", True),
        ("Écrivez à sav@brume.example", "Écrivez à aide@brume.example", True),
        ("You may get real fans", "You will get real fans", False),
        ("De vrais fans, garantis à vie", "De vrais fans, garantis 30 jours", False),
        ("Des fans sans risque pour vous", "Des fans à vos risques pour vous", False),
    ],
)
def test_dates_and_counters_matter_less(old: str, new: str, minor: bool) -> None:
    assert hows(blocks("a", old, "b"), blocks("a", new, "b")) == [("changed", minor)]


def test_words_of_a_changed_block() -> None:
    [change] = compare(blocks("De vrais fans, livrés ce soir"), blocks("De faux fans, livrés un soir"))
    assert change.words == [
        *[("=", "De "), ("-", "vrais"), ("+", "faux"), ("=", " fans, livrés "), ("-", "ce"), ("+", "un")],
        ("=", " soir"),
    ]


def test_what_moved_did_not_change() -> None:
    assert hows(blocks("a", "b", "c", "d"), blocks("d", "a", "b", "c")) == [("moved", True)]
    assert hows([("text", "a b c")], [("quote", "a b c")]) == [("moved", False)]  # now somebody else says so


TEXT = st.lists(st.tuples(st.sampled_from(["text", "item"]), st.text("ab 1.é", min_size=1, max_size=12)), max_size=12)


@settings(max_examples=300, deadline=None)
@given(old=TEXT, new=TEXT)
def test_nothing_is_left_out(old: list[tuple[str, str]], new: list[tuple[str, str]]) -> None:
    """What went and stayed makes the old page, what came and stayed the new one; so do the words of a block."""
    changes = list(compare(old, new))
    went = sorted(change.old for change in changes if change.old is not None)
    came = sorted(change.new for change in changes if change.new is not None)
    before, after = sorted(text for _, text in old), sorted(text for _, text in new)
    for texts, some in ((before, went), (after, came)):
        for text in some:
            texts.remove(text)
    assert before == after  # what stayed
    assert (changes == []) == (old == new)
    for change in changes:
        if change.how == "changed":
            assert "".join(text for sign, text in change.words if sign != "+") == change.old
            assert "".join(text for sign, text in change.words if sign != "-") == change.new


def test_hostile_pages_take_no_time() -> None:
    started = time.process_time()
    many = [("text", f"real fans number {i} x y") for i in range(5000)]
    other = [("text", f"fake fans number {i} x y z") for i in range(5000)]
    assert len(list(compare(many, other))) == 5000
    list(
        compare([("text", "ab"[i * i % 7 % 2]) for i in range(5000)], [("text", "ab"[i % 3 % 2]) for i in range(4999)])
    )
    list(compare([("text", "a b " * 1200 + str(i)) for i in range(50)], [("text", "b a " * 1200) for i in range(50)]))
    list(compare([("text", "@" * 5000)] * 50, [("text", "x" * 5000)] * 49))
    assert time.process_time() - started < 5


def test_claims_touched_by_a_change(db: Database) -> None:
    page = saw(db, 1, "Titre", PROMISE, "Garanti à vie", "Sans risque", "Fin")
    for text, label in ((PROMISE, "real"), ("Garanti à vie", "guarantee"), ("Sans risque", "safe")):
        tag(db, page, text, label=label)
    saw(db, 2, "Sans risque", "Titre", PROMISE.replace("'", "’"), "Fin")
    found = diff(db, "hxxp://brume[.]example/forfaits#top")
    assert (found.url, found.old["fetched_at"], found.new["fetched_at"]) == (URL, DAYS[0], DAYS[1])
    assert [(claim["label"], claim["how"]) for claim in found.touched] == [
        ("real", "changed"),
        ("guarantee", "removed"),
    ]
    assert found.touched[0]["quote"] == PROMISE


def test_captures_by_date(db: Database) -> None:
    for day, text in ((1, "un"), (5, "deux"), (9, "trois")):
        saw(db, day, text)

    def days(old: str | None = None, new: str | None = None) -> tuple[int, int]:
        found = diff(db, URL, old, new)
        return int(found.old["fetched_at"][8:10]), int(found.new["fetched_at"][8:10])

    assert days() == (5, 9)
    assert days("2026-11-01") == (1, 9)
    assert days("2025", "2026-11-08") == (1, 5)
    assert days(None, "2026-11-05T10") == (1, 5)
    assert days("2026-11-06", "2026-11") == (5, 9)
    for old, new in (("2026-11-09", None), (None, "2026-11-02"), ("2026-11-06", "2026-11-07")):
        with pytest.raises(ChangesError, match=rf"{URL}: no two captures to compare: 3 in all, 2026-11-01"):
            diff(db, URL, old, new)
    with pytest.raises(ChangesError, match="no capture of this address"):
        diff(db, "http://nobody.example/")
    with pytest.raises(ChangesError, match="no address of a page"):
        diff(db, "brume")


def test_people_read_it_and_terminals_are_safe(db: Database) -> None:
    saw(db, 1, "Titre", "De vrais fans ce soir", "vieux \u202ebidi \x9b31m", "le 1 mars 2026")
    saw(db, 2, "Titre", "De faux fans ce soir", "le 2 mars 2026", "nouveau")
    lines = list(describe(diff(db, URL)))
    assert "De [-vrais-]{+faux+} fans ce soir" in "\n".join(lines)
    assert all(char.isprintable() for line in lines for char in line)
    assert any(line.startswith("+ ") and "nouveau" in line for line in lines)
    assert any("minor" in line for line in lines)
    styled = "\n".join(describe(diff(db, URL), styled=True))
    assert "\x1b[" in styled
    assert "\x9b" not in styled


def test_the_view_is_quick_where_nobody_decided(db: Database, tmp_path: Path) -> None:
    page = saw(db, 1, *(f"{PROMISE} {n}" for n in range(2000)))
    for n in range(0, 2000, 4):
        tag(db, page, f"{PROMISE} {n}")
    for day in range(2, 12):
        saw(db, day, "x", *(f"{PROMISE} {n}" for n in range(day, 2000)))
    started = time.process_time()
    query = (
        "SELECT count(*), count(decision) FROM claims JOIN claim_decisions ON claim_id = id WHERE claims.page_id = ?"
    )
    assert db.execute(query, [page]).fetchone() == (500, 0)
    assert db.execute("SELECT count(*) FROM claim_history WHERE url = ?", [URL]).fetchone() == (500,)
    assert time.process_time() - started < 2
