"""The command line: ``drn upscale | compare | evaluate | app | train | bench | publish | info``.

Exit codes: 0 success, 1 bad input (one sentence on stderr), 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import io
import json
import os
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from drn import __version__, weights
from drn.allocator import keep_freed_memory
from drn.commands import batch, planning
from drn.commands.compare import compare_command
from drn.commands.evaluate import evaluate_command
from drn.commands.networks import Networks
from drn.commands.options import (
    ChoiceOption,
    DeviceOption,
    DtypeOption,
    EnsembleOption,
    ListOptions,
    NetworkOption,
    TileOption,
    WeightsOption,
    is_file,
    load_scales,
    network_files,
    refuse_variant_of_file,
)
from drn.commands.page import app_command
from drn.commands.train import train_command
from drn.device import choose_device, choose_dtype, dtype_name
from drn.errors import InputError
from drn.model import count_parameters
from drn.upscaler import Upscaler
from drn.writing import QUALITY, SUFFIX_OF

app = typer.Typer(
    name="drn",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"drn {__version__}")
        raise typer.Exit


@app.callback()
def common_options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Super-resolution with DRN, Distilling with Residual Network (arXiv 1907.02843)."""
    if context.invoked_subcommand != "app":  # the page serves for days and returns freed memory
        keep_freed_memory()


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
        bool, typer.Option("--compile", help="Use torch.compile; its long start pays off only for many files.")
    ] = False,
    variant: ChoiceOption = "auto",
    weights_at: WeightsOption = None,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    tile: TileOption = 0,
) -> None:
    """Enlarge images. Each result is OUTPUT/<stem>_DRN_x<scale>.png; subfolders are kept.

    Under ``accelerate launch`` the files are divided among the processes, and each process uses its own device.
    """
    chosen = planning.choose_format(output, file_format)
    planned = planning.plan(images, output, scale, chosen)
    options = batch.Options(chosen, quality, self_ensemble, strip, overwrite)
    if variant != "auto":
        refuse_variant_of_file(weights_at)
    with batch.terminated_like_interrupted(), batch.shared_work(planned.targets, device) as (share, own_device):
        networks = Networks(
            lambda wanted: load_scales(weights_at, [scale], wanted)[0],
            lambda model: Upscaler(model, own_device, dtype, tile, compiled),
            "clean" if is_file(weights_at) else variant,
        )
        done = batch.upscale_files(share, networks, options, None if quiet else typer.echo)
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
            typer.echo(f"note: {batch.printable(sentence)}", err=True)
    for sentence in done.failures:
        typer.echo(f"error: {sentence}", err=True)
    if done.failures:
        raise InputError(f"{len(done.failures)} of {total} images could not be upscaled.")


app.command("compare", cls=ListOptions)(compare_command)
app.command("evaluate", cls=ListOptions)(evaluate_command)
app.command("train", cls=ListOptions)(train_command)
app.command("app", cls=ListOptions)(app_command)


@app.command(cls=ListOptions)
def bench(
    scale: Annotated[int, typer.Option(help="Upscaling factor.")] = 4,
    size: Annotated[int, typer.Option(min=3, help="Side of the square LR image, in pixels.")] = 256,
    rounds: Annotated[int, typer.Option(min=1, help="Number of measured runs.")] = 5,
    sizes: Annotated[
        bool, typer.Option("--sizes", help="Measure memory and time for several output sizes instead.")
    ] = False,
    start: Annotated[
        bool, typer.Option("--start", help="Measure the CPU time of the start of the package and the command instead.")
    ] = False,
    size_of: Annotated[float | None, typer.Option(hidden=True)] = None,
    compiled: Annotated[
        bool | None,
        typer.Option(
            "--compile/--no-compile", help="Time the engine under torch.compile too. [default: on a CUDA device]"
        ),
    ] = None,
    networks: NetworkOption = None,
    weights_at: WeightsOption = None,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    tile: TileOption = 0,
) -> None:
    """Time the engine, the plain network, the convolutions alone, other networks and, on a CPU, other runtimes."""
    from drn.evaluation.speed import compare_engines, engine_report
    from drn.evaluation.speed_sizes import measure_size, sizes_report
    from drn.evaluation.start import start_report

    files = network_files(networks or ())
    if files and (sizes or start):
        raise InputError("--network has no effect with --sizes or --start: leave it out.")
    if start:
        typer.echo(start_report(rounds))
        return
    if sizes:
        options = ["--scale", str(scale), "--device", device, "--dtype", dtype, "--tile", str(tile)]
        typer.echo(sizes_report([*options, "--weights", str(weights_at)] if weights_at else options))
        return
    model = load_scales(weights_at, [scale])[0].model
    upscaler = Upscaler(model, device, dtype, tile)
    if size_of is not None:
        typer.echo(json.dumps(measure_size(upscaler, size_of)))
        return
    with_compiled = upscaler.device.type == "cuda" if compiled is None else compiled
    under_compile = Upscaler(model, device, dtype, tile, compiled=True) if with_compiled else None
    lines = compare_engines(model, upscaler, size, rounds, under_compile, files)
    typer.echo(engine_report(lines, upscaler, size, rounds))


@app.command()
def info(weights_at: WeightsOption = None, device: DeviceOption = "auto", dtype: DtypeOption = "auto") -> None:
    """Show the weights in use, the size of the network, and the chosen device and dtype."""
    chosen = choose_device(device)
    typer.echo(f"device {chosen}, {dtype_name(choose_dtype(dtype, chosen))}")
    parts = load_scales(weights_at)
    if not is_file(weights_at):  # photo weights of a Hub repo are shown if they were downloaded before
        photo = map(weights.load, weights.photo_files(parts[0].path.parent))
        parts += [replace(part, source=parts[0].source) for part in photo]
    for loaded in parts:
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


def _sentence(error: InputError | OSError) -> str:
    """Return the message of an error; a name of more than 200 characters in the error of a file is shortened."""
    if not isinstance(error, OSError) or error.filename is None:
        return str(error)
    name = os.fsdecode(error.filename)
    shown = name if len(name) <= 200 else f"{name[:97]}...{name[-100:]}"
    return f"{shown} cannot be used: {error.strerror}."


def main() -> None:
    """Run the command ``drn``.

    If the input cannot be used, the command prints one sentence to stderr and exits with code 1.
    """
    # The Hub's client must print no warnings or progress bars beside this sentence. It reads the two variables when it
    # is imported.
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    warnings.filterwarnings("ignore", module="huggingface_hub")
    warnings.filterwarnings("ignore", module="PIL")  # the project's own messages describe faults of an image
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # so that file names that cannot be printed cause no error
    try:
        app()
    except (InputError, OSError) as error:
        typer.echo(f"error: {batch.printable(_sentence(error))}", err=True)
        sys.exit(1)
    except MemoryError:
        typer.echo("error: There is not enough memory on this machine: use smaller images.", err=True)
        sys.exit(1)
