"""The main job as a user runs it: crawl, classify, publish on the command line; then what a careful reader expects."""

import json
import os
import pty
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from data import DATA

ROOT = Path(__file__).parents[1]
EXPECTED = yaml.safe_load((DATA / "samples" / "expected.yml").read_text("utf-8"))


def fantomes(*words: str | Path, **more: Any) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "fantomes", *map(str, words)]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False, **more)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the store, archive and catalogue that the commands made of the sample web."""
    folder = tmp_path_factory.mktemp("job")
    store, archive, catalog = (
        ("--db", folder / "fantomes.db"),
        ("--archive", folder / "archive"),
        ("--catalog", folder / "catalog.db"),
    )
    sources = ["sample-sites", "sample-wires", "sample-ads"]
    for step in (["crawl", *sources, *store, *archive], ["classify", *store], ["publish", *store, *archive, *catalog]):
        done = fantomes(*step, "--json")
        assert done.returncode == 0, done.stderr
        json.loads(done.stdout)
    return folder


def published(job: Path, query: str) -> list[Any]:
    with sqlite3.connect(job / "catalog.db") as db:
        return db.execute(query).fetchall()


def test_nobody_is_accused_who_promised_nothing(job: Path) -> None:
    promoters = {host for host, site in EXPECTED["hosts"].items() if site["voice"] == "promotion"}
    vendors = {name.replace("_", ".") for (name,) in published(job, "SELECT id FROM vendors")}
    assert not vendors - promoters
    blameless = {entry["url"] for entry in EXPECTED["nothing"] if entry["url"].split("/")[2] not in promoters}
    stored = sqlite3.connect(job / "fantomes.db")
    shown = published(job, "SELECT DISTINCT page_id FROM claims")
    urls = {stored.execute("SELECT url FROM pages WHERE id = ?", page).fetchone()[0] for page in shown}
    assert not urls & blameless


MISSED = {"clapomat.test", "goosegrooves.example", "vip-crowd-tonight.test"}
"""Sellers whose tone the model does not know for sure (23 November 2026): doubt makes no vendor. May only shrink."""


def test_the_sellers_are_found(job: Path) -> None:
    sellers = {host for host, site in EXPECTED["hosts"].items() if site["vendor"]}
    vendors = {name.replace("_", ".") for (name,) in published(job, "SELECT id FROM vendors")}
    assert sellers - vendors <= MISSED


def test_every_label_is_published_in_both_languages(job: Path) -> None:
    found = set(published(job, "SELECT label, lang FROM claims"))
    assert {label for label, _ in found} == {label for (label,) in published(job, "SELECT id FROM labels")}
    assert {lang for _, lang in found} == {"fr", "en"}


def test_most_expected_claims_are_tagged_and_hardly_any_withdrawn_one(job: Path) -> None:
    tagged: dict[str, set[str]] = {}
    with sqlite3.connect(job / "fantomes.db") as db:
        query = """SELECT url, blocks.text, label FROM claims
            JOIN blocks ON blocks.id = block_id JOIN pages ON pages.id = claims.page_id"""
        for url, text, label in db.execute(query):
            tagged.setdefault(f"{url}\n{text}", set()).add(label)

    def labels(entry: dict[str, Any]) -> set[str]:
        return set().union(
            *(found for key, found in tagged.items() if key.startswith(f"{entry['url']}\n") and entry["quote"] in key)
        )

    wanted = [(label, label in labels(entry)) for entry in EXPECTED["claims"] for label in entry["labels"]]
    # on pages whose voice is doubtful only the plainest claims are tagged: half of what is missed stands there
    assert sum(hit for _, hit in wanted) / len(wanted) > 0.55
    wrong = [entry["quote"] for entry in EXPECTED["nothing"] if labels(entry)]
    assert len(wrong) <= 0.1 * len(EXPECTED["nothing"]), wrong


def test_a_quote_is_what_its_block_says_there(job: Path) -> None:
    rows = published(
        job, 'SELECT quote, substr(text, start + 1, "end" - start) FROM claims JOIN blocks ON blocks.id = block_id'
    )
    assert len(rows) > 50
    assert all(quote == text != "" for quote, text in rows)


def test_a_rerun_classifies_nothing_and_publishes_the_same(job: Path) -> None:
    store, archive = ("--db", job / "fantomes.db"), ("--archive", job / "archive")
    assert json.loads(fantomes("classify", *store, "--json").stdout)["pages"] == 0
    catalog = job / "again" / "catalog.db"
    again = json.loads(fantomes("publish", *store, *archive, "--catalog", catalog, "--json").stdout)
    version = "SELECT version FROM publication"
    assert [(again["version"],)] == published(job, version)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["crawl", "nobody"], "nobody: no such source"),
        (["ingest", "missing.warc.gz"], "missing.warc.gz: No such file"),
        (["classify", "--model", "nowhere"], "no store there"),
        (["publish", "--catalog", "/proc/nowhere/catalog.db"], "no store there"),
        (["serve", "--catalog", "missing.db"], "missing.db"),
        (["tag", "missing.jsonl"], "missing.jsonl"),
        (["evaluate", "README.md"], "README.md"),
        (["train", "--corpus", "tests"], "tests"),
        (["crawl", "--db", "README.md"], "README.md: cannot open the store"),
    ],
)
def test_errors_are_one_clear_line(tmp_path: Path, words: list[str], message: str) -> None:
    place = (
        [] if "--db" in words or words[0] in ("tag", "evaluate", "train", "serve") else ["--db", str(tmp_path / "f.db")]
    )
    done = fantomes(*words, *place)
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.startswith(("Usage:", "Try "))]
    assert len([line for line in lines if line]) == 1


def test_tag_keeps_its_contract() -> None:
    page = {"id": "1", "page": "p", "text": "Buy 1000 real Instagram followers, delivered in 5 minutes"}
    lines = [
        json.dumps(page),
        "not json",
        json.dumps(page | {"id": "2", "text": "100 % safe, no password needed"}),
        "[]",
        "",
    ]
    done = fantomes("tag", "-", input="\n".join(lines))
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer.get("id") for answer in answers if "error" not in answer] == ["1", "2"]
    assert sum("error" in answer for answer in answers) >= 2
    first = answers[0]
    assert first["voice"] == "promotion"
    assert len(first["scores"]) == 12
    assert {"real", "instant"} <= {claim["label"] for claim in first["claims"]}
    for claim in first["claims"]:
        assert 0 <= claim["start"] < claim["end"] <= len(page["text"])


def test_tag_survives_what_no_encoder_writes() -> None:
    good = {"id": "2", "page": "q", "text": "Buy 1000 real Instagram followers", "error": "mine", "lang": "en-GB"}
    lines = [
        '{"id": "\\ud83d", "page": "\\ud83d", "text": "real \\ud83d fans", "lang": "zz"}',
        json.dumps(good),
        '{"id": true}',
        *(json.dumps({"id": lang, "page": "r", "text": "real fans", "lang": lang}) for lang in ("aa", "bb")),
    ]
    done = fantomes("tag", "-", input="\n".join(lines))
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr) == (0, "")
    assert [answer.get("id") for answer in answers] == ["\ud83d", "2", None, "aa", "bb"]
    assert answers[0]["claims"] == []  # a language that nobody taught the model
    assert "error" not in answers[1]


def test_progress_shows_on_a_terminal(tmp_path: Path) -> None:
    """Pipes show no bar: only a terminal tells whether it works."""
    place = ["--db", str(tmp_path / "f.db"), "--archive", str(tmp_path / "archive")]
    page = tmp_path / "p.html"
    page.write_text("<p>real fans</p>")
    for words in (["crawl", "sample-ads", *place], ["ingest", str(page), *place], ["evidence", "verify", *place]):
        shown = bytearray()
        argv = [sys.executable, "-m", "fantomes", *words]

        def read(descriptor: int, shown: bytearray = shown) -> bytes:
            shown.extend(data := os.read(descriptor, 1024))
            return data

        here = os.getcwd()
        os.chdir(ROOT)
        try:
            assert os.waitstatus_to_exitcode(pty.spawn(argv, read)) == 0, shown.decode()
        finally:
            os.chdir(here)
        assert b"Traceback" not in shown
        assert re.search(rb"(Crawling|Reading records|Checking)", shown), shown.decode()


def test_a_mistyped_store_is_not_made(tmp_path: Path) -> None:
    for command in ("classify", "publish"):
        done = fantomes(command, "--db", tmp_path / "typo.db")
        assert done.returncode == 1
        assert "typo.db: no store there" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_crawl_that_brought_nothing_says_so(tmp_path: Path) -> None:
    source = tmp_path / "gone.yml"
    source.write_text(
        "id: gone\nkind: ads\ntitle: T\ncontact: t\nloopback: true\ndelay: 0\nstart: ['http://gone.example/']\n"
    )
    done = fantomes("crawl", source, "--db", tmp_path / "f.db", "--archive", tmp_path / "archive")
    assert done.returncode == 1
    assert "not one page came in" in done.stderr
