"""Train the released network for a short while with one thing of the method changed, and tabulate what each reaches.

python -m scripts.training_method --data photos --valid holdout --out runs/method

The table goes into docs/research-log.md. Variants that are complete in ``--out`` are not trained again: take a fresh
folder after a change of the training.
"""

from __future__ import annotations

import typer

from drn.training.config import TrainConfig
from scripts.ablation import (
    ROOT,
    SCALE,
    DataOption,
    IterationsOption,
    OutOption,
    RoundsOption,
    ValidOption,
    Variant,
    curve_of,
    run,
    step_times,
)
from scripts.write_results import fill, markdown, store

BATCH_SIZE = 8

VARIANTS = {
    "as trained by default": Variant(),
    "Adam alone": Variant(train={"muon_drives": "none"}),
    "Muon drives the first and last convolution too": Variant(train={"muon_drives": "all"}),
    "rates held for half of the time": Variant(train={"hold": 0.5}),
    "EMA decay 0.9": Variant(train={"ema_decay": 0.9}),
    "hardly any averaging, EMA decay 0.1": Variant(train={"ema_decay": 0.1}),
    "batch 4, twice the iterations": Variant(train={"batch_size": 4}, share=2),
}
TIMED = {"torch.compile": Variant(compiled=True), "one thread": Variant(threads=1)}
"""What changes a step's time, and not what it learns."""


def main(
    data: DataOption,
    valid: ValidOption,
    out: OutOption,
    iterations: IterationsOption = 300,
    rounds: RoundsOption = 15,
) -> None:
    """Train every variant and write docs/research-log.md."""
    base = TrainConfig(out, tuple(data), valid, iterations=iterations, batch_size=BATCH_SIZE, valid_every=iterations)
    reference = next(iter(VARIANTS))
    shown = {name: variant for name, variant in VARIANTS.items() if "muon_drives" in variant.train} | TIMED
    seconds = step_times({reference: VARIANTS[reference]} | shown, rounds, BATCH_SIZE)
    steps = {name: f"{taken / seconds[reference]:.2f}" for name, taken in seconds.items()}
    lines = []
    for name, variant in VARIANTS.items():
        _, reached = curve_of(run(name, variant, round(iterations * variant.share), base))[-1]
        lines.append([name, steps.get(name, ""), f"{reached:.3f}"])
    lines += [[name, steps[name], ""] for name in TIMED]
    page = ROOT / "docs" / "research-log.md"
    table = markdown([f"x{SCALE}, {iterations} iterations", "step", "dB"], lines)
    store(page, fill(page.read_text(encoding="utf-8"), "method", table))


if __name__ == "__main__":
    typer.run(main)
