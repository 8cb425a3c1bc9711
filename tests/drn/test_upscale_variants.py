"""`drn upscale --variant`: the choice between the clean and the photo weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drn import weights
from drn.commands.networks import Networks
from drn.image import Array
from drn.reading import read_image
from drn.upscaler import Upscaler
from drn.variants import PHOTO_BELOW, choose_variant
from scripts._markdown import fill
from scripts.write_choices import FILES, MARK, PAGE, choices_table
from tests.drn.test_commands import drn
from tests.helpers.models import folder_with_photo_weights


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with clean and photo weights for x2, which give different images, and clean weights for x3."""
    return folder_with_photo_weights(tmp_path / "weights")


@pytest.fixture
def source(tmp_path: Path, photo: Array) -> Path:
    """A folder with JPEG files of the qualities 60 and 98, and a PNG file."""
    folder = tmp_path / "in"
    folder.mkdir()
    for quality in (60, 98):
        Image.fromarray(photo).save(folder / f"q{quality}.jpg", quality=quality)
    Image.fromarray(photo).save(folder / "lossless.png")
    return folder


def result_of(place: Path, file: Path, variant: str) -> Array:
    model = weights.load(place / ("drn_x2_photo.safetensors" if variant == "photo" else "drn_x2.safetensors")).model
    return Upscaler(model).upscale(read_image(file).rgb)


def written(out: Path, name: str) -> Array:
    with Image.open(out / name) as image:
        return np.asarray(image)


def test_only_jpegs_below_the_threshold_get_the_photo_weights() -> None:
    chosen = [choose_variant(quality) for quality in (None, 1, PHOTO_BELOW - 1, PHOTO_BELOW, 100)]
    assert chosen == ["clean", "photo", "photo", "clean", "clean"]


def test_auto_chooses_for_each_image_and_says_why(tmp_path: Path, place: Path, source: Path) -> None:
    out = tmp_path / "out"
    done = drn("upscale", source, "-o", out, "--scale", "2", "--weights", place)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.splitlines()) == [
        f"{out}/lossless_DRN_x2.png 168x120 Not a JPEG: clean weights.",
        f"{out}/q60_DRN_x2.png 168x120 JPEG, quality about 60: photo weights.",
        f"{out}/q98_DRN_x2.png 168x120 JPEG, quality about 98: clean weights.",
    ]
    for name, variant in (("q60.jpg", "photo"), ("q98.jpg", "clean"), ("lossless.png", "clean")):
        expected = result_of(place, source / name, variant)
        assert np.array_equal(written(out, f"{Path(name).stem}_DRN_x2.png"), expected)


@pytest.mark.parametrize("variant", ["clean", "photo"])
def test_a_given_variant_is_used_for_all_images(tmp_path: Path, place: Path, source: Path, variant: str) -> None:
    done = drn("upscale", source, "-o", tmp_path, "--scale", "2", "--weights", place, "--variant", variant)
    assert (done.returncode, done.stderr) == (0, "")
    assert "weights" not in done.stdout.replace(str(place), "")
    for file in source.iterdir():
        assert np.array_equal(written(tmp_path, f"{file.stem}_DRN_x2.png"), result_of(place, file, variant))


def test_a_result_of_another_variant_is_replaced(tmp_path: Path, place: Path, source: Path) -> None:
    def again(variant: str) -> str:
        words = ("-o", tmp_path / "out", "--scale", "2", "--weights", place, "--variant", variant)
        return drn("upscale", source / "q60.jpg", *words).stdout

    kept = "1 of 1 results already exist and were kept"
    assert kept not in again("clean")
    assert kept not in again("auto")  # which chooses photo
    assert kept in again("photo")
    assert kept not in again("clean")
    assert kept in again("clean")


def test_without_photo_weights_the_clean_weights_are_used_and_one_note_says_so(
    tmp_path: Path, place: Path, source: Path, photo: Array
) -> None:
    Image.fromarray(photo).save(source / "q50.jpg", quality=50)
    done = drn("upscale", source, "-o", tmp_path / "out", "--scale", "3", "--weights", place)
    assert done.returncode == 0
    assert done.stderr == f"note: No photo weights for x3 were found in {place}: using the clean weights.\n"
    line = f"{tmp_path}/out/q60_DRN_x3.png 252x180 JPEG, quality about 60: clean weights"
    assert f"{line}, because there are no photo weights." in done.stdout.splitlines()
    only = drn("upscale", source / "lossless.png", "-o", tmp_path / "png", "--scale", "3", "--weights", place)
    assert only.stderr == ""  # the photo weights were not needed


def test_a_single_weights_file_leaves_no_choice(tmp_path: Path, place: Path, source: Path) -> None:
    words = ("upscale", source / "q60.jpg", "-o", tmp_path, "--scale", "2", "--weights", place / "drn_x2.safetensors")
    done = drn(*words)
    assert done.stdout == f"{tmp_path}/q60_DRN_x2.png 168x120\n"
    assert np.array_equal(written(tmp_path, "q60_DRN_x2.png"), result_of(place, source / "q60.jpg", "clean"))
    refused = drn(*words, "--variant", "photo")
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: --variant has no effect on the single file")


def test_damaged_photo_weights_are_a_failure_of_the_jpegs_only(tmp_path: Path, place: Path, source: Path) -> None:
    (place / weights.filename(2, "photo")).write_bytes(b"no weights")
    done = drn("upscale", source, "-o", tmp_path / "out", "--scale", "2", "--weights", place)
    assert done.returncode == 1
    assert "q60.jpg: drn_x2_photo.safetensors is not a complete safetensors file" in done.stderr
    assert "error: 1 of 3 images could not be upscaled." in done.stderr


def test_an_image_without_pixels_or_with_a_damaged_header_is_refused_as_usual(place: Path) -> None:
    networks = Networks(lambda variant: weights.load(place / weights.filename(2, variant)), Upscaler, "auto")
    for data in (b"", b"\xff\xd8\xff\xdb\0\x43", b"\xff\xd8" + b"\xff\xdb\0\x02" * 40):
        network, reason = networks.for_image(data)
        assert (network.variant, reason) == ("clean", "Not a JPEG: clean weights.")


def test_info_lists_the_photo_weights(place: Path) -> None:
    shown = drn("info", "--weights", place).stdout
    assert [line.split(" (")[0] for line in shown.splitlines() if line.startswith("x")] == [
        "x2: drn_x2.safetensors",
        "x3: drn_x3.safetensors",
        "x2: drn_x2_photo.safetensors",
    ]
    only = drn("info", "--weights", place / "drn_x2.safetensors").stdout
    assert "photo" not in only.replace(str(place), "")


def test_auto_chooses_by_the_quality_whatever_the_chroma_and_the_coding(
    tmp_path: Path, place: Path, photo: Array
) -> None:
    (tmp_path / "in").mkdir()
    expected = {30: "photo", 45: "photo", 50: "photo", 60: "photo", 75: "photo", 85: "photo", 92: "photo", 96: "photo"}
    expected |= {98: "clean", 100: "clean"}
    assert [quality for quality, *_ in FILES] == list(expected)
    assert {subsampling for _, subsampling, _ in FILES} == {"4:4:4", "4:2:0"}
    for quality, subsampling, is_progressive in FILES:
        file = tmp_path / "in" / f"{quality}.jpg"
        Image.fromarray(photo).save(file, quality=quality, subsampling=subsampling, progressive=is_progressive)
    done = drn("upscale", tmp_path / "in", "-o", tmp_path / "out", "--scale", "2", "--weights", place)
    assert (done.returncode, done.stderr) == (0, "")
    for quality, variant in expected.items():
        name = f"{quality}_DRN_x2.png"
        line = f"{tmp_path}/out/{name} 168x120 JPEG, quality about {quality}: {variant} weights."
        assert line in done.stdout.splitlines()
        result = result_of(place, tmp_path / "in" / f"{quality}.jpg", variant)
        assert np.array_equal(written(tmp_path / "out", name), result)


def test_the_table_in_the_documentation_is_the_output_of_its_script(place: Path, photo: Array) -> None:
    networks = Networks(lambda variant: weights.load(place / weights.filename(2, variant)), Upscaler, "auto")
    made = choices_table(photo, networks)
    page = PAGE.read_text(encoding="utf-8")
    assert fill(page, MARK, made) == page
