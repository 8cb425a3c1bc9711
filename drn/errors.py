"""The one error for things a person gave us that cannot be used."""


class InputError(ValueError):
    """A bad file, option or download. The message is one sentence: what was wrong, and what to do."""


def not_installed(what: str, error: ModuleNotFoundError) -> InputError:
    """That ``what`` needs a package which only development installs."""
    return InputError(f"{what} needs {error.name}: make .venv/dev installs it (requirements-dev.txt).")
