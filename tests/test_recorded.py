"""Recorded answers (tests/pages/SOURCE/CASE, made by `fantomes new`): what is read in them stays what it was.

Where a change is meant: `python tests/test_recorded.py CASE...` writes anew what is read, for git to show.
"""

import json
import sys
from pathlib import Path

import pytest

from crawler.scaffold import read_case

PAGES = Path(__file__).parent / "pages"
CASES = [path.parent for path in sorted(PAGES.glob("**/page.yml"))]


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.relative_to(PAGES)))
def test_what_is_read_stays(case: Path) -> None:
    expected = json.loads((case / "blocks.json").read_text("utf-8"))
    found = json.loads(json.dumps(read_case(case)))
    for name in expected | found:
        assert found[name] == expected[name], f"{case}: {name}"


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        text = json.dumps(read_case(Path(argument)), ensure_ascii=False, indent=1)
        (Path(argument) / "blocks.json").write_text(text + "\n", "utf-8")
