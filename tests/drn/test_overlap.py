"""Detection of training images that show the same place as a held-out image."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from PIL import Image

from scripts._markdown import ROOT
from scripts.overlap import main

EXAMPLES = ROOT / "app" / "examples"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Write training and held-out images. One training image is a rotated and resized crop of a held-out image."""
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
    """Run the script with a threshold of 10 points and return its exit code."""
    with pytest.raises(typer.Exit) as stopped:
        main([training], [held_out], 10)
    return stopped.value.exit_code


def test_a_rotated_and_resized_crop_is_found(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*folders) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{folders[0] / 'part.jpg'} shows {folders[1] / 'coffee.png'}: ")
    assert lines[1:] == ["1 of 5 images share 10 points or more with one of 2"]


def test_other_images_are_not_found(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    (folders[0] / "part.jpg").unlink()
    assert run(*folders) == 0
    assert capsys.readouterr().out == "0 of 4 images share 10 points or more with one of 2\n"


def test_a_missing_folder_gets_one_sentence(folders: tuple[Path, Path]) -> None:
    with pytest.raises(SystemExit, match=r"^error: .*missing"):
        main([folders[0]], [folders[1] / "missing"], 10)
