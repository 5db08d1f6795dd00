"""Time stamps of the chain: a service confirms (RFC 3161) that its head was there on a day, and with it all before.

What is stamped is the head's hash as text, so that others can check it too:
`printf HASH | openssl ts -verify -data /dev/stdin -in FILE -CAfile ROOT`.
"""

import hashlib
from datetime import UTC
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from cryptography.x509 import load_pem_x509_certificates
from rfc3161_client import (
    HashAlgorithm,
    PKIStatus,
    TimestampRequestBuilder,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from crawler.archive import Archive, now
from data.problem import Problem

MAX_ANSWER = 100_000  # bytes; a token with its certificates has 5 to 10 kB
TIMEOUT = 30.0  # seconds for each step of the exchange


class StampError(Problem):
    """A time stamp that could not be had or does not hold; the message says why."""


def stamp(folder: Path, url: str, software: str, timeout: float = TIMEOUT) -> str:
    """Have the head of the chain of the archive `folder` stamped by the service at `url`.

    Returns the name of the file with the answer, which is a part of the archive. Raises StampError, ArchiveError.
    """
    if not url.startswith(("http://", "https://")):
        raise StampError(f"{url}: the address of a time-stamping service begins with http:// or https://")
    archive = Archive(folder, software)
    try:
        head = archive.head()
        if head.seq < 0:
            raise StampError(f"{folder}: the archive is empty: there is nothing to stamp")
        request = TimestampRequestBuilder().data(head.hash.encode()).hash_algorithm(HashAlgorithm.SHA256).build()
        answer = _ask(url, request.as_bytes(), timeout)
        try:
            check_stamp(answer, head.hash)
            if decode_timestamp_response(answer).tst_info.nonce != request.nonce:
                raise StampError("the answer is to another request")
        except StampError as error:
            raise StampError(f"{url}: {error}") from error
        name = f"stamp-{head.seq}-{head.hash[:16]}-{now().replace(':', '')}.tsr"
        parts = urlsplit(url)  # without user name, password and key: the chain is shown to others
        service = f"{parts.scheme}://{parts.hostname}{parts.path}"
        archive.add("stamp", name, answer, payload=head.hash, url=service, date=now())
    finally:
        archive.close()
    return name


def check_stamp(answer: bytes, hash_: str, root: bytes | None = None) -> str:
    """When the head `hash_` was stamped, by an answer of a service (UTC, ISO 8601).

    `root` (PEM) are certificates that the service's must lead back to; without them its signature is not checked.
    Raises StampError.
    """
    try:
        response = decode_timestamp_response(answer)
        if response.status != PKIStatus.GRANTED:
            raise StampError(
                f"the service refused: status {response.status} {', '.join(response.status_string)}".strip()
            )
        if response.tst_info.message_imprint.message != hashlib.sha256(hash_.encode()).digest():
            raise StampError("the time stamp is of something else")
        if root is not None:
            verifier = VerifierBuilder(roots=load_pem_x509_certificates(root)).build()
            verifier.verify_message(response, hash_.encode())
        time = response.tst_info.gen_time.astimezone(UTC)
    except (ValueError, VerificationError) as error:
        raise StampError(f"no good time stamp: {' '.join(str(error).split())}") from error
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _ask(url: str, request: bytes, timeout: float) -> bytes:
    headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
    answer = b""
    try:
        with httpx.stream("POST", url, content=request, headers=headers, timeout=timeout) as response:
            response.raise_for_status()
            for part in response.iter_bytes():
                answer += part
                if len(answer) > MAX_ANSWER:
                    raise StampError(f"{url}: answers with more than {MAX_ANSWER} bytes: that is no time stamp")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise StampError(f"{url}: no answer: {' '.join(str(error).split()) or type(error).__name__}") from error
    return answer
