"""The one error that people meet who use the tools rather than the code."""


class InputError(Exception):
    """Something a person gave cannot be used; the message is a sentence that says what, what was expected, and what to do.

    The command line prints it without a traceback and exits with status 2.
    """
