"""The one exception of this room."""


class CatalogError(Exception):
    """Something that a person can mend: the message names the file and the value."""
