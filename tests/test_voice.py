"""Who speaks is judged from the whole page."""

import pytest
from classifying import small_model

from classifier.features import Text
from classifier.pipeline import PageInput, judge_pages, pipeline

PAGES = {
    "promotion": [
        "Acheter des abonnés Instagram",
        "500 abonnés 4,90 €, 1 000 abonnés 7,90 €",
        "Livraison rapide, abonnés réels",
        "Commandez vos likes et vos vues",
    ],
    "criticism": [
        "Pourquoi acheter des abonnés est une mauvaise idée",
        "Les vendeurs promettent de vrais fans, on reçoit des robots.",
        "La plateforme supprime les faux comptes et sanctionne.",
    ],
    "neutral": [
        "Le ventilateur de plafond Brise tourne sans bruit.",
        "Garantie deux ans, livraison gratuite dès 50 €.",
        "Le groupe remercie ses fans venus nombreux au concert.",
    ],
}


@pytest.mark.parametrize("voice", PAGES)
def test_voices(voice: str) -> None:
    [(lang, doc)] = judge_pages([PageInput([Text(text) for text in PAGES[voice]])], small_model())
    assert (lang, doc._.voice) == ("fr", voice)
    assert 0 < doc._.voice_score <= 1


def test_a_page_is_judged_alone_whatever_is_read_with_it() -> None:
    pages = [PageInput([Text(text) for text in texts], "fr") for texts in PAGES.values()]
    together = [doc._.voice_score for _, doc in judge_pages(pages, small_model())]
    alone = [doc._.voice_score for page in pages for _, doc in judge_pages([page], small_model())]
    assert together == pytest.approx(alone)


def test_what_is_heard_counts_but_is_not_judged() -> None:
    heard = tuple(Text(text) for text in PAGES["criticism"])
    [(_, doc)] = judge_pages([PageInput([Text("Des abonnés réels en dix minutes")], "fr", heard)], small_model())
    assert doc._.voice == "criticism"
    assert len(doc.spans["blocks"]) == 1


def test_the_pipeline_reads_a_text_like_any_other_spacy_pipeline() -> None:
    doc = pipeline("en", small_model())("Buy real followers with instant delivery")
    assert [span.label_ for span in doc.spans["blocks"]] == ["text"]
    assert doc._.voice in PAGES
    assert pipeline("en", small_model()).pipe_names == ["fantomes_voice", "fantomes_claims", "fantomes_asserted"]
