"""Starting the page with ``drn app``: missing packages and bad input."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app import main as page
from app.options import PageOptions
from app.photographs import examples
from drn.commands.main import app
from drn.errors import InputError
from drn.image import Array, Picture
from drn.writing import write_image


def start(*options: str) -> Exception | None:
    """Run ``drn app``, and return the exception that ends it."""
    error = CliRunner().invoke(app, ["app", *options]).exception
    assert error is None or isinstance(error, Exception)
    return error


def test_options_reach_the_page(monkeypatch: pytest.MonkeyPatch, photo: Array, tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", Picture(photo))
    given: list[PageOptions] = []
    monkeypatch.setattr(page, "serve", given.append)
    assert (
        start("--data", str(tmp_path), str(tmp_path), "--results", f"mine={tmp_path}", "--scale", "2", "--port", "80")
        is None
    )
    assert start() is None
    (options, usual) = given
    assert (options.data, options.scale, options.weights, options.port) == ((tmp_path, tmp_path), 2, None, 80)
    assert [(method.name, method.scale) for method in options.further] == [("mine", 2)]
    assert usual == PageOptions(scale=4)


def test_the_images_of_the_folders_replace_the_examples(photo: Array, tmp_path: Path) -> None:
    for name in ("one/b", "one/a", "two/c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_image(tmp_path / f"{name}.png", Picture(photo))
    found = examples([tmp_path / "one", tmp_path / "two"])
    assert [str(path.relative_to(tmp_path)) for path in found] == ["one/a.png", "one/b.png", "two/c.png"]


def test_without_the_page_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "app.main", None)
    error = start()
    assert isinstance(error, InputError)
    assert str(error) == "The page is not installed here: run the command in a checkout of DRN."


def test_without_gradio_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: PageOptions) -> None:
        raise ModuleNotFoundError("No module named 'gradio'", name="gradio")

    monkeypatch.setattr(page, "serve", fail)
    error = start()
    assert isinstance(error, InputError)
    assert str(error).startswith("The page needs gradio: ")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--data", "missing"], "missing"),
        (["--results", "mine=missing"], "missing"),
        (["--results", "mine"], "'mine' does not have the form --results NAME=DIR"),
        (["--results", "DRN=app"], "Two methods have the name DRN: give each its own."),
        (["--network", "net=missing.onnx"], "There is no file missing.onnx: give an existing .onnx"),
        (
            ["--weights", "missing.safetensors"],
            "There is no weights file or folder missing.safetensors: check the name.",
        ),
        (["--scale", "5"], "There are no weights for x5: choose another scale or other weights."),
    ],
)
def test_bad_options_get_one_sentence(options: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.page.launch", lambda *_, **__: sys.exit("it started"))
    monkeypatch.setattr("app.main.signal.signal", lambda *_: None)
    error = start(*options)
    assert isinstance(error, InputError), error
    assert sentence in str(error)
    assert "\n" not in str(error)
