"""The base class of errors that are reported to the user."""


class SerError(Exception):
    """An error whose text is one sentence for the user: what is wrong, what was expected, what was found, what to do.

    Commands print the text without a traceback and exit with status 2.
    """


class AdaptationError(SerError):
    """What was learned about a voice cannot be used. The text gives the reason and does not name the file."""
