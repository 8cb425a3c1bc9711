"""Training: one loop, resumable to the bit on a CPU.

The random patches depend on (seed, iteration) alone and nothing else is random, so the iteration is the
whole random state of a run.
"""

from __future__ import annotations

import copy
import itertools
import math
import signal
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from drn import weights
from drn.degrade import VALIDATION, Degradation, degrade_batch
from drn.device import choose_device, choose_dtype, lacks_memory
from drn.errors import InputError
from drn.evaluation.benchmark import measure, validation_set
from drn.image import Array
from drn.model import DRN, DRNConfig, count_parameters
from drn.training.checkpoint import other_version, read_progress, restore_checkpoint, save_checkpoint
from drn.training.config import TrainConfig, rate_factor
from drn.training.curve import COLUMNS, read_curve, write_curve
from drn.training.loss import psnr_loss
from drn.training.optim import Optimizers
from drn.training.patches import PatchSampler
from drn.training.revive import count_silent, hidden_units, revive
from drn.training.teacher import TEACHER, Teacher
from drn.upscaler import Upscaler

CHECKPOINT = "checkpoint.safetensors"
CURVE = "curve.csv"
SAVE_SECONDS = 180
PROBE_PATCHES, PROBE_SIZE = 32, 48
"""What tells which hidden units are silent: so many patches of at most so many LR pixels a side."""


@dataclass
class RunState:
    """How far a run has come; stored in its checkpoint."""

    iteration: int = 0
    seconds: float = 0.0
    best_psnr: float = 0.0
    loss_sum: float = 0.0
    loss_count: int = 0


def resume_configs(run: Path, **changes: Any) -> tuple[DRNConfig, TrainConfig]:
    """The configs of a run that was cut; ``changes`` to its budget replace all of it.

    Raises:
        InputError: If there is no usable checkpoint in ``run``.
    """
    stored = read_progress(run / CHECKPOINT)
    budget = {"iterations": 0, "max_hours": 0.0} | changes if changes else {}
    try:
        return DRNConfig.from_dict(stored["model"]), replace(TrainConfig.from_dict(stored["train"]), out=run, **budget)
    except InputError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise other_version(run / CHECKPOINT) from error


def init_from(model: DRN, path: Path) -> int:
    """Warm-start ``model`` from a weights file, whose scale may differ.

    Returns:
        How many tensors were taken; for another scale the last convolution's keep their fresh values.

    Raises:
        InputError: If the file cannot be used, or holds a network of another shape.
    """
    source = weights.load(path).model
    if replace(source.config, scale=model.config.scale) != model.config:
        raise InputError(f"{path.name} holds a network of other width or depth: give the same network options.")
    own = model.state_dict()
    taken = {name: tensor for name, tensor in source.state_dict().items() if own[name].shape == tensor.shape}
    model.load_state_dict(own | taken, strict=True)
    return len(taken)


def train(
    model_config: DRNConfig,
    config: TrainConfig,
    resume: bool = False,
    init: Path | None = None,
    compiled: bool = False,
    revives: bool = True,
) -> RunState:
    """Train until the budget ends, or until SIGTERM or SIGINT, which save the run and return.

    Args:
        resume: Go on from the checkpoint in ``config.out``, exactly.
        init: Weights file to start from.
        compiled: Compile the network with ``torch.compile``. The first step takes a minute, which counts as training
            time, and a C++ compiler (CPU) or Triton (CUDA) must be there.
        revives: Whether the hidden units of ``init`` that never fire start anew.

    Returns:
        How far the run came.

    Raises:
        InputError: If the data, ``init`` or the teacher cannot be used, the network is too large to be loaded again,
            ``resume`` finds no checkpoint, a run is already there without ``resume``, the network cannot be compiled,
            the images or a batch do not fit in memory, or the training diverges; the last checkpoint stays then.
    """
    checkpoint, curve = config.out / CHECKPOINT, config.out / CURVE
    if not resume:
        if checkpoint.exists():
            raise InputError(f"{config.out} already holds a run: resume it, or choose another folder.")
        if read_curve(curve) or weights.available_scales(config.out):
            raise InputError(f"{config.out} holds what is left of an earlier run: choose another folder.")
    # Ours is the only autocast: a launcher's would come on top of it. CPU processes work together only when told.
    accelerator = Accelerator(mixed_precision="no", cpu=choose_device("auto").type == "cpu")
    device, main = accelerator.device, accelerator.is_main_process
    dtype = choose_dtype(config.dtype, device)
    if dtype == torch.float16:  # its gradients would need scaling
        dtype = torch.float32
    torch.manual_seed(config.seed)
    model = DRN(model_config)
    if count_parameters(model) > weights.MAX_PARAMETERS:
        raise InputError(f"A network may have {weights.MAX_PARAMETERS:,} parameters: use a lower width or depth.")
    if init is not None and not resume:
        init_from(model, init)
    seed = config.seed * accelerator.num_processes + accelerator.process_index
    teacher = None
    if config.teacher is not None:
        source = config.out / TEACHER if resume else config.teacher
        teacher = Teacher(source, model.scale, config.teacher_share, seed, device)
    try:
        sampler = PatchSampler(list(config.data), model_config.scale, seed, config.shrink, device, progress=main)
    except (MemoryError, RuntimeError) as error:
        if lacks_memory(error):
            raise InputError(
                f"The training images do not fit in the memory of {device}: give fewer, or leave out --shrink."
            ) from error
        raise
    probe, _ = sampler.batch(0, PROBE_PATCHES, min(PROBE_SIZE, config.patch_size))
    if init is not None and revives and not resume:
        revived = revive(model, probe.cpu())
        if main and revived:
            tqdm.write(f"{revived} hidden units of {init.name} never fire: they start anew")
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    ema = copy.deepcopy(model).requires_grad_(False)
    network = accelerator.prepare_model(model)  # which may move the weights: before Muon's views of them
    if compiled:
        # Without CUDA graphs, a GPU would wait for Python to launch its many small kernels.
        graphs = device.type == "cuda" and accelerator.num_processes == 1
        mode = "reduce-overhead" if graphs else "default"
        network = torch.compile(network, mode=mode)
        if teacher is not None:
            teacher.network.compile(mode=mode)
    rates = config.learning_rate, config.adam_learning_rate, config.weight_decay
    optimizers = Optimizers(model, *rates, config.muon_drives)
    progress = RunState()
    if resume:
        restore_checkpoint(checkpoint, model, ema, optimizers)
        progress = RunState(**read_progress(checkpoint)["progress"])
    valid_sets = (
        {folder.resolve().name: validation_set(folder, model_config.scale) for folder in config.valid} if main else {}
    )

    writer = None
    if main:
        config.out.mkdir(parents=True, exist_ok=True)
        if teacher is not None and not resume:
            teacher.keep(config.out)
        # Rows beyond the checkpoint will be measured again.
        write_curve(curve, [row for row in read_curve(curve) if row["iteration"] <= progress.iteration])
        writer = SummaryWriter(str(config.out / "tensorboard"), purge_step=progress.iteration + 1)

    def save() -> None:
        if main:
            stored = {"model": model_config.to_dict(), "train": config.to_dict(), "progress": asdict(progress)}
            save_checkpoint(checkpoint, model, ema, optimizers, stored)

    previous = {signum: signal.signal(signum, lambda *_: accelerator.set_trigger()) for signum in _SIGNALS}
    bar = tqdm(
        total=config.iterations or None, initial=progress.iteration, disable=not main, mininterval=5, unit="iteration"
    )
    first = progress.iteration
    started = saved = time.monotonic()
    seconds_before = progress.seconds
    stopped = False
    look_every = _look_every(device)
    loss_sum = torch.tensor(progress.loss_sum, device=device)
    try:
        while not stopped and not _is_over(config, progress):
            factor = rate_factor(config, progress.iteration, progress.seconds)
            lr, hr = sampler.batch(progress.iteration, config.batch_size, config.patch_size)
            if config.degrade == "photo":
                lr = degrade_batch(lr, seed, progress.iteration)
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                if teacher is not None:
                    hr = teacher.target(lr, hr, progress.iteration)
                sr = network(lr)
            loss = psnr_loss(sr.float(), hr)
            accelerator.backward(loss)
            norm = accelerator.clip_grad_norm_(model.parameters(), config.max_norm)
            optimizers.step(factor)
            loss_sum += loss.detach()
            progress.loss_count += 1
            progress.iteration += 1
            _update_ema(ema, model, min(config.ema_decay, progress.iteration / (progress.iteration + 10)))
            bar.update()
            validates = progress.iteration % config.valid_every == 0
            if progress.iteration % look_every and not validates and progress.iteration != config.iterations:
                continue

            if not math.isfinite(float(norm)):
                raise InputError(
                    f"The training diverged by iteration {progress.iteration}, its gradient is not finite: "
                    "start anew with a lower --learning-rate."
                )
            progress.loss_sum = float(loss_sum)
            elapsed = torch.tensor(seconds_before + time.monotonic() - started)
            progress.seconds = float(broadcast(elapsed.to(device)))
            stopped = accelerator.check_trigger()
            if validates or _is_over(config, progress):
                if main and writer is not None:
                    silent = count_silent(hidden_units(ema, probe))
                    writer.add_scalar("silent_units", silent, progress.iteration)
                    rate = config.learning_rate * factor
                    _validate(config, ema, dtype, valid_sets, progress, rate, curve, writer)
                loss_sum.zero_()
                progress.loss_sum, progress.loss_count = 0.0, 0
                save()
                saved = time.monotonic()
            elif time.monotonic() - saved > SAVE_SECONDS:
                save()
                saved = time.monotonic()
        save()
    except (MemoryError, RuntimeError) as error:
        if lacks_memory(error):
            raise InputError(
                f"A batch does not fit in the memory of {device}: start with a lower --batch-size or --patch-size."
            ) from error
        if compiled and progress.iteration < first + look_every:
            reason = str(error).partition("\n")[0]
            raise InputError(f"The network cannot be compiled on {device} ({reason}): leave out --compile.") from error
        raise
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)
        bar.close()
        if writer is not None:
            writer.close()
    return progress


_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def _look_every(device: torch.device) -> int:
    """Iterations between two looks at the loss, the clock and the signals: each look waits for the device."""
    return 1 if device.type == "cpu" else 20


def _is_over(config: TrainConfig, progress: RunState) -> bool:
    out_of_iterations = bool(config.iterations) and progress.iteration >= config.iterations
    return out_of_iterations or (bool(config.max_hours) and progress.seconds >= config.max_hours * 3600)


@torch.no_grad()
def _update_ema(ema: DRN, model: DRN, decay: float) -> None:
    torch._foreach_lerp_(list(ema.parameters()), list(model.parameters()), 1 - decay)


def _validate(
    config: TrainConfig,
    ema: DRN,
    dtype: torch.dtype,
    sets: dict[str, list[Array]],
    progress: RunState,
    rate: float,
    curve: Path,
    writer: SummaryWriter,
) -> None:
    """Measure the EMA weights, add a row to the curve, and export them if they are the best so far."""
    name = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}[dtype]
    upscaler = Upscaler(ema, str(next(ema.parameters()).device), name)
    degradations = VALIDATION if config.degrade == "photo" else (Degradation(),)
    psnrs = {folder: _mean_psnr(images, degradations, upscaler) for folder, images in sets.items()}
    psnr = mean(psnrs.values())
    loss = progress.loss_sum / max(1, progress.loss_count)
    hours = progress.seconds / 3600
    values = (progress.iteration, round(hours, 4), round(rate, 7), round(loss, 6), round(psnr, 4))
    row = dict(zip(COLUMNS, values, strict=True))
    if len(psnrs) > 1:
        row |= {f"{COLUMNS[-1]}_{folder}": round(value, 4) for folder, value in psnrs.items()}
    write_curve(curve, [*read_curve(curve), row])
    for column in list(row)[2:]:
        writer.add_scalar(column, row[column], progress.iteration)
    writer.flush()
    tqdm.write(f"iteration {progress.iteration}: loss {loss:.5f}, validation PSNR {psnr:.3f} dB")
    if psnr > progress.best_psnr:
        progress.best_psnr = psnr
        notes = {
            "iteration": str(progress.iteration),
            "hours": f"{hours:.3f}",
            "valid_psnr": f"{psnr:.4f}",
        }
        if config.degrade != "none":
            notes["degradation"] = config.degrade
        weights.save(config.out / weights.filename(ema.scale), ema, notes)


def _mean_psnr(images: list[Array], degradations: tuple[Degradation, ...], upscaler: Upscaler) -> float:
    """Average the PSNR over images whose LR images are degraded by ``degradations`` in turn."""
    psnrs = []
    for image, degradation in zip(images, itertools.cycle(degradations), strict=False):

        def enlarge(lr: Array, degradation: Degradation = degradation) -> Array:
            return upscaler.upscale(degradation.apply(lr))

        psnrs.append(measure("valid", "DRN", [image], upscaler.scale, enlarge).psnr)
    return mean(psnrs)
