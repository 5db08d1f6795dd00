"""The README cannot lie: its tables are made from the code and data, and its commands and links exist."""

import re
import sys
from pathlib import Path

import yaml
from click.testing import CliRunner

from data import DATA

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"


def labels() -> str:
    rows = ["| label | in English | en français | the reader is told that |", "|---|---|---|---|"]
    for label in yaml.safe_load((DATA / "taxonomy" / "labels.yml").read_text("utf-8")):
        definition = " ".join(label["definition_en"].split())
        rows.append(f"| `{label['id']}` | {label['name_en']} | {label['name_fr']} | {definition} |")
    return "\n".join(rows)


def help_text() -> str:
    from fantomes import cli

    text = CliRunner().invoke(cli, ["--help"], prog_name="fantomes", terminal_width=100).output
    return f"```\n{text.rstrip()}\n```"


def written(text: str) -> str:
    """The README's text with its made parts made anew."""
    for name, made in (("labels", labels()), ("help", help_text())):
        text = re.sub(
            rf"(<!-- {name}:[^\n]*-->\n).*?(<!-- /{name} -->)",
            lambda m, made=made: m[1] + made + "\n" + m[2],
            text,
            flags=re.S,
        )
    return text


def test_the_made_parts_are_up_to_date() -> None:
    text = README.read_text("utf-8")
    assert text == written(text), "run: .venv/bin/python tests/test_readme.py"


def test_links_and_targets_exist() -> None:
    text = README.read_text("utf-8")
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / link).exists(), link
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), flags=re.M)
    for target in re.findall(r"(?:`|^    )make ([a-z]+)", text, flags=re.M):
        assert target in targets, target
    for target in targets:
        assert re.search(rf"^{target}:.*## ", (ROOT / "Makefile").read_text("utf-8"), flags=re.M) or target == "browser"


def test_every_command_is_documented() -> None:
    from fantomes import cli

    text = README.read_text("utf-8")
    for name, command in cli.commands.items():
        assert command.help, name
        assert re.search(rf"^  {name} ", text, flags=re.M), name


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    README.write_text(written(README.read_text("utf-8")), "utf-8")
