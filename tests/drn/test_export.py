"""Copying the weights of a run into the folder of the released weights."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import torch
from PIL import Image

from drn import weights
from drn.errors import InputError
from drn.image import Array
from drn.training.curve import COLUMNS, read_curve, write_curve
from drn.training.validation import ValidationSets
from drn.upscaler import Upscaler
from scripts.blend_weights import blend
from scripts.export_run import export
from tests.helpers.models import small_model


def run_of(folder: Path, valid_psnr: float, hours: float, **further: str) -> Path:
    """Write the files of a run with two validations into ``folder``; ``further`` are notes in the weights."""
    folder.mkdir()
    notes = {"valid_psnr": f"{valid_psnr:.4f}", "hours": f"{hours}", **further}
    weights.save(folder / weights.filename(2), small_model(2), notes)
    row = {"iteration": 500.0, "hours": hours, "learning_rate": 0.001, "loss": 0.1, "valid_psnr": valid_psnr}
    write_curve(folder / "curve.csv", [row | {"iteration": 250.0, "hours": hours / 2}, row])
    return folder


def test_the_weights_of_a_run_are_released_and_a_second_run_continues_the_curve(tmp_path: Path) -> None:
    target = tmp_path / "weights"
    target.mkdir()
    other = target / weights.filename(3)
    weights.save(other, small_model(3))
    (target / weights.SUMS).write_text(f"{weights.load(other).sha256}  {other.name}\n")
    path = export(run_of(tmp_path / "first", 30.0, 1.0), target, continues=False)
    assert weights.load(path, 2).notes["valid_psnr"] == "30.0000"  # ``load`` checks SHA256SUMS too
    export(run_of(tmp_path / "second", 30.5, 2.0), target, continues=True)
    curve = [(row["iteration"], row["hours"]) for row in read_curve(target / "curve_x2.csv")]
    assert curve == [(250, 0.5), (500, 1.0), (750, 2.0), (1000, 3.0)]
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", weights.SUMS], cwd=target, check=True)
    assert len((target / weights.SUMS).read_text().splitlines()) == 2
    weights.save(other, small_model(3), {"swapped": "yes"})
    export(run_of(tmp_path / "anew", 31.0, 4.0), target, continues=False)
    with pytest.raises(InputError, match=r"drn_x3\.safetensors is not the file that SHA256SUMS beside it lists"):
        weights.load(other)
    assert [row["hours"] for row in read_curve(target / "curve_x2.csv")] == [2.0, 4.0]


def test_a_run_for_photographs_becomes_photo_weights(tmp_path: Path) -> None:
    target = tmp_path / "weights"
    target.mkdir()
    clean = export(run_of(tmp_path / "first", 30.0, 1.0), target, continues=False)
    before = clean.read_bytes()
    photo = export(run_of(tmp_path / "photo", 27.0, 0.5, degradation="photo"), target, continues=False)
    assert (photo.name, weights.load(photo).variant) == ("drn_x2_photo.safetensors", "photo")
    assert clean.read_bytes() == before
    names = {"drn_x2.safetensors", "drn_x2_photo.safetensors", "curve_x2.csv", "curve_x2_photo.csv", weights.SUMS}
    assert {path.name for path in target.iterdir()} == names
    assert [row["valid_psnr"] for row in read_curve(target / "curve_x2_photo.csv")] == [27.0, 27.0]
    assert list(weights.read_sums(target)) == ["drn_x2.safetensors", "drn_x2_photo.safetensors"]


def test_weights_validated_on_other_images_are_measured_on_the_same_images(tmp_path: Path, photo: Array) -> None:
    target, valid = tmp_path / "weights", tmp_path / "crops"
    target.mkdir()
    valid.mkdir()
    Image.fromarray(photo).save(valid / "a.png")
    # The files state the PSNR of different images, so only the measurement shows which weights are better.
    released = weights.load(export(run_of(tmp_path / "first", 35.0, 1.0), target, continues=False))
    run = run_of(tmp_path / "second", 33.0, 0.5)
    write_curve(run / "curve.csv", [row | {"valid_psnr_crops": 34.0} for row in read_curve(run / "curve.csv")])
    better = weights.load(run / weights.filename(2))
    with torch.no_grad():
        for parameter in better.model.tail.parameters():
            parameter.mul_(0)  # the enlarged input alone, which is better than random weights
    weights.save(better.path, better.model, better.notes)
    sets = ValidationSets((valid,), 2)
    psnr, before = (sets.measure(Upscaler(file.model))["crops"] for file in (better, released))
    assert psnr > before
    with pytest.raises(InputError, match=r"33\.000 dB, and drn_x2\.safetensors in .* 35\.000 dB"):
        export(run, target, True)
    with pytest.raises(InputError, match=r"was not validated on a folder 'others'"):
        export(run, target, True, [valid], "others")
    path = export(run, target, True, [valid], "crops")
    assert path.read_bytes() == better.path.read_bytes()
    assert [row["valid_psnr"] for row in read_curve(target / "curve_x2.csv")] == [35.0, 35.0, 34.0, 34.0]
    assert set(read_curve(target / "curve_x2.csv")[-1]) == set(COLUMNS)
    export(run_of(tmp_path / "first again", 36.0, 1.0), target, continues=False)  # what the files state
    with pytest.raises(InputError, match=f"{before:.3f} dB"):
        export(tmp_path / "first", target, False, [valid])


def test_weights_that_are_not_better_are_refused(tmp_path: Path) -> None:
    target = tmp_path / "weights"
    target.mkdir()
    export(run_of(tmp_path / "first", 30.0, 1.0), target, continues=False)
    before = {path.name: path.read_bytes() for path in target.iterdir()}
    with pytest.raises(
        InputError,
        match=r"worse has a validation PSNR of 29\.900 dB, and drn_x2\.safetensors in .* 30\.000 dB: train for longer",
    ):
        export(run_of(tmp_path / "worse", 29.9, 1.0), target, continues=True)
    assert {path.name: path.read_bytes() for path in target.iterdir()} == before
    weights.save(tmp_path / "worse" / weights.filename(2), small_model(2))
    with pytest.raises(InputError, match=r"worse/drn_x2\.safetensors does not state its validation PSNR"):
        export(tmp_path / "worse", target, continues=True)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no weights for x2"):
        export(tmp_path / "empty", target, continues=False)


def test_blended_weights_are_a_weighted_mean(tmp_path: Path, photo: Array) -> None:
    run, released = run_of(tmp_path / "run", 30, 0.5, degradation="photo"), run_of(tmp_path / "released", 31, 1)
    for folder, value in ((run, 3.0), (released, 1.0)):
        file = weights.load(folder / weights.filename(2))
        for parameter in file.model.parameters():
            torch.nn.init.constant_(parameter, value)
        weights.save(file.path, file.model, file.notes)
    Image.fromarray(photo).save(tmp_path / "valid.png")
    valid = [tmp_path]
    blended = weights.load(blend(run, 0.25, tmp_path / "out", valid, released))
    assert all(torch.all(parameter == 1.5) for parameter in blended.model.parameters())
    assert blended.variant == "photo"
    assert blended.notes["share"] == "0.25"
    assert float(blended.notes["valid_psnr"]) == pytest.approx(
        ValidationSets((tmp_path,), 2, "photo").measure(Upscaler(blended.model))[tmp_path.name], abs=1e-4
    )
    target = tmp_path / "weights"
    target.mkdir()
    assert export(tmp_path / "out", target, False).name == "drn_x2_photo.safetensors"
    with pytest.raises(InputError, match="above 0 and below 1"):
        blend(run, 1.0, tmp_path / "out", valid, released)
    with pytest.raises(InputError, match="would replace those of the run"):
        blend(run, 0.5, run, valid, released)
