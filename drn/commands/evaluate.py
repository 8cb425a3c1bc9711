"""The command ``evaluate``: measure methods on test sets; write a table, JSON, or a line for each image."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from drn.commands.options import (
    DeviceOption,
    DtypeOption,
    JpegOption,
    LumaOption,
    NetworkOption,
    ResultsOption,
    TileOption,
    VariantOption,
    WeightsOption,
    given_methods,
    load_photo,
    load_scales,
)
from drn.degrade import CLEAN, Degradation, Jpeg
from drn.errors import InputError
from drn.evaluation.benchmark import ImageRow, Row, means, measure_folder
from drn.evaluation.methods import Method, builtin_methods, drn_photo
from drn.evaluation.peers import text_table
from drn.evaluation.sets import set_names
from drn.evaluation.tables import format_table, outside_protocol, report, write_images
from drn.metrics import Luma
from drn.model import SCALES
from drn.upscaler import Upscaler


def evaluate_command(
    data: Annotated[list[Path], typer.Option(help="Folders of HR images; each is a test set.")],
    scale: Annotated[list[int] | None, typer.Option(help="Upscaling factors. [default: 2 3 4]")] = None,
    self_ensemble: Annotated[bool, typer.Option(help="Also measure DRN+.")] = True,
    results: ResultsOption = None,
    networks: NetworkOption = None,
    luma: LumaOption = "rounded",
    per_image: Annotated[
        Path | None, typer.Option("--per-image", metavar="FILE.csv", help="Also write a line for each image.")
    ] = None,
    jpeg: JpegOption = None,
    noise: Annotated[float, typer.Option(help="Add Gaussian noise to the LR images; sigma in 8-bit levels.")] = 0.0,
    blur: Annotated[float, typer.Option(help="First blur the LR images by a Gaussian; sigma in pixels.")] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, including the sha256 of the weights.")] = False,
    variant: VariantOption = "clean",
    weights_at: WeightsOption = None,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    tile: TileOption = 0,
) -> None:
    """Measure PSNR, SSIM (Y channel, crop_border = scale) and seconds per image of bicubic, DRN, DRN+ and others.

    With --jpeg, --noise or --blur the LR images are degraded, which is outside the benchmark protocol.
    """
    degradation = Degradation(blur, noise, jpegs=() if jpeg is None else (Jpeg(jpeg),))
    scales = list(dict.fromkeys(scale or SCALES))
    _check(data, scales, per_image, bool(results or networks))
    given = given_methods(results or [], networks or [], scales[0])
    _print_notes([note for method in given for note in method.notes])
    loaded = load_scales(weights_at, scales)
    photo = load_photo(weights_at, scales) if variant == "photo" else []
    upscalers = [Upscaler(part.model, device, dtype, tile) for part in (*loaded, *photo)]
    methods = _own_methods(upscalers[: len(loaded)], upscalers[len(loaded) :], self_ensemble)
    images = _measure(data, methods, given, luma, degradation)
    if per_image:
        write_images(per_image, images)
    rows = means(images)
    if as_json:
        chosen = {
            "--weights": weights_at,
            "--device": device if device != "auto" else None,
            "--dtype": dtype if dtype != "auto" else None,
            "--tile": str(tile) if tile else None,
            "--luma": luma if luma != "rounded" else None,
            "--jpeg": str(jpeg) if jpeg else None,
            "--noise": f"{noise:g}" if noise else None,
            "--blur": f"{blur:g}" if blur else None,
            "--variant": variant if variant != "clean" else None,
        }
        options = _options(chosen, self_ensemble, {"--results": results or [], "--network": networks or []})
        printed = report(rows, loaded, upscalers[-1], options, luma, degradation, photo)
        typer.echo(json.dumps(printed, indent=2, allow_nan=False))
    else:
        typer.echo(format_table(rows, luma))
        if degradation != CLEAN:
            typer.echo(outside_protocol(degradation))
        elif beside := text_table(rows, luma):
            typer.echo(f"\nPSNR of DRN and of other networks, measured by the same protocol on these images:\n{beside}")
    _check_results(given, rows)


def _check(data: Sequence[Path], scales: Sequence[int], per_image: Path | None, has_given: bool) -> None:
    """Check options before anything is loaded.

    Raises:
        InputError: If options cannot be used together, or if ``per_image`` cannot be written.
    """
    set_names(data)
    if has_given and len(scales) > 1:
        raise InputError("--results and --network are for one scale: give it, for example --scale 4.")
    if per_image and (per_image.is_dir() or not per_image.parent.is_dir() or per_image.suffix.lower() != ".csv"):
        raise InputError(f"{per_image} cannot be written: give the name of a .csv file in an existing folder.")


def _check_results(given: Sequence[Method], rows: Sequence[Row]) -> None:
    """Check that each given method has a row.

    Raises:
        InputError: If a method has none.
    """
    missing = [method.name for method in given if method.name not in {row.method for row in rows}]
    if missing:
        raise InputError(f"{', '.join(missing)} has no result for any of these images: check the names of its files.")


def _options(chosen: Mapping[str, str | None], self_ensemble: bool, repeated: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the options other than ``--data`` and ``--scale``, for the command in the output.

    Args:
        chosen: Option -> value; None for the default.
        self_ensemble: Whether DRN+ is measured, which is the default.
        repeated: Option -> its values.
    """
    options = [word for name, value in chosen.items() if value is not None for word in (name, value)]
    options += [] if self_ensemble else ["--no-self-ensemble"]
    return options + [word for name, values in repeated.items() for value in values for word in (name, value)]


def _own_methods(clean: Sequence[Upscaler], photo: Sequence[Upscaler], self_ensemble: bool) -> dict[int, list[Method]]:
    """Return the built-in methods of each scale, and DRN photo for the scales of ``photo``."""
    tuned = {upscaler.scale: [drn_photo(upscaler)] for upscaler in photo}
    return {
        upscaler.scale: builtin_methods(upscaler, self_ensemble) + tuned.get(upscaler.scale, []) for upscaler in clean
    }


def _measure(
    data: Sequence[Path],
    methods: Mapping[int, Sequence[Method]],
    given: Sequence[Method],
    luma: Luma,
    degradation: Degradation,
) -> list[ImageRow]:
    """Measure the methods of each scale and the given ones on all sets; print a note for each missing result."""
    images: list[ImageRow] = []
    failures: list[str] = []
    notes: dict[str, None] = {}
    count = len(data) * sum(len(given) + len(ours) for ours in methods.values())
    with tqdm(total=count, unit="row", leave=False, disable=None) as bar:
        for scale, ours in methods.items():
            for folder in data:
                images += measure_folder(
                    folder, scale, [*ours, *given], luma, degradation, bar.update, notes.setdefault, failures.append
                )
    _print_notes([*notes, *failures])
    return images


def _print_notes(sentences: Sequence[str]) -> None:
    for sentence in sentences:
        typer.echo(f"note: {sentence}", err=True)
