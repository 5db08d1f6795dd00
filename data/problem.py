"""What goes wrong in a way that a user can do something about."""


class Problem(Exception):
    """The base of every error that the command line shows as one clear line; the message names file and value."""
