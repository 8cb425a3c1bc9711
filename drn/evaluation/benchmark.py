"""Measure methods on test sets: mean PSNR, SSIM and time over a folder of HR images, by the published protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from drn.evaluation.comparison import measure
from drn.evaluation.methods import Method
from drn.evaluation.pairs import Pair, read_pairs
from drn.evaluation.sets import set_name


@dataclass(frozen=True)
class Row:
    """One line of a benchmark table.

    Attributes:
        data: Name of the test set.
        scale: Upscaling factor.
        method: Name of the method.
        images: Number of images averaged.
        psnr: Mean PSNR in dB (Y channel, crop_border = scale).
        ssim: Mean SSIM.
        seconds: Mean time for one image.
    """

    data: str
    scale: int
    method: str
    images: int
    psnr: float
    ssim: float
    seconds: float


def measure_set(data: str, pairs: Sequence[Pair], method: Method) -> Row:
    """Average one method over a test set.

    Args:
        data: Name of the set.
        pairs: At least one, all of one scale, each large enough for SSIM (see ``read_pair``).
        method: The method.

    Raises:
        ValueError: If a pair is too small to measure.
    """
    psnrs, ssims, times = [], [], []
    for pair in pairs:
        result = measure(pair, method)
        if result.whole.psnr is None or result.whole.ssim is None:
            raise ValueError(f"An LR image of {pair.lr.shape[1]}x{pair.lr.shape[0]} is too small to measure.")
        psnrs.append(result.whole.psnr)
        ssims.append(result.whole.ssim)
        times.append(result.seconds)
    return Row(data, pairs[0].scale, method.name, len(pairs), mean(psnrs), mean(ssims), mean(times))


def measure_folder(
    folder: Path,
    scale: int,
    methods: Iterable[Method],
    on_row: Callable[[Row], object] = lambda row: None,
    on_note: Callable[[str], object] = lambda note: None,
) -> list[Row]:
    """Measure each method on the images of ``folder``, one row for each method.

    Each method first enlarges one image untimed, because the first call for a new image size is slower.

    Args:
        folder: Folder of the test set (see ``drn.evaluation.sets``).
        scale: Upscaling factor.
        methods: The methods.
        on_row: Called with each row as soon as it is measured.
        on_note: See ``read_pairs``.

    Raises:
        InputError: If the folder is missing or holds no images, or if an image is damaged or too small.
    """
    pairs = read_pairs(folder, scale, on_note)
    rows = []
    for method in methods:
        method.enlarge(pairs[0])
        rows.append(measure_set(set_name(folder), pairs, method))
        on_row(rows[-1])
    return rows
