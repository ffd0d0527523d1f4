"""The error whose text a user reads."""


class SerError(Exception):
    """One clear sentence for the user: what is wrong, what was expected, what came, what to do.

    Command lines print it without a traceback and exit with code 2.
    """
