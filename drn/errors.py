"""The one error for things a person gave us that cannot be used."""


class InputError(ValueError):
    """A bad file, option or download. The message is one sentence: what was wrong, and what to do."""
