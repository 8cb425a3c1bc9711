"""The command ``compare``: show regions of one image by each method, as a figure and as numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drn.commands.options import (
    DeviceOption,
    DtypeOption,
    EnsembleOption,
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
from drn.degrade import only_jpeg
from drn.errors import InputError
from drn.evaluation.comparison import format_psnr, format_ssim, measure, score
from drn.evaluation.figure import MAX_SIDE, PANEL, lay_out
from drn.evaluation.figure_files import check_figure_file, write_figure
from drn.evaluation.methods import DRN_PLUS, Method, builtin_methods, drn_photo
from drn.evaluation.pairs import make_pair, notes_on, parse_rect
from drn.evaluation.tables import outside_protocol
from drn.reading import read_image
from drn.upscaler import Upscaler


def compare_command(
    image: Annotated[Path, typer.Argument(help="The original image (ground truth).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The figure: a .png, .jpg, .svg or .pdf file.")],
    crop: Annotated[list[str], typer.Option(metavar="X,Y,W,H", help="The parts to show, in pixels of the original.")],
    scale: Annotated[int, typer.Option(help="Upscaling factor: 2, 3 or 4.")] = 4,
    self_ensemble: EnsembleOption = False,
    results: ResultsOption = None,
    networks: NetworkOption = None,
    methods: Annotated[
        list[str] | None, typer.Option("--methods", metavar="NAME", help="The methods to show, in this order.")
    ] = None,
    columns: Annotated[int, typer.Option(min=0, help="Panels in a row; 0 chooses.")] = 0,
    crop_size: Annotated[
        int, typer.Option(min=1, max=MAX_SIDE, help="Length of a crop's longer side in the figure, in pixels.")
    ] = PANEL,
    jpeg: JpegOption = None,
    variant: VariantOption = "clean",
    luma: LumaOption = "rounded",
    weights_at: WeightsOption = None,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    tile: TileOption = 0,
) -> None:
    """Shrink an image, enlarge it again by each method, and draw regions of each result, as in papers.

    With --jpeg the LR image is degraded, which is outside the benchmark protocol.
    """
    check_figure_file(output)
    given = given_methods(results or [], networks or [], scale)
    upscaler = Upscaler(load_scales(weights_at, [scale])[0].model, device, dtype, tile)
    photo = load_photo(weights_at, [scale]) if variant == "photo" else []
    tuned = [drn_photo(Upscaler(part.model, device, dtype, tile)) for part in photo]
    picture = read_image(image)
    for note in (*notes_on(picture), *(note for method in given for note in method.notes)):
        typer.echo(f"note: {note}", err=True)
    pair = make_pair(picture, scale, image.stem, only_jpeg(jpeg))
    hr_rects = [parse_rect(text, pair) for text in crop]
    known = [*builtin_methods(upscaler, self_ensemble or DRN_PLUS in (methods or ())), *tuned, *given]
    measured = {method.name: measure(pair, method, luma=luma) for method in _chosen(known, methods)}
    write_figure(output, lay_out(pair, measured, hr_rects, columns, crop_size, luma))
    wide = max(8, *map(len, measured))
    for text, hr_rect in zip(crop, hr_rects, strict=True):
        region = f"region {text}" if len(crop) > 1 else "region"
        for name, result in measured.items():
            inside = score(pair, result.sr, hr_rect, luma)
            typer.echo(
                f"{name:<{wide}} {region} {format_psnr(inside)} / {format_ssim(inside)}, "
                f"image {format_psnr(result.whole)} / {format_ssim(result.whole)}"
            )
    if jpeg is not None:
        typer.echo(outside_protocol(pair.degradation))


def _chosen(known: list[Method], names: list[str] | None) -> list[Method]:
    """Return the methods with the given names in the order of the names, or all methods if no names are given.

    Raises:
        InputError: If no method has one of the names.
    """
    by_name = {method.name: method for method in known}
    for name in names or ():
        if name not in by_name:
            raise InputError(f"There is no method {name}: choose from {', '.join(by_name)}.")
    return [by_name[name] for name in dict.fromkeys(names)] if names else known
