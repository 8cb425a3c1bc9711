"""Finished results as a method: the file for each original, and the accepted sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from drn.errors import InputError
from drn.evaluation.comparison import measure
from drn.evaluation.pairs import make_pair
from drn.evaluation.results_folder import results_folder
from drn.image import Array, Picture
from drn.writing import write_image


def looked_up(folder: Path, names: list[str], original: str = "baby", scale: int = 4) -> str:
    """Return the name of the file that is used; each file has a different grey level."""
    for level, name in enumerate(names):
        (folder / name).parent.mkdir(exist_ok=True)
        write_image(folder / name, Picture(np.full((24, 24, 3), level, np.uint8)))
    pair = make_pair(Picture(np.zeros((24, 24, 3), np.uint8)), scale, original)
    return names[int(results_folder("IMDN", folder, scale).enlarge(pair)[0, 0, 0])]


@pytest.mark.parametrize(
    "name",
    ["baby.png", "BABY.PNG", "babyx4.png", "baby_x4.png", "baby_x4_IMDN.png", "baby-IMDN-4x.png", "baby_IMDN_x4.bmp"],
)
def test_a_result_is_found_by_the_name_of_its_original(tmp_path: Path, name: str) -> None:
    assert looked_up(tmp_path, ["bird.png", name, "babyface.png", "baby_2.png"]) == name


def test_the_stated_scale_and_the_plain_name_decide(tmp_path: Path) -> None:
    assert looked_up(tmp_path, ["baby_x2.png", "baby_x4.png"]) == "baby_x4.png"
    (tmp_path / "x").mkdir()
    assert looked_up(tmp_path / "x", ["X2/baby.png", "X4/baby.png"]) == "X4/baby.png"
    (tmp_path / "y").mkdir()
    assert looked_up(tmp_path / "y", ["baby_IMDN.png", "baby.png"]) == "baby.png"
    (tmp_path / "z").mkdir()  # the name of the original also states a scale
    assert looked_up(tmp_path / "z", ["babyx4_DRN_x4.png", "img_10.png"], "BabyX4") == "babyx4_DRN_x4.png"


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["bird.png"], "holds no result for baby"),
        (["baby_x2.png", "baby_2.png"], "holds no result for baby"),
        (["baby_IMDN.png", "baby_PAN.png"], "several results for baby, such as baby_IMDN.png and baby_PAN.png"),
    ],
)
def test_missing_and_ambiguous_results_are_named(tmp_path: Path, names: list[str], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        looked_up(tmp_path, names)


def test_a_result_has_the_size_of_the_original_or_of_its_part(tmp_path: Path, photo: Array) -> None:
    pair = make_pair(Picture(photo[:59, :83]), 4, "cat")
    method = results_folder("IMDN", _folder(tmp_path / "whole", photo[:59, :83]), 4)
    assert measure(pair, method).whole.psnr == float("inf")
    assert np.array_equal(results_folder("IMDN", _folder(tmp_path / "part", photo[:56, :80]), 4).enlarge(pair), pair.hr)
    with pytest.raises(InputError, match=r"cat.png is 84x60, and its original at x4 is 80x56: give results"):
        results_folder("IMDN", _folder(tmp_path / "wrong", photo), 4).enlarge(pair)
    with pytest.raises(InputError, match="are for x4: choose that scale"):
        method.enlarge(make_pair(Picture(photo), 2, "cat"))


def _folder(folder: Path, image: Array) -> Path:
    folder.mkdir()
    write_image(folder / "cat.png", Picture(np.ascontiguousarray(image)))
    return folder


def test_a_folder_must_hold_images(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no folder"):
        results_folder("IMDN", tmp_path / "nothing", 4)
    with pytest.raises(InputError, match="holds no images"):
        results_folder("IMDN", tmp_path, 4)
