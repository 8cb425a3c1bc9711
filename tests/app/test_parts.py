"""The app's small parts: charts and jobs."""

from __future__ import annotations

import itertools
import json
import re
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from app.charts import Points, chart
from app.serving.jobs import errors_for_visitor, run_in_steps
from app.tabs.results import PEERS, curves_html, peers_html, read_results, results_html, times_html
from drn.errors import InputError
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
    svg = chart("a & b", "x", "y", {"<script>": [(1, 1.5)], "empty": []}, lines=False)
    root = ET.fromstring(svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" '))
    names = [node.text for node in root.iter(f"{SVG}text") if node.get("class") == "name"]
    assert names == ["<script>"]
    assert not list(root.iter(f"{SVG}polyline"))
    assert chart("t", "x", "y", {"none": []}) == ""


def test_labels_of_close_points_do_not_cover_each_other() -> None:
    points: dict[str, Points] = {"a": [(1, 30.0)], "b": [(1.01, 30.01)], "c": [(1.02, 30.02)], "far": [(9, 40.0)]}
    svg = chart("t", "x", "y", points, lines=False)
    heights = [float(y) for y in re.findall(r'class="name" x="[\d.]+" y="([\d.]+)"', svg)][:3]
    assert min(abs(a - b) for a, b in itertools.combinations(heights, 2)) >= 12  # the height of the letters
    assert max(heights) - min(heights) < 30
    assert heights == sorted(heights, reverse=True)  # the higher value stands higher


def test_a_label_covers_no_point_of_another_series() -> None:
    points: dict[str, Points] = {"left": [(1.0, 30.0)], "right": [(1.5, 30.1)], "far": [(9, 40.0)]}
    svg = chart("t", "x", "y", points, lines=False)
    label = float(re.findall(r'class="name" x="[\d.]+" y="([\d.]+)"', svg)[0]) - 4  # its middle is above its baseline
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


def test_benchmarks_show_our_results_and_those_of_other_networks(tmp_path: Path) -> None:
    rows = [
        {"data": "Set5", "scale": 2, "method": method, "images": 5, "psnr": psnr, "ssim": 0.9, "seconds": 1.0}
        for method, psnr in (("bicubic", 33.0), ("DRN", 37.25))
    ]
    results: dict[str, Any] = {
        "command": "python -m drn evaluate <x>",
        "date": "2026-01-02",
        "torch": "2.9",
        "device": "cpu float32",
        "weights": {"x2": {"parameters": 800_000}},
        "rows": rows,
    }
    html = results_html(results)
    assert "<td>Set5 x2</td><td>33.00 / 0.9000</td><td>37.25 / 0.9000</td>" in html
    assert "&lt;x&gt;" in html
    others = json.loads(PEERS.read_text(encoding="utf-8"))
    times = times_html(results)
    assert len(dots(times)) == len(rows)
    peers = peers_html(others, results)
    names = [network["name"] for network in others["networks"]]
    assert re.findall(r'class="name"[^>]*>([^<]+)<', peers)[:5] == [*names, "DRN"]
    for network in others["networks"]:
        assert {network["repository"], network["commit"], network["x2"]["weights_sha256"]} <= set(
            re.findall("<td>([^<]*)</td>", peers)
        )
    assert all(network["source"] in peers for network in others["published"]["networks"])
    found = re.findall("<tr><td>.*?</tr>", peers)
    assert found[0] == "<tr><td>bicubic</td><td>–</td><td>33.00</td>" + 5 * "<td>–</td>" + "</tr>"
    assert found[1] == "<tr><td>DRN</td><td>0.80 M</td><td>37.25</td>" + 5 * "<td>–</td>" + "</tr>"
    assert found[2].startswith("<tr><td>IMDN</td><td>0.69 to 0.72 M</td><td>37.92</td><td>34.33</td><td>32.18</td>")
    assert "<li>Set5 x2: DRN (0.80 M, 37.25 dB) is behind IMDN (0.69 M, 0.67 dB), PAN (0.26 M, 0.68 dB)," in peers
    assert read_results(tmp_path / "results.json") is None
    (tmp_path / "curve_x2.csv").write_text(
        "iteration,hours,learning_rate,loss,valid_psnr\n1,0.1,1,1,30\n2,0.2,1,1,31\n"
    )
    assert len(dots(curves_html(tmp_path))) == 2
    text = "variant,epoch,valid_psnr\nreleased,1.00,33.1\nreleased,2.00,33.9\nwithout,1.00,33.0\n"
    (tmp_path / "ablation.csv").write_text(text)
    shown = curves_html(tmp_path)
    assert len(dots(shown)) == 5
    assert "With and without distilling blocks" in shown


def test_messages_are_escaped_for_the_page_and_not_for_clients() -> None:
    for options, told in (((), "&lt;b&gt; &amp; co: no image."), ((str,), "<b> & co: no image.")):
        with pytest.raises(gr.Error) as caught, errors_for_visitor(*options):
            raise InputError("<b> & co: no image.")
        assert caught.value.message == told
