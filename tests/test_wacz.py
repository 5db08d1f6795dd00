"""The export of evidence: whole, the same twice, readable by others' tools, and no byte of it can be changed unseen."""

import csv
import gzip
import hashlib
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator

from catalog.vendors import assign_vendors
from crawler.archive import NOT_MODIFIED
from crawler.evidence.check import check
from crawler.evidence.manifest import Head, entries, line
from crawler.evidence.package import DATAPACKAGE, DIGEST, INDEX, PAGES, as_json, write_zip
from crawler.evidence.record import EvidenceError
from crawler.evidence.wacz import export
from tests.archived import ASK, BLOCKS, HEAD, SHOP, Archived, archived_ad, claim_ids
from tests.store import fill

BIN = Path(sys.executable).parent


def members(path):
    with zipfile.ZipFile(path) as wacz:
        return {name: wacz.read(name) for name in wacz.namelist()}


def read_warc(data):
    records = []
    for record in ArchiveIterator(io.BytesIO(data), check_digests="raise"):
        records.append((record.rec_type, record.rec_headers.get_header("WARC-Target-URI"), record.raw_stream.read()))
    return records


def rezip(path, changed):
    """The WACZ again with other bytes in some members, all hashes made to fit: what a careful forger would do."""
    folder = path.with_suffix("")
    with zipfile.ZipFile(path) as wacz:
        wacz.extractall(folder)
        names = wacz.namelist()
    for name, data in changed.items():
        (folder / name).write_bytes(data)
    package = json.loads((folder / DATAPACKAGE).read_bytes())
    for row in package["resources"]:
        data = (folder / row["path"]).read_bytes()
        row |= {"hash": f"sha256:{hashlib.sha256(data).hexdigest()}", "bytes": len(data)}
    (folder / DATAPACKAGE).write_bytes(as_json(package))
    digest = hashlib.sha256((folder / DATAPACKAGE).read_bytes()).hexdigest()
    (folder / DIGEST).write_bytes(as_json({"path": DATAPACKAGE, "hash": f"sha256:{digest}"}))
    forged = path.with_name("forged.wacz")
    with forged.open("wb") as file:
        write_zip(file, folder, names)
    return forged


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A seller whose front page was captured five times, and found unchanged twice."""
    store = Archived(tmp_path_factory.mktemp("shop"))
    logo = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n"
    store.writer.response(SHOP + "logo.png", "2026-11-20T09:59:00Z", logo, b"\x89PNG old")
    for day in range(1, 6):
        blocks = [*BLOCKS, ("text", f"{day} offers today.")]
        image = b'<img src="/logo.png"><img src="http://elsewhere.example/x.png">' if day == 2 else b""
        store.page(SHOP, blocks, fetched_at=f"2026-11-1{day}T10:00:00Z", title="Shop of fans", extra=image)
        store.writer.response(SHOP + "logo.png", f"2026-11-1{day}T10:00:01Z", logo, b"\x89PNG %d" % day)
    store.page(SHOP + "contact", [("text", "Write to us.")], voice="neutral", fetched_at="2026-11-15T10:00:09Z")
    sha256, date = store.db.execute("SELECT sha256, fetched_at FROM pages WHERE id = 5").fetchone()
    unchanged = b"HTTP/1.1 304 Not Modified\r\n\r\n"
    store.writer.revisit(SHOP, "2026-11-17T10:00:00Z", HEAD, sha256, date, ASK)
    store.writer.revisit(SHOP, "2026-11-18T10:00:00Z", unchanged, sha256, date, ASK, profile=NOT_MODIFIED)
    store.writer.revisit(SHOP, "2026-11-19T10:00:00Z", HEAD, "ab" * 32, "2026-11-16T10:00:00Z")  # of what we have not
    store.writer.close()
    assign_vendors(store.db)
    return store


@pytest.fixture(scope="module")
def exported(shop):
    """The seller's export, and what the command would print."""
    path = shop.folder / "shop.wacz"
    return path, export(shop.db, shop.archive, "shop[.]example", path, "fantomes test")


def test_a_vendor_comes_with_the_whole_history_of_his_pages(shop, exported):
    path, result = exported
    assert check(path) == []
    assert result["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (result["kind"], result["name"], result["pages"], result["claims"]) == ("vendor", "shop_example", 5, 10)
    held = members(path)
    kinds = [kind for kind, _, _ in read_warc(held["archive/data.warc.gz"])]
    assert kinds.count("response") == 5 + 1  # an image of the same site that a capture shows
    assert kinds.count("request") == 5 + 2
    assert kinds.count("revisit") == 2
    assert b"\x89PNG 2" in [payload for _, _, payload in read_warc(held["archive/data.warc.gz"])]
    pages = [json.loads(line) for line in held[PAGES].splitlines()]
    assert [page["ts"] for page in pages[1:]] == [f"2026-11-1{day}T10:00:00Z" for day in range(1, 6)]
    assert pages[3]["text"].endswith("3 offers today.")
    claims = json.loads(held["evidence/claims.json"])
    assert {claim["vendor"] for claim in claims if claim["date"] < "2026-11-15"} == {None}
    assert [claim["vendor"] for claim in claims if claim["date"] > "2026-11-15"] == ["shop_example"] * 2
    package = json.loads(held[DATAPACKAGE])
    assert package["created"] == "2026-11-18T10:00:00Z"
    assert package["title"] == "Evidence, vendor: shop_example"
    assert not {"scam", "fraud", "illegal"} & set(b" ".join(held.values()).decode("utf-8", "ignore").lower().split())


def test_the_records_are_the_archive_s_own_bytes(shop, exported):
    data = members(exported[0])["archive/data.warc.gz"]
    for claim in json.loads(members(exported[0])["evidence/claims.json"]):
        raw = data[claim["offset"] : claim["offset"] + claim["length"]]
        with (shop.archive / claim["archive_file"]).open("rb") as file:
            file.seek(claim["archive_offset"])
            assert file.read(claim["length"]) == raw
        assert hashlib.sha256(raw).hexdigest() == claim["record_sha256"]
        [(_, url, payload)] = read_warc(raw)
        assert (url, hashlib.sha256(payload).hexdigest()) == (SHOP, claim["payload_sha256"])
        assert claim["quote"] in payload.decode()
        assert claim["text"][claim["start"] : claim["end"]] == claim["quote"]


def test_each_exported_record_has_its_line_of_the_chain(shop, exported):
    held = members(exported[0])
    lines = held["evidence/chain.jsonl"].splitlines(keepends=True)
    assert len(lines) == exported[1]["records"] == len(read_warc(held["archive/data.warc.gz"]))
    assert set(lines) <= set((shop.archive / "manifest.jsonl").read_bytes().splitlines(keepends=True))


def test_the_same_store_gives_the_same_bytes(shop, exported):
    again = shop.folder / "again.wacz"
    export(shop.db, shop.archive, "shop_example", again, "fantomes test")
    assert again.read_bytes() == exported[0].read_bytes()
    assert [path.name for path in shop.folder.glob(".*")] == []


@pytest.mark.parametrize("command", [["wacz", "validate", "-f"], ["warcio", "check"]])
def test_others_tools_find_it_valid(tmp_path, exported, command):
    path = exported[0]
    if command[0] == "warcio":
        path = tmp_path / "data.warc.gz"
        path.write_bytes(members(exported[0])["archive/data.warc.gz"])
    done = subprocess.run([BIN / command[0], *command[1:], path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "invalid" not in done.stdout


def test_the_readme_s_commands_work(tmp_path, exported):
    with zipfile.ZipFile(exported[0]) as wacz:
        wacz.extractall(tmp_path)
    claim = json.loads((tmp_path / "evidence/claims.json").read_bytes())[0]
    cut = f"tail -c +$(({claim['offset']} + 1)) {claim['file']} | head -c {claim['length']} | sha256sum"
    done = subprocess.run(cut, shell=True, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == claim["record_sha256"]
    assert cut.split("(")[0] in (tmp_path / "evidence/README.txt").read_text()
    show = [BIN / "warcio", "extract", "--payload", claim["file"], str(claim["offset"])]
    assert claim["quote"] in subprocess.run(show, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    sum_of_line = "head -n 1 evidence/chain.jsonl | sed 's/\"hash\":\"[0-9a-f]*\",//' | tr -d '\\n' | sha256sum"
    assert sum_of_line.partition("| ")[2] in (tmp_path / "evidence/README.txt").read_text()
    done = subprocess.run(sum_of_line, shell=True, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == json.loads((tmp_path / "evidence/chain.jsonl").open().readline())["hash"]
    package = (tmp_path / DATAPACKAGE).read_bytes()
    assert hashlib.sha256(package).hexdigest() in (tmp_path / DIGEST).read_text()
    for row in json.loads(package)["resources"]:
        assert row["hash"] == "sha256:" + hashlib.sha256((tmp_path / row["path"]).read_bytes()).hexdigest()


def test_a_claim_comes_with_its_own_page_alone(shop):
    claim = claim_ids(shop.db, 3)[1]
    path = shop.folder / "claim.wacz"
    assert export(shop.db, shop.archive, claim, path, "test")["records"] == 2
    assert check(path) == []
    [listed] = json.loads(members(path)["evidence/claims.json"])
    assert (listed["id"], listed["label"], listed["date"]) == (claim, "instant", "2026-11-13T10:00:00Z")


@pytest.mark.parametrize("address", ["hxxps://www[.]shop[.]example/contact", SHOP + "contact?utm_source=x#top"])
def test_an_address_is_understood_in_all_its_forms(shop, address):
    path = shop.folder / "page.wacz"
    result = export(shop.db, shop.archive, address, path, "test")
    assert (result["kind"], result["pages"], result["claims"], check(path)) == ("page", 1, 0, [])
    assert json.loads(members(path)[DATAPACKAGE])["title"] == "Evidence, page: hxxps://www[.]shop[.]example/contact"


@pytest.mark.parametrize("what", ["nobody.example", "", "hxxps://nobody[.]example/", "'; DROP TABLE pages;--", "file:"])
def test_nothing_found_is_one_clear_line(shop, what):
    with pytest.raises(EvidenceError, match="nothing to export") as caught:
        export(shop.db, shop.archive, what, shop.folder / "none.wacz", "test")
    assert "\n" not in str(caught.value)
    assert repr(what.strip()) in str(caught.value)
    assert not (shop.folder / "none.wacz").exists()


@pytest.mark.parametrize(("out", "said"), [("x.zip", "ends in .wacz"), ("no/x.wacz", "cannot be written")])
def test_a_place_that_is_none_is_one_clear_line(shop, out, said):
    with pytest.raises(EvidenceError, match=said):
        export(shop.db, shop.archive, "shop_example", shop.folder / out, "test")


def test_a_tag_that_a_person_rejected_is_not_exported(tmp_path):
    store = Archived(tmp_path)
    page = store.page(SHOP, BLOCKS)
    store.writer.close()
    sha256 = store.db.execute("SELECT sha256 FROM pages").fetchone()[0]
    review = {"url": SHOP, "sha256": sha256, "position": 1, "label": "real", "lang": "en", "kind": "text"}
    decided = {"text": "", "reviewer": "r", "decided_at": "2026-11-21T00:00:00Z"}
    for decision, left in (("confirmed", 2), ("rejected", 1)):
        store.db.table("reviews").insert(review | decided | {"decision": decision})
        assert export(store.db, store.archive, SHOP, tmp_path / "x.wacz", "test")["claims"] == left
    with pytest.raises(EvidenceError, match="nothing to export"):
        export(store.db, store.archive, claim_ids(store.db, page)[0], tmp_path / "x.wacz", "test")


def test_a_claim_on_an_ad_replays_and_keeps_where_the_ad_came_from(tmp_path):
    """An ad is a `conversion` of the library's answer, which no player shows: the export adds a copy that one does."""
    store, page, ad = archived_ad(tmp_path)
    path = tmp_path / "ad.wacz"
    export(store.db, store.archive, claim_ids(store.db, page)[0], path, "test")
    assert check(path) == []
    held = members(path)
    assert [kind for kind, *_ in read_warc(held["archive/data.warc.gz"])] == ["response", "conversion"]
    assert read_warc(held["archive/data.warc.gz"])[0][2] == b"[2]"
    assert read_warc(held["archive/player.warc"]) == [("resource", "https://library.example/ads?id=7", ad)]
    shown = [line for line in held[INDEX].decode().splitlines() if "ads?id=7" in line]
    assert len(shown) == 1
    assert '"filename": "player.warc"' in shown[0]
    [claim] = json.loads(held["evidence/claims.json"])
    assert claim["file"] == "archive/data.warc.gz"


def test_a_rendered_page_comes_with_what_it_was_made_from_and_its_picture(tmp_path):
    store = Archived(tmp_path)
    store.page(SHOP, BLOCKS)
    answer, dom = store.record, b"<p>Only real followers, as we say since 2012. <b>After scripts.</b></p>"
    record = store.writer.conversion(SHOP, "2026-11-20T10:00:00Z", "text/html", dom, of=answer)
    store.writer.resource(f"urn:screenshot:{SHOP}", "2026-11-20T10:00:01Z", "image/png", b"\x89PNG", of=record)
    store.writer.resource(f"urn:screenshot:{SHOP}", "2026-11-19T10:00:01Z", "image/png", b"\x89PNG of another day")
    store.writer.close()
    place = [record.offset, record.length, record.sha256]
    store.db.execute("UPDATE pages SET warc_offset = ?, warc_length = ?, sha256 = ?", place)
    path = tmp_path / "x.wacz"
    export(store.db, store.archive, claim_ids(store.db, 1)[0], path, "test")
    assert check(path) == []
    held = members(path)
    kinds = [kind for kind, *_ in read_warc(held["archive/data.warc.gz"])]
    assert kinds == ["response", "request", "conversion", "resource"]
    shown = held[INDEX].decode().splitlines()
    assert ["player.warc" in line for line in shown if f'"{SHOP}"' in line] == [True]  # not the page before its scripts
    assert len(held["evidence/chain.jsonl"].splitlines()) == 4


@pytest.mark.parametrize("rebuilt", [False, True])
def test_a_record_that_is_not_the_chain_s_is_refused(tmp_path, rebuilt):
    """A line altered by hand; then another, with the hashes of all lines made anew."""
    store = Archived(tmp_path)
    store.page(SHOP, BLOCKS)
    store.writer.close()
    head, lines = Head(), []
    for data, fields in list(entries(store.archive)):
        del fields["hash"]
        if fields["kind"] == "request":
            fields["sha256"] = "ab" * 32
            data = data.replace(b'"kind":"request"', b'"kind":"metadata"')
        made, head = line(fields, head)
        lines.append(made if rebuilt else data)
    (store.archive / "manifest.jsonl").write_bytes(b"".join(lines))
    with pytest.raises(EvidenceError, match="not the record of the chain" if rebuilt else "manifest.jsonl: line 3"):
        export(store.db, store.archive, SHOP, tmp_path / "x.wacz", "test")


def test_an_address_with_quotes_and_accents(tmp_path):
    store = Archived(tmp_path)
    url = "https://abonnés.example/été?q=\"vrais\" fans&r='1'"
    stored = "https://xn--abonns-fva.example/%C3%A9t%C3%A9?q=%22vrais%22%20fans&r=%271%27"
    store.page(stored, [("text", "De vrais fans.", {"real": "vrais fans"})], title='=HYPERLINK("http://evil.test")')
    store.writer.close()
    path = tmp_path / "x.wacz"
    assert export(store.db, store.archive, url, path, "test")["claims"] == 1
    assert check(path) == []
    held = members(path)
    assert json.loads(held[PAGES].splitlines()[1])["url"] == stored
    [row] = csv.DictReader(io.StringIO(held["evidence/claims.csv"].decode()))
    assert row["title"] == '\'=HYPERLINK("http://evil.test")'
    assert row["url"].startswith("hxxps://xn--abonns-fva[.]example/")
    assert row["quote"] == "vrais fans"


def test_an_archive_of_somebody_else_without_chain(tmp_path):
    """Records compressed and chunked, no requests, no chain, another writer; one file is not compressed at all."""
    store = fill(tmp_path)
    assign_vendors(store.db)
    for vendor in ("likeo_example", "crowdly_test"):
        export(store.db, store.archive, vendor, tmp_path / f"{vendor}.wacz", "test")
        assert check(tmp_path / f"{vendor}.wacz") == []
    packed = store.archive / "crawl-0001.warc.gz"
    plain = b""
    for page in list(store.db.query("SELECT * FROM pages ORDER BY warc_offset")):
        raw = gzip.decompress(packed.read_bytes()[page["warc_offset"] :][: page["warc_length"]])
        place = ["plain.warc", len(plain), len(raw), page["id"]]
        store.db.execute("UPDATE pages SET warc = ?, warc_offset = ?, warc_length = ? WHERE id = ?", place)
        plain += raw
    (store.archive / "plain.warc").write_bytes(plain)
    path = tmp_path / "plain.wacz"
    export(store.db, store.archive, "likeo_example", path, "test")
    assert check(path) == []
    assert "archive/data.warc" in members(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE pages SET sha256 = 'ab'", "its payload has SHA-256"),
        ("UPDATE pages SET url = 'https://other.example/' WHERE id = 5", "a record of https://www.shop.example/"),
        ("UPDATE pages SET warc_offset = warc_offset + 1", "not the evidence of"),
        ("UPDATE pages SET warc_length = warc_length - 1", "cut short"),
        ("UPDATE pages SET warc_length = 9000000", "ends before"),
        ("UPDATE pages SET warc_length = 99000000", "too many to be read"),
        ("UPDATE pages SET warc = '../fantomes.db'", "not below the archive folder"),
        ("UPDATE pages SET warc = 'gone.warc.gz'", "gone.warc.gz: cannot be read"),
    ],
)
def test_evidence_that_does_not_fit_is_refused(shop, change, said):
    shop.db.execute("BEGIN")
    shop.db.execute("UPDATE claims SET vendor_id = 'shop_example'")
    shop.db.execute(change)
    try:
        with pytest.raises(EvidenceError, match=said):
            export(shop.db, shop.archive, "shop_example", shop.folder / "bad.wacz", "test")
    finally:
        shop.db.execute("ROLLBACK")
    assert not (shop.folder / "bad.wacz").exists()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """An export of one claim, as bytes: small enough to be changed at each byte."""
    store = Archived(tmp_path_factory.mktemp("small"))
    store.page(SHOP, BLOCKS[1:2])
    store.writer.close()
    export(store.db, store.archive, claim_ids(store.db, 1)[0], store.folder / "small.wacz", "test")
    return store.folder / "small.wacz"


def test_each_single_byte_counts(small):
    """Each 23rd here; all 9,556 of such a file were tried once, two changes each."""
    data, changed = small.read_bytes(), small.with_name("changed.wacz")
    assert check(small) == []
    unseen = []
    for place in range(0, len(data), 23):
        changed.write_bytes(data[:place] + bytes([data[place] ^ 1 << place // 23 % 8]) + data[place + 1 :])
        if not check(changed):
            unseen.append(place)
    assert unseen == []


@settings(deadline=None)
@given(data=st.data())
def test_any_other_bytes_are_seen(small, data):
    whole, changed = small.read_bytes(), small.with_name("changed.wacz")
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 20)))
    put = data.draw(st.binary(max_size=20).filter(lambda put: put != whole[start:end]))
    changed.write_bytes(whole[:start] + put + whole[end:])
    assert check(changed) != []


@pytest.mark.parametrize(
    ("forge", "said"),
    [
        (lambda held: {INDEX: b""}, "is not in the index"),
        (lambda held: {INDEX: held[INDEX].replace(b'"offset": "', b'"offset": "1')}, f"{INDEX}, line 1"),
        (lambda held: {INDEX: held[INDEX].replace(b'"200"', b'"404"')}, "says status 404"),
        (lambda held: {INDEX: held[INDEX].replace(b"shop.example/", b"else.example/")}, "says url"),
        (lambda held: {INDEX: held[INDEX].replace(b"20261120", b"20251120")}, "says date"),
        (lambda held: {INDEX: held[INDEX].replace(b"data.warc.gz", b"../datapackage.json")}, "not below"),
        (lambda held: {INDEX: b"[\xff"}, f"{INDEX}: breaks off"),
        (lambda held: {PAGES: held[PAGES].splitlines(True)[0]}, "lists no page"),
        (lambda held: {PAGES: b"[" * 100_000}, f"{PAGES}: breaks off"),
        (lambda held: {"evidence/claims.json": held["evidence/claims.json"].replace(b"real f", b"fake f", 1)}, "quote"),
        (lambda held: {"evidence/chain.jsonl": b'{"sha256":"ab"}\n'}, "not in the chain"),
        (lambda held: {"evidence/chain.jsonl": b"7"}, "not as an export writes it"),
        (lambda held: {"evidence/claims.json": b'{"id": 1}'}, "not as an export writes it"),
        (lambda held: {"evidence/claims.json": b"[" * 100_000}, "not as an export writes it"),
        (lambda held: {"evidence/claims.json": held["evidence/claims.json"].replace(b"2026", b"2025")}, "another one"),
    ],
)
def test_a_forgery_with_hashes_made_to_fit_is_named(small, forge, said):
    problems = check(rezip(small, forge(members(small))))
    assert any(said in problem for problem in problems), problems
    assert all("\n" not in problem for problem in problems)


@pytest.mark.parametrize(
    ("without", "said"),
    [(INDEX, "indexes/: no file"), (PAGES, f"{PAGES}: missing"), ("archive/data.warc.gz", "archive/: no file")],
)
def test_what_py_wacz_lets_pass_is_a_problem(tmp_path, small, without, said):
    """An archive of anybody's, without index or pages: webrecorder/py-wacz#46."""
    held = {name: data for name, data in members(small).items() if name != without}
    package = json.loads(held[DATAPACKAGE])
    package["resources"] = [row for row in package["resources"] if row["path"] != without]
    del package["fantomes"]
    held[DATAPACKAGE] = json.dumps(package).encode()
    digest = hashlib.sha256(held[DATAPACKAGE]).hexdigest()
    held[DIGEST] = json.dumps({"path": DATAPACKAGE, "hash": f"sha256:{digest}"}).encode()
    with zipfile.ZipFile(tmp_path / "x.wacz", "w") as wacz:
        for name, data in held.items():
            wacz.writestr(name, data)
    assert any(problem.startswith(said) for problem in check(tmp_path / "x.wacz"))


def test_an_archive_made_by_others_passes(tmp_path, exported):
    """py-wacz itself makes one out of our WARC file; then it is compressed where it must not be."""
    (tmp_path / "data.warc.gz").write_bytes(members(exported[0])["archive/data.warc.gz"])
    made = tmp_path / "made.wacz"
    command = [BIN / "wacz", "create", "-o", made, "--url", SHOP, "--ts", "20261113100000", tmp_path / "data.warc.gz"]
    subprocess.run(command, check=True, capture_output=True)
    assert check(made) == []
    with zipfile.ZipFile(made) as source, zipfile.ZipFile(tmp_path / "x.wacz", "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    assert any("archive/data.warc.gz: compressed once more" in problem for problem in check(tmp_path / "x.wacz"))


def test_hostile_zip_files_are_told_in_one_line(tmp_path):
    bomb = tmp_path / "bomb.wacz"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as wacz:
        wacz.writestr("archive/x.warc.gz", bytes(20_000_000))
    assert "unpacks to more than" in check(bomb)[0]
    outside = tmp_path / "outside.wacz"
    with zipfile.ZipFile(outside, "w") as wacz:
        wacz.writestr("archive/../../../evil", b"x")
    assert "leads elsewhere" in check(outside)[0]
    assert "cannot be read" in check(tmp_path / "none.wacz")[0]
