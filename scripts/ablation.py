"""Train variants of the network and of its training for a short while, and tabulate what each one reaches.

python -m scripts.ablation --data photos --valid holdout --out runs/ablation

The table goes into docs/research-log.md, the curves of the pair with and without distilling blocks into
weights/ablation.csv. Variants that are complete in ``--out`` are not trained again: take a fresh folder after a change
of the training.
"""

from __future__ import annotations

import csv
import functools
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from drn.evaluation.benchmark import measure, validation_set
from drn.files import replace_file
from drn.image import find_images
from drn.model import DRN, count_parameters, drn
from drn.training.checkpoint import read_progress
from drn.training.config import TrainConfig
from drn.training.curve import read_curve
from drn.training.loop import CHECKPOINT, CURVE, train
from drn.training.loss import psnr_loss
from drn.training.optim import Optimizers
from drn.upscaler import Upscaler
from drn.weights import filename, load
from scripts.write_results import fill, markdown, store

ROOT = Path(__file__).resolve().parent.parent
SCALE = 2
BATCH_SIZE = 16

DataOption = Annotated[list[Path], typer.Option(help="Folders of HR training images.")]
ValidOption = Annotated[Path, typer.Option(help="Folder of HR images to measure on.")]
OutOption = Annotated[Path, typer.Option(help="Folder of the runs.")]
IterationsOption = Annotated[int, typer.Option(help="Iterations of a variant.")]
RoundsOption = Annotated[int, typer.Option(help="Timed steps of each variant.")]


@dataclass(frozen=True)
class Variant:
    """What differs from the released network and its training.

    Attributes:
        model: Fields of ``DRNConfig``.
        train: Fields of ``TrainConfig``.
        share: Iterations, as a share of the usual number.
        threads: Of a timed step, where not all that there are; trainings take all.
        compiled: Time the step of a compiled network.
    """

    model: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)
    share: float = 1.0
    threads: int | None = None
    compiled: bool = False

    @property
    def network(self) -> DRN:
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
"""The names of two variants in the figure of their curves."""


def step_times(variants: dict[str, Variant], rounds: int, batch_size: int) -> dict[str, float]:
    """Median seconds of a training step of each variant on patches of 48x48, measured in turn."""
    steps = {name: step_of(variant, batch_size) for name, variant in variants.items()}
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


def step_of(variant: Variant, batch_size: int) -> Callable[[], None]:
    """A training step of a variant: its network, what Muon drives of it, and whether it is compiled."""
    lr = torch.rand(batch_size, 48, 48, 3).permute(0, 3, 1, 2)
    hr = torch.rand(batch_size, 48 * SCALE, 48 * SCALE, 3).permute(0, 3, 1, 2)
    network = variant.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    driven = {name: value for name, value in variant.train.items() if name == "muon_drives"}
    optimizers = Optimizers(network, 1e-4, 1e-4, 0.1, **driven)
    forward = torch.compile(network) if variant.compiled else network

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            sr = forward(lr)
        psnr_loss(sr.float(), hr).backward()  # type: ignore[no-untyped-call]
        optimizers.step(1.0)

    return step


def run(name: str, variant: Variant, iterations: int, config: TrainConfig) -> Path:
    """Train one variant, unless that is done; returns its folder."""
    out = config.out / f"{name.replace(' ', '-').replace(',', '')}-{iterations}"
    done = 0
    if (out / CHECKPOINT).is_file():
        done = read_progress(out / CHECKPOINT)["progress"]["iteration"]
    if done < iterations:
        print(f"{name}: {iterations} iterations", flush=True)
        settings = replace(config, out=out, iterations=iterations, **variant.train)
        train(variant.network.config, settings, resume=done > 0)
    return out


def curve_of(out: Path) -> list[tuple[int, float]]:
    return [(int(row["iteration"]), row["valid_psnr"]) for row in read_curve(out / CURVE)]


def main(
    data: DataOption,
    valid: ValidOption,
    out: OutOption,
    iterations: IterationsOption = 200,
    pair_epochs: Annotated[int, typer.Option(help="Epochs of the pair with and without distilling blocks.")] = 5,
    rounds: RoundsOption = 7,
) -> None:
    """Train every variant, write docs/research-log.md and weights/ablation.csv."""
    # As many patches as there are training images make an epoch.
    epoch = max(1, sum(len(find_images(folder)) for folder in data) // BATCH_SIZE)
    base = TrainConfig(out, tuple(data), valid, iterations=iterations, batch_size=BATCH_SIZE, valid_every=epoch)
    shapes = {json.dumps(variant.model): variant for variant in VARIANTS.values()}
    seconds = step_times(shapes, rounds, BATCH_SIZE)
    reference = seconds[json.dumps({})]
    lines = []
    for name, variant in VARIANTS.items():
        ratio = seconds[json.dumps(variant.model)] / reference
        _, equal = curve_of(run(name, variant, round(iterations * variant.share), base))[-1]
        timed = equal
        if abs(ratio - 1) > 0.03:
            _, timed = curve_of(run(name, variant, round(iterations * variant.share / ratio), base))[-1]
        size = f"{count_parameters(variant.network):,}"
        lines.append([name, size, f"{ratio:.2f}", f"{equal:.3f}", f"{timed:.3f}"])
    rows = []
    images = validation_set(valid, SCALE)
    for name, trained in PAIR.items():
        folder = run(trained, VARIANTS[trained], pair_epochs * epoch, base)
        rows += [(name, iteration / epoch, psnr) for iteration, psnr in curve_of(folder)]
        upscaler = Upscaler(load(folder / filename(SCALE)).model)
        best = measure("valid", "DRN+", images, SCALE, functools.partial(upscaler.upscale, self_ensemble=True))
        rows.append((f"{name}+", pair_epochs, best.psnr))
    head = [f"x2, {iterations} iterations", "parameters", "step", "dB, equal iterations", "dB, equal time"]
    write(ROOT / "docs" / "research-log.md", markdown(head, lines), rows, pair_epochs)


def write(page: Path, table: str, rows: list[tuple[str, float, float]], epochs: int) -> None:
    """Put the table and the pair's last figures between the markers of ``page``, and the pair into a CSV."""
    last = {name: f"{psnr:.3f}" for name, _, psnr in rows}
    head = [f"after {epochs} epochs", "one pass", "8 passes, averaged"]
    pair = markdown(head, [[variant, last[name], last[f"{name}+"]] for name, variant in PAIR.items()])
    store(page, fill(page.read_text(encoding="utf-8"), "ablation", f"{table}\n\n{pair}"))

    def write_curves(path: Path) -> None:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("variant", "epoch", "valid_psnr"))
            writer.writerows((name, f"{epoch:.2f}", f"{psnr:.4f}") for name, epoch, psnr in rows)

    replace_file(ROOT / "weights" / "ablation.csv", write_curves)


if __name__ == "__main__":
    typer.run(main)
