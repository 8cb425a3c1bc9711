"""A training run: its preparation, its iterations, and its checkpoints.

The random patches, degradations and orientations depend on (seed, iteration) alone, and nothing else in an iteration is
random. A checkpoint therefore needs no state of a random generator other than the number of the iteration.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from torch import Tensor, nn
from tqdm import tqdm

from drn import weights
from drn.device import choose_device, choose_dtype, lacks_memory
from drn.errors import InputError
from drn.model import DRN, DRNConfig, count_parameters
from drn.training.checkpoint import CHECKPOINT, RunState, read_state, restore_checkpoint, save_checkpoint
from drn.training.config import TrainConfig, learning_rate_factor
from drn.training.curve import CURVE, read_curve
from drn.training.degrade import degrade_batch
from drn.training.loss import psnr_loss
from drn.training.optim import Optimizers
from drn.training.patches import PatchSampler, fingerprint
from drn.training.revive import revive
from drn.training.teacher import TEACHER, Teacher
from drn.training.validation import Validator

SAVE_SECONDS = 180
"""Longest time between two checkpoints, in seconds."""

PROBE_PATCHES, PROBE_SIZE = 32, 48
"""Number of the patches on which silent hidden units are counted, and their largest side in LR pixels."""


@dataclass
class Run:
    """A training run in one process. ``prepare`` builds it.

    Attributes:
        config: The settings.
        accelerator: The device, and the connection to the other processes.
        dtype: Dtype in which the network runs: float32 or bfloat16. The weights are float32.
        seed: Random seed of this process.
        sampler: Source of the training patches.
        teacher: Source of a part of the target, or None.
        model: The network in training.
        forward: ``model`` as it is called in training: it may be compiled and connected to other processes.
        ema: The network with the moving average of the weights.
        optimizers: The optimizers of ``model``.
        validator: Validates and records; None outside the main process.
        state: The progress of the run.
    """

    config: TrainConfig
    accelerator: Accelerator
    dtype: torch.dtype
    seed: int
    sampler: PatchSampler
    teacher: Teacher | None
    model: DRN
    forward: Callable[[Tensor], Tensor]
    ema: DRN
    optimizers: Optimizers
    validator: Validator | None
    state: RunState

    def __post_init__(self) -> None:
        """Start the clock."""
        self.device: torch.device = self.accelerator.device
        self.observe_every = observation_interval(self.device)
        self.first_iteration = self.state.iteration
        self.is_stopped = False
        self._started = time.monotonic() - self.state.seconds
        self._saved = time.monotonic()
        self._loss_sum = torch.tensor(self.state.loss_sum, device=self.device)
        self._factor = self._gradient_norm = 0.0

    @property
    def is_finished(self) -> bool:
        """Whether the budget is used up."""
        config, state = self.config, self.state
        out_of_iterations = bool(config.iterations) and state.iteration >= config.iterations
        return out_of_iterations or (bool(config.max_hours) and state.seconds >= config.max_hours * 3600)

    @property
    def is_validation_due(self) -> bool:
        """Whether the interval between validations has passed."""
        return self.state.iteration % self.config.valid_every == 0

    @property
    def is_observation_due(self) -> bool:
        """Whether ``observe`` must be called before the next step."""
        iteration = self.state.iteration
        return iteration % self.observe_every == 0 or self.is_validation_due or iteration == self.config.iterations

    def step(self) -> None:
        """Train on the patches of the next iteration."""
        config, state = self.config, self.state
        self._factor = learning_rate_factor(config, state.iteration, state.seconds)
        lr, hr = self.sampler.batch(state.iteration, config.batch_size, config.patch_size)
        if config.degrade == "photo":
            lr = degrade_batch(lr, self.seed, state.iteration)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            target = hr if self.teacher is None else self.teacher.target(lr, hr, state.iteration)
            sr = self.forward(lr)
        loss = psnr_loss(sr.float(), target)
        self.accelerator.backward(loss)
        self._gradient_norm = self.accelerator.clip_grad_norm_(self.model.parameters(), config.max_norm)
        self.optimizers.step(self._factor)
        self._loss_sum += loss.detach()
        state.loss_count += 1
        state.iteration += 1
        update_ema(self.ema, self.model, min(config.ema_decay, state.iteration / (state.iteration + 10)))

    def observe(self) -> None:
        """Wait for the device, read the loss, the clock and the stop request, and validate or save if it is due.

        Raises:
            InputError: If the training diverged.
        """
        state = self.state
        if not math.isfinite(float(self._gradient_norm)):
            raise InputError(
                f"The training diverged by iteration {state.iteration}, as its gradient is not finite: "
                "start again with a lower --learning-rate."
            )
        state.loss_sum = float(self._loss_sum)
        elapsed = torch.tensor(time.monotonic() - self._started)
        state.seconds = float(broadcast(elapsed.to(self.device)))
        self.is_stopped = self.accelerator.check_trigger()
        if self.is_validation_due or self.is_finished:
            if self.validator is not None:
                self.validator.validate(self.ema, state, self.config.learning_rate * self._factor)
            self._loss_sum.zero_()
            state.loss_sum, state.loss_count = 0.0, 0
            self.save()
        elif time.monotonic() - self._saved > SAVE_SECONDS:
            self.save()

    def request_stop(self) -> None:
        """End the run, in all processes, at the next call of ``observe``."""
        self.accelerator.set_trigger()

    def save(self) -> None:
        """Write the checkpoint, in the main process."""
        if self.validator is not None:
            save_checkpoint(self.model, self.ema, self.optimizers, self.config, self.state)
        self._saved = time.monotonic()

    def close(self) -> None:
        """Close the files of the run."""
        if self.validator is not None:
            self.validator.close()


def prepare(model_config: DRNConfig, config: TrainConfig, resume: bool = False) -> Run:
    """Build the networks, read the images, and load the initial weights or the checkpoint.

    Args:
        model_config: Shape of the network.
        config: Settings of the run.
        resume: Whether to continue from the checkpoint in ``config.out``.

    Raises:
        InputError: See ``drn.training.loop.train``.
    """
    if not resume:
        _refuse_used_folder(config.out)
    # Mixed precision is off, whatever the options of ``accelerate launch``, because the dtype is chosen below.
    # Processes on CPUs are connected only if ``cpu`` is set.
    accelerator = Accelerator(mixed_precision="no", cpu=choose_device("auto").type == "cpu")
    device, is_main = accelerator.device, accelerator.is_main_process
    dtype = choose_dtype(config.dtype, device)
    if dtype == torch.float16:  # which would need scaled gradients
        dtype = torch.float32
    torch.manual_seed(config.seed)
    model = DRN(model_config)
    if count_parameters(model) > weights.MAX_PARAMETERS:
        raise InputError(f"A network may have {weights.MAX_PARAMETERS:,} parameters: use a lower width or depth.")
    init = None if resume else config.init
    if init is not None:
        init_from(model, init)
    seed = config.seed * accelerator.num_processes + accelerator.process_index
    teacher = None
    if config.teacher is not None:
        source = config.out / TEACHER if resume else config.teacher
        teacher = Teacher(source, model.scale, config.teacher_share, seed, device)
    images = fingerprint(config.data, config.valid)
    if resume and read_state(config.out).images not in ("", images):
        raise InputError(
            f"The images in --data or --valid are not those of the run in {config.out}: give folders with the same "
            "files, and validation folders with the same names."
        )
    sampler = _read_images(config, model.scale, seed, device, is_main)
    probe, _ = sampler.batch(0, PROBE_PATCHES, min(PROBE_SIZE, config.patch_size))
    if init is not None and config.revive:
        revived = revive(model, probe.cpu())
        if revived and is_main:
            tqdm.write(f"Reinitialized {revived} hidden units of {init.name} that never fire")
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    ema = copy.deepcopy(model).requires_grad_(False)
    forward = accelerator.prepare_model(model)  # may move the weights, so the optimizers are built afterwards
    if config.compile:
        forward = _compiled(forward, teacher, accelerator)
    learning_rates = config.learning_rate, config.adam_learning_rate
    optimizers = Optimizers(model, *learning_rates, config.weight_decay, config.muon_layers)
    state = restore_checkpoint(config.out, model, ema, optimizers) if resume else RunState()
    state.images = images
    validator = Validator(config, model.scale, dtype, probe, state.iteration) if is_main else None
    if teacher is not None and is_main and not resume:
        teacher.copy_weights(config.out)
    return Run(config, accelerator, dtype, seed, sampler, teacher, model, forward, ema, optimizers, validator, state)


def init_from(model: DRN, path: Path) -> int:
    """Copy the weights in a file into ``model``, which may have another scale and another activation.

    Returns:
        The number of tensors copied. With another scale the last convolution keeps its random weights.

    Raises:
        InputError: If the file cannot be used, or holds a network of another width or depth.
    """
    source = weights.load(path).model
    own_config = model.config
    if replace(source.config, scale=own_config.scale, activation=own_config.activation) != own_config:
        raise InputError(f"{path.name} holds a network of another width or depth: give the same network options.")
    own = model.state_dict()
    copied = {name: tensor for name, tensor in source.state_dict().items() if own[name].shape == tensor.shape}
    model.load_state_dict(own | copied, strict=True)
    return len(copied)


def observation_interval(device: torch.device) -> int:
    """Return the number of iterations between two observations. Each observation waits for the device."""
    return 1 if device.type == "cpu" else 20


@torch.no_grad()
def update_ema(ema: DRN, model: DRN, decay: float) -> None:
    """Update the moving average: ``ema = decay * ema + (1 - decay) * model``."""
    torch._foreach_lerp_(list(ema.parameters()), list(model.parameters()), 1 - decay)


def _refuse_used_folder(out: Path) -> None:
    if (out / CHECKPOINT).exists():
        raise InputError(f"{out} already holds a run: resume it, or choose another folder.")
    if read_curve(out / CURVE) or weights.available_scales(out):
        raise InputError(f"{out} holds files of an earlier run: choose another folder.")


def _read_images(config: TrainConfig, scale: int, seed: int, device: torch.device, is_main: bool) -> PatchSampler:
    try:
        sampler = PatchSampler(list(config.data), scale, seed, config.shrink, device, progress=is_main)
    except (MemoryError, RuntimeError) as error:
        if lacks_memory(error):
            raise InputError(
                f"The training images do not fit in the memory of {device}: give fewer images, or leave out --shrink."
            ) from error
        raise
    small, count = sampler.count_small(config.patch_size)
    if small and is_main:
        side = config.patch_size * scale
        tqdm.write(f"{small} of {count} training images are smaller than a patch of {side}x{side} and are not used.")
    return sampler


def _compiled(network: nn.Module, teacher: Teacher | None, accelerator: Accelerator) -> Callable[[Tensor], Tensor]:
    """Return the compiled network, and compile the teacher's network in place."""
    # With CUDA graphs ("reduce-overhead") a GPU does not wait for Python to launch each of many small kernels.
    graphs = accelerator.device.type == "cuda" and accelerator.num_processes == 1
    mode = "reduce-overhead" if graphs else "default"
    if teacher is not None:
        teacher.network.compile(mode=mode)
    compiled: Callable[[Tensor], Tensor] = torch.compile(network, mode=mode)
    return compiled
