"""The options ``--results NAME=DIR`` and ``--network NAME=FILE``, which add methods to a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from drn.errors import InputError
from drn.evaluation.methods import DESCRIPTIONS, Method
from drn.evaluation.networks import network
from drn.evaluation.results_folder import results_folder


def given_methods(results: Sequence[str], networks: Sequence[str], scale: int) -> list[Method]:
    """Return the methods that the options name, in their order.

    Args:
        results: ``NAME=DIR`` of each option ``--results``.
        networks: ``NAME=FILE`` of each option ``--network``.
        scale: Scale of the comparison.

    Raises:
        InputError: If an option has another form, two methods have the same name, a folder or file cannot be used, or
            a network has another scale.
    """
    named = [(*_name_and_path(text, "--results NAME=DIR"), results_folder) for text in results]
    taken = {name.lower() for name in DESCRIPTIONS}
    pairs = [*named, *((*_name_and_path(text, "--network NAME=FILE"), network) for text in networks)]
    for name, _, _ in pairs:
        if name.lower() in taken:
            raise InputError(f"Two methods have the name {name}: give each its own.")
        taken.add(name.lower())
    methods = [results_folder(name, path, scale) for name, path, _ in named]
    for name, path, _ in pairs[len(named) :]:
        foreign = network(name, path)
        if foreign.scale != scale:
            raise InputError(f"{path} enlarges by x{foreign.scale}: compare it with --scale {foreign.scale}.")
        methods.append(foreign)
    return methods


def _name_and_path(text: str, form: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not (name.strip() and equals and path):
        raise InputError(f"{text!r} is not {form}: give a name, an equals sign and a path.")
    return name.strip(), Path(path)
