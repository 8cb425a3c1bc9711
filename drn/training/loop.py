"""The training loop. A run that is stopped and resumed on a CPU gives the same weights, bit for bit."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from tqdm import tqdm

from drn.device import lacks_memory
from drn.errors import InputError
from drn.model import DRNConfig
from drn.training.checkpoint import RunState
from drn.training.config import TrainConfig
from drn.training.run import Run, prepare


def train(model_config: DRNConfig, config: TrainConfig, resume: bool = False) -> RunState:
    """Train until the budget is used up, or until SIGTERM or SIGINT, after which the run is saved.

    Args:
        model_config: Shape of the network.
        config: Settings of the run.
        resume: Whether to continue exactly from the checkpoint in ``config.out``.

    Returns:
        The state of the run at its end.

    Raises:
        InputError: If the images, the ``init`` weights or the teacher cannot be used; if the network is too large to be
            loaded again, or cannot be compiled; if ``resume`` finds no checkpoint, or a new run finds one; if the
            images or a batch do not fit in memory; or if the training diverges, in which case the last checkpoint is
            kept.
    """
    run = prepare(model_config, config, resume)
    with closing(run), explained_failures(run), call_on_signal(run.request_stop), progress_bar(run) as bar:
        while not (run.is_stopped or run.is_finished):
            run.step()
            bar.update()
            if run.is_observation_due:
                run.observe()
        run.save()
    return run.state


def progress_bar(run: Run) -> tqdm[None]:
    """Return a bar that counts the iterations of a run, visible in the main process."""
    return tqdm(
        total=run.config.iterations or None,
        initial=run.state.iteration,
        disable=run.validator is None,
        mininterval=5,
        unit="iteration",
    )


@contextmanager
def call_on_signal(stop: Callable[[], object]) -> Iterator[None]:
    """Call ``stop`` on SIGTERM and SIGINT instead of their usual handlers."""
    signals = (signal.SIGTERM, signal.SIGINT)
    previous = {signum: signal.signal(signum, lambda *_: stop()) for signum in signals}
    try:
        yield
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)


@contextmanager
def explained_failures(run: Run) -> Iterator[None]:
    """Turn a lack of memory, or a failed compilation, into an ``InputError`` with a remedy."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if lacks_memory(error):
            raise InputError(
                f"A batch does not fit in the memory of {run.device}: start with a lower --batch-size or --patch-size."
            ) from error
        if run.config.compile and run.state.iteration < run.first_iteration + run.observe_every:
            reason = str(error).partition("\n")[0]
            raise InputError(
                f"The network cannot be compiled on {run.device} ({reason}): leave out --compile, or resume with "
                "--no-compile."
            ) from error
        raise
