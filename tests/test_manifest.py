"""The chain: canonical lines, several processes at once, half lines, a full disk."""

import hashlib
import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.evidence.manifest import (
    FIRST,
    MANIFEST,
    ArchiveError,
    Chain,
    Head,
    covered,
    entries,
    entry,
    line,
    read_line,
)

ROOT = Path(__file__).parents[1]
ZEROS = "0" * 64


def some(name: str, offset: int = 0, length: int = 1) -> dict[str, object]:
    return entry("response", name, offset, length, ZEROS, url="http://a.example/", date="2026-01-02T03:04:05Z")


@given(st.text(), st.text(), st.integers(0, 2**60), st.integers(-1, 2**40))
def test_a_line_reads_back_whatever_stands_in_it(name: str, url: str, length: int, seq: int) -> None:
    data, head = line(entry("response", name, 0, length, ZEROS, url=url), Head(seq, FIRST))
    fields = read_line(data)
    assert (fields["warc"], fields["url"], fields["length"], fields["prev"]) == (name, url, length, FIRST)
    assert head == Head(seq + 1, fields["hash"])
    assert data.isascii()
    assert data.count(b"\n") == 1


@given(st.binary(max_size=300))
def test_what_is_no_line_is_told(data: bytes) -> None:
    with pytest.raises(ValueError):
        read_line(data)


def test_a_line_has_one_form_only() -> None:
    data, _ = line(some("a"), Head())
    fields = json.loads(data)
    del fields["hash"]
    named = hashlib.sha256(json.dumps({**fields}, sort_keys=True).encode()).hexdigest()  # with spaces
    spaced = json.dumps({**fields, "hash": named}, sort_keys=True).encode() + b"\n"
    for other in (spaced, data.replace(b'","', b'", "', 1), data.rstrip(), data.replace(b"\n", b"\r\n"), data + b"\n"):
        with pytest.raises(ValueError, match="canonical"):
            read_line(other)


def test_a_stranger_can_check_the_chain_with_a_few_lines_of_python(tmp_path: Path) -> None:
    chain = Chain(tmp_path)
    chain.append([some("a"), some("b")])
    chain.append([some("c")])
    chain.close()
    before = FIRST
    for number, text in enumerate((tmp_path / MANIFEST).read_text().splitlines()):
        fields = json.loads(text)
        named = fields.pop("hash")
        canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"))
        assert (fields["seq"], fields["prev"]) == (number, before)
        assert hashlib.sha256(canonical.encode()).hexdigest() == named
        before = named


def test_a_half_line_is_moved_into_a_line_of_its_own(tmp_path: Path) -> None:
    chain = Chain(tmp_path)
    chain.append([some("a")])
    whole = (tmp_path / MANIFEST).read_bytes()
    (tmp_path / MANIFEST).write_bytes(whole + b'{"date":"20')
    other = Chain(tmp_path)
    other.append([some("b")])
    chain.append([some("c")])  # it sees what the other one added
    first, torn, *rest = [fields for _, fields in entries(tmp_path)]
    assert (first["warc"], torn["kind"], [fields["warc"] for fields in rest]) == ("a", "torn", ["b", "c"])
    assert (bytes.fromhex(torn["hex"]), torn["offset"], torn["length"]) == (b'{"date":"20', len(whole), 11)
    assert torn["prev"] == first["hash"]


def test_a_chain_with_a_broken_end_is_not_continued(tmp_path: Path) -> None:
    chain = Chain(tmp_path)
    chain.append([some("a"), some("b")])
    chain.close()
    whole = (tmp_path / MANIFEST).read_bytes()
    (tmp_path / MANIFEST).write_bytes(whole.replace(b'"warc":"b"', b'"warc":"B"'))
    with pytest.raises(ArchiveError, match=r"manifest\.jsonl: its last line is broken"):
        Chain(tmp_path).append([some("c")])
    assert b'"c"' not in (tmp_path / MANIFEST).read_bytes()
    with pytest.raises(ArchiveError, match="line 2: its hash does not hold"):
        list(entries(tmp_path))


def test_covered_is_the_end_of_what_the_chain_knows(tmp_path: Path) -> None:
    chain = Chain(tmp_path)
    chain.append([some("a", 0, 10), some("b", 0, 99), some("a", 10, 5)])
    chain.append([entry("response", "x", 0, 7, ZEROS, url='http://a.example/","warc":"a"}')])  # no trick with quotes
    assert (covered(tmp_path, "a"), covered(tmp_path, "c")) == (15, None)


def test_lines_longer_than_a_block(tmp_path: Path) -> None:
    chain = Chain(tmp_path)
    chain.append([entry("response", "a", 0, 1, ZEROS, url="http://a.example/" + "x" * 100_000)])
    assert Chain(tmp_path).head() == chain.head()
    Chain(tmp_path).append([some("b")])
    assert [fields["seq"] for _, fields in entries(tmp_path)] == [0, 1]


APPEND = """
import sys
from itertools import pairwise
from pathlib import Path
from crawler.evidence.manifest import Chain, entry
chain = Chain(Path(sys.argv[1]))
for number in range(200):
    chain.append([entry("response", sys.argv[2], number * 2 + part, 1, "0" * 64) for part in range(2)])
"""


def test_processes_append_one_after_the_other(tmp_path: Path) -> None:
    runs = [subprocess.Popen([sys.executable, "-c", APPEND, str(tmp_path), name], cwd=ROOT) for name in "abc"]
    assert [run.wait(60) for run in runs] == [0, 0, 0]
    read = [fields for _, fields in entries(tmp_path)]
    assert [fields["seq"] for fields in read] == list(range(1200))
    assert all(one["hash"] == two["prev"] for one, two in pairwise(read))
    for name in "abc":
        assert [fields["offset"] for fields in read if fields["warc"] == name] == list(range(400))
    pairs = [(one["warc"], two["warc"]) for one, two in zip(read[::2], read[1::2], strict=True)]
    assert all(one == two for one, two in pairs)  # what is appended together stays together


FULL = """
import resource, sys
from pathlib import Path
from crawler.evidence.manifest import Chain, entry
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))  # the disk is full after so many bytes
chain = Chain(Path(sys.argv[1]))
try:
    for number in range(100):
        chain.append([entry("response", "a", number, 1, "0" * 64)])
except OSError as error:
    print(number, error)
"""


def test_a_full_disk_leaves_whole_lines(tmp_path: Path) -> None:
    out = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    count = int(out.stdout.split()[0])
    assert 5 < count < 20
    assert [fields["seq"] for _, fields in entries(tmp_path)] == list(range(count))
    assert (tmp_path / MANIFEST).read_bytes().endswith(b"\n")
