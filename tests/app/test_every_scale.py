"""The comparison of a photograph at every scale."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from app.links import open_link
from app.photographs import examples
from app.scene import numbers_of, scene_of
from app.session import Session, at_every_scale, compute, with_another_pair
from app.viewer.component import scene_value
from drn.degrade import CLEAN
from drn.evaluation.comparison import measure
from drn.evaluation.methods import builtin_methods
from drn.evaluation.pairs import make_pair, whole_rect
from drn.geometry import Rect
from drn.image import Array, Picture
from drn.upscaler import Upscaler
from tests.helpers.models import small_model

UPSCALERS = {scale: Upscaler(small_model(scale), "cpu", "fp32") for scale in (2, 3, 4)}


@pytest.fixture
def session(photo: Array) -> Session:
    """A comparison at x3 of a photograph whose sides no scale divides."""
    picture = Picture(photo[:59, :83])
    return Session(picture, "p", (make_pair(picture, 3),), scales=(2, 3, 4))


def computed(session: Session) -> Session:
    *_, last = filter(None, compute(session, UPSCALERS.__getitem__, self_ensemble=session.self_ensemble))
    return last


def test_each_scale_has_the_scores_of_a_comparison_at_that_scale_alone(session: Session) -> None:
    every = computed(at_every_scale(session))
    assert every.settled
    region = Rect(8, 5, 40, 30)
    found = numbers_of(every, region)["scores"]
    assert sorted(found) == ["bicubic", "bicubic-x2", "bicubic-x4", "drn", "drn-x2", "drn-x4"]
    for scale, suffix in ((2, "-x2"), (3, ""), (4, "-x4")):
        pair = make_pair(session.picture, scale)
        for method in builtin_methods(UPSCALERS[scale], self_ensemble=False):
            whole = measure(pair, method).whole
            assert every.results[scale, method.name].whole == whole
            assert found[method.name.lower() + suffix]["whole"]["psnr"]["text"] == f"{whole.psnr:.2f} dB"
        alone = computed(Session(session.picture, "p", (pair,)))
        own = numbers_of(alone, region)["scores"]
        assert {key: found[key + suffix]["region"] for key in own} == {key: own[key]["region"] for key in own}


def test_the_scene_shows_the_original_once_and_the_part_that_all_scales_have(session: Session) -> None:
    scene = scene_of(at_every_scale(session))
    assert [layer.key for layer in scene.layers] == [
        "lr", "bicubic", "drn", "truth", "lr-x2", "bicubic-x2", "drn-x2", "lr-x4", "bicubic-x4", "drn-x4"
    ]  # fmt: skip
    assert (scene.width, scene.height) == (81, 57)
    value = scene_value(scene)
    assert (value["shared_width"], value["shared_height"]) == (80, 56)  # of 82x58, 81x57 and 80x56
    assert [image["key"] for image in value["images"] if image["shown"]] == ["lr", "bicubic", "drn", "truth"]
    for layer in scene.layers:
        if layer.role == "small":
            pair = make_pair(session.picture, layer.scale)
            assert layer.pixels is not None
            assert np.array_equal(layer.pixels, pair.lr)


def test_before_the_other_scales_are_wanted_they_have_places_and_no_work(session: Session) -> None:
    one = computed(session)
    assert one.settled
    assert {scale for scale, _ in one.results} == {3}
    missing = [layer.key for layer in scene_of(one).layers if layer.pixels is None]
    assert missing == ["lr-x2", "bicubic-x2", "drn-x2", "lr-x4", "bicubic-x4", "drn-x4"]
    every = at_every_scale(one)
    assert not every.settled
    assert every.nbytes > one.nbytes
    steps = [step.results for step in filter(None, compute(every, UPSCALERS.__getitem__, self_ensemble=False))]
    new = [[key for key in after if key not in before] for before, after in itertools.pairwise([one.results, *steps])]
    assert new == [[(2, "bicubic")], [(4, "bicubic")], [(2, "DRN")], [(4, "DRN")]]


def test_another_scale_keeps_the_results_of_every_scale_and_nothing_else(session: Session) -> None:
    every = computed(at_every_scale(session))
    added = {**every.results, (3, "own-1"): every.results[3, "DRN"]}
    session = with_another_pair(
        replace(every, results=added, own={"own-1": "mine"}, lacking=frozenset({"x"})), 2, CLEAN
    )
    assert [pair.scale for pair in session.pairs] == [2, 3, 4]
    assert set(session.results) == set(every.results)
    assert (session.own, session.lacking, session.every_scale) == ({}, frozenset(), False)
    again = with_another_pair(computed(replace(session, pairs=session.pairs[:1], results={})), 4, CLEAN)
    assert [pair.scale for pair in again.pairs] == [4]  # one scale was compared, so only the new one is
    assert again.results == {}


def test_drn_plus_is_in_the_rows_only_if_it_is_chosen(session: Session) -> None:
    plus = computed(at_every_scale(replace(session, self_ensemble=True)))
    keys = {layer.key for layer in scene_of(plus).layers if layer.role == "method"}
    assert {"drn+", "drn+-x2", "drn+-x4"} <= keys
    without = replace(plus, self_ensemble=False)
    assert not [layer.key for layer in scene_of(without).layers if "+" in layer.key and "error" not in layer.key]
    assert not [key for key in numbers_of(without, whole_rect(without.pairs[0]))["scores"] if "+" in key]


@pytest.mark.parametrize(("layout", "every_scale"), [("scales", True), ("side", False)])
def test_a_link_asks_for_every_scale_by_its_layout(layout: str, every_scale: bool) -> None:
    query = {"image": "cat", "scale": "3", "layout": layout, "x": "50", "y": "40", "zoom": "2"}
    assert open_link(query, examples(), (2, 3, 4)).every_scale is every_scale
