"""Results that visitors add to a comparison: sizes, names, limits, and access to their files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app import own_results
from app.figures import store_figure
from app.own_results import add_own, fit, rename_own
from app.scene import numbers_of, scene_of
from app.serving.jobs import deadline
from app.serving.limits import MAX_OWN, MAX_OWN_NAME
from app.session import Session, compute
from app.viewer.component import scene_value
from drn.errors import InputError
from drn.evaluation.methods import Method
from drn.evaluation.pairs import make_pair, whole_rect
from drn.image import Array, Picture
from drn.metrics import psnr
from drn.upscaler import Upscaler
from tests.helpers.jobs import result_of
from tests.helpers.models import small_model


@pytest.fixture
def session(photo: Array) -> Session:
    picture = Picture(photo[:59, :82])  # at x3 it is cropped to 81x57
    return Session(picture, "1" * 16, (make_pair(picture, 3, "baby"),), name="baby")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> dict[str, Array]:
    """Path -> pixels of each upload; replaces the upload route and the decoders."""
    uploads: dict[str, Array] = {}

    def read(path: str, *_: object) -> Any:
        yield 0, 1
        return Picture(uploads[path])

    monkeypatch.setattr(own_results, "read_upload", read)
    return uploads


def add(session: Session, path: str) -> Session:
    return result_of(add_own(session, path, deadline()))


def test_a_result_is_scored_by_the_protocol(session: Session, photo: Array, sent: dict[str, Array]) -> None:
    sent["/a/IMDN.png"] = np.clip(photo[:59, :82].astype(int) + 5, 0, 255).astype(np.uint8)
    sent["/b/cropped.png"] = sent["/a/IMDN.png"][:57, :81]
    session = add(add(session, "/a/IMDN.png"), "/b/cropped.png")
    assert session.own == {"own-1": "IMDN", "own-2": "cropped"}
    expected = psnr(sent["/b/cropped.png"], photo[:57, :81], 3)
    for key in session.own:
        assert session.results[3, key].whole.psnr == pytest.approx(expected, abs=1e-9)
    numbers = numbers_of(session, whole_rect(session.pairs[0]))
    assert numbers["scores"]["own-1"]["seconds"] is None
    assert [layer.name for layer in scene_of(session).layers if layer.key.startswith("own")] == ["IMDN", "cropped"]
    assert [layer.name for layer in scene_of(session).layers if layer.key == "error-own-2"] == ["cropped error"]
    assert Path(store_figure(session, whole_rect(session.pairs[0]))).is_file()


@pytest.mark.parametrize("size", [(58, 82), (59, 81), (118, 164), (19, 27), (60, 83)])
def test_a_result_of_another_size_gets_one_sentence_with_both_sizes(session: Session, size: tuple[int, int]) -> None:
    with pytest.raises(InputError) as refused:
        fit(np.zeros((*size, 3), np.uint8), session.picture.rgb, session.pairs[0], "mine.png")
    assert str(refused.value) == (
        f"mine.png has {size[1]}x{size[0]} pixels, and the original at x3 has 81x57: choose a result of that size."
    )


def test_the_number_of_results_and_their_names_are_limited(session: Session, sent: dict[str, Array]) -> None:
    for folder in range(MAX_OWN):
        path = f"/{folder}/{'DRN' if folder < 2 else 'x' * 190}.png"
        sent[path] = session.picture.rgb
        session = add(session, path)
    assert len({name.lower() for name in (*session.shown, *session.own.values())}) == 2 + 2 * MAX_OWN
    assert all(len(name) <= MAX_OWN_NAME for name in session.own.values())
    with pytest.raises(InputError, match=f"already has {MAX_OWN} results of yours"):
        add(session, "/0/DRN.png")


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["a", "A"], "Two methods have the name A: give each its own."),
        (["a", "Ground truth"], "Two methods have the name Ground truth: give each its own."),
        (["Bicubic", "b"], "Two methods have the name Bicubic: give each its own."),
        (["a"], "There are 2 results of yours: write one name for each, each on its own line."),
        (["a", "b", "c"], "There are 2 results of yours: write one name for each, each on its own line."),
        (["a", " \u202e "], "The name of a result must have 1 to 32 characters: change it."),
        (["a", "b" * 33], "The name of a result must have 1 to 32 characters: change it."),
    ],
)
def test_names_that_cannot_be_used(session: Session, sent: dict[str, Array], names: list[str], sentence: str) -> None:
    sent["/a/x.png"] = sent["/a/y.png"] = session.picture.rgb
    session = add(add(session, "/a/x.png"), "/a/y.png")
    with pytest.raises(InputError) as refused:
        rename_own(session, names)
    assert str(refused.value) == sentence


def test_new_names_and_no_names(session: Session, sent: dict[str, Array]) -> None:
    sent["/a/x.png"] = sent["/a/y.png"] = session.picture.rgb
    both = add(add(session, "/a/x.png"), "/a/y.png")
    assert list(rename_own(both, ["y", " a\u200b\tb "]).own.values()) == ["y", "a b"]
    removed = rename_own(both, [])
    assert (removed.own, removed.own_token, removed.results) == ({}, "", session.results)
    assert removed.token != both.token


def test_results_of_two_visitors_share_no_files(session: Session, sent: dict[str, Array]) -> None:
    sent["/a/x.png"] = session.picture.rgb
    files: list[set[str]] = []
    for _ in range(2):
        value = scene_value(scene_of(add(session, "/a/x.png")))
        files.append({image["file"]["path"] for image in value["images"] if image["file"]})
    assert not files[0] & files[1]


def test_a_further_method_without_a_result_leaves_the_others(session: Session) -> None:
    def fails(*_: object, **__: object) -> Array:
        raise InputError("The folder /srv/secret holds no result for baby.")

    def truth(pair: Any, *_: object, **__: object) -> Array:
        return np.asarray(pair.hr)

    further = (Method("absent", "results", fails), Method("LR", "the same", truth))
    upscaler = Upscaler(small_model(3), "cpu", "fp32")
    opened = replace(session, further=further)
    *_, done = filter(None, compute(opened, lambda _: upscaler, self_ensemble=False))
    assert done.settled
    assert done.shown == ["bicubic", "DRN", "LR"]
    scene = scene_of(done)
    assert scene.hint == "absent has no result for this photograph."
    assert [layer.key for layer in scene.layers[:5]] == ["lr", "bicubic", "drn", "further-2", "truth"]
