"""The corpus is what the annotation guide asks for, and is read strictly. Run as a program: publishes its folds."""

import json
import re
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from classifier import ClassifierError
from classifier.corpus import KINDS, VOICES, Page, families, load_corpus, load_pages, near_duplicates
from classifier.labels import labels
from classifier.measure import prf
from classifier.train import folds
from data import DATA

FOLDER = Path(str(DATA)) / "corpus"
FOLDS = FOLDER / "folds.csv"


@cache
def corpus() -> list[Page]:
    return load_corpus(DATA / "corpus")


def row(**changes: object) -> dict[str, object]:
    first = {"id": "a-1", "page": "a", "lang": "en", "voice": "promotion", "form": "home", "kind": "text"}
    return {**first, "labels": [], "text": "Buy fans", **changes}


def write(folder: Path, *rows: dict[str, object]) -> Path:
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_is_large_and_varied() -> None:
    blocks = [block for page in corpus() for block in page.blocks]
    langs = Counter(page.lang for page in corpus() for _ in page.blocks)
    assert len(blocks) >= 12_000
    assert min(langs["fr"], langs["en"]) >= 4000
    assert min(langs[lang] for lang in ("es", "de", "it", "pt")) >= 1000
    voices = Counter(page.voice for page in corpus())
    assert voices.total() >= 600
    assert 3 * (voices["criticism"] + voices["neutral"]) >= voices.total()
    assert {block.kind for block in blocks} == KINDS
    found = Counter(label for block in blocks for label in block.labels)
    assert min(found[label] for label in labels()) >= 100
    assert sum(not block.labels for block in blocks) >= 0.5 * len(blocks)


def test_ids_are_unique() -> None:
    ids = Counter(block.id for page in corpus() for block in page.blocks)
    assert [block for block, count in ids.items() if count > 1] == []


def test_no_page_repeats_another() -> None:
    assert near_duplicates(corpus()) == []


def test_near_duplicates_make_a_family(tmp_path: Path) -> None:
    text = "Our likes come from people who live in your own street"
    pages = load_pages(
        write(
            tmp_path,
            row(id="1", page="a", text=text + "."),
            row(id="2", page="b", text="Something else is said here, at some length."),
            row(id="3", page="c", text=text.upper() + "!"),
        )
    )
    assert near_duplicates(pages) == [("1", "3")]
    first, second, third = families(pages)
    assert first == third != second


def test_the_block_before_is_the_context(tmp_path: Path) -> None:
    file = write(tmp_path, row(id="1", text="Are they real?"), row(id="2", text="Yes."), row(id="3", page="b"))
    contexts = [block.context for page in load_pages(file) for block in page.blocks]
    assert contexts == ["", "Are they real?", ""]


def test_reads_evaluation_files(tmp_path: Path) -> None:
    sample = {
        "id": "x",
        "page": "p",
        "lang": "it",
        "page_voice": "criticism",
        "labels": [],
        "text": "No",
        "context": "So?",
    }
    [page] = load_pages(write(tmp_path, sample))
    assert (page.voice, page.lang, page.blocks[0].context, page.blocks[0].kind) == ("criticism", "it", "So?", "")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"voice": "angry"}, "angry"),
        ({"kind": "poem"}, "poem"),
        ({"labels": ["cheap"]}, "cheap"),
        ({"voice": "neutral", "labels": ["real"]}, "neutral"),
        ({"text": "  "}, "empty"),
        ({"text": 5}, "5"),
    ],
)
def test_refuses_what_the_guide_forbids(tmp_path: Path, changes: dict[str, object], named: str) -> None:
    file = write(tmp_path, row(id="ok"), row(id="bad", page="b", **changes))
    with pytest.raises(ClassifierError) as error:
        load_pages(file)
    assert f"{file}:2" in str(error.value)
    assert named in str(error.value)


def test_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ClassifierError, match="no corpus files"):
        load_corpus(tmp_path)
    (tmp_path / "a.jsonl").write_text("{oops\n")
    with pytest.raises(ClassifierError, match=r"a\.jsonl:1"):
        load_corpus(tmp_path)


def published_folds() -> str:
    lines = (f"{page.id},{page.lang},{fold}\n" for page, fold in zip(corpus(), folds(corpus()).tolist(), strict=True))
    return "page,lang,fold\n" + "".join(lines)


def test_published_folds_are_those_we_use() -> None:
    assert FOLDS.read_text("utf-8") == published_folds(), "run: .venv/bin/python tests/test_corpus.py"


def test_no_family_spans_folds() -> None:
    found = defaultdict(set)
    for family, fold in zip(families(corpus()), folds(corpus()).tolist(), strict=True):
        found[family].add(fold)
    assert all(len(seen) == 1 for seen in found.values())
    assert {fold for seen in found.values() for fold in seen} == set(range(5))


def numbers() -> str:
    """The tables of the datasheet: how much there is, and how far the two labellings agree."""
    rows = [
        json.loads(line) for file in sorted(FOLDER.glob("*.jsonl")) for line in file.read_text("utf-8").splitlines()
    ]
    langs = sorted({row["lang"] for row in rows})
    lines = [
        f"{len(rows):,} blocks of {len(corpus()):,} pages; {sum(not row['labels'] for row in rows) / len(rows):.0%} of"
        f" the blocks carry no label; in {sum('spans' in row for row in rows):,} the stretches are marked.",
        "",
        "| blocks | " + " | ".join(langs) + " |",
        "|---" * (len(langs) + 1) + "|",
    ]
    for voice in VOICES:
        found = Counter(row["lang"] for row in rows if row["voice"] == voice)
        lines.append(f"| {voice} | " + " | ".join(f"{found[lang]:,}" for lang in langs) + " |")
    pages = Counter(page.voice for page in corpus())
    lines += ["", "Pages: " + ", ".join(f"{pages[voice]:,} {voice}" for voice in VOICES) + ".", ""]
    lines += ["| label | blocks | agreement of the two labellings (F1) |", "|---|---|---|"]
    sold = [row for row in rows if row["voice"] == "promotion"]
    first = np.array([[label in row.get("first", row["labels"]) for label in labels()] for row in sold])
    second = np.array([[label in row.get("second", row["labels"]) for label in labels()] for row in sold])
    agreed = prf(first, second, labels())
    count = Counter(label for row in rows for label in row["labels"])
    lines += [f"| `{label}` | {count[label]:,} | {agreed[label]['f1']:.3f} |" for label in labels()]
    settled = sum("first" in row for row in sold)
    lines += ["", f"All labels together: {agreed['micro']['f1']:.3f}; settled by a third: {settled:,} blocks."]
    return "\n".join(lines)


def written(text: str) -> str:
    return re.sub(
        r"(<!-- numbers.*?-->\n).*(<!-- /numbers -->)", lambda m: m[1] + numbers() + "\n" + m[2], text, flags=re.S
    )


def test_the_datasheet_is_up_to_date() -> None:
    text = (FOLDER / "README.md").read_text("utf-8")
    assert text == written(text), "run: .venv/bin/python tests/test_corpus.py"


def test_the_loader_of_the_datasheet_works(monkeypatch: pytest.MonkeyPatch) -> None:
    [code] = re.findall(r"```python\n(.*?)```", (FOLDER / "README.md").read_text("utf-8"), flags=re.S)
    assert len(code.strip().splitlines()) <= 10
    monkeypatch.chdir(FOLDER.parents[1])
    names: dict[str, Any] = {}
    exec(code, names)
    assert len(names["texts"]) == len(names["labels"]) == sum(len(page.blocks) for page in corpus())
    assert {(page.id, page.lang) for page in corpus()} == set(names["pages"])


if __name__ == "__main__":
    FOLDS.write_text(published_folds(), "utf-8")
    sheet = FOLDER / "README.md"
    sheet.write_text(written(sheet.read_text("utf-8")), "utf-8")
