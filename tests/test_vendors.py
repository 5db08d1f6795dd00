"""Whose claim is it: domains, names, and the two guards against naming the wrong one."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.defang import defang, is_address
from catalog.domains import domain_of, load_known_domains
from catalog.vendors import assign_vendors, vendor_id, vendor_name
from tests.store import StoreBuilder, fill

CLAIM = [("text", "Real fans only.", {"real": "Real fans"})]
TALK = [("text", "Nothing to see.")]


@pytest.mark.parametrize(
    ("url", "domain"),
    [
        ("http://www.shop.likeo.example/x?y#z", "likeo.example"),
        ("https://likeo.co.uk/", "likeo.co.uk"),
        ("https://someone.github.io/fans", "someone.github.io"),
        ("https://LIKEO.Example:8080/", "likeo.example"),
        ("https://likéo.example/", "xn--liko-dpa.example"),
        ("http://user:pw@likeo.example/", "likeo.example"),
        ("http://127.0.0.1/", None),
        ("http://[::1]/", None),
        ("http://[bad/", None),
        ("http://localhost/", None),
        ("https://github.io/", None),
        ("http://a_b.example/", None),
        ("file:///home/me/page.html", None),
        ("javascript:alert(1)", None),
        ("", None),
    ],
)
def test_domain_of(url, domain):
    assert domain_of(url) == domain


@given(st.text())
def test_domain_of_never_crashes(text):
    assert domain_of(text) is None or "." in domain_of(text)
    assert domain_of("http://" + text) is None or "_" not in domain_of("http://" + text)


def test_known_domains_are_checked():
    known = load_known_domains()
    assert "instagram.com" in known.platforms
    assert "prnewswire.com" in known.wires


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://likeo.example/x", "hxxps://likeo[.]example/x"),
        ("HTTP://www.likeo.example", "HxxP://www[.]likeo[.]example"),
        ("likeo.example", "likeo[.]example"),
        ("http://a.example/?to=https://b.example/", "hxxp://a[.]example/?to=hxxps://b[.]example/"),
        ("", ""),
    ],
)
def test_defang(address, shown):
    assert defang(address).lower() == shown.lower()


@given(st.text())
def test_defang_is_idempotent_and_leaves_no_scheme(text):
    once = defang(text)
    assert defang(once) == once
    assert "http:" not in once.lower()
    assert "https:" not in once.lower()
    assert not once.lower().startswith(("http://", "https://"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://likeo.example/", True),
        (" http://x ", True),
        ("javascript:x", True),
        ("see https://x", False),
        ("", False),
    ],
)
def test_is_address(text, expected):
    assert is_address(text) is expected


@pytest.mark.parametrize(
    ("domain", "titles", "name"),
    [
        ("likeo.example", ["Likéo - des fans", "FAQ | Likéo"], "Likéo"),
        ("fans-du-coin.example", ["Accueil – Fans du Coin"], "Fans du Coin"),
        ("likeo.example", ["The best fans of the world", "Le Monde - actualités"], "Likeo"),
        ("likeo.example", [""], "Likeo"),
        ("likeo.example", ["Lik\u202eeo | x"], "Likeo"),
        ("xn--liko-epa.example", [""], "xn--liko-epa"),
    ],
)
def test_vendor_name(domain, titles, name):
    assert vendor_name(domain, Counter(titles)) == name


@pytest.fixture
def store(tmp_path):
    return StoreBuilder(tmp_path)


def owners(store):
    assign_vendors(store.db)
    rows = store.db.query("SELECT pages.url, vendor_id FROM claims JOIN pages ON pages.id = page_id")
    return {row["url"]: row["vendor_id"] for row in rows}


def test_subdomains_are_one_vendor(store):
    store.page("http://a.likeo.example/", CLAIM)
    store.page("http://b.likeo.example/", CLAIM)
    assert set(owners(store).values()) == {"likeo_example"}
    assert store.db["vendors"].count == 1


def test_one_misjudged_page_on_a_newspaper_makes_no_vendor(store):
    store.page("http://paper.example/oops", CLAIM)
    for number in range(3):
        store.page(f"http://paper.example/{number}", TALK, voice="neutral")
    assert owners(store) == {"http://paper.example/oops": None}
    assert store.db["vendors"].count == 0


LONG = [("text", f"Nothing to see, line {number}.") for number in range(12)]


@pytest.mark.parametrize(("others", "vendor"), [(["promotion", "neutral"], "likeo_example"), (["neutral"], None)])
def test_most_pages_must_promote(store, others, vendor):
    store.page("http://likeo.example/", CLAIM)
    for number, voice in enumerate(others):
        store.page(f"http://likeo.example/{number}", LONG, voice=voice)
    assert owners(store) == {"http://likeo.example/": vendor}


def test_a_doubtful_voice_does_not_count(store):
    store.page("http://likeo.example/", CLAIM)
    store.page("http://likeo.example/a", LONG, voice_score=0.7)
    assert owners(store) == {"http://likeo.example/": None}


@pytest.mark.parametrize(
    ("claims", "voice", "vendor"),
    [(3, 0.7, "likeo_example"), (3, 0.5, None), (1, 0.7, None)],
)
def test_a_doubtful_voice_with_claim_after_claim_does(store, claims, voice, vendor):
    blocks = [*CLAIM, ("text", "Fans you can trust.", {"real": "Fans you can trust"})][: min(claims, 2)]
    store.page("http://likeo.example/", blocks * (claims - len(blocks) + 1), voice_score=voice)
    store.page("http://likeo.example/a", LONG, voice="neutral")
    assert set(owners(store).values()) <= {vendor, None}
    assert bool(store.db["vendors"].count) == (vendor is not None)


@pytest.mark.parametrize(("front", "vendor"), [("promotion", "likeo_example"), ("neutral", None), ("criticism", None)])
def test_a_front_page_that_sells_nothing_makes_no_vendor(store, front, vendor):
    store.page("http://likeo.example/", TALK, voice=front)
    store.page("http://likeo.example/fans", CLAIM)
    store.page("http://likeo.example/more", CLAIM)
    assert set(owners(store).values()) == {vendor}


def test_a_landing_page_needs_no_front_page(store):
    store.page("http://likeo.example/lp/fans", CLAIM)
    assert owners(store) == {"http://likeo.example/lp/fans": "likeo_example"}


def test_claims_below_the_publication_scores_make_no_vendor(store):
    store.page("http://likeo.example/", [("text", "Real fans", {"real": ("Real fans", 0.5)})])
    assert owners(store) == {"http://likeo.example/": None}


@pytest.mark.parametrize("url", ["http://127.0.0.1/x", "file:///tmp/x.html", "https://www.facebook.com/likeo"])
def test_nobody_s_pages(store, url):
    store.page(url, CLAIM)
    assert owners(store) == {url: None}


RELEASE = "http://wire.example/7"


@pytest.mark.parametrize(
    ("links", "vendor"),
    [
        (("http://www.likeo.example/?utm=wire",), "likeo_example"),
        (("http://likeo.example/a", "http://shop.likeo.example/b"), "likeo_example"),
        (("http://likeo.example/", "https://www.instagram.com/likeo", "http://wire.example/more"), "likeo_example"),
        ((), None),
        (("https://www.instagram.com/likeo",), None),
        (("http://likeo.example/", "http://other.example/"), None),
        (("http://paper.example/article",), None),  # the newspaper that the release boasts of
        (("http://unseen.example/",), None),  # no page of its own was captured
        (("http://127.0.0.1/",), None),
    ],
)
def test_a_release_belongs_to_the_one_vendor_that_it_links_to(store, links, vendor):
    store.page("http://likeo.example/", CLAIM)
    store.page("http://other.example/", CLAIM)
    store.page("http://paper.example/", TALK, voice="neutral")
    store.page(RELEASE, CLAIM, source="feed", links=links)
    assert owners(store)[RELEASE] == vendor
    assert "wire_example" not in {row["id"] for row in store.db["vendors"].rows}


def test_a_wire_is_a_wire_whatever_way_its_pages_came(store):
    store.page("http://wire.example/1", CLAIM, source="feed")
    store.page("http://wire.example/2", CLAIM, source="files")
    store.page("https://www.prnewswire.com/news/3", CLAIM, source="site")
    assert set(owners(store).values()) == {None}


@pytest.mark.parametrize(
    ("advertised", "vendor"), [("http://likeo.example/", "likeo_example"), ("http://wire.example/", None), (None, None)]
)
def test_what_a_release_advertises_counts_more_than_its_links(store, advertised, vendor):
    store.page("http://likeo.example/", CLAIM)
    release = store.page(RELEASE, CLAIM, source="feed", links=("http://likeo.example/",))
    row = {"page_id": release, "wire": "wire.example", "body": "b", "signature": b"", "advertised": advertised}
    store.db.table("releases").insert(row)
    assert owners(store)[RELEASE] == vendor


@pytest.mark.parametrize(
    ("advertiser", "vendor"),
    [("Likéo", "likeo_example"), ("Likeo.", "likeo_example"), ("A rival", None), ("Likeo lovers", None), (None, None)],
)
def test_an_ad_is_a_vendor_s_only_when_its_advertiser_is(store, advertiser, vendor):
    """Anybody may pay for an ad and write another firm's address under it."""
    store.page("http://likeo.example/", CLAIM)
    ad = store.page("https://www.facebook.com/ads/library/?id=1", CLAIM, links=("http://likeo.example/",))
    store.db.execute("UPDATE pages SET kind = 'ad' WHERE id = ?", [ad])
    store.db.table("ads").insert({"page_id": ad, "library": "meta", "ad": "1", "advertiser": advertiser})
    assert owners(store)["https://www.facebook.com/ads/library/?id=1"] == vendor


def test_only_the_latest_capture_counts(store):
    store.page("http://likeo.example/", CLAIM, fetched_at="2026-01-01T00:00:00Z")
    store.page("http://likeo.example/", TALK, voice="neutral", fetched_at="2026-02-01T00:00:00Z")
    assert owners(store) == {"http://likeo.example/": None}


def test_assigning_again_changes_nothing(tmp_path):
    store = fill(tmp_path)
    first = owners(store)
    assert owners(store) == first
    assert set(first.values()) == {"likeo_example", "crowdly_test"}


labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)


@given(st.lists(st.lists(labels, min_size=2, max_size=4).map(".".join), unique=True, min_size=2))
def test_vendor_ids_cannot_collide(domains):
    assert len({vendor_id(domain) for domain in domains}) == len(domains)
