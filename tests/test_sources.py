"""Source files: strict, and the error names file and value."""

from pathlib import Path

import pytest

from crawler.sources import SourceError, load_source, load_sources
from data import DATA

GOOD = "id: {id}\nkind: site\ntitle: T\ncontact: me\nstart: [http://a.example/]\n"


def written(folder: Path, text: str, name: str = "shop") -> Path:
    path = folder / f"{name}.yml"
    path.write_text(text.format(id=name), "utf-8")
    return path


def test_the_shipped_sources_load() -> None:
    sources = load_sources(Path(str(DATA / "sources")))
    assert {source.kind for source in sources} == {"site", "feed", "ads"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD + "speed: 3\n", "unknown key 'speed'"),
        (GOOD.replace("http://a.example/", "ftp://a.example/"), "bad address 'ftp://a.example/'"),
        (GOOD.replace("http://a.example/", "a.example"), "bad address 'a.example'"),
        (GOOD.replace("http://a.example/", "http://a.example:99999/"), "bad address"),
        (GOOD.replace("http://a.example/", "'http://[x/'"), "bad address"),
        (GOOD.replace("kind: site", "kind: blog"), "kind 'blog'"),
        (GOOD.replace("id: {id}", "id: other"), "id 'other'"),
        (GOOD.replace("contact: me\n", ""), "'contact' is missing"),
        (GOOD + "delay: 0\n", "delay 0 must be a number from 0.5 to"),
        (GOOD + "max_pages: many\n", "max_pages 'many'"),
        (GOOD + "loopback: perhaps\n", "loopback 'perhaps'"),
        (GOOD + "max_pages: .nan\n", "max_pages nan"),
        (GOOD + "max_depth: 1.5\n", "max_depth 1.5"),
        (GOOD + "delay: .inf\n", "delay inf"),
        (GOOD + "delay: 2024-13-45\n", "cannot be read"),
        (GOOD.replace("title: T", "title: [T]"), "title ['T'] must be text"),
        (GOOD.replace("http://a.example/", '"http://a.example/\\ud800"'), "bad address"),
        (GOOD.replace("http://a.example/", "http://./"), "bad address"),
        (GOOD.replace("http://a.example/", "http://127.0.0.1/"), "bad address"),
        ("[" * 3000, "cannot be read"),
        ("- a\n- b\n", "a mapping of keys is expected"),
        ("id: [", "cannot be read"),
    ],
)
def test_a_bad_file_is_named_with_its_value(tmp_path: Path, text: str, words: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(SourceError, match=r"shop\.yml") as error:
        load_source(path)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_sources_are_found_by_id_and_by_path(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    other = written(tmp_path, GOOD, "other")
    assert [source.id for source in load_sources(tmp_path)] == ["other", "shop"]
    assert [source.id for source in load_sources(tmp_path, ("shop",))] == ["shop"]
    assert [source.id for source in load_sources(tmp_path / "nowhere", (str(path), str(other)))] == ["shop", "other"]
    with pytest.raises(SourceError, match="nobody: no such source; there are: other, shop"):
        load_sources(tmp_path, ("nobody",))
    with pytest.raises(SourceError, match="no source files"):
        load_sources(tmp_path / "nowhere")


def test_landing_pages_are_never_followed(tmp_path: Path) -> None:
    assert load_source(written(tmp_path, GOOD.replace("site", "ads") + "max_depth: 5\n")).max_depth == 0
