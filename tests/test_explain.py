"""Why a claim was tagged: words that carry it, and labelled examples of its kind."""

import pytest
from classifying import small_model
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier import ClassifierError
from classifier.corpus import load_corpus
from classifier.explain import EXAMPLES, WORDS, Explanation, explain, load_examples
from classifier.features import Text
from classifier.labels import labels
from classifier.model import load_model


def why(text: str, label: str, lang: str = "en") -> Explanation:
    folder = small_model()
    [found] = explain(load_model(folder), load_examples(folder), [(Text(text), labels().index(label))], lang)
    return found


@pytest.mark.parametrize(
    ("text", "label", "word"),
    [
        ("All our followers are real people", "real", "real"),
        ("Delivery within minutes of your order", "instant", "minutes"),
        ("We never ask for your password", "safe", "password"),
    ],
)
def test_the_telling_word_weighs(text: str, label: str, word: str) -> None:
    words = why(text, label).words
    assert word in [found for found, _ in words]
    assert [weight for _, weight in words] == sorted((weight for _, weight in words), reverse=True)
    assert all(weight > 0 and found in text for found, weight in words)
    assert len(words) <= WORDS


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_examples_carry_the_label_in_the_language(lang: str) -> None:
    blocks = {block.id: (page.lang, block) for page in load_corpus(small_model() / "corpus") for block in page.blocks}
    found = why("100% real", "real", lang).examples
    assert len(found) == EXAMPLES
    for block_id, text in found:
        own, block = blocks[block_id]
        assert (own, block.text) == (lang, text)
        assert "real" in block.labels


def test_a_labelled_text_is_its_own_nearest_example() -> None:
    folder = small_model()
    page = next(
        p for p in load_corpus(folder / "corpus") if p.lang == "en" and any("real" in b.labels for b in p.blocks)
    )
    block = next(block for block in page.blocks if "real" in block.labels)
    quote = Text(block.text, block.kind, block.context)
    [found] = explain(load_model(folder), load_examples(folder), [(quote, labels().index("real"))], "en")
    assert (block.id, block.text) in found.examples


@given(st.text(max_size=300), st.sampled_from(labels()))
@settings(max_examples=60, deadline=None)
def test_no_text_breaks_it(text: str, label: str) -> None:
    found = why(text, label)
    assert len(found.examples) == EXAMPLES
    assert all(word in text for word, _ in found.words)


def test_says_that_examples_are_missing() -> None:
    with pytest.raises(ClassifierError, match="run `fantomes train`"):
        load_examples(small_model() / "nowhere")
