"""fantomes_asserted: takes back the claims that the page asks, denies, quotes, conditions or reports."""

from spacy.language import Language
from spacy.pipeline import Pipe
from spacy.tokens import Doc, Span, SpanGroup

from classifier.withdrawals import Withdrawal, withdrawals

_Row = tuple[Span, float, str | None, int]  # claim, score, rule, block


class Asserted(Pipe):
    """Filters doc.spans["claims"]; what is taken back stands in doc.spans["withdrawn"], with the rule's id."""

    def __init__(self, name: str, rules: tuple[Withdrawal, ...]) -> None:
        self.name = name
        self.rules = rules

    def __call__(self, doc: Doc) -> Doc:
        claims = doc.spans["claims"]
        attrs = zip(claims.attrs["scores"], claims.attrs["rules"], claims.attrs["blocks"], strict=True)
        kept: list[_Row] = []
        withdrawn: list[_Row] = []
        blocks = list(doc.spans["blocks"])
        for claim, (score, made_by, place) in zip(claims, attrs, strict=True):
            # a clause is denied or asked by the sentence around it
            shift = blocks[place].start_char
            sentence = _around(doc._.scores.segments[place], claim.start_char - shift, claim.end_char - shift)
            text = doc._.blocks[place].text
            rule = self._withdrawal(claim.label_, text[slice(*sentence)], text)
            (withdrawn if rule else kept).append((claim, score, rule or made_by, place))
        doc.spans["claims"] = _group(doc, "claims", kept)
        doc.spans["withdrawn"] = _group(doc, "withdrawn", withdrawn)
        return doc

    def _withdrawal(self, label: str, sentence: str, block: str) -> str | None:
        return next((rule.id for rule in self.rules if rule.withdraws(label, sentence, block)), None)


def _around(segments: list[tuple[int, int]], start: int, end: int) -> tuple[int, int]:
    """From the first to the last of the segments that the stretch touches."""
    touched = [span for span in segments if span[0] < end and start < span[1]]
    return touched[0][0], touched[-1][1]


def _group(doc: Doc, name: str, rows: list[_Row]) -> SpanGroup:
    spans, scores, rules, places = zip(*rows, strict=True) if rows else ((), (), (), ())
    attrs = {"scores": list(scores), "rules": list(rules), "blocks": list(places)}
    return SpanGroup(doc, name=name, spans=list(spans), attrs=attrs)


@Language.factory("fantomes_asserted", requires=["doc.spans"], assigns=["doc.spans"])
def make_asserted(nlp: Language, name: str, lang: str) -> Asserted:
    """Rules come from data/withdrawals/<lang>.yml."""
    return Asserted(name, withdrawals(lang))
