"""The store, opened by many at once."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from data.migrations import StoreError, open_store

OPEN = """
import sys, time
from data.migrations import open_store
time.sleep(max(0, float(sys.argv[2]) - time.time()))  # all at the same moment
open_store(sys.argv[1]).execute("SELECT 1 FROM pages")
"""


def test_many_processes_may_open_a_new_store_at_once(tmp_path: Path) -> None:
    root = Path(__file__).parents[1]
    for turn in range(4):
        argv = [sys.executable, "-c", OPEN, str(tmp_path / f"{turn}.db"), str(time.time() + 1)]
        processes = [subprocess.Popen(argv, cwd=root, stderr=subprocess.PIPE, text=True) for _ in range(6)]
        assert [process.communicate(timeout=60)[1] for process in processes] == [""] * 6
        assert open_store(tmp_path / f"{turn}.db").execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_what_is_no_store_is_told(tmp_path: Path) -> None:
    path = tmp_path / "f.db"
    path.write_bytes(b"something else, and long enough to be looked at" * 99)
    with pytest.raises(StoreError, match=r"f\.db: cannot open the store: file is not a database"):
        open_store(path)
