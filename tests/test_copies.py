"""The same text on ten wires is one release; another city in the same pattern is another one."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from crawler.press.copies import is_copy, mark_copies, signature
from data.migrations import open_store, write

PARAGRAPHS = [
    "Fans du Coin annonce l'ouverture de son étal en ligne, où les commerçants trouvent des abonnés choisis commune par"
    " commune, livrés en deux jours et remplacés pendant un an lorsque certains viennent à manquer.",
    "Selon la société, chaque abonné est un habitant réel de la commune, vérifié avant la livraison, qui aime le pain"
    " frais et les promenades, et qui commente volontiers les publications de ses boutiques préférées.",
    "La gérante explique que la confiance commence par un chiffre, et que personne ne pousse la porte d'une page"
    " déserte. Les premières commandes seraient venues de coiffeurs, de fleuristes et d'un luthier.",
    "Les prix commencent à neuf euros pour cent abonnés. Une première livraison est offerte à ceux qui s'inscrivent"
    " avant la fin du mois, sans carte bancaire et sans mot de passe à donner.",
]
TEXT = "\n".join(PARAGRAPHS)
BOX = "Publicité : les volets roulants de Courtebotte sont en solde jusqu'à dimanche soir."
INTRO = "Voici un communiqué que notre fil a reçu de Brévigny et qu'il publie tel quel pour ses lecteurs."


@pytest.mark.parametrize(
    "other",
    [
        TEXT,
        TEXT.replace("'", "’").replace("é", "e\u0301").upper(),
        f"{INTRO}\n{TEXT}",
        f"PARIS, le 12 mars 2026 /Fil A/ -- {TEXT}",
        f"{INTRO}\nPARIS (Fil B) - {TEXT}",
        "\n".join(PARAGRAPHS[:3]),
        "\n".join(PARAGRAPHS[:3]) + "\nLire la suite sur Fil C",
        "\n".join([*PARAGRAPHS[:2], BOX, *PARAGRAPHS[2:]]),
        "\n".join([PARAGRAPHS[0], *PARAGRAPHS[2:]]),
        TEXT.replace("promenades", "promenade"),
    ],
)  # fmt: skip
def test_the_same_text(other: str) -> None:
    assert is_copy(TEXT, other)
    assert is_copy(other, TEXT)


@pytest.mark.parametrize(
    "other",
    [
        TEXT.replace("neuf euros", "9 euros").replace("cent abonnés", "500 abonnés"),
        TEXT.replace("de coiffeurs", "de Nantes, de coiffeurs"),
        TEXT.replace("Fans du Coin", "Fans du Port"),
        TEXT.replace("promenades", "siestes").replace("coiffeurs", "bouchers").replace("luthier", "meunier"),
        "\n".join([PARAGRAPHS[0], *(INTRO + f" Numéro {n}." for n in range(4))]),
        "Fans du Coin annonce l'ouverture de son étal en ligne.",
        "",
    ],
)  # fmt: skip
def test_another_text(other: str) -> None:
    assert not is_copy(TEXT, other)
    assert not is_copy(other, TEXT)


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_two_texts_are_compared(one: str, other: str) -> None:
    assert is_copy(one, one)
    assert is_copy(one, other) == is_copy(other, one)


def put(db: Database, url: str, body: str, published: str | None, dated: str | None = None, place: str = "") -> int:
    with write(db):
        db.execute("INSERT OR IGNORE INTO sources (id, kind) VALUES ('w', 'feed')")
        page = db.execute(
            "INSERT INTO pages (url, source_id, fetched_at, last_seen_at, status, sha256, text_sha256, warc,"
            " warc_offset, warc_length, published_at, kind)"
            " VALUES (?, 'w', '2026-05-01T00:00:00Z', '', 200, ?, '', 'w', 0, 1, ?, 'release')",
            [url, str(random.random()), published],
        ).lastrowid
        db.execute(
            "INSERT INTO releases (page_id, wire, body, signature, dated, place) VALUES (?, 'w', ?, ?, ?, ?)",
            [page, body, signature(body), dated, place or None],
        )
    return int(page or 0)


def marks(db: Database) -> dict[str, str | None]:
    return dict(
        db.execute(
            "SELECT pages.url, other.url FROM releases JOIN pages ON pages.id = page_id"
            " LEFT JOIN pages AS other ON other.id = original_id"
        ).fetchall()
    )


def test_ten_copies_have_the_earliest_as_their_original(tmp_path: Path) -> None:
    db = open_store(tmp_path / "store.db")
    for n in range(10):
        put(db, f"http://w{n}.example/", f"PARIS (Fil {n}) - {TEXT}", f"2026-03-{20 - n}T00:00:00Z")
    put(db, "http://lyon.example/", TEXT.replace("Fans du Coin", "Fans de Lyon"), "2026-01-01T00:00:00Z")
    assert mark_copies(db) == {"releases": 11, "originals": 2, "copies": 9, "changed": 9}
    assert marks(db) == {
        **{f"http://w{n}.example/": "http://w9.example/" for n in range(9)},
        "http://w9.example/": None,
        "http://lyon.example/": None,
    }
    assert mark_copies(db)["changed"] == 0
    put(db, "http://older.example/", TEXT, None, dated="2026-03-01")  # an older copy is found later
    assert mark_copies(db)["changed"] == 10
    assert set(marks(db).values()) == {"http://older.example/", None}
    assert mark_copies(db)["changed"] == 0


def test_a_later_capture_of_an_address_is_no_copy(tmp_path: Path) -> None:
    db = open_store(tmp_path / "store.db")
    for body in (TEXT, f"{TEXT}\nErratum : la livraison prend trois jours et non deux jours."):
        put(db, "http://w.example/", body, "2026-03-01T00:00:00Z")
    first = put(db, "http://copy.example/", TEXT, "2026-03-02T00:00:00Z") - 2
    mark_copies(db)
    assert db.execute("SELECT original_id FROM releases ORDER BY page_id").fetchall() == [(None,), (None,), (first,)]


def test_one_pattern_in_two_places_is_two_releases(tmp_path: Path) -> None:
    db = open_store(tmp_path / "store.db")
    for place in ("Lyon", "LYON, France", "Nantes"):
        put(db, f"http://{len(place)}.example/", TEXT, "2026-03-01T00:00:00Z", place=place)
    assert mark_copies(db)["copies"] == 1
    assert marks(db)["http://6.example/"] is None


@settings(max_examples=15, deadline=None)
@given(order=st.permutations(range(7)))
def test_the_order_in_which_releases_come_does_not_matter(
    order: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    db = open_store(tmp_path_factory.mktemp("order") / "store.db")
    friends = TEXT.replace("Fans", "Amis")
    cut, nine = "\n".join(PARAGRAPHS[:3]), TEXT.replace("neuf", "9")
    bodies = [TEXT, f"{INTRO}\n{TEXT}", cut, friends, nine, f"{INTRO}\n{friends}", INTRO]
    for n in order:
        put(db, f"http://w{n}.example/", bodies[n], f"2026-03-0{n + 1}T00:00:00Z")
        mark_copies(db)
    zero = "http://w0.example/"
    assert marks(db) == {
        zero: None, "http://w1.example/": zero, "http://w2.example/": zero, "http://w3.example/": None,
        "http://w4.example/": None, "http://w5.example/": "http://w3.example/", "http://w6.example/": None,
    }  # fmt: skip
