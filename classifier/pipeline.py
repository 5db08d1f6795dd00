"""The spaCy pipeline of config.cfg, one per language, and pages going through it in batches."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import load_config, load_model_from_config

import classifier.components.asserted
import classifier.components.claims
import classifier.components.voice  # noqa: F401 - the factories also work from a checkout without entry points
from classifier.features import Text
from classifier.language import page_language
from classifier.model import load_model
from classifier.page import page_doc

CONFIG = Path(__file__).with_name("config.cfg")
BATCH_BLOCKS = 4096


@dataclass
class PageInput:
    """What is known of a page: `lang` null = to be judged; `heard`: texts on it that are not to be judged."""

    blocks: list[Text]
    lang: str | None = None
    heard: tuple[Text, ...] = ()


def pipeline(lang: str, model_dir: Path) -> Language:
    """The pipeline for pages of a language; those that the model does not know share one. Raises ClassifierError."""
    return _build(_known(lang, model_dir), model_dir, load_model(model_dir).version)


def _known(lang: str, model_dir: Path) -> str:
    return lang if lang in load_model(model_dir).languages else "xx"


@lru_cache(maxsize=64)
def _build(lang: str, model_dir: Path, version: str) -> Language:
    """Built once a language and model: `version` makes a newly trained model a new pipeline."""
    config = load_config(CONFIG, overrides={"page.lang": lang, "paths.model": str(model_dir)})
    nlp = load_model_from_config(config, auto_fill=True, validate=True)
    # no shapes and prefixes of words that nobody asks for (the attribute is missing in spaCy's stubs)
    nlp.vocab.lex_attr_getters = {}  # type: ignore[attr-defined]
    return nlp


def judge_pages(pages: Iterable[PageInput], model_dir: Path) -> Iterator[tuple[str, Doc]]:
    """Language and Doc of each page, in order; judged in batches of about BATCH_BLOCKS blocks.

    A Doc must not be kept after the next one is asked for: the words of a batch are forgotten with it.
    """
    batch: list[PageInput] = []
    size = 0
    for page in pages:
        batch.append(page)
        size += len(page.blocks) + len(page.heard)
        if size >= BATCH_BLOCKS:
            yield from _read(batch, model_dir)
            batch, size = [], 0
    yield from _read(batch, model_dir)


def _read(batch: list[PageInput], model_dir: Path) -> Iterator[tuple[str, Doc]]:
    langs = [page.lang or page_language(text.text for text in (*page.blocks, *page.heard)) for page in batch]
    known = [_known(lang, model_dir) for lang in langs]
    docs: dict[int, Doc] = {}
    with ExitStack() as zones:  # words of a batch are forgotten with it: hostile text must not fill the vocabulary
        for lang in dict.fromkeys(known):
            nlp = pipeline(lang, model_dir)
            zones.enter_context(nlp.memory_zone())
            places = [place for place, own in enumerate(known) if own == lang]
            pages = (page_doc(nlp.vocab, batch[place].blocks, batch[place].heard) for place in places)
            docs |= zip(places, nlp.pipe(pages, batch_size=len(places)), strict=True)
        for place, lang in enumerate(langs):
            yield lang, docs[place]
