"""Commands of this room alone: read the pages of the store, train, measure, tag."""

import json
from pathlib import Path
from typing import Any

import click

from data.console import (
    bar,
    corpus_option,
    counted,
    db_option,
    existing,
    json_option,
    model_option,
    quiet_option,
    say,
    told,
)
from data.migrations import open_store


@click.command()
@click.option("--everything", is_flag=True, help="Also pages that this model has read before.")
@db_option
@model_option
@quiet_option
@json_option
def classify(everything: bool, db: Path, model: Path, quiet: bool, as_json: bool) -> None:
    """Judge who speaks on each page and tag its claims. A rerun reads only what is new."""
    from classifier.classify import classify as run

    with told():
        store = open_store(existing(db))
        with bar("Classifying", quiet, store.table("pages").count) as progress:
            result = run(store, model, everything=everything, progress=progress)
    lines = [
        f"classified {result['pages']:,} pages, {result['blocks']:,} blocks: {counted(result['voices'])}",
        f"claims: {counted(result['claims'])}",
    ]
    say(result, quiet, as_json, lines if result["pages"] else ["no page is new to this model"])


@click.command()
@click.option("--with-reviews", is_flag=True, help="Also learn from what people decided in the working store.")
@db_option
@model_option
@corpus_option
@quiet_option
@json_option
def train(with_reviews: bool, db: Path, model: Path, corpus: Path, quiet: bool, as_json: bool) -> None:
    """Train the classifier on the corpus."""
    from classifier.reviews import reviewed_pages
    from classifier.train import STEPS
    from classifier.train import train as run

    with told(), bar("Training", quiet, STEPS) as progress:
        reviewed = reviewed_pages(open_store(existing(db))) if with_reviews else []
        result = run(model, corpus, progress, reviewed)
    claims, voice = result["claims"]["micro"]["f1"], result["voice"]["pages"]
    lines = [
        f"trained {model} on {result['pages']:,} pages, {result['blocks']:,} blocks",
        f"cross-validation: claims F1 {claims:.3f}, voices of pages {voice:.3f}",
    ]
    say(result, quiet, as_json, lines)


@click.command("export-reviews")
@db_option
def export_reviews(db: Path) -> None:
    """Print what people decided as labelled blocks, JSON Lines in the form of the corpus."""
    from classifier.reviews import export_reviews as run

    with told():
        for row in run(open_store(existing(db))):
            click.echo(json.dumps(row, ensure_ascii=False))


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE]...", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--baselines", is_flag=True, help="Measure a keyword list, fastText and spaCy textcat beside it (slow).")
@click.option("--docs", type=click.Path(file_okay=False, path_type=Path), help="Folder for table, plots, model card.")
@click.option("--raise-floors", is_flag=True, help="Remember in data/floors.json what training has reached.")
@model_option
@corpus_option
@quiet_option
@json_option
def evaluate(
    files: tuple[Path, ...],
    baselines: bool,
    docs: Path | None,
    raise_floors: bool,
    model: Path,
    corpus: Path,
    quiet: bool,
    as_json: bool,
) -> None:
    """Measure the classifier on FILEs, labelled blocks as JSON Lines.

    Without FILE: in cross-validation of the corpus, each page judged by a model that has not seen it. With --docs
    both, cross-validation first.
    """
    from classifier.baselines import BASELINES
    from classifier.compare import OURS, compare, cross_validate
    from classifier.corpus import load_corpus, load_pages
    from classifier.evaluate import report
    from classifier.floors import raise_floors as run_raise
    from classifier.train import SETTINGS, load_measured

    beside = BASELINES if baselines else {}
    results = {}
    with told():
        by_folds = docs is not None or not files
        pages = load_corpus(corpus) if by_folds or beside else []
        steps = (by_folds * SETTINGS["folds"] + len(files)) * (1 + len(beside))
        with bar("Measuring", quiet or as_json, steps) as progress:
            if by_folds:
                results["cross-validation of the corpus"] = cross_validate(pages, beside, progress)
            for file in files:
                results[file.stem] = compare(pages, load_pages(file), beside, model, progress)
        if docs is not None:
            from classifier.card import write_docs

            write_docs(docs, load_measured(model), results)
        if raise_floors:
            run_raise(load_measured(model))
    if as_json:
        measured = [
            {"of": text, **found[OURS][1], "baselines": {name: found[name][1] for name in beside}}
            for text, found in results.items()
        ]
        click.echo(json.dumps(measured[0] if len(measured) == 1 else measured))
    elif not quiet:
        for text, result in results.items():
            click.echo(f"{text}\n{report(result[OURS][1])}\n")


@click.command()
@click.argument("answers", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@corpus_option
@json_option
def score(answers: Path, corpus: Path, as_json: bool) -> None:
    """Score ANSWERS to the corpus, anybody's: JSON Lines of {"id", "labels", "voice"?}."""
    from classifier.corpus import load_corpus
    from classifier.evaluate import measure, report
    from classifier.score import read_answers
    from classifier.train import languages

    with told():
        pages = load_corpus(corpus)
        result = measure(read_answers(answers, pages), languages(pages))
    click.echo(json.dumps(result) if as_json else report(result))


@click.command()
@click.argument("file", type=click.File("rb"))
@model_option
def tag(file: Any, model: Path) -> None:
    """Tag blocks of text, JSON Lines in and out.

    FILE (- for standard input) has lines {"id", "page", "text", "context"?, "lang"?}; neighbours with the same "page"
    are one page, whose voice is judged from all of them.
    """
    from classifier.tag import tag_lines

    with told():
        for answer in tag_lines(file, model):  # as ASCII: half a surrogate pair in an id is no reason to stop
            click.echo(json.dumps(answer))
