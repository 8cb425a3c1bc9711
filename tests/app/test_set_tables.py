"""Whole test sets on the page: scores, and measurements that are kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gradio as gr
import pytest

from app.photographs import examples
from app.serving.jobs import deadline
from app.set_tables import SetTables, named_sets
from app.tabs.set_table import SetTableHandlers, image_table
from drn.errors import InputError
from drn.evaluation.benchmark import means, measure_folder
from drn.evaluation.methods import Method, builtin_methods, drn
from drn.evaluation.pairs import Pair
from drn.image import Array, Picture
from drn.upscaler import OnTile, Upscaler
from drn.writing import write_image
from tests.helpers.models import small_model


@pytest.fixture
def folder(photo: Array, tmp_path: Path) -> Path:
    """A test set of two images, and a third image that is too small to measure at x3."""
    (tmp_path / "Set2").mkdir()
    for name, pixels in {"a": photo, "b": photo[::-1], "tiny": photo[:16, :16]}.items():
        write_image(tmp_path / "Set2" / f"{name}.png", Picture(pixels))
    return tmp_path / "Set2"


def test_the_numbers_are_those_of_the_command_line_and_are_kept(folder: Path) -> None:
    upscaler = Upscaler(small_model(3), "cpu", "fp32")
    calls = []

    def perfect(pair: Pair, on_tile: OnTile | None = None, cancelled: Callable[[], bool] | None = None) -> Array:
        calls.append(pair.name)
        if pair.name == "b":
            raise InputError("no result")
        return pair.hr

    tables = SetTables(named_sets([folder], []), lambda _: upscaler, (Method("mine", "", perfect, 3),))
    key = tables.key("Set2", 3)
    work = tables.measure(key, deadline())
    while not tables.rows(key):
        next(work)
    work.close()  # this happens when a visitor cancels
    assert 0 < len(tables.rows(key)) < 4
    assert list(tables.measure(key, deadline()))[-1] == (9, 9)
    assert list(tables.measure(key, deadline())) == [(9, 9)]
    assert calls == ["a", "b"]
    assert tables.failures(key) == 4  # three for the small image, and one for "b" by the last method
    (folder / "tiny.png").unlink()
    expected = means(measure_folder(folder, 3, builtin_methods(upscaler, False)))
    found = means(tables.rows(key))
    for row, other in zip(found[:2], expected, strict=True):
        assert row.method == other.method
        assert (row.psnr, row.ssim) == pytest.approx((other.psnr, other.ssim), abs=1e-9)
    assert (found[2].method, found[2].images) == ("mine", 1)
    head, lines = image_table(tables.rows(key), ["bicubic", "DRN", "mine"])
    assert head == ["image", "bicubic PSNR", "bicubic SSIM", "DRN PSNR", "DRN SSIM", "mine PSNR", "mine SSIM"]
    assert [(line[0], line[-1]) for line in lines] == [("a", 1.0), ("b", None)]


def test_the_time_of_a_job_is_limited_and_what_is_measured_is_kept(folder: Path) -> None:
    tables = SetTables(named_sets([folder], []), lambda _: Upscaler(small_model(3), "cpu", "fp32"))
    with pytest.raises(InputError, match="takes longer"):
        list(tables.measure(tables.key("Set2", 3), 0.0))


def test_the_numbers_of_other_weights_are_never_shown(folder: Path) -> None:
    (folder / "tiny.png").unlink()
    present = [Upscaler(small_model(3), "cpu", "fp32")]
    tables = SetTables(named_sets([folder], []), lambda _: present[0])
    old = tables.key("Set2", 3)
    work = tables.measure(old, deadline())
    while len(tables.rows(old)) < 2:  # bicubic and DRN on the first image
        next(work)
    present[0] = Upscaler(small_model(3, n_blocks=3), "cpu", "fp32")
    list(work)  # continues with the network with which it began
    new = tables.key("Set2", 3)
    assert tables.rows(new) == []
    list(tables.measure(new, deadline()))
    psnr = {key: [row.psnr for row in tables.rows(key) if row.method == "DRN"] for key in (old, new)}
    expected = [row.psnr for row in measure_folder(folder, 3, [drn(old[1])])]
    assert psnr[old] == pytest.approx(expected[: len(psnr[old])])
    assert psnr[old] != pytest.approx(psnr[new])


def test_two_originals_of_one_name_are_refused(folder: Path, photo: Array) -> None:
    other = folder.parent / "Set3"
    other.mkdir()
    write_image(other / "a.png", Picture(photo[:, ::-1]))
    with pytest.raises(InputError, match=r"Set2/a\.png and .*Set3/a\.png have the same name"):
        examples([folder, other])
    assert [path.stem for path in examples([folder])] == ["a", "b", "tiny"]


def test_two_sets_of_one_name_are_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="Two test sets have the same name"):
        named_sets([folder, folder], [])
    assert named_sets([], [folder / "a.png"]) == {"examples": [folder / "a.png"]}


@pytest.mark.parametrize("row", [None, [], ["missing"], [["a"]], [{"path": "a"}], "a", [1]])
def test_a_click_on_something_else_than_an_image_is_refused(row: object) -> None:
    handlers = SetTableHandlers(SetTables({}, lambda _: Upscaler(small_model(3), "cpu", "fp32")), ("a", "b"))
    good = gr.SelectData(None, {"index": [0, 0], "value": "b", "row_value": ["b", 1.0]})
    assert handlers.find(good) == 1
    with pytest.raises(gr.Error, match="There is no such photograph"):
        handlers.find(gr.SelectData(None, {"index": [0, 0], "value": "b", "row_value": row}))
