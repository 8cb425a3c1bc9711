"""The error for bad input from a person."""


class InputError(ValueError):
    """A file, option or download cannot be used.

    The message is one sentence that says what was wrong and what to do. The command line and the page show it without
    a traceback.
    """


def not_installed(what: str, error: ModuleNotFoundError, extra: str = "train") -> InputError:
    """Return the error for a feature whose package is missing.

    Args:
        what: The feature, as the start of a sentence.
        error: Raised by the import of the missing package.
        extra: The extra of this project that installs the package.
    """
    return InputError(
        f"{what} needs {error.name}: in a checkout, pip install '.[{extra}]' or make .venv/dev installs it."
    )
