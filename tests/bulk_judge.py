"""A judge for tests of bulk work: needs no model, notes what it is asked, and can be killed at a chosen text."""

import os
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Claim:
    label: str
    score: float
    block: int
    start: int
    end: int
    quote: str


@dataclass
class Judgement:
    model: str
    lang: str
    voice: str
    voice_score: float
    claims: list[Claim]


def words(
    pages: Iterable[Sequence[tuple[str, str]]], log: Path, stop_at: str = "", mark: str = "", die: bool = False
) -> Iterator[Judgement]:
    """At the text `stop_at` it writes its process id to `mark` and waits to be killed, once; or dies, each time."""
    for blocks in pages:
        texts = [text for _, text in blocks]
        with log.open("a") as file:
            file.write(f"{texts[0]}\n")
        if stop_at in texts:
            if die:
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                with Path(mark).open("x") as file:
                    file.write(str(os.getpid()))
                time.sleep(60)
            except FileExistsError:
                pass
        places = [(n, text, text.index("eal")) for n, text in enumerate(texts) if "eal" in text]
        claims = [Claim("real", 0.98765432, n, start, len(text), text[start:]) for n, text, start in places]
        yield Judgement("m1", "en", "promotion", 0.98765432, claims)
