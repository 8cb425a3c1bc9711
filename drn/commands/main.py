"""The command line: ``drn upscale | compare | evaluate | train | bench | publish | info``.

Exit codes: 0 success, 1 bad input (one sentence on stderr), 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import io
import json
import logging
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from huggingface_hub.utils.tqdm import disable_progress_bars
from tqdm import tqdm
from typer.core import TyperCommand

from drn import __version__, weights
from drn.commands import batch, planning
from drn.commands.train import train_command
from drn.device import choose_device, choose_dtype
from drn.errors import InputError
from drn.evaluation.benchmark import Row, measure_folder
from drn.evaluation.comparison import format_psnr, format_ssim, measure, score
from drn.evaluation.figure import figure
from drn.evaluation.methods import builtin_methods, builtin_names
from drn.evaluation.pairs import make_pair, notes_on, parse_rect
from drn.evaluation.sets import set_names
from drn.evaluation.tables import format_table, report
from drn.files import replace_file
from drn.model import SCALES, count_parameters
from drn.reading import read_image
from drn.upscaler import Upscaler
from drn.weights import Weights
from drn.writing import QUALITY, SUFFIX_OF

app = typer.Typer(
    name="drn",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

WeightsOption = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="PLACE",
        help="A weights file, a folder with one for each scale, or a Hub repo: owner/name[@revision]. "
        "[default: the repo in DRN_HUB_REPO, or else the bundled weights]",
    ),
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")]
DtypeOption = Annotated[
    str, typer.Option(help="auto, fp32, bf16 or fp16. auto takes half precision where it is faster.")
]
TileOption = Annotated[int, typer.Option(min=0, help="Largest tile side in LR pixels; 0 chooses by memory.")]
EnsembleOption = Annotated[
    bool, typer.Option("--self-ensemble", help="DRN+: average over the 8 flips and rotations; takes 8 times as long.")
]


class ListOptions(TyperCommand):
    """A command whose repeatable options take several values.

    ``--scale 2 3 4`` has the meaning of ``--scale 2 --scale 3 --scale 4``.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the option's name before each of its values, then parse as usual."""
        repeatable = {name for param in self.params if getattr(param, "multiple", False) for name in param.opts}
        expanded: list[str] = []
        option = ""
        for arg in args:
            if arg.startswith("-"):
                option = arg if arg in repeatable else ""
                expanded.append(arg)
            elif option and expanded[-1] != option:
                expanded += [option, arg]
            else:
                expanded.append(arg)
        return super().parse_args(ctx, expanded)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"drn {__version__}")
        raise typer.Exit


@app.callback()
def common_options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Super-resolution with DRN, Distilling with Residual Network (arXiv 1907.02843)."""


@app.command()
def upscale(
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE...", help="Images, folders of images, or - for standard input.")
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Folder for the results, created if missing; or the file for a single image."
        ),
    ],
    scale: Annotated[int, typer.Option(help="Upscaling factor: 2, 3 or 4.")] = 4,
    self_ensemble: EnsembleOption = False,
    file_format: Annotated[
        str | None, typer.Option("--format", help=f"Format of the results: {', '.join(SUFFIX_OF)}. [default: png]")
    ] = None,
    quality: Annotated[int, typer.Option(min=1, max=100, help="Quality of JPEG, WebP and AVIF.")] = QUALITY,
    strip: Annotated[
        bool, typer.Option("--strip", help="Leave out EXIF, resolution, texts and XMP of the source.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results that already exist.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Use torch.compile; worth its start-up time for many files.")
    ] = False,
    weights_at: WeightsOption = None,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    tile: TileOption = 0,
) -> None:
    """Enlarge images. Each result is OUTPUT/<stem>_DRN_x<scale>.png; subfolders are kept.

    Under ``accelerate launch`` the processes divide the files among them, one device for each.
    """
    chosen = planning.choose_format(output, file_format)
    planned = planning.plan(images, output, scale, chosen)
    loaded = _load(weights_at, [scale])[0]
    options = batch.Options(chosen, quality, self_ensemble, strip, overwrite, loaded.sha256)
    with batch.terminated_like_interrupted(), batch.shared_work(planned.targets, device) as (share, own_device):
        upscaler = Upscaler(loaded.model, own_device, dtype, tile, compiled)
        done = batch.upscale_files(share, upscaler, options, None if quiet else typer.echo)
    done = batch.gather(done)
    if not batch.is_main():
        raise typer.Exit(bool(done.failures))
    _report_upscaling(planned, done, quiet)


def _report_upscaling(planned: planning.Plan, done: batch.Report, quiet: bool) -> None:
    """Print what was left out, and what failed.

    Raises:
        InputError: If an image could not be upscaled.
    """
    total = len(planned.targets)
    if not quiet:
        if done.skipped:
            typer.echo(f"{done.skipped} of {total} results already exist and were kept: --overwrite replaces them.")
        for sentence in planned.left_out:
            typer.echo(f"note: {sentence}", err=True)
    for sentence in done.failures:
        typer.echo(f"error: {sentence}", err=True)
    if done.failures:
        raise InputError(f"{len(done.failures)} of {total} images could not be upscaled.")


@app.command()
def compare(
    image: Annotated[Path, typer.Argument(help="The original image (ground truth).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The PNG file to write.")],
    crop: Annotated[str, typer.Option(metavar="X,Y,W,H", help="The part to show, in pixels of the original.")],
    scale: Annotated[int, typer.Option(help="Upscaling factor: 2, 3 or 4.")] = 4,
    self_ensemble: EnsembleOption = False,
    weights_at: WeightsOption = None,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    tile: TileOption = 0,
) -> None:
    """Shrink an image, enlarge it again by each method, and draw one region of each as in a paper."""
    if output.is_dir() or not output.parent.is_dir():
        raise InputError(f"{output} cannot be written: give the name of a PNG file in an existing folder.")
    upscaler = Upscaler(_load(weights_at, [scale])[0].model, device, dtype, tile)
    picture = read_image(image, name=str(image))
    for note in notes_on(picture):
        typer.echo(f"note: {note}", err=True)
    pair = make_pair(picture, scale)
    hr_rect = parse_rect(crop, pair)
    results = {method.name: measure(pair, method) for method in builtin_methods(upscaler, self_ensemble)}
    drawn = figure(pair, results, hr_rect)
    replace_file(output, lambda temporary: drawn.save(temporary, format="PNG"))
    for method, result in results.items():
        inside = score(pair, result.sr, hr_rect)
        typer.echo(
            f"{method:<8} region {format_psnr(inside)} / {format_ssim(inside)}, "
            f"image {format_psnr(result.whole)} / {format_ssim(result.whole)}"
        )


@app.command("evaluate", cls=ListOptions)
def evaluate_command(
    data: Annotated[list[Path], typer.Option(help="Folders of HR images; each is a test set.")],
    scale: Annotated[list[int] | None, typer.Option(help="Upscaling factors. [default: 2 3 4]")] = None,
    self_ensemble: Annotated[bool, typer.Option(help="Also measure DRN+.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, including the sha256 of the weights.")] = False,
    weights_at: WeightsOption = None,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    tile: TileOption = 0,
) -> None:
    """Measure PSNR, SSIM (Y channel, crop_border = scale) and seconds per image of bicubic, DRN and DRN+."""
    rows: list[Row] = []
    used = []
    scales = list(dict.fromkeys(scale or SCALES))
    set_names(data)
    notes: dict[str, None] = {}
    with tqdm(
        total=len(scales) * len(data) * len(builtin_names(self_ensemble)), unit="row", leave=False, disable=None
    ) as bar:
        for loaded in _load(weights_at, scales):
            used.append(loaded)
            upscaler = Upscaler(loaded.model, device, dtype, tile)
            methods = builtin_methods(upscaler, self_ensemble)
            for folder in data:
                rows += measure_folder(folder, upscaler.scale, methods, lambda row: bar.update(), notes.setdefault)
    for note in notes:
        typer.echo(f"note: {note}", err=True)
    if as_json:
        chosen = {"--weights": weights_at, "--device": device, "--dtype": dtype, "--tile": str(tile)}
        options = [word for name, value in chosen.items() if value not in (None, "auto", "0") for word in (name, value)]
        options += [] if self_ensemble else ["--no-self-ensemble"]
        typer.echo(json.dumps(report(rows, used, upscaler, options), indent=2, allow_nan=False))
    else:
        typer.echo(format_table(rows))


app.command("train", cls=ListOptions)(train_command)


@app.command()
def bench(
    scale: Annotated[int, typer.Option(help="Upscaling factor.")] = 4,
    size: Annotated[int, typer.Option(min=3, help="Side of the square LR image, in pixels.")] = 256,
    rounds: Annotated[int, typer.Option(min=1, help="Number of measured runs.")] = 5,
    sizes: Annotated[
        bool, typer.Option("--sizes", help="Measure memory and time for several output sizes instead.")
    ] = False,
    size_of: Annotated[float | None, typer.Option(hidden=True)] = None,
    weights_at: WeightsOption = None,
    dtype: DtypeOption = "auto",
    tile: TileOption = 0,
) -> None:
    """Time the engine on this CPU against the plain network, its convolutions and exported runtimes."""
    from drn.evaluation.speed import engine_report, measure_size, sizes_report

    if sizes:
        options = ["--scale", str(scale), "--dtype", dtype, "--tile", str(tile)]
        typer.echo(sizes_report([*options, "--weights", str(weights_at)] if weights_at else options))
        return
    model = _load(weights_at, [scale])[0].model
    upscaler = Upscaler(model, "cpu", dtype, tile)
    if size_of is None:
        typer.echo(engine_report(model, upscaler, size, rounds))
    else:
        typer.echo(json.dumps(measure_size(upscaler, size_of)))


@app.command()
def info(weights_at: WeightsOption = None, device: DeviceOption = "auto", dtype: DtypeOption = "auto") -> None:
    """Show the weights in use, the size of the network, and the chosen device and dtype."""
    chosen = choose_device(device)
    typer.echo(f"device {chosen}, {str(choose_dtype(dtype, chosen)).removeprefix('torch.')}")
    for loaded in _load(weights_at):
        config = loaded.model.config
        notes = ", ".join(f"{key} {value}" for key, value in loaded.notes.items())
        typer.echo(
            f"x{config.scale}: {loaded.path.name} ({loaded.source}), sha256 {loaded.sha256[:12]}, "
            f"{count_parameters(loaded.model):,} parameters\n"
            f"    {json.dumps(config.to_dict())}\n    {notes}"
        )


@app.command("publish")
def publish_command(
    model: Annotated[str, typer.Option(help="Model repo to create or update: owner/name.")],
    space: Annotated[str | None, typer.Option(help="Space to create or update: owner/name.")] = None,
    private: Annotated[bool, typer.Option("--private", help="Make new repos private.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the files and their sizes without uploading.")
    ] = False,
) -> None:
    """Upload the bundled weights to the Hub and, with --space, the app as a Space."""
    from drn.publish import listing, publish

    if dry_run:
        typer.echo("\n".join(listing(model, space)))
    else:
        publish(model, space, private, typer.echo)


def _load(weights_at: str | None, scales: list[int] | None = None) -> list[Weights]:
    return weights.load_scales(weights_at, scales, lambda sentence: typer.echo(f"note: {sentence}", err=True))


def main() -> None:
    """Run the command line. Bad input ends it with one sentence on stderr and exit code 1."""
    # Only our one sentence is shown, without the warnings and progress bars of the Hub's client.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="huggingface_hub")
    warnings.filterwarnings("ignore", module="PIL")  # our own messages describe faults of an image
    disable_progress_bars()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file name that cannot be printed is no error
    try:
        app()
    except (InputError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)
    except MemoryError:
        typer.echo("error: There is not enough memory on this machine: use smaller images.", err=True)
        sys.exit(1)
