"""Train variants of the network and of its training briefly, and tabulate the validation PSNR of each.

python -m scripts.ablation --data photos --valid holdout --out runs/ablation

The table is written into docs/research-log.md. The curves of the network with and without distilling blocks are written
into weights/ablation.csv. Variants that are complete in ``--out`` are not trained again, so take an empty folder after
a change of the training code.
"""

from __future__ import annotations

import csv
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from drn.files import replace_file
from drn.folders import find_images
from drn.model import DRN, count_parameters, drn
from drn.training.checkpoint import CHECKPOINT, read_state
from drn.training.config import TrainConfig
from drn.training.curve import CURVE, read_curve
from drn.training.loop import train
from drn.training.loss import psnr_loss
from drn.training.optim import Optimizers
from drn.training.validation import ValidationSets
from drn.upscaler import Upscaler
from drn.weights import BUNDLED, filename, load
from scripts._markdown import ROOT, fill, store, table

SCALE = 2
BATCH_SIZE = 16

DataOption = Annotated[list[Path], typer.Option(help="Folders of HR training images.")]
ValidOption = Annotated[Path, typer.Option(help="Folder of HR images for validation.")]
OutOption = Annotated[Path, typer.Option(help="Folder of the runs.")]
IterationsOption = Annotated[int, typer.Option(help="Iterations of a variant.")]
RoundsOption = Annotated[int, typer.Option(help="Timed steps of each variant.")]


@dataclass(frozen=True)
class Variant:
    """A variant, described by its differences from the released network and its training.

    Attributes:
        model: Fields of ``DRNConfig`` that differ.
        train: Fields of ``TrainConfig`` that differ.
        share: Number of iterations, relative to the usual number.
        threads: Number of threads of a timed step; None for all. Training always uses all threads.
        compiled: Whether the network of a timed step is compiled.
    """

    model: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)
    share: float = 1.0
    threads: int | None = None
    compiled: bool = False

    @property
    def network(self) -> DRN:
        """A network of the variant with random weights."""
        return DRN(replace(drn(SCALE).config, **self.model))


VARIANTS = {
    "released": Variant(),
    "without distilling blocks": Variant({"use_rdb": False}),
    "ELU": Variant({"activation": "elu"}),
    "64 wide, 3 groups of 3": Variant({"n_feats": 64, "n_blocks": 3, "n_groups": 3}),
    "32 wide, 6 groups of 6": Variant({"n_feats": 32, "n_blocks": 6, "n_groups": 6}),
    "8 distilled channels a block": Variant({"n_distill": 8}),
    "distilled features fed on": Variant({"feed_distilled": True}),
    "no image skip": Variant({"image_skip": False}),
    "Muon at 0.001": Variant(train={"learning_rate": 1e-3}),
    "Muon at 0.005": Variant(train={"learning_rate": 5e-3}),
    "no weight decay": Variant(train={"weight_decay": 0.0}),
    "patch 32, batch 36": Variant(train={"patch_size": 32, "batch_size": 36}),
    "patch 96, batch 4": Variant(train={"patch_size": 96, "batch_size": 4}),
    "batch 8, twice the iterations": Variant(train={"batch_size": 8}, share=2),
}
PAIR = {"DRN": "released", "plain": "without distilling blocks"}
"""Name of each of two variants in the figure of their curves -> its name in ``VARIANTS``."""


def step_times(variants: dict[str, Variant], rounds: int, batch_size: int) -> dict[str, float]:
    """Return the median time of a training step of each variant in seconds, on patches of 48x48.

    The variants are timed in turn, ``rounds`` times each, after a first round that is not measured.
    """
    steps = {name: make_step(variant, batch_size) for name, variant in variants.items()}
    times: dict[str, list[float]] = {name: [] for name in variants}
    all_threads = torch.get_num_threads()
    for _ in range(rounds + 1):
        for name, step in steps.items():
            torch.set_num_threads(variants[name].threads or all_threads)
            start = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - start)
    torch.set_num_threads(all_threads)
    return {name: statistics.median(values[1:]) for name, values in times.items()}


def make_step(variant: Variant, batch_size: int) -> Callable[[], None]:
    """Return a function that does one training step of a variant on random patches."""
    lr = torch.rand(batch_size, 48, 48, 3).permute(0, 3, 1, 2)
    hr = torch.rand(batch_size, 48 * SCALE, 48 * SCALE, 3).permute(0, 3, 1, 2)
    network = variant.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    muon_layers = variant.train.get("muon_layers", "body")
    optimizers = Optimizers(network, 1e-4, 1e-4, 0.1, muon_layers)
    forward = torch.compile(network) if variant.compiled else network

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            sr = forward(lr)
        psnr_loss(sr.float(), hr).backward()  # type: ignore[no-untyped-call]
        optimizers.step(1.0)

    return step


def train_variant(name: str, variant: Variant, iterations: int, config: TrainConfig) -> Path:
    """Return the folder of a variant's run. If the run is not complete, train it first.

    Args:
        name: Name of the variant, from which the name of the folder is made.
        variant: The variant.
        iterations: Length of the training.
        config: Settings of the released network's training. ``out`` is the folder of all runs.
    """
    out = config.out / f"{name.replace(' ', '-').replace(',', '')}-{iterations}"
    done = read_state(out).iteration if (out / CHECKPOINT).is_file() else 0
    if done < iterations:
        print(f"{name}: {iterations} iterations", flush=True)
        settings = replace(config, out=out, iterations=iterations, **variant.train)
        train(variant.network.config, settings, resume=done > 0)
    return out


def read_psnrs(run: Path) -> list[tuple[int, float]]:
    """Return the iterations at which a run was validated, each with the PSNR in dB."""
    return [(int(row["iteration"]), row["valid_psnr"]) for row in read_curve(run / CURVE)]


def main(
    data: DataOption,
    valid: ValidOption,
    out: OutOption,
    iterations: IterationsOption = 200,
    pair_epochs: Annotated[int, typer.Option(help="Epochs of the pair with and without distilling blocks.")] = 5,
    rounds: RoundsOption = 7,
) -> None:
    """Train every variant, then write the table into docs/research-log.md and the curves into weights/ablation.csv."""
    # In an epoch, the number of patches equals the number of training images.
    epoch = max(1, sum(len(find_images(folder)) for folder in data) // BATCH_SIZE)
    base = TrainConfig(out, tuple(data), (valid,), iterations=iterations, batch_size=BATCH_SIZE, valid_every=epoch)
    shapes = {json.dumps(variant.model): variant for variant in VARIANTS.values()}
    seconds = step_times(shapes, rounds, BATCH_SIZE)
    reference = seconds[json.dumps({})]
    lines = []
    for name, variant in VARIANTS.items():
        ratio = seconds[json.dumps(variant.model)] / reference
        _, equal_iterations = read_psnrs(train_variant(name, variant, round(iterations * variant.share), base))[-1]
        equal_time = equal_iterations
        if abs(ratio - 1) > 0.03:
            fewer = round(iterations * variant.share / ratio)
            _, equal_time = read_psnrs(train_variant(name, variant, fewer, base))[-1]
        size = f"{count_parameters(variant.network):,}"
        lines.append([name, size, f"{ratio:.2f}", f"{equal_iterations:.3f}", f"{equal_time:.3f}"])
    head = [f"x2, {iterations} iterations", "parameters", "step", "dB, equal iterations", "dB, equal time"]
    write(
        ROOT / "docs" / "research-log.md", table(head, lines), train_pair(base, valid, epoch, pair_epochs), pair_epochs
    )


def train_pair(base: TrainConfig, valid: Path, epoch: int, epochs: int) -> list[tuple[str, float, float]]:
    """Train the networks with and without distilling blocks.

    Args:
        base: Settings of the training.
        valid: Folder of HR images for validation.
        epoch: Iterations in an epoch.
        epochs: Length of the training in epochs.

    Returns:
        Rows of name, epoch and PSNR in dB. The names are those of ``PAIR``; a ``+`` after the name marks the
        self-ensemble of the best weights.
    """
    sets, rows = ValidationSets((valid,), SCALE), []
    for name, variant in PAIR.items():
        run = train_variant(variant, VARIANTS[variant], epochs * epoch, base)
        rows += [(name, iteration / epoch, psnr) for iteration, psnr in read_psnrs(run)]
        upscaler = Upscaler(load(run / filename(SCALE)).model)
        (ensemble,) = sets.measure(upscaler, self_ensemble=True).values()
        rows.append((f"{name}+", epochs, ensemble))
    return rows


def write(page: Path, variants: str, rows: list[tuple[str, float, float]], epochs: int) -> None:
    """Write the tables into ``page``, and the rows from ``train_pair`` into weights/ablation.csv.

    Args:
        page: Page with the markers of ``ablation``.
        variants: Table of all variants.
        rows: Rows of ``train_pair``.
        epochs: Length of the pair's training.
    """
    last = {name: f"{psnr:.3f}" for name, _, psnr in rows}
    head = [f"after {epochs} epochs", "one pass", "8 passes, averaged"]
    pair = table(head, [[variant, last[name], last[f"{name}+"]] for name, variant in PAIR.items()])
    store(page, fill(page.read_text(encoding="utf-8"), "ablation", f"{variants}\n\n{pair}"))

    def write_curves(path: Path) -> None:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("variant", "epoch", "valid_psnr"))
            writer.writerows((name, f"{epoch:.2f}", f"{psnr:.4f}") for name, epoch, psnr in rows)

    replace_file(BUNDLED / "ablation.csv", write_curves)


if __name__ == "__main__":
    typer.run(main)
