"""The taxonomy: complete, consistent, careful in its words, and strict about mistakes."""

import re
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from catalog.errors import CatalogError
from catalog.policy import load_policy
from catalog.records import read_yaml
from catalog.taxonomy import load_taxonomy
from data import DATA

TWELVE = [
    *("free", "local", "real", "engagement", "visibility", "credibility"),
    *("business", "guarantee", "instant", "safe", "endorsed", "professional"),
]
UNCAREFUL = re.compile(
    r"(?i)\b(scams?|frauds?|fraudulent|illegal\w*|unlawful|crime|criminal|escroc\w*|escroquerie|arnaques?|fraude|illégal\w*)\b"
)


@pytest.fixture(scope="module")
def taxonomy():
    return load_taxonomy()


def test_the_twelve_labels_stand_in_order(taxonomy):
    assert list(taxonomy.labels) == TWELVE


def test_every_label_has_something_to_show(taxonomy):
    for label in taxonomy.labels.values():
        assert taxonomy.evidence_of(label), label.id
        assert taxonomy.policies_of(label), label.id
        shown = {entry.jurisdiction for entry in taxonomy.provisions_of(label)}
        assert {"eu", "fr", "uk", "us"} <= shown, label.id
        for lang in ("en", "fr"):
            assert label.examples[lang]["yes"], label.id
            assert label.examples[lang]["no"], label.id


def test_what_nobody_has_read_is_never_displayed(taxonomy):
    unread = {entry.id for entry in taxonomy.provisions.values() if entry.mark == "verify"}
    assert unread  # else this test proves nothing
    for label in taxonomy.labels.values():
        assert not unread & {entry.id for entry in taxonomy.provisions_of(label)}


def texts_of(entries):
    for entry in entries.values():
        for key, value in asdict(entry).items():
            if key.endswith(("_en", "_fr")):
                yield f"{entry.id}.{key}", value


def test_words_about_sellers_are_careful(taxonomy):
    """Official names of acts and policies could in principle break this; none does."""
    groups = (taxonomy.labels, taxonomy.provisions, taxonomy.policies, taxonomy.evidence)
    texts = [text for entries in groups for text in texts_of(entries)]
    for lang in ("en", "fr"):
        table = read_yaml(DATA.joinpath("..", "catalog", "locale", f"{lang}.yml"))
        texts += [(f"{lang}.{key}", str(value)) for key, value in table.items()]
    assert len(texts) > 300
    assert [(where, text) for where, text in texts if UNCAREFUL.search(text)] == []


def test_french_texts_are_set_as_french(taxonomy):
    groups = (taxonomy.labels, taxonomy.provisions, taxonomy.policies, taxonomy.evidence)
    texts = [text for entries in groups for text in texts_of(entries) if text[0].endswith("_fr")]
    assert [where for where, text in texts if re.search(r"« | »| [;?!%]|\w'\w", text)] == []


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(Path(str(DATA / "taxonomy")), tmp_path / "taxonomy")
    return tmp_path / "taxonomy"


@pytest.mark.parametrize(
    ("file", "change", "named"),
    [
        ("labels.yml", {"provisions": ["eu.nothing"]}, "eu.nothing"),
        ("labels.yml", {"policies": ["pf.nothing"]}, "pf.nothing"),
        ("labels.yml", {"evidence": ["ev.nothing"]}, "ev.nothing"),
        ("labels.yml", {"colour": "red"}, "colour"),
        ("labels.yml", {"severity": 4}, "severity"),
        ("labels.yml", {"severity": "high"}, "high"),
        ("labels.yml", {"policies": "pf.yt"}, "pf.yt"),
        ("provisions.yml", {"mark": "read"}, "read"),
        ("provisions.yml", {"jurisdiction": "zz"}, "zz"),
        ("provisions.yml", {"address": "javascript:alert(1)"}, "javascript"),
        ("policies.yml", {"names": [3]}, "names"),
        ("evidence.yml", {"id": "ev.farms.notice"}, "ev.farms.notice"),
    ],
)
def test_a_mistake_is_named_with_its_file(folder, file, change, named):
    rows = yaml.safe_load((folder / file).read_text(encoding="utf-8"))
    rows[0] |= change
    (folder / file).write_text(yaml.safe_dump(rows, allow_unicode=True), encoding="utf-8")
    with pytest.raises(CatalogError) as error:
        load_taxonomy(folder)
    assert file in str(error.value)
    assert named in str(error.value)


@pytest.mark.parametrize("content", ["labels: {", "- 3", "[]x: y", ""])
def test_a_broken_file_is_one_clear_error(folder, content):
    (folder / "labels.yml").write_text(content, encoding="utf-8")
    with pytest.raises(CatalogError, match=r"labels\.yml"):
        load_taxonomy(folder)


def test_the_policy_gives_a_score_to_each_label():
    rule = load_policy(TWELVE).rules[0]
    assert list(rule.scores) == TWELVE


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("free: 0.95", "fre: 0.95", "fre"),
        ("free: 0.95", "free: 95", "free"),
        ("voice_score: 0.60", "voice: 1", "voice"),
    ],
)
def test_a_mistake_in_the_policy_is_named(tmp_path, old, new, named):
    text = (DATA / "publication.yml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "publication.yml").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(CatalogError, match=named):
        load_policy(TWELVE, tmp_path / "publication.yml")


def test_the_edge_of_a_rule_is_inside():
    policy = load_policy(TWELVE)
    rule = policy.rules[0]
    edge = (rule.voice_score, "real", rule.scores["real"])
    assert policy.lets_through("pending", "promotion", *edge) == ("machine: promotion ≥ 0.60, real ≥ 0.98", "machine")
    assert policy.lets_through("pending", "promotion", edge[0], "real", edge[2] - 0.001) is None
    assert policy.lets_through("pending", "promotion", edge[0] - 0.001, "real", 1.0) is None
    for voice in ("criticism", "neutral", None):
        assert policy.lets_through("pending", voice, 1.0, "real", 1.0) is None
    assert policy.lets_through("rejected", "promotion", 1.0, "real", 1.0) is None
