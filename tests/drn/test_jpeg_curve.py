"""The gain for JPEG files: `drn evaluate --variant photo`, the curve, and the script that writes it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drn import weights
from drn.card import read_digests
from drn.degrade import Jpeg
from drn.errors import InputError
from drn.evaluation.jpeg_curve import gains_table, measure_curve, short_table, summary
from drn.image import Array
from drn.metrics import psnr
from drn.resize import downscale, upscale
from drn.upscaler import Upscaler
from scripts import write_results
from scripts.write_jpeg_curve import write_curve
from tests.drn.test_commands import drn
from tests.helpers.models import small_model


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with clean and photo weights for x2, and clean weights for x3."""
    folder = tmp_path / "weights"
    folder.mkdir()
    for scale in (2, 3):
        weights.save(folder / weights.filename(scale), small_model(scale))
    weights.save(folder / weights.filename(2, "photo"), small_model(2, n_feats=24), {"degradation": "photo"})
    return folder


@pytest.fixture
def sets(tmp_path: Path, photo: Array) -> list[Path]:
    """Two test sets; the second has two images."""
    images = {"one/a.png": photo, "two/b.png": photo[::-1], "two/c.png": photo[:, ::-1]}
    for name, image in images.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.ascontiguousarray(image)).save(tmp_path / name)
    return [tmp_path / "one", tmp_path / "two"]


def test_evaluate_adds_a_row_for_the_photo_weights(place: Path, sets: list[Path], photo: Array) -> None:
    words = ("evaluate", "--data", sets[0], "--scale", "2", "--weights", place, "--no-self-ensemble", "--jpeg", "40")
    done = drn(*words, "--variant", "photo", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    lr = Jpeg(40).apply(downscale(photo, 2))
    expected = {"bicubic": upscale(lr, 2)}
    for name, file in (("DRN", "drn_x2.safetensors"), ("DRN photo", "drn_x2_photo.safetensors")):
        expected[name] = Upscaler(weights.load(place / file).model).upscale(lr)
    assert [row["method"] for row in report["rows"]] == list(expected)
    for row in report["rows"]:
        assert row["psnr"] == pytest.approx(psnr(photo, expected[row["method"]], 2), abs=1e-6)
    assert {name: entry["file"] for name, entry in report["weights"].items()} == {
        "x2": "drn_x2.safetensors",
        "x2 photo": "drn_x2_photo.safetensors",
    }
    assert "--variant photo" in report["command"]


def test_evaluate_refuses_scales_without_photo_weights(place: Path, sets: list[Path]) -> None:
    words = ("evaluate", "--data", sets[0], "--variant", "photo", "--weights")
    refused = drn(*words, place, "--scale", "2", "3")
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1] == (
        "error: There are no photo weights for x3: leave out --variant photo, or choose other scales."
    )
    assert "has no effect on the single file" in drn(*words, place / "drn_x2.safetensors", "--scale", "2").stderr


def test_the_curve_is_the_gain_over_bicubic_on_the_same_images(place: Path, sets: list[Path], photo: Array) -> None:
    clean, tuned = ([weights.load(weights.find(2, place, variant))] for variant in ("clean", "photo"))
    curve = measure_curve(sets, clean, tuned, [90, 30])
    assert [(row["data"], row["jpeg"], row["method"]) for row in curve["rows"]] == [
        (data, jpeg, method) for data in ("one", "two") for jpeg in (30, 90, None) for method in ("DRN", "DRN photo")
    ]
    for jpeg, lr in ((30, Jpeg(30).apply(downscale(photo, 2))), (None, downscale(photo, 2))):
        sr = Upscaler(tuned[0].model).upscale(lr)
        (row,) = [
            row for row in curve["rows"] if (row["data"], row["jpeg"], row["method"]) == ("one", jpeg, "DRN photo")
        ]
        assert row["gain"] == pytest.approx(psnr(photo, sr, 2) - psnr(photo, upscale(lr, 2), 2), abs=1e-3)
    with pytest.raises(InputError, match="needs clean and photo weights for every scale"):
        measure_curve(sets, clean, clean, [30])


def curve_of(leads: dict[int | None, float]) -> dict[str, object]:
    """Return a curve of two sets in which DRN photo leads by the given values, up to 0.1 dB more or less."""
    rows = [
        {"data": data, "scale": 4, "jpeg": jpeg, "method": method, "psnr": 30.0, "gain": gain}
        for data, shift in (("Set5", 0.1), ("Set14", -0.1))
        for jpeg, lead in leads.items()
        for method, gain in (("DRN", 1.0), ("DRN photo", 1.0 + lead + shift))
    ]
    return {"rows": rows}


def test_the_table_and_the_sentences() -> None:
    curve = curve_of({30: 0.5, 80: 0.05, 90: -0.05, 100: 0.2, None: -0.3})
    head, rows = gains_table(curve)
    assert head == ["gain over bicubic in dB, Set5 / Set14", "x4 DRN", "x4 DRN photo"]
    assert rows[0] == ["JPEG 30", "+1.00 / +1.00", "+1.60 / +1.40"]
    assert [row[0] for row in rows] == ["JPEG 30", "JPEG 80", "JPEG 90", "JPEG 100", "clean"]
    assert short_table(curve) == (
        ["DRN / DRN photo", "JPEG 30", "JPEG 80", "JPEG 90", "JPEG 100", "clean"],
        [["x4", "+1.00 / +1.50", "+1.00 / +1.05", "+1.00 / +0.95", "+1.00 / +1.20", "+1.00 / +0.70"]],
    )
    assert summary(curve) == [
        "x4: DRN photo is better than DRN up to JPEG quality 80 (+0.50 dB at quality 30, -0.30 dB on clean images)."
    ]
    assert summary(curve_of({30: -0.1, None: 0.0})) == [
        "x4: DRN photo is not better than DRN (-0.10 dB at quality 30, +0.00 dB on clean images)."
    ]


def test_the_script_adds_its_part_to_the_results(place: Path, sets: list[Path]) -> None:
    with pytest.raises(InputError, match=r"There is no .*results\.json: write the output of"):
        write_curve(sets, [2], [50], place)
    measured = {"x2": {"file": "drn_x2.safetensors", "sha256": weights.load(place / "drn_x2.safetensors").sha256}}
    (place / "results.json").write_text(json.dumps({"rows": [], "weights": measured}))
    shown = write_curve(sets, [2], [50], place)
    results = json.loads((place / "results.json").read_text())
    assert results["weights"] == measured
    command = "python -m scripts.write_jpeg_curve --data one two --scale 2 --quality 50"
    assert results["jpeg"]["command"] == command
    page = write_results.jpeg(results)
    assert "| JPEG 50 |" in shown and "x2: DRN photo is" in shown
    assert all(line in page for line in shown.splitlines()) and command in page
    assert write_results.short_jpeg(results).count("\n") == 2
    assert read_digests(place / "results.json") == {
        name: {weights.load(place / name).sha256} for name in ("drn_x2.safetensors", "drn_x2_photo.safetensors")
    }
    with pytest.raises(InputError, match="needs clean and photo weights for every scale"):
        write_curve(sets, [3], [50], place)
