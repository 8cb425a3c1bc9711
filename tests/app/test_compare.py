"""Sessions, their scores, scenes and maps."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import cv2
import gradio as gr
import numpy as np
import pytest
from PIL import Image

from app.choices import NewestChoices
from app.photographs import examples, thumbnail
from app.scene import numbers_of, scene_of
from app.session import Session, compute, open_example
from app.shelf import Shelf
from app.tabs.compare_handlers import CompareHandlers
from app.updates import compute_and_show
from app.viewer.component import Scene, scene_value
from drn.errors import InputError
from drn.evaluation import methods
from drn.evaluation.benchmark import measure_set
from drn.evaluation.comparison import (
    Score,
    added_map,
    best,
    error_map,
    format_psnr,
    format_ssim,
    measure,
    score,
)
from drn.evaluation.pairs import Pair, make_pair, whole_rect
from drn.geometry import Rect
from drn.image import Array, Picture
from drn.metrics import psnr, rgb_to_y, ssim
from drn.reading import read_image
from drn.resize import upscale
from drn.upscaler import Upscaler
from tests.helpers.models import small_model


@pytest.fixture(scope="module")
def upscaler() -> Upscaler:
    return Upscaler(small_model(3), "cpu", "fp32")


@pytest.fixture
def pair(photo: Array) -> Pair:
    return make_pair(Picture(photo), 3)


def test_the_whole_image_scores_as_in_the_tables(photo: Array, upscaler: Upscaler) -> None:
    for picture in (Picture(photo), Picture(photo[..., :1].repeat(3, 2), is_grey=True)):
        pair = make_pair(picture, 3)
        row = measure_set("set", [pair], methods.drn(upscaler))
        result = measure(pair, methods.drn(upscaler))
        assert result.whole.psnr == pytest.approx(row.psnr, abs=1e-9)
        assert result.whole.ssim == pytest.approx(row.ssim, abs=1e-9)
        assert score(pair, result.sr, whole_rect(pair)) == result.whole


def test_methods(pair: Pair, upscaler: Upscaler) -> None:
    results = {
        method.name: measure(pair, method).sr for method in methods.builtin_methods(upscaler, self_ensemble=True)
    }
    assert list(results) == methods.builtin_names(self_ensemble=True) == ["bicubic", "DRN", "DRN+"]
    assert np.array_equal(results["bicubic"], upscale(pair.lr, 3))
    assert np.array_equal(results["DRN"], upscaler.upscale(pair.lr))
    assert np.array_equal(results["DRN+"], upscaler.upscale(pair.lr, self_ensemble=True))


@pytest.mark.parametrize(
    ("region", "counted"),
    [
        (Rect(20, 30, 24, 18), np.s_[30:48, 20:44]),
        (Rect(0, 0, 20, 16), np.s_[3:16, 3:20]),
        (Rect(60, 40, 24, 20), np.s_[40:57, 60:81]),
        (Rect(-50, -9, 10_000, 10_000), np.s_[3:57, 3:81]),
    ],
)
def test_a_region_is_scored_without_the_images_border(
    photo: Array, pair: Pair, region: Rect, counted: tuple[slice, slice]
) -> None:
    sr = upscale(pair.lr, 3)
    found = score(pair, sr, region)
    assert found.psnr == pytest.approx(psnr(sr[counted], photo[counted], 0))
    assert found.ssim == pytest.approx(ssim(sr[counted], photo[counted], 0))


def test_a_score_that_cannot_be_measured_is_shown_as_a_dash(pair: Pair) -> None:
    sr = upscale(pair.lr, 3)
    assert score(pair, sr, Rect(0, 0, 3, 3)) == Score(None, None)
    for beside in (Rect(500, 20, 30, 30), Rect(-50, 5, 20, 20), Rect(5, -50, 20, 20)):
        assert score(pair, sr, beside) == Score(None, None)
    assert (format_psnr(Score(None, None)), format_ssim(Score(None, None))) == ("–", "–")
    small = score(pair, sr, Rect(20, 20, 9, 30))
    assert small.psnr is not None
    assert small.ssim is None
    assert format_psnr(score(pair, pair.hr, whole_rect(pair))) == "∞ dB"


def test_maps(pair: Pair) -> None:
    hr = np.full((9, 9, 3), 100, np.uint8)
    sr = hr.copy()
    sr[4, 4] = 110  # 10 levels of full-range grey are 8.6 of limited-range luma: 102 to 110
    sr[0, 0] = 255
    flat = Pair(hr, hr[:3, :3], 3, False)
    ramp = cv2.applyColorMap(np.arange(256, dtype=np.uint8), cv2.COLORMAP_INFERNO).reshape(256, 3)[:, ::-1]
    coloured = error_map(flat, sr)
    step = int(rgb_to_y(sr)[4, 4] - rgb_to_y(hr)[4, 4])
    assert step in (8, 9)
    assert coloured[8, 8].tolist() == ramp[0].tolist()
    assert coloured[4, 4].tolist() == ramp[int(step * 255 / 32)].tolist()
    assert coloured[0, 0].tolist() == ramp[255].tolist()
    added = added_map(hr, sr)
    assert added[8, 8].tolist() == [128] * 3
    assert added[4, 4].tolist() == [128 + 4 * step] * 3
    assert added_map(sr, hr)[0, 0].tolist() == [0] * 3


def test_each_new_result_gives_the_session_a_new_token(photo: Array, upscaler: Upscaler) -> None:
    session = Session(Picture(photo), "p", (make_pair(Picture(photo), 3),))
    steps = list(filter(None, compute(session, lambda scale: upscaler, self_ensemble=True)))
    assert [[method for _, method in step.results] for step in steps] == [
        ["bicubic"],
        ["bicubic", "DRN"],
        ["bicubic", "DRN", "DRN+"],
    ]
    assert len({session.token, *(step.token for step in steps)}) == 4
    assert not list(compute(steps[-1], lambda scale: upscaler, self_ensemble=False))


def test_a_scene_has_a_place_for_results_that_are_not_computed_yet(photo: Array, upscaler: Upscaler) -> None:
    session = Session(Picture(photo), "p", (make_pair(Picture(photo), 3),))
    bicubic, both = filter(None, compute(session, lambda scale: upscaler, self_ensemble=False))
    waiting = {layer.key: layer.pixels is not None for layer in scene_of(bicubic).layers}
    assert waiting == {"lr": True, "bicubic": True, "drn": False, "truth": True, "error-bicubic": True}
    complete = scene_of(both)
    keys = [layer.key for layer in complete.layers]
    assert keys == ["lr", "bicubic", "drn", "truth", "error-bicubic", "error-drn", "added"]
    value = scene_value(complete)
    for image, layer in zip(value["images"], complete.layers, strict=True):
        assert image["file"] is not None
        with Image.open(image["file"]["path"]) as stored:
            assert stored.format == "WEBP"
            assert layer.pixels is not None
            assert np.array_equal(np.asarray(stored), layer.pixels)


def test_numbers_mark_the_best(photo: Array, upscaler: Upscaler) -> None:
    session = Session(Picture(photo), "p", (make_pair(Picture(photo), 3),))
    *_, session = filter(None, compute(session, lambda scale: upscaler, self_ensemble=False))
    region = Rect(12, 9, 30, 30)
    found = numbers_of(session, region)
    assert found["token"] == session.token
    values = {
        key: score(session.pairs[0], session.results[3, name].sr, region)
        for key, name in (("bicubic", "bicubic"), ("drn", "DRN"))
    }
    psnrs, ssims = ([getattr(value, name) for value in values.values()] for name in ("psnr", "ssim"))
    for key, value in values.items():
        shown = found["scores"][key]["region"]
        assert shown == {
            "psnr": {"text": f"{value.psnr:.2f} dB", "best": value.psnr == max(psnrs)},
            "ssim": {"text": f"{value.ssim:.4f}", "best": value.ssim == max(ssims)},
        }
    # A result that is not shown is not marked as the best.
    known = replace(session, results=session.results | {(3, "DRN+"): session.results[3, "DRN"]})
    assert "drn+" not in numbers_of(known, region)["scores"]
    assert "drn+" in numbers_of(replace(known, self_ensemble=True), region)["scores"]


def test_equal_scores_are_both_the_best() -> None:
    assert best({"a": math.inf, "b": math.inf, "c": 30.0}) == {"a", "b"}
    assert best({"a": 0.9, "b": None, "c": 0.8}) == {"a"}
    assert best({"a": 0.9, "b": None}) == set()  # nothing to compare it with


def test_a_result_that_cannot_be_stored_is_shown_as_failed(
    photo: Array, upscaler: Upscaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    def store(scene: Scene) -> dict[str, Any]:
        if any(layer.key == "drn" and layer.pixels is not None for layer in scene.layers):
            raise OSError(28, "No space left on device")
        return {"token": scene.token, "failed": scene.failed}

    monkeypatch.setattr("app.updates.scene_value", store)
    session = Session(Picture(photo), "p", (make_pair(Picture(photo), 3),))
    shelf = Shelf(session)
    shown: list[Any] = []
    with pytest.raises(gr.Error, match="cannot store files"):
        for one in compute_and_show(session, shelf, None, lambda scale: upscaler, self_ensemble=False):
            shown.append(one)
    key, value = [one for one in shown if isinstance(one[0], str)][-1]
    kept = shelf.get(key)
    assert value == {"token": kept.token, "failed": True}
    assert [method for _, method in kept.results] == ["bicubic"]


def test_the_next_page_starts_with_a_complete_comparison_even_if_its_visitor_leaves_at_the_last_update(
    photo: Array, upscaler: Upscaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Session(Picture(photo), "p", (make_pair(Picture(photo), 3),))
    shelf = Shelf(first, "old")
    handlers = CompareHandlers((), (3,), shelf, lambda scale: upscaler, NewestChoices(), lambda scale: None)
    with monkeypatch.context() as failing:
        failing.setattr(Upscaler, "upscale", Mock(side_effect=InputError("The tile failed.")))
        with pytest.raises(gr.Error, match="The tile failed"):
            list(handlers._compute_anew(Shelf.FIRST, "new"))
    assert (shelf.get(Shelf.FIRST), shelf.weights_key) == (first, "old")
    updates = handlers._compute_anew(Shelf.FIRST, "new")
    key = next(key for key, _ in updates if isinstance(key, str))
    assert shelf.weights_key == "old"  # the results are still missing
    while not shelf.get(key).settled:
        next(updates)
    # The visitor leaves here: nothing asks for what comes after the last update.
    assert (shelf.get(Shelf.FIRST), shelf.weights_key) == (shelf.get(key), "new")


def test_images_of_another_folder_are_added_to_the_examples(
    photo: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundled = examples()
    monkeypatch.setenv("DRN_EXAMPLES", str(tmp_path))
    with pytest.raises(InputError, match="holds no images"):
        examples()
    for name in ("mine.png", "astronaut.png"):  # the second one is ignored, because links name images by their stem
        Image.fromarray(photo).save(tmp_path / name)
    (tmp_path / "sub").mkdir()
    Image.fromarray(photo).save(tmp_path / "sub" / "mine.png")
    assert examples() == [*bundled, tmp_path / "mine.png"]
    assert thumbnail(tmp_path / "mine.png").shape == photo.shape
    assert max(thumbnail(bundled[0]).shape) == 320


def test_there_are_six_large_examples_with_credits() -> None:
    paths = examples()
    assert len(paths) >= 6
    credits = (paths[0].parent / "CREDITS.md").read_text(encoding="utf-8")
    for path in paths:
        assert path.name in credits
        assert min(read_image(path).rgb.shape[:2]) >= 240


def test_photographs_that_cannot_be_compared_are_refused(tmp_path: Path, photo: Array) -> None:
    Image.fromarray(photo[:10]).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="smaller than 16 pixels"):
        open_example(tmp_path / "a.png", 2)
    Image.new("L", (3000, 2000)).save(tmp_path / "b.png")
    with pytest.raises(InputError, match=r"3000x2000: the limit here is 4\.00 megapixels"):
        open_example(tmp_path / "b.png", 2)
