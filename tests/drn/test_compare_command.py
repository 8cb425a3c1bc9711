"""`drn compare --jpeg` and `--variant photo`."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drn import weights
from drn.image import Array
from drn.metrics import psnr
from drn.resize import downscale, upscale
from drn.upscaler import Upscaler
from tests.drn.test_commands import drn


@pytest.fixture
def source(tmp_path: Path, photo: Array) -> Path:
    Image.fromarray(photo).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_the_methods_get_the_jpeg_and_the_numbers_are_marked(source: Path, photo: Array, photo_place: Path) -> None:
    words = ("--scale", "2", "--crop", "10,10,40,30", "--weights", photo_place, "--dtype", "fp32")
    figure = source.with_name("figure.svg")
    done = drn("compare", source, "-o", figure, *words, "--jpeg", "75", "--variant", "photo")
    assert (done.returncode, done.stderr) == (0, "")
    *lines, note = done.stdout.splitlines()
    assert note == "Outside the benchmark protocol: the LR images were degraded (JPEG 75)."
    file = io.BytesIO()
    Image.fromarray(downscale(photo, 2)).save(file, "JPEG", quality=75)
    with Image.open(file) as image:
        lr = np.array(image)
    results = {"bicubic": upscale(lr, 2)}
    for name, variant in (("DRN", "drn_x2.safetensors"), ("DRN photo", "drn_x2_photo.safetensors")):
        results[name] = Upscaler(weights.load(photo_place / variant).model, "cpu", "fp32").upscale(lr)
    found = {line.split(" region")[0].strip(): re.findall(r"([\d.]+) dB", line) for line in lines}
    assert found == {
        name: [f"{psnr(sr[10:40, 10:50], photo[10:40, 10:50], 0):.2f}", f"{psnr(sr, photo, 2):.2f}"]
        for name, sr in results.items()
    }
    text = figure.read_text(encoding="utf-8")
    for label in ("LR, JPEG 75", "outside the benchmark protocol", "DRN photo"):
        assert text.count(f">{label}<") == 1


def test_without_jpeg_nothing_is_marked(source: Path, photo_place: Path) -> None:
    words = ("--scale", "2", "--crop", "10,10,40,30", "--weights", photo_place)
    figure = source.with_name("figure.svg")
    done = drn("compare", source, "-o", figure, *words)
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["bicubic", "DRN"]
    assert "protocol" not in figure.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (["--scale", "3", "--variant", "photo"], 1, "There are no photo weights for"),
        (["--scale", "2", "--jpeg", "0"], 2, "--jpeg"),
        (["--scale", "2", "--jpeg", "101"], 2, "--jpeg"),
    ],
)
def test_options_that_cannot_be_used_are_refused(
    source: Path, photo_place: Path, options: list[str], code: int, sentence: str
) -> None:
    words = ("-o", source.with_name("figure.png"), "--crop", "0,0,9,9", "--weights", photo_place)
    done = drn("compare", source, *words, *options)
    assert done.returncode == code
    assert sentence in done.stderr
