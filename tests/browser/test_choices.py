"""Several choices one after another: the page shows the last choice, and the work for the others ends."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client, handle_file
from PIL import Image
from playwright.sync_api import Page, Route, expect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import photographs
from app.serving import decoding
from app.serving.listeners import CLOSE, ClosingStreams
from app.shelf import Shelf
from drn.errors import InputError
from drn.image import Array, Picture, mod_crop
from drn.metrics import psnr
from drn.reading import read_image
from drn.resize import downscale, upscale
from drn.upscaler import Upscaler
from tests.helpers.browsing import FRESH, drag, in_view, numbers, slow_down, thumbnails, work_until_cancelled


def test_the_last_of_several_quick_choices_is_shown(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers(page, "drn", "whole")
    slow_down(monkeypatch, 1)
    examples = thumbnails(page)
    examples.nth(3).click()
    page.wait_for_timeout(300)
    examples.nth(2).click()
    examples.nth(5).click()
    chosen = read_image(photographs.examples()[5]).rgb
    hr = mod_crop(chosen, 4)
    expected = psnr(upscale(downscale(hr, 4), 4), hr, 4)
    shown = page.locator('#viewer [data-of="bicubic"] [data-testid="whole"] .psnr')
    expect(shown).to_have_text(f"{expected:.2f} dB", timeout=30_000)
    page.locator("#scale").get_by_label("x3").check()  # a result of the photograph that is shown now
    hr = mod_crop(chosen, 3)
    expect(shown).to_have_text(f"{psnr(upscale(downscale(hr, 3), 3), hr, 3):.2f} dB")


def test_a_choice_is_shown_although_the_end_of_the_former_answers_arrives_late(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_now, ends = ClosingStreams.serve, threading.Event()

    async def serve(
        self: ClosingStreams, session: str, app: ASGIApp, scope: Scope, receive: Receive, send: Send
    ) -> None:
        async def send_late(message: Message) -> None:
            if message.get("body", b"").startswith(CLOSE):
                ends.set()
                await asyncio.sleep(2)
            await send(message)

        await serve_now(self, session, app, scope, receive, send_late)

    monkeypatch.setattr(ClosingStreams, "serve", serve)
    page.reload()
    before = numbers(page, "drn", "whole")
    assert ends.wait(20)
    expect(page.locator(FRESH)).to_have_count(1)
    ends.clear()
    drag(page, "drn", 40, 0)  # the new numbers come in a stream of their own
    assert ends.wait(20)
    page.locator("#scale").get_by_label("x2").check()
    numbers(page, "drn", "whole", former=before)


def test_a_newer_choice_stops_the_work_for_older_ones(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upscale_now = Upscaler.upscale
    started, stopped = threading.Event(), threading.Event()

    def first_never_ends(
        self: Upscaler, lr: Array, *, cancelled: Callable[[], bool], self_ensemble: bool, **others: Any
    ) -> Array:
        if not self_ensemble or started.is_set():
            return upscale_now(self, lr, cancelled=cancelled, self_ensemble=False, **others)
        work_until_cancelled(cancelled, started, stopped)

    def assert_stopped(former: tuple[float, float] | None = None) -> tuple[float, float]:
        """Check that the work that never ends has stopped, and return the numbers of the comparison shown next."""
        assert stopped.wait(10), "the older work continued"
        # In this test DRN+ runs one pass instead of eight, so its numbers are those of DRN.
        shown = numbers(page, "drn+", "whole", former)
        assert numbers(page, "drn", "whole") == shown
        started.clear()
        stopped.clear()
        return shown

    before = numbers(page, "drn", "whole")
    monkeypatch.setattr(Upscaler, "upscale", first_never_ends)
    plus = page.get_by_label("DRN+ too")
    plus.check()
    assert started.wait(20)
    thumbnails(page).nth(3).click()
    other = assert_stopped()
    assert other != before

    thumbnails(page).nth(2).click()
    assert started.wait(20)
    thumbnails(page).nth(0).click()  # stops the work of an event of the same kind
    assert assert_stopped(former=other) == before

    page.locator("#scale").get_by_label("x3").check()
    assert started.wait(20)
    (tmp_path / "broken.png").write_text("no image")
    page.locator("input[type=file]").first.set_input_files(tmp_path / "broken.png")
    expect(page.get_by_text("broken.png is not an image that can be read")).to_be_visible()
    assert_stopped(former=before)  # and the stopped work continued, because the newer choice failed
    expect(page.locator("#viewer").get_by_test_id("viewer")).to_have_attribute("aria-busy", "false")

    page.locator("#scale").get_by_label("x2").check()
    assert started.wait(20)
    plus.uncheck()
    assert stopped.wait(10)
    expect(page.locator("#viewer [data-panel]")).to_have_count(4)


@pytest.fixture
def free(client: Client, photo: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Start a job of another visitor, for which the queue must wait, and return a function that ends it."""
    begun, release = threading.Event(), threading.Event()

    def waiting(self: Upscaler, picture: Picture, **_: object) -> Picture:
        begun.set()
        release.wait(20)
        return picture

    monkeypatch.setattr(Upscaler, "upscale_picture", waiting)
    Image.fromarray(photo).save(tmp_path / "other.png")
    other = client.submit(handle_file(str(tmp_path / "other.png")), "2", api_name="/upscale")
    assert begun.wait(20)

    def free() -> None:
        release.set()
        other.result()

    yield free
    release.set()


def test_on_a_busy_server_the_last_choice_of_an_image_is_shown(
    page: Page, free: Callable[[], None], photo: Array, tmp_path: Path
) -> None:
    numbers(page, "drn", "whole")
    for name in ("one.png", "two.png"):
        Image.fromarray(photo).save(tmp_path / name)
    uploads = page.locator("input[type=file]").first
    for name in ("one.png", "two.png"):
        with page.expect_response("**/queue/join*"):
            uploads.set_input_files(tmp_path / name)
    with page.expect_response("**/queue/join*"):
        thumbnails(page).nth(3).click()
    free()
    hr = mod_crop(read_image(photographs.examples()[3]).rgb, 4)
    expected = f"{psnr(upscale(downscale(hr, 4), 4), hr, 4):.2f} dB"
    shown = page.locator('#viewer [data-of="bicubic"] [data-testid="whole"] .psnr')
    expect(shown).to_have_text(expected)
    page.wait_for_timeout(1500)  # nothing else is shown afterwards
    expect(shown).to_have_text(expected)


def test_a_scale_chosen_while_an_upload_is_decoded_is_applied_to_the_upload(
    page: Page, photo: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode, started = decoding.Pool.decode, threading.Event()

    def decode_slowly(pool: decoding.Pool, *arguments: Any) -> Picture:
        started.set()
        time.sleep(2)
        return decode(pool, *arguments)

    numbers(page, "drn", "whole")
    monkeypatch.setattr(decoding.Pool, "decode", decode_slowly)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    page.locator("input[type=file]").first.set_input_files(tmp_path / "photo.png")
    assert started.wait(20)
    page.locator("#scale").get_by_label("x3").check()
    hr = mod_crop(photo, 3)
    shown = page.locator('#viewer [data-of="bicubic"] [data-testid="whole"] .psnr')
    expect(shown).to_have_text(f"{psnr(upscale(downscale(hr, 3), 3), hr, 3):.2f} dB")
    expect(page.locator("#scale").get_by_label("x3")).to_be_checked()


def test_a_choice_made_while_older_work_is_shown_is_computed(page: Page, free: Callable[[], None]) -> None:
    numbers(page, "drn", "whole")
    with page.expect_response("**/queue/join*"):
        page.locator("#scale").get_by_label("x3").check()
    held: list[Route] = []
    page.route("**/run/predict*", lambda route: held.append(route))
    plus = page.get_by_label("DRN+ too")
    plus.check()
    free()
    expect(plus).not_to_be_checked()  # the scale that is shown now was chosen before
    for route in held:
        route.continue_()
    page.unroute("**/run/predict*")
    expect(page.locator("#viewer [data-panel]")).to_have_count(5)
    expect(plus).to_be_checked()
    expect(page.locator("#scale").get_by_label("x3")).to_be_checked()


def test_choosing_the_same_photograph_again_keeps_viewport_and_results(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = numbers(page, "drn", "whole")
    thumbnails(page).nth(2).click()
    numbers(page, "drn", "whole", former=before)
    drag(page, "drn", 80, 40)
    numbers(page, "drn", "region")
    place = in_view(page)
    monkeypatch.setattr(Upscaler, "upscale", None)  # nothing is left to compute
    thumbnails(page).nth(2).click()
    viewer = page.locator("#viewer").get_by_test_id("viewer")
    expect(viewer).to_have_attribute("aria-busy", "true")
    expect(viewer).to_have_attribute("aria-busy", "false")
    numbers(page, "drn", "region")
    assert in_view(page) == place


@pytest.mark.parametrize("image_is_late", [False, True], ids=["scale and scale", "image and scale"])
def test_the_last_choice_is_shown_even_if_it_reaches_the_server_first(page: Page, image_is_late: bool) -> None:
    numbers(page, "drn", "whole")
    held: list[Route] = []

    def hold_the_first(route: Route) -> None:
        if held:
            route.continue_()
        else:
            held.append(route)

    page.route("**/gradio_api/run/**", hold_the_first)
    with page.expect_request("**/gradio_api/run/**"):
        if image_is_late:
            thumbnails(page).nth(3).click()
        else:
            page.locator("#scale").get_by_label("x2").check()
    image = read_image(photographs.examples()[3 if image_is_late else 0]).rgb
    with page.expect_response("**/queue/join*"):
        page.locator("#scale").get_by_label("x3").check()
    page.wait_for_url("**scale=3**")  # the later choice is shown
    with page.expect_response("**/queue/join*"):
        held[0].continue_()
    hr = mod_crop(image, 3)
    shown = page.locator('#viewer [data-of="bicubic"] [data-testid="whole"] .psnr')
    expect(shown).to_have_text(f"{psnr(upscale(downscale(hr, 3), 3), hr, 3):.2f} dB")
    page.wait_for_timeout(1000)
    expect(shown).to_have_text(f"{psnr(upscale(downscale(hr, 3), 3), hr, 3):.2f} dB")
    expect(page.locator("#scale").get_by_label("x3")).to_be_checked()
    numbers(page, "drn", "whole")


def test_a_choice_that_the_queue_refuses_ends_the_wait(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    started, stopped = threading.Event(), threading.Event()

    def endless(self: Upscaler, lr: Array, *, cancelled: Callable[[], bool], **_: object) -> Array:
        work_until_cancelled(cancelled, started, stopped)

    numbers(page, "drn", "whole")
    monkeypatch.setattr(Upscaler, "upscale", endless)
    page.locator("#scale").get_by_label("x3").check()
    assert started.wait(20)
    page.route("**/queue/join*", lambda route: route.fulfill(status=503, json={"detail": "Queue is full!"}))
    examples = thumbnails(page)
    examples.nth(2).click()
    expect(page.locator("#viewer")).to_contain_text("no DRN: it could not be computed")
    expect(examples.nth(0)).to_have_class(re.compile("selected"))
    expect(page.locator("#viewer").get_by_test_id("viewer")).to_have_attribute("aria-busy", "false")


def test_the_controls_show_the_present_comparison_after_a_choice_was_refused(page: Page) -> None:
    before = numbers(page, "drn", "whole")
    thumbnails(page).nth(2).click()
    viewer = page.locator("#viewer").get_by_test_id("viewer")
    shown = numbers(page, "drn", "whole", former=before)
    page.route("**/queue/join*", lambda route: route.fulfill(status=503, json={"detail": "Queue is full!"}))
    page.locator("#scale").get_by_label("x3").click()
    expect(page.locator("#scale").get_by_label("x4")).to_be_checked()
    page.get_by_label("DRN+ too").click()
    expect(page.get_by_label("DRN+ too")).not_to_be_checked()
    expect(viewer).to_have_attribute("aria-busy", "false")
    page.unroute("**/queue/join*")
    page.wait_for_timeout(500)
    assert numbers(page, "drn", "whole") == shown
    expect(thumbnails(page).nth(2)).to_have_class(re.compile("selected"))


def test_a_choice_that_the_server_does_not_record_ends_the_wait(page: Page) -> None:
    numbers(page, "drn", "whole")
    shown = page.locator('#scale input[value="4"]')
    expect(shown).to_be_checked()
    page.route("**/gradio_api/run/predict*", lambda route: route.fulfill(status=503, json={"detail": "full"}), times=1)
    with page.expect_response("**/gradio_api/run/predict*"):
        page.locator("#scale").get_by_label("x3").click()  # not check(): the page soon goes back to x4
    expect(shown).to_be_checked()
    expect(page.get_by_test_id("viewer").first).to_have_attribute("aria-busy", "false")
    page.locator("#scale").get_by_label("x2").check()  # the next choice works
    numbers(page, "drn", "whole")
    page.wait_for_url("**scale=2**")


def test_a_dropped_comparison_ends_the_questions_of_the_viewer(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    before = numbers(page, "drn", "whole")
    page.locator("#scale").get_by_label("x3").check()  # the first comparison is never dropped
    numbers(page, "drn", "whole", former=before)
    monkeypatch.setattr(Shelf, "find", lambda *_: None)
    drag(page, "drn", 40, 0)
    expect(page.locator(FRESH)).to_have_count(1)
    expect(page.locator('#viewer [data-of="drn"] [data-testid="whole"]')).to_be_hidden()


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (InputError("The tile failed."), "The tile failed."),
        (OSError(28, "No space left on device"), "The server cannot store files just now"),
    ],
)
def test_work_that_fails_is_not_repeated(
    page: Page, monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str
) -> None:
    begun: list[int] = []

    def fail(self: Upscaler, lr: Array, **_: object) -> Array:
        begun.append(self.scale)
        raise error

    numbers(page, "drn", "whole")
    monkeypatch.setattr(Upscaler, "upscale", fail)
    page.locator("#scale").get_by_label("x3").check()
    expect(page.locator("#viewer")).to_contain_text("no DRN: it could not be computed")
    expect(page.get_by_text(sentence)).to_be_visible()
    page.wait_for_timeout(1000)
    assert begun == [3]
    expect(page.get_by_test_id("place").first).to_be_visible()
    expect(page.get_by_role("figure", name="Bicubic").locator("canvas")).to_be_visible()


def test_cancelling_an_event_several_times_is_not_an_error(
    page: Page, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, stopped = threading.Event(), threading.Event()
    numbers(page, "drn", "whole")

    def endless(self: Upscaler, lr: Array, *, cancelled: Callable[[], bool], **_: object) -> Array:
        work_until_cancelled(cancelled, started, stopped)

    monkeypatch.setattr(Upscaler, "upscale", endless)
    with page.expect_response("**/queue/join*") as joined:
        page.locator("#scale").get_by_label("x3").check()
    assert started.wait(20)
    sent: Any = joined.value.request.post_data_json
    body = {name: sent[name] for name in ("session_hash", "fn_index")} | {"event_id": joined.value.json()["event_id"]}
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: httpx.post(f"{url}gradio_api/cancel", json=body, timeout=20), range(4)))
    assert [(answer.status_code, answer.json()) for answer in answers] == [(200, {"success": True})] * 4
    assert stopped.wait(10)
