"""Which training images show what a held-out image shows."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from PIL import Image

from app.photographs import EXAMPLES
from scripts.overlap import main


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Training images, one of them a part of the held-out one, turned and at 0.6 of its size; and the held-out ones."""
    training, held_out = tmp_path / "training", tmp_path / "held_out"
    training.mkdir()
    held_out.mkdir()
    with Image.open(EXAMPLES / "coffee.png") as image:
        part = image.convert("RGB").crop((40, 30, 340, 330))
        image.save(held_out / "coffee.png")
    part.rotate(90).resize((180, 180), Image.Resampling.BICUBIC).save(training / "part.jpg", quality=90)
    for name in ("astronaut", "palace", "cat"):
        with Image.open(EXAMPLES / f"{name}.png") as image:
            image.save(training / f"{name}.png")
    Image.new("RGB", (64, 64), (90, 90, 90)).save(training / "flat.png")
    Image.new("RGB", (64, 64), (20, 90, 90)).save(held_out / "flat.png")
    return training, held_out


def run(training: Path, held_out: Path) -> int:
    with pytest.raises(typer.Exit) as stopped:
        main([training], [held_out], 10)
    return stopped.value.exit_code


def test_a_part_turned_and_resized_is_found(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*folders) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"{folders[0] / 'part.jpg'} shows {folders[1] / 'coffee.png'}: ")
    assert said[1:] == ["1 of 5 images share 10 points or more with one of 2"]


def test_other_images_are_not(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    (folders[0] / "part.jpg").unlink()
    assert run(*folders) == 0
    assert capsys.readouterr().out == "0 of 4 images share 10 points or more with one of 2\n"


def test_a_missing_folder_gets_one_sentence(folders: tuple[Path, Path]) -> None:
    with pytest.raises(SystemExit, match=r"^error: .*missing"):
        main([folders[0]], [folders[1] / "missing"], 10)
