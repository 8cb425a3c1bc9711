"""Measure methods on test sets: PSNR, SSIM and time for each HR image of a folder, and their means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from drn.degrade import CLEAN, Degradation
from drn.errors import InputError
from drn.evaluation.comparison import measure
from drn.evaluation.methods import Method
from drn.evaluation.pairs import Pair, degrade_pairs, read_pairs
from drn.evaluation.sets import set_name
from drn.metrics import Luma
from drn.upscaler import OnTile


@dataclass(frozen=True)
class ImageRow:
    """The measurement of one method on one image.

    Attributes:
        data: Name of the test set.
        image: Name of the image.
        scale: Upscaling factor.
        method: Name of the method.
        psnr: PSNR in dB (Y channel, crop_border = scale).
        ssim: SSIM.
        seconds: Time to enlarge the image; None for a method that looks up finished results.
    """

    data: str
    image: str
    scale: int
    method: str
    psnr: float
    ssim: float
    seconds: float | None


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
        seconds: Mean time for one image; None for a method that looks up finished results.
    """

    data: str
    scale: int
    method: str
    images: int
    psnr: float
    ssim: float
    seconds: float | None


def measure_image(
    data: str,
    pair: Pair,
    method: Method,
    luma: Luma = "rounded",
    on_tile: OnTile | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> ImageRow:
    """Measure a method on one image of a test set.

    Args:
        data: Name of the set.
        pair: The original and its LR image, large enough for SSIM (see ``read_pair``).
        method: The method.
        luma: See ``drn.evaluation.comparison.score``.
        on_tile: See ``Enlarge``.
        cancelled: See ``Enlarge``.

    Raises:
        InputError: If the method fails on the image.
        Cancelled: If ``cancelled`` returned True.
        ValueError: If the pair is too small to measure.
    """
    result = measure(pair, method, on_tile, cancelled, luma)
    if result.whole.psnr is None or result.whole.ssim is None:
        raise ValueError(f"An LR image of {pair.lr.shape[1]}x{pair.lr.shape[0]} is too small to measure.")
    seconds = None if method.is_finished else result.seconds
    return ImageRow(data, pair.name, pair.scale, method.name, result.whole.psnr, result.whole.ssim, seconds)


def means(images: Iterable[ImageRow]) -> list[Row]:
    """Average the rows of each test set, scale and method, in the order in which these first occur."""
    groups: dict[tuple[str, int, str], list[ImageRow]] = {}
    for image in images:
        groups.setdefault((image.data, image.scale, image.method), []).append(image)
    rows = []
    for (data, scale, method), group in groups.items():
        psnr, ssim = mean(image.psnr for image in group), mean(image.ssim for image in group)
        seconds = [image.seconds for image in group if image.seconds is not None]
        rows.append(Row(data, scale, method, len(group), psnr, ssim, mean(seconds) if seconds else None))
    return rows


def measure_set(data: str, pairs: Sequence[Pair], method: Method) -> Row:
    """Average one method over a test set.

    Args:
        data: Name of the set.
        pairs: At least one pair; all have the same scale, and each is large enough for SSIM (see ``read_pair``).
        method: The method.

    Raises:
        InputError: If the method fails on an image.
        ValueError: If a pair is too small to measure.
    """
    return means([measure_image(data, pair, method) for pair in pairs])[0]


def measure_folder(
    folder: Path,
    scale: int,
    methods: Iterable[Method],
    luma: Luma = "rounded",
    degradation: Degradation = CLEAN,
    on_method: Callable[[], object] = lambda: None,
    on_note: Callable[[str], object] = lambda note: None,
    on_failure: Callable[[str], object] = lambda sentence: None,
) -> list[ImageRow]:
    """Measure each method on the images of ``folder``.

    Each method first enlarges one image without timing, because the first call for a new image size is slower. An image
    without a usable finished result gets no row for that method.

    Args:
        folder: Folder of the test set (see ``drn.evaluation.sets``).
        scale: Upscaling factor.
        methods: The methods.
        luma: See ``drn.evaluation.comparison.score``.
        degradation: Degradation of the LR images. Any but ``CLEAN`` is added to the name of the set, because it is
            outside the benchmark protocol.
        on_method: Called after each method.
        on_note: See ``read_pairs``.
        on_failure: Called with a sentence for each image without a usable finished result.

    Raises:
        InputError: If the folder is missing or holds no images, if an image is damaged or too small, or if a method
            fails on an image.
    """
    pairs = degrade_pairs(read_pairs(folder, scale, on_note), [degradation])
    data = set_name(folder) + (f" {degradation}" if degradation != CLEAN else "")
    images = []
    for method in methods:
        if not method.is_finished:
            method.enlarge(pairs[0])
        for pair in pairs:
            try:
                images.append(measure_image(data, pair, method, luma))
            except InputError as error:
                if not method.is_finished:
                    raise
                on_failure(f"{method.name} has no score for {pair.name} of {data}: {error}")
        on_method()
    return images
