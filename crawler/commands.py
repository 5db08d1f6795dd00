"""Commands of this room alone: sources and their health, what comes in by files, changes, and the evidence."""

import json
import re
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from data.console import (
    ROOT,
    archive_option,
    bar,
    contact_option,
    counted,
    db_option,
    existing,
    json_option,
    quiet_option,
    say,
    told,
    warn,
)
from data.migrations import open_store


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path))
@click.option("--url", help="Address of a saved page, or of the panel whose services a file lists, if you know it.")
@db_option
@archive_option
@quiet_option
@json_option
def ingest(paths: tuple[Path, ...], url: str | None, db: Path, archive: Path, quiet: bool, as_json: bool) -> None:
    """Read files captured or saved by others.

    WARC (gzipped or not), WACZ, saved HTML, exports of ad libraries, panels' lists of services, apps' pages in a store.
    Of a folder, all files below it.
    """
    from crawler.intake.ingest import IngestError
    from crawler.intake.ingest import ingest as run

    problem = None
    with told(), bar("Reading records", quiet) as progress:
        try:
            result = run(open_store(db), archive, list(paths), url, progress)
        except IngestError as error:
            problem, result = error, error.result
    warn(result["warnings"])
    part = f" ({result['broken']} not wholly)" if result["broken"] else ""
    say(result, quiet, as_json, [f"read {result['files']} files{part}: {counted(result['outcomes'])}"])
    if problem is not None:
        raise click.ClickException(str(problem))


@click.command()
@click.argument("what", metavar="DOMAIN|ADDRESS")
@contact_option
@click.option("--index", default="https://index.commoncrawl.org/", show_default=True, help="Server of the index.")
@click.option("--data", default="https://data.commoncrawl.org/", show_default=True, help="Server of the WARC files.")
@click.option("--most", default=200, show_default=True, type=click.IntRange(min=1), help="Captures to fetch at most.")
@db_option
@archive_option
@quiet_option
@json_option
def commoncrawl(
    what: str,
    contact: str | None,
    index: str,
    data: str,
    most: int,
    db: Path,
    archive: Path,
    quiet: bool,
    as_json: bool,
) -> None:
    """Fetch what Common Crawl holds of a domain, to date a claim.

    The first and the last capture of each address, as they are. An ADDRESS may end in * for all that begins so.
    """
    from crawler.intake.commoncrawl import commoncrawl as run

    with told(), bar("Fetching captures", quiet) as progress:
        result = run(open_store(db), archive, what, contact, index, data, most, progress)
    warn(result["warnings"])
    lines = [f"{result['captures']:,} captures found, {result['fetched']:,} fetched: {counted(result['outcomes'])}"]
    say(result, quiet, as_json, lines)


@click.command()
@click.argument("other", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="STORE")
@click.option(
    "--other-archive",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of its WARC files; `archive` beside STORE by default.",
)
@db_option
@archive_option
@quiet_option
@json_option
def merge(other: Path, other_archive: Path | None, db: Path, archive: Path, quiet: bool, as_json: bool) -> None:
    """Bring the pages and the evidence of another host's STORE into ours."""
    from crawler.intake.merge import merge as run

    with told(), bar("Merging", quiet) as progress:
        result = run(open_store(db), archive, other, other_archive or other.parent / "archive", progress)
    say(result, quiet, as_json, [f"merged {other}: {counted(result)}"])


@click.command()
@click.argument("names", nargs=-1, metavar="[SOURCE]...")
@click.option("--check", is_flag=True, help="Exit code 1 when a source needs somebody's attention: for cron.")
@click.option("--days", default=7, show_default=True, type=click.IntRange(min=0), help="Silence that is an alarm.")
@db_option
@quiet_option
@json_option
def sources(names: tuple[str, ...], check: bool, days: int, db: Path, quiet: bool, as_json: bool) -> None:
    """Say how sources are: the last run, what it brought, what needs attention.

    SOURCE as for `crawl`; all by default, those included that came as files.
    """
    from crawler.health import HEALTH, report, table
    from crawler.sources import load_sources

    with told():
        wanted = load_sources(ROOT / "sources", names)
        store = open_store(existing(db))
        rows = report(store, wanted, datetime.now(UTC).date(), days, others=not names)
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False))
    elif not quiet:
        for line in table(rows):
            click.echo(line)
        for row in rows:
            if row["alarm"]:
                click.echo(f"{row['id']}: {row['health']}: {HEALTH[row['health']]}", err=True)
                for miss in row["missed"]:
                    of = "the floor" if miss["by"] == "floor" else "half of the median"
                    click.echo(f"  {miss['got']:,} {miss['name']}, {of} is {miss['wanted']:,}", err=True)
                for line in row["runbook"].splitlines():
                    click.echo(f"  {line}", err=True)
    if check and any(row["alarm"] for row in rows):
        sys.exit(1)


@click.command()
@click.argument("kind")
@click.argument("name", metavar="ID")
@click.argument("url")
@click.option("--title", default="", help="For people.")
@click.option("--page", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A saved answer of URL.")
@contact_option
@quiet_option
@json_option
def new(
    kind: str, name: str, url: str, title: str, page: Path | None, contact: str | None, quiet: bool, as_json: bool
) -> None:
    """Begin a source: its file, a recorded page and the test of it.

    KIND is site, feed, ads, adlibrary or panel. Without --page the one address is fetched, by the rules of a crawl.
    """
    from crawler.scaffold import scaffold

    pages = ROOT.parent / "tests" / "pages"
    with told():
        body = page.read_bytes() if page else None
        made = scaffold(kind, name, url, ROOT / "sources", pages, contact or "", body, title)
    result = {"source": str(made.source), "page": str(made.case), "private": made.private, "blocks": made.blocks}
    lines = [
        f"{made.source}: floors and runbook are a beginning, read it",
        f"{made.case}: {made.blocks} blocks, {made.links} links; tests/test_recorded.py compares them from now on",
    ]
    if made.private:
        lines.append("the page is of a real host: git ignores it; do not commit the source file either")
    say(result, quiet, as_json, lines)


@click.command()
@click.argument("url")
@click.option("--from", "old", metavar="DATE", help="The capture of this day, ISO 8601. The last but one by default.")
@click.option("--to", "new", metavar="DATE", help="The capture of this day. The last one by default.")
@db_option
@json_option
def diff(url: str, old: str | None, new: str | None, db: Path, as_json: bool) -> None:
    """Show what changed at URL, and which claims that touched.

    A capture of a day is the last one made by then. URL may be written hxxps://name[.]example.
    """
    from crawler.changes import describe
    from crawler.changes import diff as run

    with told():
        found = run(open_store(existing(db)), url, old, new)
    if as_json:
        changes = [{"how": change.how, **asdict(change)} for change in found.changes]
        click.echo(json.dumps({**asdict(found), "changes": changes}, ensure_ascii=False))
    else:
        for line in describe(found, styled=sys.stdout.isatty()):
            click.echo(line)


@click.group()
def evidence() -> None:
    """Check the evidence, hand it out, have it stamped."""


@evidence.command()
@click.option(
    "--root-certificate",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Certificate (PEM) that time stamps must lead back to.",
)
@click.option("--quick", is_flag=True, help="Hash every byte, but read only the records that pages lead to.")
@db_option
@archive_option
@quiet_option
@json_option
def verify(root_certificate: Path | None, quick: bool, db: Path, archive: Path, quiet: bool, as_json: bool) -> None:
    """Check every byte of the archive, and the store against it, offline."""
    from crawler.evidence.verify import verify as run

    if not archive.is_dir():
        raise click.ClickException(f"{archive}: no archive there")
    store = open_store(db) if db.exists() else None
    size = sum(path.stat().st_size for path in archive.rglob("*") if path.is_file())
    with told(), bar("Checking", quiet, size) as progress:
        root = root_certificate.read_bytes() if root_certificate else None
        report = run(archive, store, progress, root, quick)
    if store is None:
        warn([f"{db}: no store there: only the archive was checked"])
    for problem in report.problems:
        click.echo(str(problem), err=True)
    lines = [*report.notes, f"{counted(report.counts)}; problems: {len(report.problems) or 'none'}"]
    say(report.as_json(), quiet, as_json, lines)
    sys.exit(bool(report.problems))


@evidence.command()
@click.argument("what", metavar="VENDOR|CLAIM|ADDRESS")
@click.option(
    "--out", "-o", type=click.Path(dir_okay=False, path_type=Path), help="A .wacz file; else named after what it is of."
)
@db_option
@archive_option
@quiet_option
@json_option
def export(what: str, out: Path | None, db: Path, archive: Path, quiet: bool, as_json: bool) -> None:
    """Write the captures behind a vendor, a claim or an address as one WACZ file.

    A VENDOR by its domain or its id; a CLAIM by its id, the end of its page's address in the catalogue.
    """
    from crawler.archive import SOFTWARE
    from crawler.evidence.wacz import export as run

    name = re.sub(r"[^\w.-]+", "-", what).strip("-.")[:80] or "evidence"
    with told():
        result = run(open_store(existing(db)), archive, what, out or Path(f"{name}.wacz"), SOFTWARE)
    text = f"{result['file']}: {result['pages']} captures, {result['claims']} claims, SHA-256 {result['sha256']}"
    say(result, quiet, as_json, [text])


@evidence.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@quiet_option
@json_option
def check(file: Path, quiet: bool, as_json: bool) -> None:
    """Check a WACZ file, ours or anybody's."""
    from crawler.evidence.check import check as run

    problems = run(file)
    for problem in problems:
        click.echo(f"{file}: {problem}", err=True)
    say({"file": str(file), "problems": problems}, quiet, as_json, [] if problems else [f"{file}: whole"])
    sys.exit(bool(problems))


@evidence.command()
@click.argument("service", metavar="ADDRESS")
@archive_option
@quiet_option
@json_option
def stamp(service: str, archive: Path, quiet: bool, as_json: bool) -> None:
    """Have a time-stamping service (RFC 3161) confirm that the evidence is there today."""
    from crawler.archive import SOFTWARE
    from crawler.evidence.stamp import stamp as run

    with told():
        name = run(archive, service, SOFTWARE)
    say({"file": str(archive / name)}, quiet, as_json, [str(archive / name)])
