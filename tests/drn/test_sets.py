"""Test sets in common folder layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drn.errors import InputError
from drn.evaluation.pairs import read_pair, read_pairs
from drn.evaluation.sets import find_originals, set_name, set_names
from drn.image import Array


@pytest.fixture
def benchmark(tmp_path: Path, photo: Array) -> Path:
    """A folder with Set5 and Set14, each with HR/a.png and LR_bicubic/X2/ax2.png."""
    for name in ("Set5", "Set14"):
        for path, image in (("HR/a.png", photo), ("LR_bicubic/X2/ax2.png", photo[::2, ::2])):
            (tmp_path / name / path).parent.mkdir(parents=True)
            Image.fromarray(np.ascontiguousarray(image)).save(tmp_path / name / path)
    return tmp_path


def test_the_lr_images_beside_the_originals_are_not_measured(benchmark: Path) -> None:
    images, note = find_originals(benchmark / "Set5")
    assert images == [benchmark / "Set5" / "HR" / "a.png"]
    assert note == f"Of {benchmark / 'Set5'} only the images in HR are used."
    assert [pair.hr.shape for pair in read_pairs(benchmark / "Set5", 2)] == [(60, 84, 3)]
    assert find_originals(benchmark / "Set5" / "HR") == (images, None)


def test_nested_folders_are_named(benchmark: Path) -> None:
    (benchmark / "Set5" / "HR").rename(benchmark / "Set5" / "images")
    images, note = find_originals(benchmark / "Set5")
    assert len(images) == 2
    inside = "LR_bicubic/X2, images"
    assert note == f"The images in folders inside {benchmark / 'Set5'} are used as originals too: {inside}."


def test_two_folders_called_hr_are_two_sets(benchmark: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set_names([benchmark / "Set5" / "HR", benchmark / "Set14" / "HR"]) == ["Set5", "Set14"]
    for name in ("Five", "Fourteen"):
        (benchmark / name).symlink_to(benchmark / "Set5" / "HR")
    assert set_names([benchmark / "Five", benchmark / "Fourteen"]) == ["Five", "Fourteen"]
    monkeypatch.chdir(benchmark / "Set5" / "HR")
    assert set_name(Path()) == set_name(Path("../HR")) == "Set5"
    assert set_name(Path("..")) == "Set5"
    with pytest.raises(InputError, match="Two test sets have the same name"):
        set_names([benchmark / "Set5", benchmark / "Set5" / "HR"])


def test_messages_name_file_and_folder(benchmark: Path) -> None:
    bad = benchmark / "Set5" / "HR" / "b.png"
    bad.write_text("no image")
    with pytest.raises(InputError, match=f"^{bad} is not an image"):
        read_pair(bad, 2)
    with pytest.raises(InputError, match=f"There is no folder {benchmark / 'x'}: give a folder of images"):
        read_pairs(benchmark / "x", 2)


def test_changes_to_originals_are_counted(benchmark: Path, photo: Array) -> None:
    folder = benchmark / "Set5" / "HR"
    Image.fromarray(np.dstack([photo, photo[..., 0]])).save(folder / "b.png")
    Image.fromarray(photo[..., 0].astype(np.uint16) * 257).save(folder / "c.png")
    notes: list[str] = []
    read_pairs(folder, 2, notes.append)
    assert notes == [
        f"{folder}, 1 of 3 images: Its transparency is left out: all of its pixels are compared.",
        f"{folder}, 1 of 3 images: The 16-bit image was processed as 8-bit.",
    ]
