"""The command line: the only module that knows all rooms. Each command is one station of the datum's way."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click

from classifier.commands import classify, evaluate, export_reviews, score, tag, train
from crawler.commands import commoncrawl, diff, evidence, ingest, merge, new, sources
from data.console import (
    ROOT,
    archive_option,
    bar,
    catalog_option,
    contact_option,
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
for command in (classify, train, evaluate, score, tag, export_reviews):
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
