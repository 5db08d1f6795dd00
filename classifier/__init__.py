"""The room that reads blocks and writes claims: block -> claim."""


class ClassifierError(Exception):
    """What a person must mend: a file, a line or a model; the message names it."""
