"""Lines in any order, read back sorted, with little memory however many they are."""

import heapq
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO

RUN = 5_000  # lines held in memory, some two megabytes of an index


class SortedLines:
    """Sorted runs in files without a name, so that a kill leaves none; merged when they are read."""

    def __init__(self) -> None:
        self._new: list[str] = []
        self._runs: list[IO[str]] = []

    def add(self, lines: Iterable[str]) -> None:
        """Lines without their ends. Raises OSError."""
        self._new += lines
        if len(self._new) >= RUN:
            file = tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n")  # noqa: SIM115 (closed by close)
            file.writelines(f"{line}\n" for line in sorted(self._new))
            self._runs.append(file)
            self._new = []

    def __iter__(self) -> Iterator[str]:
        for run in self._runs:
            run.seek(0)
        return heapq.merge(sorted(self._new), *((line[:-1] for line in run) for run in self._runs))

    def close(self) -> None:
        for run in self._runs:
            run.close()
