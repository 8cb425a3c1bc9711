"""The command ``train``. Its options are made from ``TrainConfig`` and ``DRNConfig``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from drn.commands import batch
from drn.errors import InputError, not_installed
from drn.model import DRNConfig, drn
from drn.training.config import TrainConfig, option_name, settings

DEFAULT_SCALE = 2

NETWORK_HELP = {
    "scale": "Upscaling factor.",
    "n_feats": "Channels of the residual branch.",
    "n_distill": "Channels that each block adds to the distilling branch.",
    "n_blocks": "Blocks in a group.",
    "n_groups": "Groups.",
    "use_rdb": "Residual distilling blocks, or plain residual blocks.",
    "feed_distilled": "Whether a block also reads the distilled features of earlier blocks.",
    "image_skip": "Whether the enlarged input is added to the output.",
    "activation": "relu, leaky_relu or elu.",
}
"""Help of the options that set a field of ``DRNConfig``."""


def _with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give ``command`` one parameter for each option, for typer. Parameters of options that are not given are None."""
    parameters = [
        _parameter("out", Path, settings()["out"][1].help, default=inspect.Parameter.empty),
        _parameter(
            "resume", bool, "Resume the run in OUT exactly. A new budget replaces the previous one.", flag="--resume"
        ),
    ]
    for name, (kind, setting) in settings().items():
        if name != "out":
            help_text = _help(setting.help, setting.limits, getattr(TrainConfig, name, None))
            parameters.append(_parameter(name, kind, help_text))
    network, hints = drn(DEFAULT_SCALE).config, get_type_hints(DRNConfig)
    for name, text in NETWORK_HELP.items():
        flag = "--rdb/--no-rdb" if name == "use_rdb" else ""
        parameters.append(_parameter(name, hints[name], _help(text, "", getattr(network, name)), flag, panel="Network"))
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return command


def _parameter(
    name: str, kind: Any, help_text: str, flag: str = "", panel: str | None = None, default: Any = None
) -> inspect.Parameter:
    """Return a parameter with a typer option for a field of the type ``kind``."""
    if isinstance(kind, UnionType):  # such as ``Path | None``
        kind = get_args(kind)[0]
    if get_origin(kind) is tuple:  # ``tuple[Path, ...]``
        kind = list[get_args(kind)[0]]  # type: ignore[misc]
    names = [flag] if flag else []
    option = typer.Option(*names, help=help_text, rich_help_panel=panel, show_default=False)
    annotation = kind if default is inspect.Parameter.empty else kind | None
    keyword = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, keyword, default=default, annotation=Annotated[annotation, option])


def _help(text: str, limits: str, default: Any) -> str:
    """Return the help of an option with its limits and, unless it is empty, its default."""
    shown = {True: "yes", False: "no"}.get(default, default) if isinstance(default, bool) else default
    details = [limits] if limits else []
    details += [] if default in (None, ()) else [f"default {shown}"]
    return f"{text} ({', '.join(details)})" if details else text


@_with_options
def train_command(out: Path, resume: bool | None = None, **options: Any) -> None:
    """Train a network. SIGTERM or Ctrl-C saves a checkpoint and ends with exit code 0."""
    try:
        from drn.training.checkpoint import resume_configs
        from drn.training.loop import train
    except ModuleNotFoundError as error:
        raise not_installed("Training", error) from error

    given = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in options.items()
        if value not in (None, [])
    }
    if resume:
        _check_resumable(given)
        model_config, config = resume_configs(out, **given)
    else:
        model_config, config = _new_configs(out, given)
    state = train(model_config, config, resume=bool(resume))
    if batch.is_main():
        typer.echo(
            f"{out}: {state.iteration} iterations, {state.seconds / 3600:.2f} h, "
            f"best validation PSNR {state.best_psnr:.3f} dB"
        )


def _check_resumable(given: dict[str, Any]) -> None:
    """Raise ``InputError`` if an option is given that cannot be changed in a resumed run."""
    allowed = [name for name, (_, setting) in settings().items() if setting.on_resume]
    if not set(given) <= set(allowed):
        options = ", ".join(option_name(name) for name in ("out", *allowed))
        raise InputError(f"A resumed run keeps its own settings: with --resume give only {options}.")


def _new_configs(out: Path, given: dict[str, Any]) -> tuple[DRNConfig, TrainConfig]:
    """Return the settings of a new run.

    Raises:
        InputError: If an option is missing, has no effect without another one, or is outside its limits.
    """
    if "data" not in given or "valid" not in given:
        raise InputError("Training needs --data and --valid: folders of HR images.")
    for name, (_, setting) in settings().items():
        if name in given and setting.needs and setting.needs not in given:
            used = option_name(name)
            raise InputError(
                f"{used} has no effect without {option_name(setting.needs)}: give both options, or neither."
            )
    network = {name: value for name, value in given.items() if name in NETWORK_HELP}
    training = {name: value for name, value in given.items() if name not in NETWORK_HELP}
    try:
        model_config = replace(drn(network.pop("scale", DEFAULT_SCALE)).config, **network)
    except ValueError as error:
        raise InputError(str(error)) from error
    return model_config, TrainConfig(out=out, **training)
