from __future__ import annotations

import csv
import json
import math
import os
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage.metrics import structural_similarity
from typer.testing import CliRunner

from drn import weights
from drn.commands.main import app
from drn.degrade import Degradation, Jpeg
from drn.evaluation.benchmark import ImageRow, means, measure_folder, measure_image, measure_set
from drn.evaluation.methods import Method, bicubic, builtin_methods
from drn.evaluation.pairs import Pair, make_pair
from drn.evaluation.peers import read_peers
from drn.evaluation.tables import format_table, pivot, report, write_images
from drn.image import Array, Picture
from drn.metrics import psnr
from drn.resize import downscale, upscale
from drn.upscaler import Upscaler
from drn.writing import write_image
from scripts import write_results
from scripts._markdown import ROOT
from tests.helpers.models import small_model


def _perfect(pair: Pair, *_: object, **__: object) -> Array:
    return pair.hr


PERFECT = Method("perfect", "the original itself", _perfect)


def test_rows_are_means_over_the_images(tmp_path: Path, photo: Array) -> None:
    other = np.ascontiguousarray(photo[5:, 3:])  # 55x81: not a multiple of 2
    for name, image in (("a", photo), ("b", other)):
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    methods = builtin_methods(Upscaler(small_model(2), dtype="fp32"), self_ensemble=True)
    images = measure_folder(tmp_path, 2, methods)
    assert [(row.method, row.image) for row in images[:3]] == [("bicubic", "a"), ("bicubic", "b"), ("DRN", "a")]
    rows = means(images)
    assert [(row.method, row.images, row.scale, row.data) for row in rows] == [
        (method, 2, 2, tmp_path.name) for method in ("bicubic", "DRN", "DRN+")
    ]
    expected = [psnr(upscale(downscale(hr, 2), 2), hr, 2) for hr in (photo, other[:54, :80])]
    assert rows[0].psnr == pytest.approx(np.mean(expected))
    assert all(row.seconds is not None and row.seconds > 0 for row in rows)


def test_the_report_names_the_command_that_repeats_it(tmp_path: Path, photo: Array) -> None:
    (tmp_path / "my set").mkdir()
    write_image(tmp_path / "my set" / "a.png", Picture(photo))
    weights.save(tmp_path / "drn_x2.safetensors", small_model(2))
    command = [sys.executable, "-m", "drn", "evaluate", "--data", ".", "--scale", "2", "--json", "--dtype", "fp32"]
    command += ["--no-self-ensemble", "--weights", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(weights.BUNDLED.parent)}
    done = subprocess.run(command, cwd=tmp_path / "my set", env=environment, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)["command"]
    words = shlex.split(told)
    assert words[:8] == ["python", "-m", "drn", "evaluate", "--data", "my set", "--scale", "2"]
    assert words[8:] == ["--weights", str(tmp_path), "--dtype", "fp32", "--no-self-ensemble", "--json"]


def test_degraded_images_are_measured_and_labelled(tmp_path: Path, photo: Array) -> None:
    (tmp_path / "set").mkdir()
    write_image(tmp_path / "set" / "a.png", Picture(photo))
    weights.save(tmp_path / "drn_x2.safetensors", small_model(2))
    degraded = ["--jpeg", "60", "--noise", "2.5", "--blur", "0.5"]
    usual = ["--data", str(tmp_path / "set"), "--scale", "2", "--no-self-ensemble", "--dtype", "fp32"]

    def printed(*more: str) -> str:
        command = ["evaluate", *usual, "--weights", str(tmp_path), *degraded, *more]
        return CliRunner().invoke(app, command, catch_exceptions=False).stdout

    found = json.loads(printed("--json"))
    label = "blur 0.5, noise 2.5, JPEG 60"
    assert found["protocol"] == f"Outside the benchmark protocol: the LR images were degraded ({label})."
    assert "--data set --scale 2" in found["command"]
    assert " ".join(degraded) in found["command"]
    assert {row["data"] for row in found["rows"]} == {f"set {label}"}
    lr = Degradation(0.5, 2.5, jpegs=(Jpeg(60),)).apply(downscale(photo, 2))
    assert found["rows"][0]["psnr"] == pytest.approx(psnr(upscale(lr, 2), photo, 2))
    assert printed().splitlines()[-1] == found["protocol"]


def test_grey_files_are_measured_on_their_grey_plane(photo: Array) -> None:
    grey = photo[..., 0]
    pair = make_pair(Picture(grey[:, :, None].repeat(3, 2), is_grey=True), 2)
    assert measure_set("set", [pair], bicubic()).psnr == psnr(upscale(downscale(grey, 2), 2), grey, 2)


def test_the_table_has_aligned_columns(photo: Array) -> None:
    perfect = measure_set("set", [make_pair(Picture(photo), 2)], PERFECT)
    lines = format_table([perfect]).splitlines()
    assert lines[0].split() == ["data", "scale", "method", "images", "PSNR", "SSIM", "s/image"]
    assert lines[1].split()[:6] == ["set", "x2", "perfect", "1", "inf", "1.0000"]
    assert len(set(map(len, lines[:2]))) == 1
    assert (
        lines[2]
        == "PSNR and SSIM on Y rounded to 8 bits; a greyscale file is measured on its own levels (--luma rounded)."
    )
    finished = replace(perfect, method="a name longer than the column", seconds=None)
    wide = format_table([perfect, finished], "float").splitlines()
    assert len(set(map(len, wide[:3]))) == 1
    assert wide[2].split()[-1] == "–"
    assert wide[3].endswith("a greyscale file is measured as RGB (--luma float).")


def test_a_file_with_a_line_for_each_image(tmp_path: Path) -> None:
    rows = [
        ImageRow("Set5", "baby", 4, "IMDN, x4", 33.12346, 0.91234567, None),
        ImageRow("Set5", "baby", 4, "DRN", math.inf, 1.0, 0.25),
    ]
    write_images(tmp_path / "a.csv", rows)
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [
            ["set", "image", "scale", "method", "PSNR", "SSIM", "seconds"],
            ["Set5", "baby", "4", "IMDN, x4", "33.1235", "0.912346", ""],
            ["Set5", "baby", "4", "DRN", "inf", "1.000000", "0.2500"],
        ]


def test_without_rounding_grey_files_are_measured_as_rgb(photo: Array) -> None:
    def y(rgb: Array) -> NDArray[np.float64]:
        weights = np.array([65.481, 128.553, 24.966]) / 255
        return np.asarray((rgb.astype(np.float64) * weights).sum(2) + 16)[2:-2, 2:-2]

    for is_grey in (False, True):
        rgb = photo[..., :1].repeat(3, 2) if is_grey else photo
        pair = make_pair(Picture(rgb, is_grey=is_grey), 2)
        sr = upscale(downscale(rgb, 2), 2)
        expected = 10 * np.log10(255**2 / np.mean((y(sr) - y(rgb)) ** 2))
        result = measure_image("set", pair, bicubic(), "float")
        assert result.psnr == pytest.approx(expected, abs=1e-9)
        similarity = structural_similarity(  # type: ignore[no-untyped-call]
            y(sr), y(rgb), gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255, full=True
        )[1][5:-5, 5:-5].mean()
        assert result.ssim == pytest.approx(similarity, abs=1e-6)
        assert result.psnr != measure_image("set", pair, bicubic(), "rounded").psnr


def test_equal_images_have_no_psnr_in_json(photo: Array) -> None:
    perfect = measure_set("Set5", [make_pair(Picture(photo), 2)], PERFECT)
    told = json.loads(json.dumps(report([perfect], [], Upscaler(small_model(2))), allow_nan=False))
    assert told["rows"][0]["psnr"] is None
    assert pivot(told["rows"])[1] == [["Set5 x2", "∞ / 1.0000"]]


def test_the_readme_and_the_model_card_show_the_current_results() -> None:
    results = json.loads((weights.BUNDLED / "results.json").read_text(encoding="utf-8"))
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    card = (weights.BUNDLED / "README.md").read_text(encoding="utf-8")
    tables = write_results.measured(results), write_results.peers(read_peers(), results), write_results.hours()
    short, curve = write_results.short_jpeg(results), write_results.jpeg(results)
    for text, table in ((page, tables[0]), (page, short), (card, curve), *((card, table) for table in tables)):
        assert table in text, "run `python -m scripts.write_results`"
