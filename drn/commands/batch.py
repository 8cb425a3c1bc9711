"""Upscale many files: find them, name their results, and divide the work among processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from tqdm import tqdm

from drn.device import choose_device
from drn.errors import InputError, not_installed
from drn.folders import find_images
from drn.reading import read_image
from drn.upscaler import Upscaler
from drn.writing import write_png

LONGEST_WAIT = timedelta(days=7)
"""How long a process that has finished waits for the others."""


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


def plan(inputs: list[Path], output: Path, scale: int) -> dict[Path, Path]:
    """Choose the file for each result: ``OUTPUT/<stem>_DRN_x<scale>.png``, in the subfolders of the input.

    Args:
        inputs: Image files and folders, which are searched to any depth. Files below ``output`` are not inputs.
        output: Folder for the results. It does not have to exist.
        scale: Upscaling factor.

    Returns:
        Image -> result.

    Raises:
        InputError: If a folder has no images, two images would have the same result, or ``output`` is a file or one of
            the input folders.
    """
    if output.exists() and not output.is_dir():
        raise InputError(f"{output} is a file: give a folder for the results.")
    targets: dict[Path, Path] = {}
    sources: dict[Path, Path] = {}
    for given in inputs:
        if given.is_dir() and given.resolve() == output.resolve():
            raise InputError(
                f"The results cannot be written into the folder of the images, {given}: give another folder."
            )
        images = find_images(given) if given.is_dir() else [given]
        base = given if given.is_dir() else given.parent
        if given.is_dir() and output.resolve().is_relative_to(given.resolve()):
            images = [image for image in images if not image.resolve().is_relative_to(output.resolve())]
            if not images:
                raise InputError(
                    f"The folder {given} has no images except the results in {output}: give a folder of images."
                )
        for image in images:
            target = output / image.parent.relative_to(base) / f"{image.stem}_DRN_x{scale}.png"
            if sources.setdefault(target, image) != image:
                raise InputError(f"{sources[target]} and {image} would both become {target}: rename one of them.")
            targets[image] = target
    return targets


def upscale_files(
    targets: dict[Path, Path],
    upscaler: Upscaler,
    *,
    self_ensemble: bool = False,
    overwrite: bool = False,
    say: Callable[[str], None] = print,
) -> Report:
    """Upscale images one after the other, and continue after a failure.

    Args:
        targets: Image -> result (see ``plan``). Results are written atomically, and folders are created.
        upscaler: The network.
        self_ensemble: Whether to use DRN+.
        overwrite: Whether to replace existing results.
        say: Called with one line for each result.
    """
    report = Report()
    with tqdm(targets.items(), unit="image", disable=None) as bar:
        for image, target in bar:
            if target.exists() and not overwrite:
                report.skipped += 1
                continue

            def show(done: int, total: int, name: str = image.name) -> None:
                bar.set_postfix_str(f"{name}, tile {done} of {total}")

            try:
                picture = read_image(image)
                result = upscaler.upscale_picture(picture, self_ensemble=self_ensemble, on_tile=show)
                target.parent.mkdir(parents=True, exist_ok=True)
                write_png(target, result)
            except MemoryError:
                full = "its result does not fit in the memory of this machine: use a lower scale."
                report.failures.append(f"{image}: {full}")
                continue
            except (InputError, OSError) as error:
                # Name the whole path, because several folders may have a file of this name.
                what = str(error).removeprefix(str(image)).removeprefix(image.name).lstrip(": ")
                report.failures.append(f"{image} {what}" if what != str(error) else f"{image}: {what}")
                continue
            report.written += 1
            height, width = result.rgb.shape[:2]
            with bar.external_write_mode():
                say(" ".join([f"{target} {width}x{height}", *picture.notes]))
    return report


@contextmanager
def shared_work(targets: dict[Path, Path], device: str) -> Iterator[tuple[dict[Path, Path], str]]:
    """Give this process its share of the files and its device under ``accelerate launch``, else all files.

    Args:
        targets: Image -> result.
        device: The device that the user asked for.

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
    """Tell whether this process is one of several that ``accelerate launch`` or ``torchrun`` started."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_main() -> bool:
    """Tell whether this process prints the summary for all of them."""
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
