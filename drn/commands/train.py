"""The command ``train``: its options, and which of them go together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from drn.commands import batch
from drn.errors import InputError, not_installed
from drn.model import drn


def train_command(
    out: Annotated[Path, typer.Option(help="Folder of the run: checkpoint, best weights, curve.csv, TensorBoard.")],
    data: Annotated[list[Path] | None, typer.Option(help="Folders of HR training images, any depth.")] = None,
    valid: Annotated[
        list[Path] | None, typer.Option(help="Folders of HR images; the mean of their means chooses the best weights.")
    ] = None,
    degrade: Annotated[
        str | None, typer.Option(help="Degrade the LR images: none, or photo for JPEG photographs. [default: none]")
    ] = None,
    shrink: Annotated[
        list[float] | None, typer.Option(help="Share of their size at which images are drawn from too, as 0.6.")
    ] = None,
    scale: Annotated[int | None, typer.Option(help="Upscaling factor. [default: 2]")] = None,
    iterations: Annotated[int | None, typer.Option(min=1, help="End of the schedule, in iterations.")] = None,
    max_hours: Annotated[float | None, typer.Option(min=0, help="End of the schedule, in training hours.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in OUT, exactly; a budget given replaces its own.")
    ] = False,
    init: Annotated[Path | None, typer.Option(help="Warm-start from a weights file, of any scale.")] = None,
    revives: Annotated[
        bool | None,
        typer.Option("--revive/--no-revive", help="Start anew the hidden units of INIT that never fire. [default: do]"),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Patches in a batch. [default: 8]")] = None,
    patch_size: Annotated[int | None, typer.Option(min=1, help="Patch side in LR pixels. [default: 48]")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Muon's peak rate. [default: 0.0025]")] = None,
    adam_learning_rate: Annotated[float | None, typer.Option(help="Adam's peak rate. [default: 0.001]")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Of the weights that Muon drives. [default: 0.1]")] = None,
    ema_decay: Annotated[float | None, typer.Option(help="Decay of the average weights. [default: 0.999]")] = None,
    teacher: Annotated[
        Path | None, typer.Option(help="Weights of the scale, those of --init or others, to learn from too.")
    ] = None,
    teacher_share: Annotated[float | None, typer.Option(help="Its share of the target. [default: 0.7]")] = None,
    hold: Annotated[float | None, typer.Option(help="Share of the budget at peak rates. [default: 0]")] = None,
    valid_every: Annotated[int | None, typer.Option(min=1, help="Iterations between validations.")] = None,
    seed: Annotated[int | None, typer.Option(help="Random seed. [default: 0]")] = None,
    dtype: Annotated[str | None, typer.Option(help="auto, fp32 or bf16. [default: auto]")] = None,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Compile the network: a slow first step, then faster ones.")
    ] = False,
    n_feats: Annotated[int | None, typer.Option(help="Width of the residual branch.")] = None,
    n_distill: Annotated[int | None, typer.Option(help="Distilled channels of a block.")] = None,
    n_blocks: Annotated[int | None, typer.Option(help="Blocks in a group.")] = None,
    n_groups: Annotated[int | None, typer.Option(help="Groups.")] = None,
    use_rdb: Annotated[bool | None, typer.Option("--rdb/--no-rdb", help="Distilling blocks, or plain ones.")] = None,
    feed_distilled: Annotated[bool | None, typer.Option(help="Feed distilled features to the next block.")] = None,
    image_skip: Annotated[bool | None, typer.Option(help="Add the enlarged input to the output.")] = None,
    activation: Annotated[str | None, typer.Option(help="relu or elu.")] = None,
) -> None:
    """Train a network. SIGTERM or Ctrl-C saves a checkpoint and ends with exit code 0."""
    try:
        from drn.training.config import TrainConfig
        from drn.training.loop import resume_configs, train
    except ModuleNotFoundError as error:
        raise not_installed("Training", error) from error

    budget = _given(iterations=iterations, max_hours=max_hours)
    settings = _given(
        degrade=degrade,
        shrink=tuple(shrink) if shrink else None,
        batch_size=batch_size,
        patch_size=patch_size,
        learning_rate=learning_rate,
        adam_learning_rate=adam_learning_rate,
        weight_decay=weight_decay,
        ema_decay=ema_decay,
        teacher=teacher,
        teacher_share=teacher_share,
        hold=hold,
        valid_every=valid_every,
        seed=seed,
        dtype=dtype,
    )
    shape = _given(
        n_feats=n_feats,
        n_distill=n_distill,
        n_blocks=n_blocks,
        n_groups=n_groups,
        use_rdb=use_rdb,
        feed_distilled=feed_distilled,
        image_skip=image_skip,
        activation=activation,
    )
    if resume:
        if settings or shape or data or valid or init or scale or revives is not None:
            raise InputError("A resumed run keeps its own settings: with --resume give only --out and the budget.")
        model_config, config = resume_configs(out, **budget)
    else:
        if not data or not valid:
            raise InputError("Training needs --data and --valid: folders of HR images.")
        if revives is not None and init is None:
            raise InputError("--revive and --no-revive are about the weights of --init: give those too.")
        if teacher_share is not None and teacher is None:
            raise InputError("--teacher-share is about the weights of --teacher: give those too.")
        try:
            model_config = replace(drn(2 if scale is None else scale).config, **shape)
        except ValueError as error:
            raise InputError(str(error)) from error
        config = TrainConfig(out=out, data=tuple(data), valid=tuple(valid), **budget, **settings)
    progress = train(model_config, config, resume=resume, init=init, compiled=compiled, revives=revives is not False)
    if not batch.is_main():
        return
    typer.echo(
        f"{out}: {progress.iteration} iterations, {progress.seconds / 3600:.2f} h, "
        f"best validation PSNR {progress.best_psnr:.3f} dB"
    )


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
