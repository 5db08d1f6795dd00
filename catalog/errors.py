"""The one exception of this room."""

from data.problem import Problem


class CatalogError(Problem):
    """Something that a person can mend: the message names the file and the value."""
