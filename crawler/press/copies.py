"""Copies: the same press release on ten wires is one release, the earliest, with nine copies.

Candidates come from the stored MinHash signatures, the decision from the texts themselves: a wire may put an intro
before a text, a box into it, or cut its end, and it is the same text. Where names or numbers were exchanged ("in Lyon"
for "in Nantes"), it is another one, however much the rest agrees.
"""

import re
import unicodedata
from collections import Counter
from difflib import SequenceMatcher
from functools import lru_cache

import numpy as np
from datasketch import MinHash, MinHashLSH
from sqlite_utils import Database

from crawler.press.dateline import read_dateline
from data.migrations import write

BANDS = (
    20,
    4,
)  # of so many rows of the signature: texts that share 0.5 of their shingles meet with p = 0.72, 0.7: 0.996
SHINGLE = 4  # words
PERMUTATIONS = 128
MAX_CANDIDATES = (
    8  # earlier texts that one text is compared with, the likest first: texts of one pattern come by thousands
)
MIN_SHARED = 0.8  # of the shorter text's words stand in long runs of the other
MIN_WORDS = 30  # a shorter text has too little in it to be anybody's copy, unless it is the very same
RUN = 8  # words: a shorter agreement is chance, a longer addition is an intro, a box or a paragraph
MAX_WORDS = 3_000  # of a text, that are compared


def shingles(text: str) -> set[str]:
    """Runs of SHINGLE words, without case and punctuation; a shorter text is one shingle."""
    said = re.findall(r"\w+", text.casefold())
    return {" ".join(said[n : n + SHINGLE]) for n in range(max(1, len(said) - SHINGLE + 1))}


def signature(text: str) -> bytes:
    """MinHash of the shingles: PERMUTATIONS little-endian 32-bit numbers. The named scheme keeps stored ones good."""
    sketch = MinHash(PERMUTATIONS, scheme="affine32")
    sketch.update_batch([shingle.encode() for shingle in shingles(text)])
    return bytes(sketch.hashvalues.astype("<u4").tobytes())


def mark_copies(db: Database) -> dict[str, int]:
    """Say in releases.original_id of which release each one is a copy (null = of none). Returns counts: releases,
    originals, copies, changed (rows written).

    Earliest first, by published_at, else the date line, else the capture. The answer depends on what is stored alone,
    not on the order in which it came; what an earlier call found out is not found out again, for bodies never change.
    A later capture of an address is no copy of an earlier one: it is the same release.
    """
    rows = db.execute(
        "SELECT page_id, url, place, original_id, signature FROM releases JOIN pages ON pages.id = page_id"
        " ORDER BY coalesce(published_at, dated, fetched_at), page_id"
    ).fetchall()
    signatures = np.frombuffer(b"".join(row[4] for row in rows), dtype="<u4").reshape(-1, PERMUTATIONS)
    lsh = MinHashLSH(num_perm=PERMUTATIONS, params=BANDS)
    marks: dict[int, int | None] = {}
    for number, (page, url, place, marked, _) in enumerate(rows):
        sketch = MinHash(PERMUTATIONS, scheme="affine32", hashvalues=signatures[number])
        marks[page] = None
        for other in _likest(signatures, number, lsh.query(sketch)):
            earlier, earlier_url, earlier_place = rows[other][:3]
            if earlier == marked or (_agree(place, earlier_place) and is_copy(_text(db, earlier), _text(db, page))):
                marks[page] = earlier if url != earlier_url else None
                break
        else:
            lsh.insert(number, sketch)  # an original; the others are found through theirs
    changed = [(marks[row[0]], row[0]) for row in rows if marks[row[0]] != row[3]]
    with write(db):
        db.conn.executemany("UPDATE releases SET original_id = ? WHERE page_id = ?", changed)
    copies = sum(original is not None for original in marks.values())
    return {"releases": len(rows), "originals": len(rows) - copies, "copies": copies, "changed": len(changed)}


def is_copy(one: str, other: str) -> bool:
    """Whether two bodies are the same text, apart from date lines, what stands before and after it, and boxes within.

    Words may be spelled or set differently here and there; a name or a number that differs makes it another text.
    """
    (a, same_a, shingles_a), (b, same_b, shingles_b) = _words(one), _words(other)
    if same_a == same_b:
        return True
    runs = _runs(shingles_a, shingles_b)
    shared = sum(length for _, _, length in runs)
    shorter = min(len(a), len(b))
    if not runs or shorter < MIN_WORDS or shared < MIN_SHARED * shorter:
        return False
    changed = 0
    gaps = _gaps(runs, len(a), len(b))
    for place, (from_a, to_a, from_b, to_b) in enumerate(gaps):
        here, there = a[from_a:to_a], b[from_b:to_b]
        short, long = sorted((here, there), key=len)
        last = place == len(gaps) - 1
        if len(long) >= RUN and (not short or (last and len(short) < RUN)):
            continue  # an intro, a box, a paragraph left out, "read more" where the end was cut
        if not short and place in (0, len(gaps) - 1):
            continue
        counts = Counter(same_a[from_a:to_a]), Counter(same_b[from_b:to_b])
        differing = (counts[0] - counts[1]) + (counts[1] - counts[0])
        if any(word.casefold() in differing and (word[0].isupper() or word[0].isdigit()) for word in here + there):
            return False
        changed += sum(differing.values())
    return changed <= max(2, 0.03 * shared)


def _likest(signatures: np.ndarray, number: int, candidates: list[int]) -> list[int]:
    """The MAX_CANDIDATES likest of the candidates, the earliest of them first."""
    among = np.array(sorted(candidates), dtype=int)
    alike = (signatures[among] == signatures[number]).sum(axis=1) if len(among) else among
    return sorted(int(index) for index in among[np.argsort(-alike, kind="stable")[:MAX_CANDIDATES]])


@lru_cache(maxsize=64)  # an original is compared with one copy after the other
def _words(body: str) -> tuple[list[str], list[str], list[str]]:
    """The words of a body after its date line, which differs from wire to wire; without case; shingles."""
    paragraphs = unicodedata.normalize("NFKC", body).split("\n")
    for number, paragraph in enumerate(paragraphs[:3]):
        if line := read_dateline(paragraph):
            paragraphs = [paragraph[line.end :], *paragraphs[number + 1 :]]
            break
    words = re.findall(r"\w+", "\n".join(paragraphs))[:MAX_WORDS]
    same = [word.casefold() for word in words]
    return words, same, [" ".join(same[n : n + SHINGLE]) for n in range(max(0, len(same) - SHINGLE + 1))]


def _runs(a: list[str], b: list[str]) -> list[tuple[int, int, int]]:
    """(place in a, place in b, length) of the runs of at least RUN words that stand in both, in order.

    `a` and `b` are the shingles, which hardly repeat within a text: over words it takes ten times as long.
    """
    blocks = SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks()
    return [(at_a, at_b, size + SHINGLE - 1) for at_a, at_b, size in blocks if size + SHINGLE - 1 >= RUN]


def _gaps(runs: list[tuple[int, int, int]], end_a: int, end_b: int) -> list[tuple[int, int, int, int]]:
    """What stands before, between and after the runs: (from, to) in a and in b. Runs may overlap by a few words."""
    gaps = []
    at_a = at_b = 0
    for a, b, length in [*runs, (end_a, end_b, 0)]:
        overlap = max(at_a - a, at_b - b, 0)
        gaps.append((at_a, a + overlap, at_b, b + overlap))
        at_a, at_b = a + length, b + length
    return gaps


def _agree(one: str | None, other: str | None) -> bool:
    """Whether two places may be the same: "PARIS, FRANCE" and "Paris", or one of them not said."""
    return not one or not other or one.partition(",")[0].casefold() == other.partition(",")[0].casefold()


def _text(db: Database, page: int) -> str:
    return str(db.execute("SELECT body FROM releases WHERE page_id = ?", [page]).fetchone()[0])
