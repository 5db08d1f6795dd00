"""The command line: the only module that knows all rooms. Each command is one station of the datum's way."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click

from crawler.commands import commoncrawl, diff, evidence, ingest, merge, new, sources
from data.console import (
    ROOT,
    archive_option,
    bar,
    catalog_option,
    contact_option,
    corpus_option,
    counted,
    db_option,
    existing,
    json_option,
    model_option,
    quiet_option,
    say,
    told,
    warn,
)
from data.migrations import open_store


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fantomes")
def cli() -> None:
    """Read what sellers of fans promise, tag the misleading claims, publish them with the evidence."""


@cli.command()
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@contact_option
@click.option(
    "--redis",
    metavar="ADDRESS",
    envvar="FANTOMES_REDIS",
    help="Share the frontier with other hosts: redis://host:6379/0.",
)
@model_option
@db_option
@archive_option
@quiet_option
@json_option
def crawl(
    sources: tuple[str, ...],
    contact: str | None,
    redis: str | None,
    model: Path,
    db: Path,
    archive: Path,
    quiet: bool,
    as_json: bool,
) -> None:
    """Fetch and archive the pages of sources.

    A SOURCE is a name in data/sources or a file; all of data/sources by default. Goes on where a crawl was cut short.
    The same command in another process shares the work.
    """
    from crawler.crawl import crawl as run
    from crawler.sources import load_sources

    with told(), bar("Crawling", quiet) as progress:
        wanted = load_sources(ROOT / "sources", sources)
        judge = _promotion(model) if any(source.discover for source in wanted) else None
        log = db.with_suffix(".crawl.log")
        result = run(open_store(db), archive, wanted, contact, log, progress, redis=redis, judge=judge)
    done = "finished" if result["finished"] else f"cut short, {result['waiting']} addresses wait: run it again to go on"
    say(result, quiet, as_json, [f"crawl {done}: {counted(result['outcomes'])}"])
    if result["finished"] and not {"stored", "unchanged"} & result["outcomes"].keys():
        raise click.ClickException(f"not one page came in; why, address by address: {db.with_suffix('.crawl.log')}")
    if not result["finished"]:
        sys.exit(1)


def _promotion(model: Path) -> Callable[..., list[float]]:
    """What discovery asks of the classifier. Raises ClassifierError where there is no model."""
    from classifier.judge import promotion
    from classifier.model import load_model

    load_model(model)
    return partial(promotion, model_dir=model)


for command in (new, sources, ingest, commoncrawl, merge, diff, evidence):
    cli.add_command(command)


@cli.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder of the results.")
@click.option("--scheduler", help="Address of a dask scheduler (tcp://host:8786); its workers share the folder.")
@click.option("--workers", type=click.IntRange(1), help="Processes of this machine; one a core by default.")
@model_option
@quiet_option
@json_option
def bulk(
    paths: tuple[str, ...],
    out: Path,
    scheduler: str | None,
    workers: int | None,
    model: Path,
    quiet: bool,
    as_json: bool,
) -> None:
    """Read, judge and tag thousands of WARC files, one result each.

    A PATH is a WARC or WACZ file, an address that fsspec knows, a quoted glob, or @LIST of these. Nothing goes into the
    store: `ingest` the files whose results matter. A rerun does what is not done.
    """
    from classifier.judge import judge
    from classifier.model import load_model
    from crawler.intake.bulk import find, run
    from crawler.intake.bulkfile import BulkError

    problem = None
    with told():
        version, files = load_model(model).version, find(paths)
        with bar("Reading files", quiet, len(files)) as progress:
            try:
                result = run(
                    files, out, partial(judge, model_dir=model.absolute()), version, scheduler, workers, progress
                )
            except BulkError as error:
                if error.result is None:
                    raise
                problem, result = error, error.result
    lines = [
        f"read {result['files'] - result['broken']} files ({result['kept']} before): {counted(result['outcomes'])}",
        f"voices: {counted(result['voices'])}",
        f"claims: {counted(result['claims'])}",
    ]
    say({key: value for key, value in result.items() if key != "by_file"}, quiet, as_json, lines)
    if problem is not None:
        raise click.ClickException(str(problem))


@cli.command()
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


@cli.command()
@db_option
@archive_option
@catalog_option
@quiet_option
@json_option
def publish(db: Path, archive: Path, catalog: Path, quiet: bool, as_json: bool) -> None:
    """Build the public catalogue. What may be shown stands in data/publication.yml."""
    from catalog.publish import publish as run
    from catalog.vendors import assign_vendors
    from crawler.health import report
    from crawler.sources import load_sources

    with told():
        if catalog.name != "catalog.db":  # addresses and queries of the site hold the name
            raise click.BadParameter(f"{catalog}: the file must be named catalog.db", param_hint="--catalog")
        store = open_store(existing(db))
        today = datetime.now(UTC).date()
        health = report(store, load_sources(ROOT / "sources"), today)
        with bar("Publishing", quiet, 2 * store.table("pages").count) as progress:
            vendors = assign_vendors(store, progress)
            result = run(store, archive, catalog, progress=progress, health=health)
    warn(result["warnings"])
    kept = ("vendors", "pages", "claims", "rejected", "below_policy", "without_vendor", "without_evidence")
    lines = [
        f"published {catalog}: {counted({name.replace('_', ' '): result[name] for name in kept})}",
        f"claims: {counted({label: count for label, count in result['labels'].items() if count})}",
    ]
    say(result | {"assigned": vendors}, quiet, as_json, lines)


@cli.command()
@catalog_option
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8001, show_default=True, type=click.IntRange(0, 65535))
def serve(catalog: Path, host: str, port: int) -> None:
    """Serve the catalogue with Datasette."""
    from catalog.serve import command

    with told():
        argv = command(catalog, host, port)
    click.echo(f"Fantômes on http://{host}:{port}/ (Ctrl-C stops)")
    sys.stdout.flush()
    os.execv(argv[0], argv)  # noqa: S606 (our own interpreter, no shell)


@cli.command()
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


@cli.command("export-reviews")
@db_option
def export_reviews(db: Path) -> None:
    """Print what people decided as labelled blocks, JSON Lines in the form of the corpus."""
    from classifier.reviews import export_reviews as run

    with told():
        for row in run(open_store(existing(db))):
            click.echo(json.dumps(row, ensure_ascii=False))


@cli.command()
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


@cli.command()
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


@cli.command()
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


@cli.command()
@click.option("--serve/--no-serve", default=True, help="Serve the catalogue at the end.")
@click.option("--port", default=8001, show_default=True, type=click.IntRange(0, 65535))
def demo(serve: bool, port: int) -> None:
    """Do the main job on the bundled sample web. Trains first when there is no model."""
    start = time.monotonic()
    steps = [["crawl", "sample-sites", "sample-wires", "sample-ads"], ["classify"], ["publish"]]
    if not (ROOT / "model" / "model.npz").exists():
        steps.insert(0, ["train"])
    for step in steps:  # a process each: Twisted's reactor runs once a process, and memory is given back
        click.echo(f"$ fantomes {' '.join(step)}")
        done = subprocess.run([sys.executable, "-m", "fantomes", *step], check=False)  # noqa: S603
        if done.returncode:
            sys.exit(done.returncode)
    click.echo(f"data/catalog.db is ready after {time.monotonic() - start:.0f} s")
    if serve:
        argv = [sys.executable, "-m", "fantomes", "serve", "--port", str(port)]
        os.execv(argv[0], argv)  # noqa: S606


if __name__ == "__main__":
    cli()
