"""Train the released network briefly, each time with one change of the training method, and tabulate the results.

python -m scripts.training_method --data photos --valid holdout --out runs/method

The table is written into docs/research-log.md. Variants that are complete in ``--out`` are not trained again, so take
an empty folder after a change of the training code.
"""

from __future__ import annotations

import typer

from drn.training.config import TrainConfig
from scripts._markdown import ROOT, fill, store, table
from scripts.ablation import (
    SCALE,
    DataOption,
    IterationsOption,
    OutOption,
    RoundsOption,
    ValidOption,
    Variant,
    read_psnrs,
    step_times,
    train_variant,
)

BATCH_SIZE = 8

VARIANTS = {
    "as trained by default": Variant(),
    "Adam alone": Variant(train={"muon_layers": "none"}),
    "Muon on the first and last convolution too": Variant(train={"muon_layers": "all"}),
    "learning rates held for half of the time": Variant(train={"hold": 0.5}),
    "EMA decay 0.9": Variant(train={"ema_decay": 0.9}),
    "hardly any averaging, EMA decay 0.1": Variant(train={"ema_decay": 0.1}),
    "batch 4, twice the iterations": Variant(train={"batch_size": 4}, share=2),
}
TIMED = {"torch.compile": Variant(compiled=True), "one thread": Variant(threads=1)}
"""Variants that change only the time of a step."""


def main(
    data: DataOption,
    valid: ValidOption,
    out: OutOption,
    iterations: IterationsOption = 300,
    rounds: RoundsOption = 15,
) -> None:
    """Train every variant and write the table into docs/research-log.md."""
    base = TrainConfig(out, tuple(data), (valid,), iterations=iterations, batch_size=BATCH_SIZE, valid_every=iterations)
    reference = next(iter(VARIANTS))
    other_steps = {name: variant for name, variant in VARIANTS.items() if "muon_layers" in variant.train} | TIMED
    seconds = step_times({reference: VARIANTS[reference]} | other_steps, rounds, BATCH_SIZE)
    steps = {name: f"{taken / seconds[reference]:.2f}" for name, taken in seconds.items()}
    lines = []
    for name, variant in VARIANTS.items():
        _, psnr = read_psnrs(train_variant(name, variant, round(iterations * variant.share), base))[-1]
        lines.append([name, steps.get(name, ""), f"{psnr:.3f}"])
    lines += [[name, steps[name], ""] for name in TIMED]
    page = ROOT / "docs" / "research-log.md"
    results = table([f"x{SCALE}, {iterations} iterations", "step", "dB"], lines)
    store(page, fill(page.read_text(encoding="utf-8"), "method", results))


if __name__ == "__main__":
    typer.run(main)
