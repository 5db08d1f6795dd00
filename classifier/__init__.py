"""The room that reads blocks and writes claims: block -> claim."""

from data.problem import Problem


class ClassifierError(Problem):
    """What a person must mend: a file, a line or a model; the message names it."""
