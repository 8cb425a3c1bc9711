"""Training crops: their positions, and the pictures that are left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drn.image import Array
from scripts.training_crops import main


def checks(height: int, width: int) -> Array:
    """Return soft-edged squares of 16 pixels, which have detail and no noise: uint8, (height, width, 3)."""
    y, x = np.mgrid[0:height, 0:width]
    wave = np.clip(4 * np.sin(x * np.pi / 16) * np.sin(y * np.pi / 16), -1, 1)
    return np.repeat((128 + 90 * wave).astype(np.uint8)[..., None], 3, 2)


def cut(tmp_path: Path, picture: Array, most: int = 4, factor: int = 0) -> list[Array]:
    """Return the crops of one picture, and check that their files are JPEG without chroma subsampling."""
    (tmp_path / "in").mkdir(exist_ok=True)
    Image.fromarray(picture).save(tmp_path / "in" / "a.png")
    main(tmp_path / "in", tmp_path / "out", most, factor, detail=3.0, noise=3.0)
    crops = []
    for path in sorted((tmp_path / "out").iterdir()):
        with Image.open(path) as image:
            assert (image.format, image.layer[0][1:3]) == ("JPEG", (1, 1))  # type: ignore[attr-defined]
            crops.append(np.asarray(image))
    return crops


def test_the_crops_have_most_detail_and_do_not_overlap(tmp_path: Path) -> None:
    picture = np.full((1000, 1500, 3), 90, np.uint8)
    picture[480:960, 528:1008] = checks(480, 480)
    picture[480:960, 1008:] = checks(480, 492) // 2  # less contrast, so this is the second crop
    first, second = cut(tmp_path, picture)
    assert np.abs(first.astype(int) - picture[480:960, 528:1008]).mean() < 2
    assert np.abs(second.astype(int) - picture[480:960, 1008:1488]).mean() < 2


@pytest.mark.parametrize(
    ("picture", "options"),
    [
        (np.full((500, 500, 3), 90, np.uint8), {}),
        (checks(190, 500), {}),
        (checks(2, 5001), {}),
        (np.zeros((500, 500, 4), np.uint8), {}),
        (checks(500, 500), {"factor": 3}),
        (np.random.default_rng(0).normal(128, 20, (500, 500, 3)).clip(0, 255).astype(np.uint8), {}),
    ],
    ids=["flat", "small", "thin", "transparent", "small once reduced", "noise"],
)
def test_pictures_that_are_useless_for_training_have_no_crops(
    tmp_path: Path, picture: Array, options: dict[str, int]
) -> None:
    assert cut(tmp_path, picture, **options) == []


def test_transparent_pixels_are_trimmed_or_filled_with_one_muted_colour(tmp_path: Path) -> None:
    cutout = np.zeros((900, 900, 4), np.uint8)
    cutout[300:600, 300:600] = np.dstack([checks(300, 300), np.full((300, 300), 255, np.uint8)])
    (crop,) = cut(tmp_path, cutout)
    assert crop.shape == (324, 324, 3)  # with a margin of 12
    assert crop[:8].std((0, 1)).max() < 2
    assert 40 < crop[:8].mean() < 240
    assert np.abs(crop[12:-12, 12:-12].astype(int) - checks(300, 300)).mean() < 2


def test_a_large_picture_is_reduced(tmp_path: Path) -> None:
    (crop,) = cut(tmp_path, np.tile(checks(1200, 1200), (2, 2, 1)), most=1)
    grey = crop[..., 0].astype(int)
    # The squares now have 8 pixels: pixels at a distance of 16 are equal, those at a distance of 8 are opposite.
    assert np.abs(grey[:, 16:] - grey[:, :-16]).mean() < 5 < np.abs(grey[:, 8:] - grey[:, :-8]).mean()


def test_pictures_of_one_stem_keep_apart_and_a_broken_one_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in" / "b").mkdir(parents=True)
    for name in ("a.png", "a.bmp", "b_a.png", "b/a.png"):
        Image.fromarray(checks(240, 240)).save(tmp_path / "in" / name)
    (tmp_path / "in" / "broken.png").write_bytes(b"no picture")
    main(tmp_path / "in", tmp_path / "out", 4, 0, 3.0, 3.0)
    printed = capsys.readouterr()
    assert printed.out == "4 crops of 4 of 5 pictures\n"
    assert printed.err.startswith("left out: broken.png")
    written = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.jpg")}
    assert written == {"a.png_0.jpg", "a.bmp_0.jpg", "b_a.png_0.jpg", "b/a.png_0.jpg"}


def test_a_missing_folder_gets_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"^error: .*missing"):
        main(tmp_path / "missing", tmp_path / "out", 4, 0, 3.0, 3.0)
