"""The Python and the JavaScript description of the viewer's data are the same."""

from __future__ import annotations

import re
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

import pytest

from app.viewer import contract

MIRROR = (Path(contract.__file__).parent / "static" / "contract.js").read_text(encoding="utf-8")

PRIMITIVES = {str: "string", int: "number", float: "number", bool: "boolean", NoneType: "null"}


def in_jsdoc(hint: Any) -> str:
    """Write a Python type as JSDoc, with names for typed dictionaries and literals."""
    if hint in PRIMITIVES:
        return PRIMITIVES[hint]
    if is_typeddict(hint):
        return str(hint.__name__)
    arguments = get_args(hint)
    match get_origin(hint):
        case origin if origin is NotRequired:
            return in_jsdoc(arguments[0])
        case origin if origin in (UnionType, Union):
            return " | ".join(map(in_jsdoc, arguments))
        case origin if origin is list:
            return f"{in_jsdoc(arguments[0])}[]"
        case origin if origin is dict:
            return f"Object<{in_jsdoc(arguments[0])}, {in_jsdoc(arguments[1])}>"
        case origin if origin is Literal:
            return next(name for name, value in vars(contract).items() if value is hint)
    raise TypeError(f"The contract has no JSDoc form for {hint}.")


def python_types() -> dict[str, dict[str, str] | list[str]]:
    """Return the contract in Python: type name -> its fields with their JSDoc types, or the values of a literal."""
    found: dict[str, dict[str, str] | list[str]] = {}
    for name, value in vars(contract).items():
        if is_typeddict(value):
            hints = get_type_hints(value, include_extras=True)
            # ``__optional_keys__`` misses NotRequired where annotations are kept as text.
            optional = {key for key, hint in hints.items() if get_origin(hint) is NotRequired or not value.__total__}
            found[name] = {f"[{key}]" if key in optional else key: in_jsdoc(hint) for key, hint in hints.items()}
        elif get_origin(value) is Literal:
            found[name] = list(get_args(value))
    return found


def javascript_types() -> dict[str, dict[str, str] | list[str]]:
    """Return the contract in JSDoc, in the form of ``python_types``."""
    found: dict[str, dict[str, str] | list[str]] = {
        name: re.findall(r'"(\w+)"', values) for values, name in re.findall(r"@typedef \{(\".*?)\} (\w+)", MIRROR)
    }
    for name, block in re.findall(r"@typedef \{Object\} (\w+)\n(.*?)\*/", MIRROR, re.DOTALL):
        found[name] = {field: kind for kind, field in re.findall(r"@property \{(.+)\} (\S+)", block)}
    return found


def test_both_sides_have_the_same_types() -> None:
    assert set(python_types()) == set(javascript_types())
    assert {"SceneValue", "ImageValue", "Viewpoint", "Numbers", "ViewportEvent", "Role"} <= set(python_types())


@pytest.mark.parametrize("name", sorted(python_types()))
def test_both_sides_have_the_same_fields(name: str) -> None:
    assert javascript_types()[name] == python_types()[name]
