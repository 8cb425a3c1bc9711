"""The command ``train``: its options, and the combinations that it refuses."""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path
from unittest.mock import Mock

import pytest
from typer.testing import CliRunner

from drn.commands.main import app
from drn.errors import InputError
from drn.model import DRNConfig, drn
from drn.training.checkpoint import RunState
from drn.training.config import TrainConfig, option_name


def command_line(*words: object) -> None:
    """Run ``drn train`` with the given options."""
    CliRunner().invoke(app, ["train", *map(str, words)], catch_exceptions=False)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Record the calls of ``train`` instead of training."""
    train = Mock(return_value=RunState())
    monkeypatch.setattr("drn.training.loop.train", train)
    return train


def test_without_the_training_packages_one_sentence_names_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)
    for module in ("loop", "run"):
        monkeypatch.delitem(sys.modules, f"drn.training.{module}", raising=False)
    with pytest.raises(InputError, match="Training needs accelerate: "):
        command_line("--out", tmp_path)


def test_options_set_the_fields_of_the_configs(config: TrainConfig, trained: Mock, tmp_path: Path) -> None:
    (data,), (valid,) = config.data, config.valid
    command_line(
        *("--out", tmp_path / "b", "--data", data, data, "--valid", valid, "--iterations", 3, "--max-hours", 0.5),
        *("--degrade", "photo", "--hold", 0.25, "--shrink", 0.7, 0.5, "--init", "drn_x3.safetensors", "--no-revive"),
        *("--teacher", "drn_x2.safetensors", "--teacher-share", 0.6, "--compile", "--batch-size", 4, "--seed", 9),
        *("--scale", 3, "--n-feats", 24, "--no-rdb", "--feed-distilled", "--activation", "elu"),
    )
    model_config, passed = trained.call_args.args
    assert passed == TrainConfig(
        out=tmp_path / "b",
        data=(data, data),
        valid=(valid,),
        iterations=3,
        max_hours=0.5,
        degrade="photo",
        hold=0.25,
        shrink=(0.7, 0.5),
        init=Path("drn_x3.safetensors"),
        revive=False,
        teacher=Path("drn_x2.safetensors"),
        teacher_share=0.6,
        compile=True,
        batch_size=4,
        seed=9,
    )
    changes = {"scale": 3, "n_feats": 24, "use_rdb": False, "feed_distilled": True, "activation": "elu"}
    assert model_config == DRNConfig.from_dict(drn(3).config.to_dict() | changes)
    assert trained.call_args.kwargs == {"resume": False}


def test_options_that_are_not_given_keep_the_defaults(config: TrainConfig, trained: Mock) -> None:
    command_line("--out", config.out, "--data", config.data[0], "--valid", config.valid[0], "--iterations", "3")
    expected = TrainConfig(out=config.out, data=config.data, valid=config.valid, iterations=3)
    assert trained.call_args.args == (drn(2).config, expected)


def test_every_setting_has_an_option_with_its_help_and_default() -> None:
    result = CliRunner().invoke(app, ["train", "--help"], env={"COLUMNS": "200", "TERMINAL_WIDTH": "200"})
    for field in fields(TrainConfig):
        assert f"{option_name(field.name)} " in result.output
    for words in ("Patches in a batch, on each process. (at least 1, default 8)", "(default relu)", "--no-rdb"):
        assert words in result.output


def test_a_resumed_run_takes_a_new_budget_and_compile(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, trained: Mock
) -> None:
    resumed = Mock(return_value=(drn(2).config, config))
    monkeypatch.setattr("drn.training.checkpoint.resume_configs", resumed)
    command_line("--out", config.out, "--resume", "--iterations", "9", "--no-compile")
    assert resumed.call_args.args == (config.out,)
    assert resumed.call_args.kwargs == {"iterations": 9, "compile": False}
    assert trained.call_args.kwargs == {"resume": True}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--teacher-share", "0.5"], "--teacher-share has no effect without --teacher: give both options, or neither"),
        (["--revive"], "--revive has no effect without --init"),
        (["--no-revive"], "--revive has no effect without --init"),
        (["--batch-size", "0"], "--batch-size must be at least 1, not 0"),
        (["--scale", "9"], "scale must be a whole number from 1 to 8, not 9"),
        (["--resume", "--seed", "1"], "A resumed run keeps its own settings: with --resume give only --out, "),
    ],
)
def test_options_without_effect_or_outside_their_limits_are_refused(
    config: TrainConfig, words: list[str], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        command_line(
            *("--out", config.out, "--data", config.data[0], "--valid", config.valid[0], "--iterations", "2"), *words
        )


@pytest.mark.parametrize("words", [["--no-revive"], ["--teacher", "x"], ["--scale", "3"], ["--n-feats", "8"]])
def test_a_resumed_run_refuses_other_settings(tmp_path: Path, words: list[str]) -> None:
    with pytest.raises(
        InputError, match="with --resume give only --out, --data, --valid, --iterations, --max-hours, --compile"
    ):
        command_line("--out", tmp_path, "--resume", *words)


def test_training_without_images_is_refused(config: TrainConfig) -> None:
    with pytest.raises(InputError, match="Training needs --data and --valid: folders of HR images"):
        command_line("--out", config.out, "--iterations", "2", "--data", config.data[0])
    with pytest.raises(InputError, match="The training has no end"):
        command_line("--out", config.out, "--data", config.data[0], "--valid", config.valid[0])
