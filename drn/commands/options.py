"""Options that several commands share, and functions that load the weights and methods given by these options."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from drn import weights
from drn.errors import InputError
from drn.evaluation.methods import DESCRIPTIONS, DRN_PHOTO, Method
from drn.evaluation.networks import network
from drn.evaluation.results_folder import results_folder
from drn.metrics import Luma
from drn.variants import PHOTO_BELOW, Variant, VariantChoice
from drn.weights import Weights

WeightsOption = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="PLACE",
        help="A weights file, a folder with one file for each scale, or a Hub repo: owner/name[@revision]. "
        "[default: the repo in DRN_HUB_REPO, or else the bundled weights]",
    ),
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")]
DtypeOption = Annotated[
    str, typer.Option(help="auto, fp32, bf16 or fp16. auto uses half precision where it is faster.")
]
TileOption = Annotated[int, typer.Option(min=0, help="Largest tile side in LR pixels; 0 chooses it automatically.")]
EnsembleOption = Annotated[
    bool,
    typer.Option("--self-ensemble", help="DRN+: average over the 8 flips and rotations; it takes 8 times as long."),
]
ChoiceOption = Annotated[
    VariantChoice,
    typer.Option(
        "--variant",
        help="The weights: clean, for images without compression, or photo, tuned for JPEG files. auto uses photo for "
        f"JPEG files of a quality below {PHOTO_BELOW}, and clean for all other images.",
    ),
]
VariantOption = Annotated[
    Variant,
    typer.Option(
        "--variant", help="photo also measures DRN with the weights tuned for JPEG files, as the method DRN photo."
    ),
]
JpegOption = Annotated[
    int | None, typer.Option("--jpeg", min=1, max=100, help="Store the LR images as 4:2:0 JPEG of this quality.")
]
LumaOption = Annotated[
    Luma,
    typer.Option(
        help="How Y is measured: rounded to 8 bits, with greyscale files measured on their own levels; or not rounded "
        "(float), with greyscale files measured as RGB."
    ),
]
ResultsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--results",
        metavar="NAME=DIR",
        help="A folder of finished results. Their file names begin with those of the originals.",
    ),
]
NetworkOption = Annotated[
    list[str] | None,
    typer.Option(
        "--network",
        metavar="NAME=FILE",
        help="Another network: an ONNX file, or weights that the package spandrel can read. "
        "Use only files that you trust.",
    ),
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


def load_scales(weights_at: str | None, scales: list[int] | None = None, variant: Variant = "clean") -> list[Weights]:
    """Load the weights of some scales, or of all that exist, and print notes about their source on stderr.

    Raises:
        InputError: If the weights cannot be used.
    """
    return weights.load_scales(weights_at, scales, lambda sentence: typer.echo(f"note: {sentence}", err=True), variant)


def load_photo(weights_at: str | None, scales: list[int]) -> list[Weights]:
    """Load the photo weights of some scales.

    Raises:
        InputError: If the weights cannot be used, or a scale has no photo weights.
    """
    refuse_variant_of_file(weights_at)
    parts = weights.load_scales(weights_at, scales, lambda _: None, "photo")  # the clean weights were noted before
    lacking = ", ".join(f"x{part.model.scale}" for part in parts if part.variant != "photo")
    if lacking:
        raise InputError(
            f"There are no photo weights for {lacking}: leave out --variant photo, or choose other scales."
        )
    return parts


def refuse_variant_of_file(weights_at: str | None) -> None:
    """Refuse ``--variant`` together with ``--weights FILE``.

    Raises:
        InputError: If ``weights_at`` is a file.
    """
    if is_file(weights_at):
        raise InputError(f"--variant has no effect on the single file {weights_at}: leave it out, or give a folder.")


def is_file(weights_at: str | None) -> bool:
    """Return whether ``--weights`` names a file, which has no variants."""
    return weights_at is not None and Path(weights_at).is_file()


def given_methods(results: Sequence[str], networks: Sequence[str], scale: int) -> list[Method]:
    """Return the methods of the options ``--results``, followed by those of ``--network``.

    Args:
        results: ``NAME=DIR`` of each option ``--results``.
        networks: ``NAME=FILE`` of each option ``--network``.
        scale: Scale of the comparison.

    Raises:
        InputError: If an option does not have this form, two methods have the same name, a folder or file cannot be
            used, or a network has another scale.
    """
    taken = {name.lower() for name in (*DESCRIPTIONS, DRN_PHOTO, "LR", "ground truth")}
    folders = _named_paths(results, "--results NAME=DIR", taken)
    files = _named_paths(networks, "--network NAME=FILE", taken)
    methods = [results_folder(name, path, scale) for name, path in folders.items()]
    for name, path in files.items():
        other = network(name, path)
        if other.scale != scale:
            raise InputError(f"{path} enlarges by x{other.scale}: compare it with --scale {other.scale}.")
        methods.append(other)
    return methods


def network_files(networks: Sequence[str]) -> dict[str, Path]:
    """Return name -> file of the options ``--network``.

    Raises:
        InputError: If an option does not have the form ``NAME=FILE``, two networks have the same name, or one has the
            name engine, which the table needs.
    """
    files = _named_paths(networks, "--network NAME=FILE", set())
    if any(name.lower() == "engine" for name in files):
        raise InputError("The name engine is used for the engine of DRN: give the network another name.")
    return files


def _named_paths(texts: Sequence[str], form: str, taken: set[str]) -> dict[str, Path]:
    """Return name -> path of options, and add the names in lower case to ``taken``.

    Raises:
        InputError: If an option does not have this form, or a name is taken.
    """
    paths: dict[str, Path] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        name = name.strip()
        if not (name and equals and path):
            raise InputError(f"{text!r} does not have the form {form}: give a name, an equals sign and a path.")
        if name.lower() in taken:
            raise InputError(f"Two methods have the name {name}: give each its own.")
        taken.add(name.lower())
        paths[name] = Path(path)
    return paths
