"""Upscale many files, and divide the work among processes."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from drn.commands.networks import Network, Networks
from drn.commands.planning import STDIN
from drn.device import choose_device
from drn.errors import InputError, not_installed
from drn.formats import FORMATS
from drn.metadata import NO_METADATA, read_mark
from drn.reading import read_image
from drn.upscaler import OnTile
from drn.writing import QUALITY, write_image

LONGEST_WAIT = timedelta(days=7)
"""Longest time that a finished process waits for the other processes."""


@dataclass(frozen=True)
class Options:
    """How images are enlarged and written.

    Attributes:
        file_format: One of ``drn.writing.SUFFIX_OF``.
        quality: Quality of JPEG, WebP and AVIF, 1 to 100.
        self_ensemble: Whether to use DRN+.
        strip: Whether to leave out the metadata of the source.
        overwrite: Whether to replace every existing result.
    """

    file_format: str = "png"
    quality: int = QUALITY
    self_ensemble: bool = False
    strip: bool = False
    overwrite: bool = False

    def mark(self, data: bytes, network: Network) -> str:
        """Return the text that is stored in a result.

        With it, a later run recognises a result of the same source, options and weights.
        """
        scale, used = network.upscaler.scale, (network.variant, network.sha256)
        made = (scale, self.file_format, self.quality, self.self_ensemble, self.strip, *used)
        return f"x{scale} {hashlib.sha256(repr(made).encode() + data).hexdigest()[:24]}"


@dataclass
class Report:
    """Counts of the processed files.

    Attributes:
        written: Number of results written.
        skipped: Number of results that already existed.
        failures: One sentence for each file that could not be upscaled.
    """

    written: int = 0
    skipped: int = 0
    failures: list[str] = field(default_factory=list)

    def __add__(self, other: Report) -> Report:
        return Report(self.written + other.written, self.skipped + other.skipped, [*self.failures, *other.failures])


def upscale_files(
    targets: dict[Path, Path],
    networks: Networks,
    options: Options = Options(),
    say: Callable[[str], None] | None = print,
) -> Report:
    """Upscale images one after the other, and continue after a failure.

    Args:
        targets: Image -> result (see ``plan``). Results are written atomically, and folders are created.
        networks: The networks.
        options: How the images are enlarged and written.
        say: Called with one line for each result. None also turns off the progress bar.
    """
    report = Report()
    with tqdm(targets.items(), unit="image", disable=None if say else True) as bar:
        for image, target in bar:

            def show(done: int, total: int, name: str = image.name) -> None:
                bar.set_postfix_str(f"{name}, tile {done} of {total}")

            try:
                line = _upscale_file(image, target, networks, options, show)
            except MemoryError:
                full = "its result does not fit in the memory of this machine: use a lower scale."
                report.failures.append(f"{image}: {full}")
            except InputError as error:
                # The message names the whole path, because several folders may have a file of this name.
                what = str(error).removeprefix(str(image)).removeprefix(image.name).lstrip(": ")
                report.failures.append(f"{image} {what}" if what != str(error) else f"{image}: {what}")
            except OSError as error:
                report.failures.append(f"{image}: {target} cannot be written ({error.strerror or error}).")
            else:
                report.written += line is not None
                report.skipped += line is None
                if line is not None and say is not None:
                    with bar.external_write_mode():
                        say(printable(line))
    report.failures = [printable(sentence) for sentence in report.failures]
    return report


def printable(line: str) -> str:
    """Return a line with escapes in place of characters that cannot be printed, which file names may contain."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in line)


def _upscale_file(image: Path, target: Path, networks: Networks, options: Options, on_tile: OnTile) -> str | None:
    """Upscale one file.

    Returns:
        A line about the result, or None if it exists already.

    Raises:
        InputError: If the file cannot be read or enlarged.
        OSError: If the result cannot be written.
    """
    data = _read_source(image)
    network, reason = networks.for_image(data)
    mark = options.mark(data, network)
    if target.exists() and not options.overwrite and _mark_of(target) in (None, mark):
        return None
    picture = read_image(io.BytesIO(data), name=image.name)
    result = network.upscaler.upscale_picture(picture, self_ensemble=options.self_ensemble, on_tile=on_tile)
    height, width = result.rgb.shape[:2]
    metadata = NO_METADATA if options.strip else picture.metadata.enlarged(network.upscaler.scale, width, height)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_image(target, result, options.file_format, options.quality, metadata, mark)
    on_white = (
        ["Transparency was replaced by white."] if result.alpha is not None and options.file_format == "jpeg" else []
    )
    chosen = [reason] if reason else []
    return " ".join([f"{target} {width}x{height}", *chosen, *picture.notes, *on_white])


def _read_source(image: Path) -> bytes:
    """Read a file, a pipe or the standard input.

    Raises:
        InputError: If it cannot be read.
    """
    if str(image) in STDIN:
        return sys.stdin.buffer.read()
    try:
        return image.read_bytes()
    except OSError as error:
        raise InputError(f"{image} cannot be read: {error.strerror}.") from error


def _mark_of(target: Path) -> str | None:
    """Return the mark in an existing result; None if it has none, as when another program wrote it."""
    try:
        with Image.open(target, formats=FORMATS) as image:
            return read_mark(image.info)
    except Exception:  # a damaged file has no mark
        return None


@contextmanager
def shared_work(targets: dict[Path, Path], device: str) -> Iterator[tuple[dict[Path, Path], str]]:
    """Provide the files and the device of this process: its share under ``accelerate launch``, otherwise all files.

    Args:
        targets: Image -> result.
        device: The device that the user chose.

    Yields:
        The share of ``targets``, and the device.

    Raises:
        InputError: If several processes were launched and accelerate is not installed.
    """
    if not is_launched():
        yield targets, device
        return
    try:
        from accelerate import PartialState
    except ModuleNotFoundError as error:
        raise not_installed("Sharing the files over several processes", error) from error

    state = PartialState(cpu=choose_device(device).type == "cpu", timeout=LONGEST_WAIT)
    with state.split_between_processes(list(targets)) as images:
        yield {image: targets[image] for image in images}, str(state.device) if device == "auto" else device


def gather(report: Report) -> Report:
    """Wait for all processes and return the sum of their reports."""
    if not is_launched():
        return report
    from accelerate.utils import gather_object

    reports: list[Report] = gather_object([report])
    return sum(reports, Report())


def is_launched() -> bool:
    """Return whether ``accelerate launch`` or ``torchrun`` started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_main() -> bool:
    """Return whether this process prints the summary for all processes."""
    return int(os.environ.get("RANK", "0")) == 0


@contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """Handle SIGTERM like Ctrl-C, so that the stack unwinds and temporary files are removed."""

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
