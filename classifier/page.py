"""A page as a spaCy Doc: its blocks one after another, each a span labelled with its kind."""

import re
from collections.abc import Callable, Sequence

from spacy.language import Language
from spacy.tokens import Doc, Span, SpanGroup
from spacy.util import registry
from spacy.vocab import Vocab

from classifier.features import Text
from classifier.text import MAX_BLOCK_CHARS, clean

# every character belongs to a token, and no token reaches over the edge of a segment
_TOKEN = re.compile(r"(\w+|[^\w\s]|\s)( ?)")

if not Doc.has_extension("voice"):
    Doc.set_extension("voice", default=None)
    Doc.set_extension("voice_score", default=None)
    Doc.set_extension("blocks", default=())  # the texts with their contexts, in the order of doc.spans["blocks"]
    Doc.set_extension("heard", default=())  # texts known to stand on the page that are not judged themselves
    Doc.set_extension("scores", default=None)  # BlockScores: computed once, read by all components


def page_doc(vocab: Vocab, blocks: Sequence[Text], heard: Sequence[Text] = ()) -> Doc:
    """The page as a Doc. Offsets inside a block's span are offsets of the text as given (up to MAX_BLOCK_CHARS)."""
    words: list[str] = []
    spaces: list[bool] = []
    edges, texts = [], []
    for block in blocks:
        text = clean(block.text[:MAX_BLOCK_CHARS])
        start = len(words)
        for word, space in _TOKEN.findall(text) or [(" ", "")]:
            words.append(word)
            spaces.append(bool(space))
        edges.append((start, len(words)))
        texts.append(Text(text, block.kind, clean(block.context[:MAX_BLOCK_CHARS])))
        words.append("\n")
        spaces.append(False)
    doc = Doc(vocab, words=words, spaces=spaces)
    kinds = [Span(doc, start, end, label=text.kind or "text") for (start, end), text in zip(edges, texts, strict=True)]
    doc.spans["blocks"] = SpanGroup(doc, name="blocks", spans=kinds)
    doc._.blocks = texts
    doc._.heard = [Text(clean(text.text[:MAX_BLOCK_CHARS]), text.kind) for text in heard]
    return doc


@registry.tokenizers("fantomes.PageTokenizer.v1")
def create_tokenizer() -> Callable[[Language], Callable[[str], Doc]]:
    """So that nlp("text") works: the text is a page of one block."""
    return lambda nlp: lambda text: page_doc(nlp.vocab, [Text(text)])
