"""Start and Cancel in the Upscale tab and for whole test sets, also over a slow connection."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect

from app.set_tables import Key, SetTables
from drn.image import Array
from drn.upscaler import Upscaler
from tests.helpers.browsing import upload_to_upscale, work_until_cancelled

DELAY = 1.0
"""Seconds by which a slow connection delays the start of a job."""


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """Replace the network of the first job by an endless one; the events tell that it started and that it stopped."""
    started, stopped = threading.Event(), threading.Event()
    upscale = Upscaler.upscale

    def endless_once(self: Upscaler, lr: Array, *, cancelled: Callable[[], bool], **others: object) -> Array:
        if not started.is_set():
            work_until_cancelled(cancelled, started, stopped)
        return upscale(self, lr, cancelled=cancelled, **others)  # type: ignore[arg-type]

    monkeypatch.setattr(Upscaler, "upscale", endless_once)
    measure, is_new = SetTables.measure, True

    def measure_anew(self: SetTables, key: Key, ends: float) -> Generator[tuple[int, int], None, None]:
        nonlocal is_new
        if is_new:  # the measurements of other tests are kept otherwise
            self._known.clear()
        is_new = False
        return measure(self, key, ends)

    monkeypatch.setattr(SetTables, "measure", measure_anew)
    return started, stopped


def slow_down(page: Page) -> list[str]:
    """Delay the start of each job by ``DELAY``; the other requests are not delayed. Return the list of started jobs."""
    sent: list[str] = []

    def later(route: Route) -> None:
        sent.append(route.request.url)
        time.sleep(DELAY)
        route.continue_()

    page.route("**/gradio_api/queue/join*", later)
    return sent


class UpscaleJob:
    """The job of the Upscale tab."""

    name, cancelled = "upscale", "Cancelled."

    def __init__(self, page: Page, photo: Array, folder: Path) -> None:
        Image.fromarray(np.ascontiguousarray(photo)).save(folder / "small.png")
        upload_to_upscale(page, folder / "small.png")

    def expect_done(self, page: Page) -> None:
        expect(page.locator("#upscale-status")).to_contain_text("336×240 pixels.", timeout=60_000)
        expect(page.locator("#download")).to_be_visible()


class SetJob:
    """Starts the measurement of a test set in the Results tab."""

    name, cancelled = "set", "Stopped: the finished measurements are kept."

    def __init__(self, page: Page, photo: Array, folder: Path) -> None:
        page.get_by_role("tab", name="Results").click()
        page.locator("#set-scale").get_by_label("x4").check()

    def expect_done(self, page: Page) -> None:
        expect(page.locator("#set-status")).to_contain_text("results are measured.", timeout=120_000)
        expect(page.locator("#set-csv")).to_be_visible()


@pytest.fixture(params=[UpscaleJob, SetJob])
def job(request: pytest.FixtureRequest, page: Page, photo: Array, tmp_path: Path) -> UpscaleJob | SetJob:
    made: UpscaleJob | SetJob = request.param(page, photo, tmp_path)
    expect(page.locator(f"#{made.name}-cancel")).to_be_disabled()
    return made


def expect_idle(page: Page, name: str) -> None:
    expect(page.locator(f"#{name}-start")).to_be_enabled()
    expect(page.locator(f"#{name}-cancel")).to_be_disabled()
    expect(page.locator(f"#{name}-status progress")).to_have_count(0)


def test_a_running_job_is_cancelled(
    page: Page, job: UpscaleJob | SetJob, running: tuple[threading.Event, threading.Event]
) -> None:
    page.locator(f"#{job.name}-start").click()
    assert running[0].wait(30)
    expect(page.locator(f"#{job.name}-start")).to_be_disabled()
    page.locator(f"#{job.name}-cancel").click()
    expect(page.locator(f"#{job.name}-status")).to_have_text(job.cancelled)
    expect_idle(page, job.name)
    assert running[1].wait(5), "the server works on"
    page.locator(f"#{job.name}-start").click()
    job.expect_done(page)
    expect_idle(page, job.name)


@pytest.mark.parametrize("is_slow", [False, True])
def test_a_job_is_cancelled_at_once(
    page: Page, job: UpscaleJob | SetJob, running: tuple[threading.Event, threading.Event], is_slow: bool
) -> None:
    sent = slow_down(page) if is_slow else []
    start, cancel = page.locator(f"#{job.name}-start"), page.locator(f"#{job.name}-cancel")
    with page.expect_response("**/gradio_api/queue/join*"):
        start.click()
        cancel.click()
        expect(page.locator(f"#{job.name}-status")).to_have_text(job.cancelled)
        expect_idle(page, job.name)
    seen = page.locator(f"#{job.name}-status")
    for _ in range(8):  # no message of the cancelled job appears later
        page.wait_for_timeout(200)
        assert seen.inner_text() == job.cancelled
    assert not running[0].is_set() or running[1].wait(5), "the server works on"
    assert len(sent) == is_slow
    running[0].set()
    start.click()
    job.expect_done(page)
    expect_idle(page, job.name)


def test_starting_again_at_once_shows_only_the_second_job(
    page: Page, job: UpscaleJob | SetJob, running: tuple[threading.Event, threading.Event]
) -> None:
    slow_down(page)
    for button in ("start", "cancel", "start"):
        page.locator(f"#{job.name}-{button}").click()
    running[0].set()  # no job is endless
    expect(page.locator(f"#{job.name}-cancel")).to_be_enabled()
    job.expect_done(page)
    expect_idle(page, job.name)
