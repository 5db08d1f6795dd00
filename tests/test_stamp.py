"""Time stamps, against a service of our own: `openssl ts` behind HTTP on loopback."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from crawler.archive import Archive
from crawler.evidence.manifest import MANIFEST
from crawler.evidence.stamp import StampError, check_stamp, stamp
from crawler.evidence.verify import verify

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl to play the time-stamping service")
CONFIG = """
[tsa]
default_tsa = tsa1
[tsa1]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
other_policies = 1.2.3.4.5
digests = sha256, sha384, sha512
ess_cert_id_alg = sha256
[ext]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
"""


def openssl(*argv: str) -> None:
    subprocess.run(["openssl", *argv], check=True, capture_output=True)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a root certificate and a service's own that it signed."""
    folder = tmp_path_factory.mktemp("tsa")
    (folder / "tsa.cnf").write_text(CONFIG.format(folder=folder))
    (folder / "serial").write_text("01\n")
    for name in ("root", "stranger"):
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(folder / f"{name}.key"))
        openssl(
            "req", "-x509", *key, "-out", str(folder / f"{name}.pem"), "-days", "30", "-subj", f"/CN={name}.example"
        )
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(folder / "tsa.key"))
    openssl("req", *key, "-out", str(folder / "tsa.csr"), "-subj", "/CN=tsa.example")
    signer = ("-CA", str(folder / "root.pem"), "-CAkey", str(folder / "root.key"), "-CAcreateserial")
    extensions = ("-extfile", str(folder / "tsa.cnf"), "-extensions", "ext")
    out = ("-out", str(folder / "tsa.pem"), "-days", "30")
    openssl("x509", "-req", "-in", str(folder / "tsa.csr"), *signer, *extensions, *out)
    return folder


@pytest.fixture(scope="module")
def service(authority: Path) -> Iterator[str]:
    answers: list[bytes] = []

    class Service(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query, reply = authority / "query", authority / "reply"
            query.write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            openssl("ts", "-reply", "-config", str(authority / "tsa.cnf"), "-queryfile", str(query), "-out", str(reply))
            answers.append(reply.read_bytes())
            body = {
                "/again": answers[0],
                "/html": b"<html>buy a stamp",
                "/endless": bytes(1_000_000),
                "/empty": b"",
            }.get(self.path.split("?")[0], answers[-1])
            self.send_response(500 if self.path == "/500" else 200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def filled(folder: Path) -> Path:
    archive = Archive(folder, "t")
    archive.resource("file:///a", "2026-01-02T03:04:05Z", "text/html", b"<p>a")
    archive.close()
    return folder


def test_the_head_is_stamped_and_the_stamp_is_evidence(tmp_path: Path, authority: Path, service: str) -> None:
    folder = filled(tmp_path)
    head = Archive(folder, "t").head()
    name = stamp(folder, f"{service}/?key=hidden", "t")
    root = (authority / "root.pem").read_bytes()
    at = check_stamp((folder / name).read_bytes(), head.hash, root)
    assert at[:10] in (
        time.strftime("%Y-%m-%d", time.gmtime()),
        time.strftime("%Y-%m-%d", time.gmtime(time.time() - 60)),
    )
    report = verify(folder, root=root)
    assert report.problems == []
    assert any(at in note and "not checked" not in note for note in report.notes)
    assert any("not checked" in note for note in verify(folder).notes)
    assert b"hidden" not in (folder / MANIFEST).read_bytes()
    data = tmp_path.parent / "hash"  # as openssl itself sees it
    data.write_text(head.hash)
    argv = ("-data", str(data), "-in", str(folder / name), "-CAfile", str(authority / "root.pem"))
    openssl("ts", "-verify", *argv)
    data.unlink()


def test_a_stamp_of_somebody_else_or_something_else(tmp_path: Path, authority: Path, service: str) -> None:
    folder = filled(tmp_path)
    name = stamp(folder, service, "t")
    (problem,) = verify(folder, root=(authority / "stranger.pem").read_bytes()).problems
    assert problem.file == name
    with pytest.raises(StampError, match="of something else"):
        check_stamp((folder / name).read_bytes(), "0" * 64)
    whole = (folder / name).read_bytes()
    for place in range(0, len(whole), 41):
        (folder / name).write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert any(problem.file == name for problem in verify(folder).problems)
    (folder / name).write_bytes(whole)
    assert verify(folder).problems == []


def test_a_stamp_of_a_chain_that_was_written_anew(tmp_path: Path, service: str) -> None:
    one, two = filled(tmp_path / "one"), filled(tmp_path / "two")
    name = stamp(one, service, "t")
    archive = Archive(two, "t")
    hash_ = Archive(one, "t").head().hash
    line = next(line for line in (one / MANIFEST).read_text().splitlines() if name in line)
    payload = line.split('"payload":"')[1][:64]
    assert payload != hash_
    archive.add("stamp", name, (one / name).read_bytes(), payload=payload, url=service, date="2026-01-02T03:04:05Z")
    archive.close()
    (problem,) = verify(two).problems
    assert "not in the chain" in problem.what


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/500", "500"),
        ("/html", "no good time stamp"),
        ("/empty", "no good time stamp"),
        ("/endless", "more than 100000 bytes"),
        ("/again", "another request|something else"),
    ],
)
def test_a_service_that_fails_is_named_and_nothing_is_stored(
    tmp_path: Path, service: str, path: str, expected: str
) -> None:
    folder = filled(tmp_path)
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(StampError, match=rf"^http://127.*({expected})"):
        stamp(folder, service + path, "t")
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize("url", ["file:///etc/hostname", "http://127.0.0.1:1/", "http://[", "tsa.example"])
def test_an_address_that_is_no_service(tmp_path: Path, url: str) -> None:
    with pytest.raises(StampError):
        stamp(filled(tmp_path), url, "t")


def test_an_empty_archive_cannot_be_stamped(tmp_path: Path) -> None:
    with pytest.raises(StampError, match="nothing to stamp"):
        stamp(tmp_path, "http://127.0.0.1:1/", "t")
