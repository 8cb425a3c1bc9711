"""The app's small parts: charts and jobs."""

from __future__ import annotations

import itertools
import re
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from app.charts import Points, chart
from app.ranking import Ranked, ranked, standing_on
from app.serving.jobs import errors_for_visitor, run_in_steps
from app.tabs.results import charts_html, curve_frame, measured_rows, ranking_rows, read_results
from drn.errors import InputError
from drn.evaluation.peers import read_peers
from drn.upscaler import Cancelled, OnTile

SVG = "{http://www.w3.org/2000/svg}"


def dots(svg: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', svg)]


def test_points_lie_where_their_values_say() -> None:
    svg = chart("t", "x", "y", {"a": [(0, 10), (5, 20)], "b": [(10, 30)]})
    (ax, ay), (bx, by), (cx, cy) = dots(svg)
    assert bx == pytest.approx((ax + cx) / 2, abs=0.1)
    assert by == pytest.approx((ay + cy) / 2, abs=0.1)
    assert ax < cx
    assert ay > cy
    ticks = [float(text) for text in re.findall(r'text-anchor="end">([\d.]+)<', svg)]
    assert ticks == [10, 15, 20, 25, 30]


@pytest.mark.parametrize("top", [30.07, 30.5, 31.0, 31.7, 33.0, 38.2, 47.9, 99.0])
def test_an_axis_has_three_to_eight_ticks(top: float) -> None:
    ticks = re.findall(r'text-anchor="end">([\d.]+)<', chart("t", "x", "y", {"a": [(1, 30.0), (2, top)]}))
    assert 3 <= len(ticks) <= 8


def test_charts_are_well_formed_and_escape_names() -> None:
    svg = chart("a & b", "x", "y", {"<script>": [(1, 1.5)], "empty": []})
    root = ET.fromstring(svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" '))
    names = [node.text for node in root.iter(f"{SVG}text") if node.get("class") == "name"]
    assert names == ["<script>"]
    assert chart("t", "x", "y", {"none": []}) == ""


def test_labels_of_close_points_do_not_cover_each_other() -> None:
    points: dict[str, Points] = {"a": [(1, 30.0)], "b": [(1.01, 30.01)], "c": [(1.02, 30.02)], "far": [(9, 40.0)]}
    svg = chart("t", "x", "y", points)
    heights = [float(y) for y in re.findall(r'class="name" x="[\d.]+" y="([\d.]+)"', svg)][:3]
    assert min(abs(a - b) for a, b in itertools.combinations(heights, 2)) >= 12  # the height of the letters
    assert max(heights) - min(heights) < 30
    assert heights == sorted(heights, reverse=True)  # the higher value stands higher


def test_a_label_covers_no_point_of_another_series() -> None:
    points: dict[str, Points] = {"left": [(1.0, 30.0)], "right": [(1.5, 30.1)], "far": [(9, 40.0)]}
    svg = chart("t", "x", "y", points)
    label = (
        float(re.findall(r'class="name" x="[\d.]+" y="([\d.]+)"', svg)[0]) - 4
    )  # the middle of the text is above its baseline
    dot = float(re.findall(r'<circle cx="[\d.]+" cy="([\d.]+)"', svg)[1])
    assert abs(label - dot) >= 10  # half the height of the letters and a dot's radius


def test_a_job_yields_progress_and_returns_its_result() -> None:
    def work(progress: OnTile, cancelled: Callable[[], bool]) -> str:
        for done in (1, 2):
            progress(done, 2)
        return "done"

    steps = run_in_steps(work)
    assert (next(steps), next(steps), next(steps)) == ((0, 1), (1, 2), (2, 2))
    with pytest.raises(StopIteration) as finished:
        next(steps)
    assert finished.value.value == "done"


def test_a_failing_job_raises_in_the_caller() -> None:
    def work(progress: OnTile, cancelled: Callable[[], bool]) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        list(run_in_steps(work))


def test_a_slow_step_is_reported_again() -> None:
    hold = threading.Event()
    steps = run_in_steps(lambda progress, cancelled: hold.wait(30))
    assert (next(steps), next(steps), next(steps)) == ((0, 1), (0, 1), (0, 1))
    hold.set()
    with pytest.raises(StopIteration):
        while True:
            next(steps)


def test_closing_a_job_stops_the_work() -> None:
    stopped = threading.Event()

    def work(progress: OnTile, cancelled: Callable[[], bool]) -> None:
        while not cancelled():
            progress(1, 10)
        stopped.set()
        raise Cancelled

    steps = run_in_steps(work)
    next(steps)
    steps.close()
    assert stopped.wait(5)


def test_our_results_are_ranked_among_those_of_other_networks(tmp_path: Path) -> None:
    measured = {"bicubic": 33.0, "DRN": 37.984, "DRN+": 38.5}
    rows = [
        {"data": "Set5", "scale": 2, "method": method, "images": 5, "psnr": psnr, "ssim": 0.9, "seconds": 1.0}
        for method, psnr in measured.items()
    ]
    results: dict[str, Any] = {"weights": {"x2": {"parameters": 800_000}}, "rows": rows, "device": "cpu <float32>"}
    others = read_peers()
    found = ranked(others, results, 2)
    psnrs = {network["name"]: round(network["x2"]["Set5"]["rounded"][0], 2) for network in others["networks"]}
    expected = sorted({**psnrs, **measured}, key=lambda name: -{**psnrs, **measured}[name])
    assert [row.name for row in found] == expected
    assert ["bicubic", "–", "33.00", "–"] in ranking_rows(found)
    assert ["DRN", "0.80 M", "37.98", "–"] in ranking_rows(found)
    assert measured_rows(results, 2)[1] == ["Set5 DRN", "37.98", "0.9000", "1.000"]
    assert measured_rows(results, 3) == []
    html = charts_html(found, results, others["times"], 2)
    assert len(dots(html)) == len(others["networks"]) + 2 + 3  # bicubic has no parameters
    assert "<title>DRN: 0.8, 37.98</title>" in html
    assert "cpu &lt;float32&gt;" in html
    assert "relative" not in html  # the times of other networks are for x4
    assert standing_on(found, "Set14", 2) == ""
    assert read_results(tmp_path / "results.json") is None
    curve = "iteration,hours,learning_rate,loss,valid_psnr\n1000,0.1,1,1,30\n2000,0.2,1,1,31\n"
    (tmp_path / "curve_x2.csv").write_text(curve)
    assert curve_frame(tmp_path / "curve_x2.csv").to_numpy().tolist() == [[1.0, 30.0], [2.0, 31.0]]


def test_times_of_other_networks_are_relative_to_drn_in_the_same_precision() -> None:
    peers = read_peers()
    row = {"data": "Set5", "scale": 4, "method": "DRN", "psnr": 32.0, "ssim": 0.9, "seconds": None}
    results: dict[str, Any] = {"weights": {"x4": {"parameters": 800_000}}, "rows": [row], "device": "cpu"}
    times = {"scale": 4, "what": "one < run", "milliseconds": {"float32": {"DRN": 200, "IMDN": 300, "unknown": 100}}}
    html = charts_html(ranked(peers, results, 4), results, times, 4)
    title = "Set5 x4: PSNR and time, float32"
    drawn = html[html.index(f'aria-label="{title}"') :]
    assert re.findall(r"<title>(\w+): ([\d.]+), ([\d.]+)</title>", drawn) == [
        ("DRN", "1", "32.00"),
        ("IMDN", "1.5", "32.18"),
    ]
    assert '<p class="note">one &lt; run</p>' in html
    for taken in peers["times"]["milliseconds"].values():  # each precision has the same networks
        assert set(taken) == {"DRN", *(network["name"] for network in peers["networks"])}


@pytest.mark.parametrize(
    ("own", "told"),
    [
        (32.5, "DRN reaches 32.50 dB and is ahead of all 3 other networks, by 0.20 dB or more."),
        (32.3, "DRN reaches 32.30 dB, level with A, and no network is ahead."),
        (
            32.2,
            "DRN reaches 32.20 dB: the best network, A, has 32.30 dB, 0.10 dB more; DRN is level with B; DRN is ahead",
        ),
        (32.0, "DRN reaches 32.00 dB: the best network, A, has 32.30 dB, 0.30 dB more; DRN is ahead of none."),
    ],
)
def test_the_sentence_says_who_is_ahead(own: float, told: str) -> None:
    psnrs = {"A": 32.3, "B": 32.2, "C": 32.1, "DRN": own, "DRN+": 40.0, "bicubic": 20.0}
    rows = [Ranked(name, 1, {"Set5": psnr}) for name, psnr in psnrs.items()]
    assert standing_on(rows, "Set5", 4).startswith(f"On Set5 at x4, {told}")


def test_messages_are_escaped_for_the_page_and_not_for_clients() -> None:
    for options, told in (((), "&lt;b&gt; &amp; co: no image."), ((str,), "<b> & co: no image.")):
        with pytest.raises(gr.Error) as caught, errors_for_visitor(*options):
            raise InputError("<b> & co: no image.")
        assert caught.value.message == told
