"""`fantomes tag`: the contract of DESIGN.md, section 4."""

import json
import time

import pytest
from classifying import small_model
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from classifier.labels import labels
from classifier.tag import tag_lines

SELLER = [
    "Buy Instagram Followers",
    "Buy real Instagram followers with instant delivery",
    "Do you need my password?",
    "All our followers are real people from active accounts, no bots.",
    "Your order starts within five minutes after payment.",
    "If followers drop, we refill them for free for 30 days.",
    "Are the followers real?",
    "We cannot guarantee that the followers will stay.",
    "Pay by card or PayPal.",
]


def lines(page: str, texts: list[str], **more: object) -> list[str]:
    return [json.dumps({"id": f"{page}-{n}", "page": page, "text": text, **more}) for n, text in enumerate(texts)]


def tag(rows: list[str] | list[bytes]) -> list[dict]:
    return list(tag_lines(rows, small_model()))


def test_a_seller_claims() -> None:
    results = tag(lines("s", SELLER, lang="en"))
    assert {row["voice"] for row in results} == {"promotion"}
    found = [{claim["label"] for claim in row["claims"]} for row in results]
    assert found[3] >= {"real"}
    assert found[4] == {"instant"}
    assert found[5] == {"guarantee"}
    assert found[2] == found[6] == found[7] == found[8] == set()


def test_a_critic_claims_nothing() -> None:
    results = tag(
        lines(
            "c",
            [
                "Why buying followers is a bad idea",
                "Sellers promise real, active followers; I ordered some and got bots.",
                "Researchers found that bought likes are removed within weeks.",
                "The platform forbids it and purges fake accounts.",
                "“Instant delivery, 100% real, lifetime guarantee”, says the advert. Do not believe it.",
            ],
        )
    )
    assert {row["voice"] for row in results} == {"criticism"}
    assert [row["claims"] for row in results] == [[]] * 5


def test_every_result_is_complete() -> None:
    text = "Fast delivery. Real people follow you! 🚀"
    for row in tag(lines("s", [*SELLER, text], lang="en")):
        assert list(row["scores"]) == list(labels())
        assert all(0 <= score <= 1 for score in (*row["scores"].values(), row["voice_score"]))
        assert row["lang"] == "en"
    claims = {claim["label"]: text[claim["start"] : claim["end"]] for claim in row["claims"]}
    assert claims["instant"] == "Fast delivery."
    assert claims["real"].startswith("Real people")


def test_language_is_judged_unless_given() -> None:
    french = ["Achetez de vrais abonnés pour votre compte", "La livraison est rapide et discrète"]
    assert {row["lang"] for row in tag(lines("f", french))} == {"fr"}
    assert {row["lang"] for row in tag(lines("f", french, lang="pt"))} == {"pt"}


def test_an_unknown_language_has_a_voice_but_no_claims() -> None:
    [row] = tag(lines("j", ["フォロワーを購入する instant real followers"], lang="ja"))
    assert row["voice"] in ("promotion", "criticism", "neutral")
    assert row["claims"] == []
    assert row["supported"] is False
    [row] = tag(lines("e", ["Buy 500 followers"], lang="en"))
    assert "supported" not in row


@pytest.mark.parametrize(
    ("line", "known"),
    [
        ("{oops", {}),
        ("[1, 2]", {}),
        ("{}", {}),
        (b"\xff\xfe", {}),
        ('{"id": "x", "text": "a"}', {"id": "x"}),
        ('{"id": "x", "page": "p"}', {"id": "x"}),
        ('{"id": "x", "page": "p", "text": null}', {"id": "x"}),
        ('{"id": "x", "page": "p", "text": "a", "lang": "../en"}', {"id": "x"}),
        ('{"id": "x", "page": ["p"], "text": "a"}', {"id": "x"}),
        ("[" * 100_000, {}),
    ],
)
def test_a_bad_line_is_answered_and_the_run_goes_on(line: str | bytes, known: dict) -> None:
    before, bad, after = tag([*lines("p", ["Buy fans"]), line, *lines("p", ["Fast delivery"])])  # type: ignore[list-item]
    assert "error" not in before | after
    assert bad.pop("error")
    assert bad == known


def test_order_is_kept_over_pages_and_languages() -> None:
    rows = [*lines("a", ["Real fans", "x"], lang="en"), *lines("a", ["Vrais fans"], lang="fr"), "{", *lines("b", ["y"])]
    rows.insert(1, json.dumps({"id": "a-fr", "page": "a", "text": "Livraison rapide", "lang": "fr"}))
    results = tag(rows)
    assert [row.get("id") for row in results] == ["a-0", "a-fr", "a-1", "a-0", None, "b-0"]
    assert [row.get("lang") for row in results[:4]] == ["en", "fr", "en", "fr"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.text(st.characters(codec=None), max_size=80), min_size=1, max_size=5))
def test_any_text_is_survived(texts: list[str]) -> None:
    for text, row in zip(texts, tag(lines("h", ["Buy real followers now, instant delivery", *texts]))[1:], strict=True):
        for claim in row["claims"]:
            assert 0 <= claim["start"] < claim["end"] <= len(text)


@pytest.mark.parametrize(
    "text",
    [
        "\x00\x01\x1b",
        "\ud800\udfff",
        "\u202eemag\u202c real fans",
        "Z\u0335\u0327a\u0335\u0327l\u0335g\u0335o " * 50,
        "",
        " ",
        "。" * 9,
    ],
)
def test_hostile_text(text: str) -> None:
    assert "error" not in tag(lines("h", [text, *SELLER], lang="en"))[0]


def test_time_grows_with_the_text_and_no_faster() -> None:
    def seconds(rows: list[str]) -> float:
        started = time.perf_counter()
        assert len(tag(rows)) == len(rows)
        return time.perf_counter() - started

    tag(lines("w", SELLER))
    text = "Real followers {} delivered fast, no password."
    small = seconds(lines("p", [text.format(n) for n in range(1_000)], lang="en"))
    large = seconds(lines("p", [text.format(n) for n in range(8_000)], lang="en"))
    assert large < 8 * small * 2.5 + 0.5
    assert seconds(lines("p", ["Real fans fast! " * 65_000, "a" * 1_000_000, "! " * 500_000], lang="en")) < 3
