"""What a block of a seller's page claims, and which part of it says so."""

import pytest
from classifying import small_model
from hypothesis import given
from hypothesis import strategies as st

from classifier import ClassifierError
from classifier.components.claims import Claims
from classifier.features import Text, features
from classifier.labels import labels
from classifier.lexicon import lexicon
from classifier.model import load_model
from classifier.pipeline import PageInput, judge_pages
from classifier.text import clauses, clean, fold, segments, words


def test_one_segment_is_quoted() -> None:
    text = "Choose a package · Real followers, no bots · Pay by card"
    page = PageInput([Text("Buy Instagram followers"), Text(text), Text("Buy 500 likes, 4 $")], "en")
    for _, doc in judge_pages([page], small_model()):
        assert [(span.label_, span.text) for span in doc.spans["claims"]] == [("real", "Real followers, no bots")]
        assert doc.spans["claims"].attrs["blocks"] == [1]


def test_thresholds_can_be_set() -> None:
    with pytest.raises(ClassifierError, match="cheap"):
        Claims("en", "claims", load_model(small_model()), {"cheap": 0.5}, share_of_best=0.9, voice_power=3)
    strict = Claims("en", "claims", load_model(small_model()), {"real": 0.99}, share_of_best=0.9, voice_power=3)
    assert strict.thresholds[labels().index("real")] == 0.99


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Fast. Safe! Really?", ["Fast.", "Safe!", "Really?"]),
        ("✅ Real ✅ Fast", ["✅ Real", "✅ Fast"]),
        ("Rated 4.9 stars. We deliver", ["Rated 4.9 stars.", "We deliver"]),
        ("Vrais fans • sans bots | rapides", ["Vrais fans", "sans bots", "rapides"]),
        ("", []),
        (" … ", []),
    ],
)
def test_segments(text: str, parts: list[str]) -> None:
    assert [text[start:end] for start, end in segments(text)] == parts


@given(st.text(st.characters(codec=None)))
def test_segments_are_in_order_and_trimmed(text: str) -> None:
    last = 0
    for start, end in segments(text):
        assert last <= start < end
        assert text[start:end].strip() == text[start:end]
        last = end


@given(st.text(st.characters(codec=None)))
def test_cleaning_keeps_places(text: str) -> None:
    assert len(clean(text)) == len(text)
    clean(text).encode("utf-8")


def test_folding_sees_through_disguise() -> None:
    assert fold("𝗥𝗲𝗮𝗹 Éléphant GROẞ") == "real elephant gross"
    assert words("R30 100% réel") == ["r", "30", "100", "%", "reel"]


def test_words_of_all_languages_share_their_classes() -> None:
    for lang, text in {
        "en": "real followers",
        "fr": "vrais abonnés",
        "de": "echte Follower",
        "es": "seguidores reales",
    }.items():
        found = {name for known in lexicon(lang).classes(words(text)) for name in known}
        assert {"real", "metric", "fans"} <= found, lang


def test_a_phrase_is_surer_than_its_words() -> None:
    [first, *_] = lexicon("fr").classes(words("mot de passe oublié"))
    assert {"safe", "safe+"} <= set(first)


def test_a_denial_is_marked() -> None:
    marks = features(Text("No refill, not instant"), lexicon("en")).marks
    assert {"denied GUARANTEE", "denied INSTANT"} <= set(marks)
    assert "denied REAL" not in features(Text("Not now. Real people"), lexicon("en")).marks


def test_the_quote_is_the_clause_that_says_it() -> None:
    text = "Buy Instagram followers from real people, choose one of five packages, and pay by card or transfer."
    page = PageInput([Text("Buy Instagram followers"), Text(text), Text("Buy 500 likes, 4 $")], "en")
    for _, doc in judge_pages([page], small_model()):
        quotes = [span.text for span in doc.spans["claims"] if span.label_ == "real"]
        assert quotes == ["Buy Instagram followers from real people,"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Real fans, fast", ["Real fans, fast"]),
        ("Real fans from here, delivered in an hour", ["Real fans from here,", "delivered in an hour"]),
        (
            "Des fans bien réels et une livraison en dix minutes",
            ["Des fans bien réels", "et une livraison en dix minutes"],
        ),
    ],
)
def test_clauses(text: str, parts: list[str]) -> None:
    assert [text[start:end] for start, end in clauses(text, 0, len(text))] == parts
