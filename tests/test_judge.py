"""The classifier for callers without a store says what it says of the store."""

from pathlib import Path

import pytest
from classifying import small_model
from hypothesis import given, settings
from hypothesis import strategies as st
from test_classify import CRITIC, SELLER, add_page

from classifier.classify import classify
from classifier.judge import judge
from data.migrations import open_store


def test_it_says_what_classify_says(tmp_path: Path) -> None:
    db = open_store(tmp_path / "fantomes.db")
    db["sources"].insert({"id": "s", "kind": "site"})
    pages = [SELLER, CRITIC, SELLER[1:]]
    for number, page in enumerate(pages):
        add_page(db, f"https://shop{number}.example/", page)
    classify(db, small_model())
    voices = db.execute("SELECT lang, voice, voice_score, model FROM pages ORDER BY id").fetchall()
    claims = db.execute(
        'SELECT claims.page_id - 1, label, score, position, start, claims."end", quote'
        " FROM claims JOIN blocks ON blocks.id = block_id"
    ).fetchall()
    found = list(judge(pages, small_model()))
    assert [(page.lang, page.voice, page.voice_score, page.model) for page in found] == voices
    assert sorted(
        (number, claim.label, claim.score, claim.block, claim.start, claim.end, claim.quote)
        for number, page in enumerate(found)
        for claim in page.claims
    ) == sorted(claims)
    assert claims


BLOCKS = [*SELLER, *CRITIC, ("text", "\u202ereal\u202c fans 😀 now!"), ("text", "…")]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(st.sampled_from(BLOCKS))))
def test_a_judgement_a_page_in_order_and_quotes_stand_in_their_blocks(pages: list[list[tuple[str, str]]]) -> None:
    found = list(judge(iter(pages), small_model()))
    assert len(found) == len(pages)
    for page, judged in zip(pages, found, strict=True):
        alone = next(judge([page], small_model()))
        assert (judged.voice, judged.lang) == (alone.voice, alone.lang)
        assert judged.voice_score == pytest.approx(alone.voice_score)  # sums of floats depend on what is beside them
        assert [(claim.label, claim.quote) for claim in judged.claims] == [
            (claim.label, claim.quote) for claim in alone.claims
        ]
        assert all(claim.quote == page[claim.block][1][claim.start : claim.end] for claim in judged.claims)
