"""Many files: which ones, where their results go, and working through them on one process or several."""

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
from drn.image import find_images, read_image, write_png
from drn.upscaler import Upscaler

LONGEST_WAIT = timedelta(days=7)
"""How long a process that is done waits for the others."""


@dataclass
class Report:
    """What came of the files.

    Attributes:
        written: Results made.
        skipped: Results that were there already.
        failures: One sentence for each file that could not be upscaled.
    """

    written: int = 0
    skipped: int = 0
    failures: list[str] = field(default_factory=list)

    def __add__(self, other: Report) -> Report:
        return Report(self.written + other.written, self.skipped + other.skipped, [*self.failures, *other.failures])


def plan(inputs: list[Path], output: Path, scale: int) -> dict[Path, Path]:
    """Where each image's result goes: ``OUTPUT/<stem>_DRN_x<scale>.png``, below the tree of its folder.

    Args:
        inputs: Image files, and folders whose images (any depth) are meant. What lies in an ``output`` inside
            such a folder is never taken for an input.

    Raises:
        InputError: If a folder holds no images, two images would have the same result, or ``output`` is a file.
    """
    if output.exists() and not output.is_dir():
        raise InputError(f"{output} is a file: give a folder for the results.")
    targets: dict[Path, Path] = {}
    sources: dict[Path, Path] = {}
    for given in inputs:
        if given.is_dir() and given.resolve() == output.resolve():
            raise InputError(f"The results cannot go into the folder of the images, {given}: choose another.")
        images = find_images(given) if given.is_dir() else [given]
        base = given if given.is_dir() else given.parent
        if given.is_dir() and output.resolve().is_relative_to(given.resolve()):
            images = [image for image in images if not image.resolve().is_relative_to(output.resolve())]
            if not images:
                raise InputError(f"The folder {given} holds no images beside the results in {output}.")
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
    """Upscale each image into its target, whole or not at all, and go on after one that fails.

    Args:
        targets: Image -> result (see ``plan``); folders are made as needed.
        overwrite: Make results anew that are there already.
        say: Told of each result, in one line.
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
                # Several folders may hold files of this name.
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
    """This process's share of the files, and its device, under ``accelerate launch``; else everything."""
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
    """The reports of all processes as one, once all of them are done."""
    if not is_launched():
        return report
    from accelerate.utils import gather_object

    reports: list[Report] = gather_object([report])
    return sum(reports, Report())


def is_launched() -> bool:
    """Whether this process is one of several that ``accelerate launch`` or ``torchrun`` started."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_main() -> bool:
    """Whether this process speaks for all of them."""
    return int(os.environ.get("RANK", "0")) == 0


@contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """Let SIGTERM unwind the stack as Ctrl-C does, so that temporary files are removed."""

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
