"""Measure the CPU time that the package and its command need to start, beyond the import of torch."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from drn.errors import InputError
from drn.evaluation.timing import texture
from drn.image import Picture
from drn.writing import write_image

SIDE = 64
"""Side of the image that is enlarged, in pixels."""

_TIMED = """
import sys, time
import torch
start = time.process_time()
{code}
print(time.process_time() - start, file=sys.stderr)
"""

_UPSCALE = """
from drn.commands.main import main
sys.argv = ["drn", "upscale", {source!r}, "--output", {folder!r}, "--overwrite", "--quiet"]
try:
    main()
except SystemExit as end:
    if end.code:
        raise
"""


def start_report(rounds: int) -> str:
    """Return the output of ``drn bench --start``: the CPU seconds of several starts, each in new processes.

    Args:
        rounds: Number of processes for each line.

    Raises:
        InputError: If one of the processes fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "lr.png"
        write_image(source, Picture(texture(SIDE)))
        codes = {
            "import drn": "import drn",
            "from drn import Upscaler": "from drn import Upscaler",
            "import of the command line": "import drn.commands.main",
            f"drn upscale, {SIDE}x{SIDE} pixels": _UPSCALE.format(source=str(source), folder=folder),
        }
        seconds: dict[str, list[float]] = {name: [] for name in codes}
        for _ in range(rounds):
            for name, code in codes.items():
                seconds[name].append(_cpu_seconds(code))
    text = [f"CPU seconds beyond the import of torch, median of {rounds}", ""]
    return "\n".join([*text, *(f"{name:<40}{median(values):>6.2f}" for name, values in seconds.items())])


def _cpu_seconds(code: str) -> float:
    """Return the CPU time of ``code`` in a new process, without the start of Python and the import of torch."""
    command = [sys.executable, "-c", _TIMED.format(code=code)]
    process = subprocess.run(command, capture_output=True, text=True)  # noqa: S603
    if process.returncode:
        reason = process.stderr.strip().rpartition("\n")[2]
        raise InputError(f"The start could not be measured: {reason}.")
    return float(process.stderr.split()[-1])
