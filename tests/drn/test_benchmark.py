from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drn import weights
from drn.evaluation.benchmark import measure_folder, measure_set
from drn.evaluation.methods import Method, bicubic, builtin_methods
from drn.evaluation.pairs import Pair, make_pair
from drn.evaluation.tables import format_table, pivot, report
from drn.image import Array, Picture
from drn.metrics import psnr
from drn.resize import downscale, upscale
from drn.upscaler import Upscaler
from drn.writing import write_png
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
    rows = measure_folder(tmp_path, 2, methods)
    assert [(row.method, row.images, row.scale, row.data) for row in rows] == [
        (method, 2, 2, tmp_path.name) for method in ("bicubic", "DRN", "DRN+")
    ]
    expected = [psnr(upscale(downscale(hr, 2), 2), hr, 2) for hr in (photo, other[:54, :80])]
    assert rows[0].psnr == pytest.approx(np.mean(expected))
    assert all(row.seconds > 0 for row in rows)


def test_the_report_names_the_command_that_repeats_it(tmp_path: Path, photo: Array) -> None:
    (tmp_path / "my set").mkdir()
    write_png(tmp_path / "my set" / "a.png", Picture(photo))
    weights.save(tmp_path / "drn_x2.safetensors", small_model(2))
    command = [sys.executable, "-m", "drn", "evaluate", "--data", ".", "--scale", "2", "--json", "--dtype", "fp32"]
    command += ["--no-self-ensemble", "--weights", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(weights.BUNDLED.parent)}
    done = subprocess.run(command, cwd=tmp_path / "my set", env=environment, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)["command"]
    words = shlex.split(told)
    assert words[:8] == ["python", "-m", "drn", "evaluate", "--data", "my set", "--scale", "2"]
    assert words[8:] == ["--weights", str(tmp_path), "--dtype", "fp32", "--no-self-ensemble", "--json"]


def test_grey_files_are_measured_on_their_grey_plane(photo: Array) -> None:
    grey = photo[..., 0]
    pair = make_pair(Picture(grey[:, :, None].repeat(3, 2), is_grey=True), 2)
    assert measure_set("set", [pair], bicubic()).psnr == psnr(upscale(downscale(grey, 2), 2), grey, 2)


def test_the_table_has_aligned_columns(photo: Array) -> None:
    perfect = measure_set("set", [make_pair(Picture(photo), 2)], PERFECT)
    lines = format_table([perfect]).splitlines()
    assert lines[0].split() == ["data", "scale", "method", "images", "PSNR", "SSIM", "s/image"]
    assert lines[1].split()[:6] == ["set", "x2", "perfect", "1", "inf", "1.0000"]
    assert len(set(map(len, lines))) == 1


def test_equal_images_have_no_psnr_in_json(photo: Array) -> None:
    perfect = measure_set("Set5", [make_pair(Picture(photo), 2)], PERFECT)
    told = json.loads(json.dumps(report([perfect], [], Upscaler(small_model(2))), allow_nan=False))
    assert told["rows"][0]["psnr"] is None
    assert pivot(told["rows"])[1] == [["Set5 x2", "∞ / 1.0000"]]


def test_the_readme_and_the_model_card_show_the_current_results() -> None:
    results = json.loads((weights.BUNDLED / "results.json").read_text(encoding="utf-8"))
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    card = (weights.BUNDLED / "README.md").read_text(encoding="utf-8")
    tables = write_results.measured(results), write_results.peers(results), write_results.hours()
    for text, table in ((page, tables[0]), *((card, table) for table in tables)):
        assert table in text, "run `python -m scripts.write_results`"
