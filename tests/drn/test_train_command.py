"""The command ``train``: what it passes on, and what it refuses."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from drn.commands.train import train_command
from drn.errors import InputError
from drn.training.config import TrainConfig
from drn.training.loop import RunState


def test_without_the_training_packages_one_sentence_names_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)
    monkeypatch.delitem(sys.modules, "drn.training.loop")
    with pytest.raises(InputError, match=r"Training needs accelerate: .*requirements-dev\.txt"):
        train_command(out=tmp_path)


def test_the_command_line_passes_on_what_it_is_given(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = Mock(return_value=RunState())
    monkeypatch.setattr("drn.training.loop.train", seen)
    data, valid = list(config.data), list(config.valid)
    train_command(
        out=tmp_path / "b",
        data=data,
        valid=valid,
        iterations=3,
        hold=0.25,
        shrink=[0.7, 0.5],
        init=tmp_path / "drn_x3.safetensors",
        teacher=tmp_path / "drn_x2.safetensors",
        teacher_share=0.6,
        compiled=True,
        revives=False,
    )
    (_, passed), how = seen.call_args
    assert (passed.iterations, passed.hold, passed.shrink) == (3, 0.25, (0.7, 0.5))
    assert (passed.teacher, passed.teacher_share) == (tmp_path / "drn_x2.safetensors", 0.6)
    assert how["compiled"] and not how["revives"]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"teacher_share": 0.5}, "--teacher-share is about the weights of --teacher"),
        ({"revives": True}, "--no-revive are about the weights of --init"),
        ({"resume": True, "revives": False}, "with --resume give only --out and the budget"),
        ({"resume": True, "teacher": Path("x")}, "with --resume give only --out and the budget"),
    ],
)
def test_options_that_would_do_nothing_are_refused(config: TrainConfig, given: dict[str, Any], sentence: str) -> None:
    folders: dict[str, Any] = {} if "resume" in given else {"data": list(config.data), "valid": list(config.valid)}
    with pytest.raises(InputError, match=sentence):
        train_command(out=config.out, iterations=2, **folders, **given)
