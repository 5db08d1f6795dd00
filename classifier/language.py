"""The language of a page, judged from its text."""

import threading
from collections.abc import Iterable
from functools import cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from classifier.text import clean

# fewer candidates make fewer errors: languages in which this trade is seen, and those a page is likely confused with
CANDIDATES = [
    *("ar", "bg", "bn", "cs", "da", "de", "el", "en", "es", "fa", "fi", "fr", "he", "hi", "hu", "id", "it", "ja"),
    *("ko", "nl", "no", "pl", "pt", "ro", "ru", "sv", "th", "tr", "uk", "vi", "zh"),
]
MAX_CHARS = 3_000
_lock = threading.Lock()


@cache
def _identifier() -> LanguageIdentifier:
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(CANDIDATES)
    return identifier


def warm_up() -> None:
    """Begin to load the language model in a thread (it takes half a second, most of it unpacking)."""
    threading.Thread(target=_identify, args=("",), daemon=True).start()


def _identify(text: str) -> tuple[str, float]:
    with _lock:
        return _identifier().classify(text)


def page_language(texts: Iterable[str]) -> str:
    """ISO 639-1 code for the texts of one page taken together; short ones inherit from the rest."""
    sample, left = [], MAX_CHARS
    for text in texts:
        sample.append(text[:left])
        left -= len(text)
        if left <= 0:
            break
    language, _ = _identify(clean(" ".join(sample)))
    return language
