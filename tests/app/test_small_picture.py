"""The choice how the small picture is made: bicubic, or bicubic and then JPEG."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import pytest
from PIL import Image

from app.engines import ServedWeights
from app.figures import store_figure
from app.links import link_query, open_link
from app.options import PageOptions
from app.photographs import examples
from app.scene import numbers_of, scene_of
from app.session import DEGRADATIONS, at_every_scale, compute, open_example, with_another_pair
from drn.degrade import Jpeg
from drn.errors import InputError
from drn.evaluation.pairs import whole_rect
from drn.image import Array, mod_crop
from drn.metrics import psnr, ssim
from drn.reading import read_image
from drn.resize import downscale, upscale
from drn.upscaler import Upscaler
from tests.app.test_storage import Visitor
from tests.helpers.models import small_model

VIEW = {"x": "100", "y": "80", "zoom": "2", "layout": "side"}


@pytest.fixture(scope="module")
def page_options(photo_place: Path) -> PageOptions:
    return PageOptions(weights=str(photo_place))


@pytest.fixture
def cat() -> Path:
    return next(path for path in examples() if path.stem == "cat")


def stored(lr: Array, quality: int) -> Array:
    """Store an image as JPEG by Pillow, whose default is 4:2:0, and read it again."""
    file = io.BytesIO()
    Image.fromarray(lr).save(file, "JPEG", quality=quality)
    with Image.open(file) as image:
        return np.array(image)


@pytest.mark.parametrize("quality", [90, 75, 50])
def test_the_numbers_are_those_of_pillows_jpeg(cat: Path, quality: int) -> None:
    upscaler = Upscaler(small_model(4), "cpu", "fp32")
    *_, done = filter(
        None, compute(open_example(cat, 4, DEGRADATIONS[str(quality)]), lambda _: upscaler, self_ensemble=False)
    )
    hr = mod_crop(read_image(cat).rgb, 4)
    lr = stored(downscale(hr, 4), quality)
    scores = numbers_of(done, whole_rect(done.pairs[0]))["scores"]
    for key, sr in {"bicubic": upscale(lr, 4), "drn": upscaler.upscale(lr)}.items():
        assert scores[key]["whole"]["psnr"]["text"] == f"{psnr(sr, hr, 4):.2f} dB"
        assert scores[key]["whole"]["ssim"]["text"] == f"{ssim(sr, hr, 4):.4f}"
    scene = scene_of(done)
    assert np.array_equal(scene.layers[0].pixels, lr)  # type: ignore[arg-type]
    assert scene.degradation == f"JPEG {quality}"
    assert "outside the benchmark protocol" in scene.hint


def test_bicubic_alone_is_the_protocol(cat: Path) -> None:
    session = open_example(cat, 4, DEGRADATIONS["bicubic"])
    assert np.array_equal(session.pairs[0].lr, downscale(mod_crop(read_image(cat).rgb, 4), 4))
    assert (scene_of(session).degradation, scene_of(session).hint) == ("", "")


def test_every_scale_has_the_same_degradation(cat: Path) -> None:
    session = at_every_scale(replace(open_example(cat, 4, DEGRADATIONS["50"]), scales=(2, 4)))
    assert [pair.scale for pair in session.pairs] == [4, 2]
    hr = mod_crop(read_image(cat).rgb, 2)
    assert np.array_equal(session.pairs[1].lr, Jpeg(50).apply(downscale(hr, 2)))
    assert scene_of(session).degradation == "JPEG 50"


def test_results_of_another_degradation_are_not_kept(cat: Path) -> None:
    upscalers = {scale: Upscaler(small_model(scale), "cpu", "fp32") for scale in (2, 3)}
    opened = replace(open_example(cat, 3, DEGRADATIONS["50"]), scales=(2, 3))
    *_, done = filter(None, compute(at_every_scale(opened), upscalers.__getitem__, False))
    assert set(with_another_pair(done, 2, DEGRADATIONS["50"]).results) == set(done.results)
    changed = with_another_pair(done, 3, DEGRADATIONS["90"])
    assert (changed.results, [pair.scale for pair in changed.pairs]) == ({}, [3])
    assert changed.degradation == DEGRADATIONS["90"]


@pytest.mark.parametrize("made", list(DEGRADATIONS))
def test_a_link_keeps_the_choice(cat: Path, made: str) -> None:
    query = link_query(open_example(cat, 3, DEGRADATIONS[made]))
    assert query is not None
    params = {name: value for name, (value,) in parse_qs(query).items()}
    assert params.get("jpeg", "bicubic") == made
    opened = open_link({**params, **VIEW}, examples(), [2, 3, 4])
    assert (opened.degradation, opened.made) == (DEGRADATIONS[made], made)
    assert link_query(opened) == query


@pytest.mark.parametrize("value", ["", "60", "75.0", "075", " 75", "-75", "JPEG 75", "७५", "1e2", "9" * 400])
def test_a_link_with_another_quality_is_refused(value: str) -> None:
    with pytest.raises(InputError, match="names an image, a scale, a JPEG quality or a view that does not exist here"):
        open_link({"image": "cat", "scale": "4", "jpeg": value, **VIEW}, examples(), [4])


def test_the_figure_and_its_name_tell_the_degradation(
    cat: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    upscaler = Upscaler(small_model(3), "cpu", "fp32")
    names: list[str] = []

    def store(name: str, write: Callable[[Path], object]) -> Path:
        names.append(name)
        write(tmp_path / name)
        return tmp_path / name

    monkeypatch.setattr("app.figures.store_result", store)
    for made in ("bicubic", "75"):
        *_, done = filter(
            None, compute(open_example(cat, 3, DEGRADATIONS[made]), lambda _: upscaler, self_ensemble=False)
        )
        store_figure(done, whole_rect(done.pairs[0]))
    assert names == ["cat_x3_figure.png", "cat_x3_JPEG75_figure.png"]


def test_photo_weights_are_found_by_scale(photo_place: Path) -> None:
    served = ServedWeights(str(photo_place))
    found = served.photo_for(2)
    assert found is served.choose(2, "photo", None).upscaler
    assert served.photo_for(3) is None
    assert ServedWeights(str(photo_place / "drn_x2.safetensors")).photo_for(2) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scale", "made", "shown"),
    [
        ("2", "75", ["lr", "bicubic", "drn", "drn-photo", "truth"]),
        ("3", "75", ["lr", "bicubic", "drn", "truth"]),
        ("2", "bicubic", ["lr", "bicubic", "drn", "truth"]),
    ],
)
def test_drn_photo_is_a_method_of_jpegs_if_there_are_photo_weights(
    url: str, scale: str, made: str, shown: list[str], photo_place: Path
) -> None:
    scene = chosen(url, scale, made)
    assert [image["key"] for image in scene["images"] if image["shown"]] == shown
    assert [image["key"] for image in scene["images"] if "error" in image["key"]] == [
        f"error-{key}" for key in shown if key not in ("lr", "truth")
    ]
    assert all(image["file"] for image in scene["images"] if image["scale"] == int(scale))


def chosen(url: str, scale: str, made: str) -> dict[str, Any]:
    """Choose a scale and how the small picture is made; return the last scene."""
    visitor = Visitor(url)
    visitor.send(visitor.index("lambda"), [])
    note = visitor.index("note_options")
    assert visitor.send(note, [1.0, False, scale, False, made])["success"]
    shown = visitor.shown(visitor.index("show_options", after=note), [None])
    visitor.web.close()
    scenes: list[dict[str, Any]] = [values[1] for values in shown if "images" in values[1]]
    return scenes[-1]


@pytest.mark.slow
@pytest.mark.parametrize("value", ["60", "0", 75, 75.0, "", None, True, "../90", ["75"], {"quality": 75}])
def test_no_event_takes_another_value(url: str, value: object) -> None:
    visitor = Visitor(url)
    assert not visitor.send(visitor.index("note_options"), [1.0, False, "2", False, value])["success"]
    visitor.web.close()
