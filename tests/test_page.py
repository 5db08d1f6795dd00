"""capture -> page: decoding and what is no page."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.page import MAX_BODY, Capture, NotAPage, Record, decode, read_page


def capture(body: bytes, content_type: str = "text/html") -> Capture:
    return Capture("http://a.example/", "2026-01-01T00:00:00Z", 200, content_type, body, Record("w", 0, 1, "0"))


@pytest.mark.parametrize(
    ("body", "content_type", "charset"),
    [
        ("<p>abonnés</p>".encode(), "text/html", "utf-8"),
        ("<p>abonnés</p>".encode(), "text/html; charset=iso-8859-1", "utf-8"),  # a lying header
        ("<meta charset=iso-8859-1><p>abonnés</p>".encode(), "text/html", "utf-8"),  # a lying page
        ("<p>abonnés</p>".encode("latin-1"), "text/html; charset=iso-8859-1", "cp1252"),
        ("<p>abonnés</p>".encode("latin-1"), "text/html; charset=utf-8", "cp1252"),  # the other lie
        ("<p>abonnés</p>".encode("latin-1"), "text/html; charset=no-such-thing", "cp1252"),
        ("<p>abonnés</p>".encode("utf-16"), "text/html", "utf-16-le"),
        (("<p>abonnés réels €</p>" * 50).encode() + b"\xe9", "text/html; charset=utf-8", "utf-8"),  # cut by bytes
        ("<p>abonnés</p>".encode("latin-1"), "text/html; charset=undefined", "cp1252"),
        ("<p>abonnés</p>".encode("latin-1"), "text/html; charset=unicode_escape", "cp1252"),
        ("\ufeff<p>abonnés</p>".encode(), "text/html", "utf-8"),
        ("<p>abonnés подписчики</p>".encode("koi8-r", "ignore"), "text/html; charset=koi8-r", "koi8-r"),
    ],
)
def test_decoding(body: bytes, content_type: str, charset: str) -> None:
    text, found = decode(body, content_type)
    assert found == charset
    assert ("abonnés" in text) or charset == "koi8-r"
    assert "\ufeff" not in text


@given(
    st.binary(max_size=200),
    st.sampled_from(["", "text/html; charset=utf-8", "text/html; charset=utf-16", "x; charset=\x00"]),
)
def test_decoding_never_fails(body: bytes, content_type: str) -> None:
    text, _ = decode(body, content_type)
    assert isinstance(text, str)


@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        (b"<p>x fans</p>", "application/pdf", "not-text"),
        (b"%PDF-1.7 fans", "text/html", "not-text"),
        (b"fans\x00\x01\x02\x03" * 100, "text/html", "not-text"),
        (b"", "text/html", "empty"),
        (b"<script>fans</script>", "text/html", "empty"),
        (b"<div>" * 100_000, "text/html", "too-deep"),
        (b"x" * (MAX_BODY + 1), "text/html", "too-large"),
    ],
)
def test_what_is_no_page_says_why(body: bytes, content_type: str, reason: str) -> None:
    with pytest.raises(NotAPage) as none:
        read_page(capture(body, content_type))
    assert none.value.reason == reason


def test_the_digest_is_of_what_is_shown() -> None:
    one, same, other = (
        read_page(capture(html)).text_sha256
        for html in (b"<p>fans<script>1</script></p>", b"<div><p>fans </p></div><!-- 2 -->", b"<p>fan</p>")
    )
    assert one == same != other
