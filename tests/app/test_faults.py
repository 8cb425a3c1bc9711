"""Failures of the server: each is reported to its own visitor in a sentence, and other visitors are not affected."""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from gradio.utils import get_upload_folder
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from app.page import build, launch
from app.scene import scene_of
from app.serving import cache
from app.serving.jobs import deadline, store_result
from app.serving.limits import MAX_WAITING
from app.serving.listeners import MAX_SHARE
from app.session import open_example, open_upload
from app.viewer.component import scene_value
from drn import load_model, weights
from drn.errors import InputError
from drn.image import Array, Picture
from drn.reading import read_image
from drn.upscaler import Upscaler
from drn.writing import write_image
from tests.helpers.browsing import work_until_cancelled
from tests.helpers.jobs import result_of
from tools.load import served

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def small(photo: Array, tmp_path: Path) -> Path:
    write_image(tmp_path / "small.png", Picture(photo))
    return tmp_path / "small.png"


def upscale(client: Client, path: Path, **options: Any) -> Array:
    result = client.predict(handle_file(str(path)), "2", api_name="/upscale", **options)
    return read_image(Path(result)).rgb


@pytest.fixture(scope="module")
def expected() -> Callable[[Path], Array]:
    upscaler = Upscaler(load_model(scale=2))
    return lambda path: upscaler.upscale(read_image(path).rgb)


def test_a_failing_tile_affects_only_its_own_request(
    client: Client, small: Path, expected: Callable[[Path], Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> torch.Tensor:
        raise RuntimeError("<b>boom</b>\nat line 7")

    with monkeypatch.context() as broken:
        broken.setattr(Upscaler, "upscale_tensor", fail)
        with pytest.raises(AppError, match=r"^The 84x60 tile at 0, 0 failed on cpu \(<b>boom</b>\)"):
            upscale(client, small)
    assert np.array_equal(upscale(client, small), expected(small))


def test_work_stops_when_the_visitor_disconnects_and_the_queue_continues(
    client: Client, url: str, small: Path, expected: Callable[[Path], Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    started, stopped = threading.Event(), threading.Event()

    def slow(self: Upscaler, picture: Picture, *, cancelled: Callable[[], bool], **_: object) -> Picture:
        work_until_cancelled(cancelled, started, stopped)

    with monkeypatch.context() as slowed, httpx.Client(base_url=url, timeout=20) as web:
        slowed.setattr(Upscaler, "upscale_picture", slow)
        with small.open("rb") as file:
            (stored,) = web.post("/gradio_api/upload", files={"files": file}).json()
        config = web.get("/config").json()
        (index,) = [dependency["id"] for dependency in config["dependencies"] if dependency["api_name"] == "upscale"]
        file_data = {"path": stored, "meta": {"_type": "gradio.FileData"}}
        asked = {"data": [file_data, "2", False, "auto"], "fn_index": index, "session_hash": "goes"}
        assert web.post("/gradio_api/queue/join", json=asked).status_code == 200
        with web.stream("GET", "/gradio_api/queue/data", params={"session_hash": "goes"}) as answer:
            assert started.wait(10)
            next(answer.iter_lines())
        assert stopped.wait(10), "the work continued without its visitor"
    assert np.array_equal(upscale(client, small), expected(small))


def test_a_job_stops_at_the_time_limit_and_the_queue_continues(
    client: Client, small: Path, expected: Callable[[Path], Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    started, stopped = threading.Event(), threading.Event()

    def slow(self: Upscaler, lr: Array, *, cancelled: Callable[[], bool], **_: object) -> Array:
        work_until_cancelled(cancelled, started, stopped)

    for api_name in ("/upscale", "/compare"):
        stopped.clear()
        with monkeypatch.context() as slowed:
            slowed.setattr(Upscaler, "upscale", slow)
            slowed.setattr("app.serving.jobs.JOB_SECONDS", 0.5)
            with pytest.raises(AppError, match="limit for one job on this server: choose a smaller image"):
                client.predict(handle_file(str(small)), "2", api_name=api_name)
        assert stopped.wait(5)
    assert np.array_equal(upscale(client, small), expected(small))


def test_a_deleted_temporary_folder_is_made_again(
    client: Client, small: Path, expected: Callable[[Path], Array]
) -> None:
    shutil.rmtree(get_upload_folder())
    assert np.array_equal(upscale(client, small), expected(small))


def test_files_of_visitors_are_deleted_within_an_hour(
    photo: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = tmp_path / "sent.png"
    write_image(small, Picture(photo[::-1]))
    assert cache.MAX_AGE + cache.EVERY <= 3600
    monkeypatch.setattr(cache, "MAX_AGE", 12.0)
    monkeypatch.setattr(cache, "EVERY", 4.0)  # the server must accept requests by then
    page = build()
    try:
        with httpx.Client(base_url=launch(page, block=False), timeout=20) as web:
            own = re.findall(r"/gradio_api/file=[^\"\\]+\.(?:png|webp)", web.get("/config").text)
            with small.open("rb") as file:
                (stored,) = web.post("/gradio_api/upload", files={"files": file}).json()
            assert Path(stored).exists()
            client = Client(str(web.base_url), verbose=False, analytics_enabled=False)
            upscale(client, small)
            made = list(Path(get_upload_folder()).rglob("sent_DRN_x2.png"))
            assert made
            deadline = time.monotonic() + 30
            while (Path(stored).exists() or any(path.exists() for path in made)) and time.monotonic() < deadline:
                time.sleep(0.2)
            assert not Path(stored).exists()
            assert not any(path.exists() for path in made)
            assert len(own) > 4
            assert {web.get(path).status_code for path in own} == {200}, "the page's own pictures have gone"
    finally:
        page.close()


def counted(path: Path) -> int:
    return max(path.stat().st_size, 65_536)


def test_older_files_are_removed_to_make_room_for_newer_ones(
    small: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(small, Picture(rng.integers(0, 256, (320, 320, 3), np.uint8)))
    page = build()
    try:
        with httpx.Client(base_url=launch(page, block=False), timeout=20) as web:
            own = re.findall(r"/gradio_api/file=[^\"\\]+\.(?:png|webp)", web.get("/config").text)
            held = sum(counted(path) for path in Path(get_upload_folder()).rglob("*") if path.is_file())
            monkeypatch.setattr(cache, "MAX_STORED_BYTES", held + 250_000)
            stored = []
            for number in range(3):
                file = {"files": (f"{number}.png", bytes([number]) * 100_000)}
                stored += [Path(path) for path in web.post("/gradio_api/upload", files=file).json()]
                time.sleep(0.05)
            assert [path.exists() for path in stored] == [False, True, True]
            store_result("result.png", lambda path: path.write_bytes(b"x"))
            assert not any(path.exists() for path in stored), "a result needs space too"
            (again,) = web.post("/gradio_api/upload", files={"files": ("again.png", bytes(100_000))}).json()
            scene_value(scene_of(open_example(small, 2)))
            assert not Path(again).exists(), "the viewer's images need space too"
            assert {web.get(path).status_code for path in own} == {200}, "the page's own pictures have gone"
    finally:
        page.close()


def test_small_files_are_counted_with_a_minimum_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(8):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "file").write_bytes(b"x")
        os.utime(folder / "file", (number, number))
    monkeypatch.setattr(cache, "_own", [tmp_path])
    monkeypatch.setattr(cache, "MAX_STORED_BYTES", 200_000)
    cache.make_room(1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["5", "6", "7"]


def test_making_room_continues_when_folders_are_removed_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "file").write_bytes(bytes(10))
    monkeypatch.setattr(cache, "_own", [tmp_path])
    stat_now = Path.stat

    def stat_and_lose(path: Path, **options: Any) -> os.stat_result:
        shutil.rmtree(tmp_path / "c", ignore_errors=True)  # a sweep or another request can do this too
        return stat_now(path, **options)

    monkeypatch.setattr(Path, "stat", stat_and_lose)
    cache.make_room(cache.MAX_STORED_BYTES)
    monkeypatch.undo()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_removed_upload_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^The server has no such upload: choose the image again\.$"):
        result_of(open_upload(str(tmp_path / "photo.png"), 2, deadline()))


def test_a_full_disk_is_reported_in_one_sentence(photo: Array, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    write_image(tmp_path / "noise.png", Picture(rng.integers(0, 256, (90, 100, 3), np.uint8)))
    write_image(tmp_path / "flat.png", Picture(np.full((20, 20, 3), 90, np.uint8)))

    with served(GRADIO_TEMP_DIR=str(tmp_path / "cache")) as (server, url):
        client = Client(url, verbose=False, analytics_enabled=False)
        # The operating system limits the size of files, so the server cannot write this result.
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (40_000, 40_000))
        with pytest.raises(AppError, match=r"^The server cannot store files just now: try again later\.$"):
            client.predict(handle_file(str(tmp_path / "noise.png")), "4", api_name="/upscale")
        assert not [path for path in (tmp_path / "cache").rglob("*_DRN_x4*") if path.suffix == ".png"]
        result = client.predict(handle_file(str(tmp_path / "flat.png")), "2", api_name="/upscale")
        assert read_image(Path(result)).rgb.shape == (40, 40, 3)


def test_weights_may_be_overwritten_while_they_are_in_use(photo: Array, tmp_path: Path) -> None:
    path = tmp_path / "drn_x2.safetensors"
    shutil.copy(weights.BUNDLED / path.name, path)
    for dtype in ("fp32", "bf16"):
        loaded = weights.load(path)
        upscaler = Upscaler(loaded.model, "cpu", dtype)
        before = upscaler.upscale(photo)
        kept = path.read_bytes()
        path.write_bytes(b"garbage")  # overwrite the same file with shorter content
        assert np.array_equal(upscaler.upscale(photo), before)
        assert torch.isfinite(torch.cat([p.flatten() for p in loaded.model.parameters()])).all()
        path.write_bytes(kept)


def test_sigterm_ends_a_busy_server_and_leaves_no_files(photo: Array, tmp_path: Path) -> None:
    large = np.tile(photo, (12, 9, 1))
    write_image(tmp_path / "large.png", Picture(large))
    env = {key: value for key, value in os.environ.items() if key != "GRADIO_TEMP_DIR"}
    with served(env, TMPDIR=str(tmp_path)) as (server, url):
        client = Client(url, verbose=False, analytics_enabled=False)
        job = client.submit(handle_file(str(tmp_path / "large.png")), "4", self_ensemble=True, api_name="/upscale")
        deadline = time.monotonic() + 20
        while not job.outputs() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert job.outputs(), "the job has not begun"
        assert not job.done()
        assert len(list(tmp_path.glob("drn-app-*"))) == 1
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) == 0
        assert not [path for path in tmp_path.iterdir() if "drn-app-" in path.name]


USE_OWN_FOLDER = (
    "from app.serving.cache import use_own_folder; use_own_folder(); print(os.environ['GRADIO_TEMP_DIR'], flush=True)"
)


def test_folders_of_killed_servers_are_removed_and_folders_of_running_ones_are_kept(tmp_path: Path) -> None:
    env = {**os.environ, "GRADIO_TEMP_DIR": str(tmp_path)}
    code = f"import os, time; {USE_OWN_FOLDER}; time.sleep(100)"
    servers = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    folders = []
    for server in servers:
        assert server.stdout is not None
        folders.append(Path(server.stdout.readline().strip()))
        (folders[-1] / "picture.png").write_bytes(b"x")
    servers[0].kill()
    servers[0].wait()
    assert folders[0].is_dir()
    # Delete the folder and make it again while its server runs, like gradio when it stores the next file.
    shutil.rmtree(folders[1])
    folders[1].mkdir()
    (folders[1] / "picture.png").write_bytes(b"x")
    done = subprocess.run(
        [sys.executable, "-c", f"import os; {USE_OWN_FOLDER}"], cwd=ROOT, env=env, capture_output=True, text=True
    )
    own = Path(done.stdout.strip())
    assert not folders[0].exists()
    assert (folders[1] / "picture.png").exists()
    assert own.parent == tmp_path
    assert own.stat().st_mode & 0o777 == 0o700
    servers[1].kill()
    servers[1].wait()
    assert not (tmp_path / f".{folders[0].name}.lock").exists()


def test_a_temporary_folder_that_cannot_be_made_is_reported_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    env = {**os.environ, "GRADIO_TEMP_DIR": str(tmp_path / "file")}
    done = subprocess.run([sys.executable, "app.py"], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 1
    reason = f"No folder can be made in {tmp_path / 'file'} (File exists)"
    assert done.stderr == f"error: {reason}: set GRADIO_TEMP_DIR to a folder that is writable.\n"


def test_a_full_queue_is_reported(client: Client, url: str, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def slow(self: Upscaler, picture: Picture, **_: object) -> Picture:
        release.wait(20)
        raise InputError("enough")

    monkeypatch.setattr(Upscaler, "upscale_picture", slow)
    clients = [client, *(Client(url, verbose=False, analytics_enabled=False) for _ in range(2))]
    jobs = [
        sender.submit(handle_file(str(small)), "2", api_name="/upscale")
        for sender, count in zip(clients, (MAX_SHARE, MAX_SHARE, 3), strict=True)
        for _ in range(count)
    ]
    try:
        told = ""
        deadline = time.monotonic() + 20
        while not told and time.monotonic() < deadline:
            told = next((str(job.exception()) for job in jobs if job.done()), "")
            time.sleep(0.1)
        assert told == "Queue is full! Please try again."
        with small.open("rb") as file:
            (stored,) = httpx.post(f"{url}gradio_api/upload", files={"files": file}).json()
        given = [{"path": stored, "meta": {"_type": "gradio.FileData"}}, "2", False, "auto"]
        answer = httpx.post(f"{url}gradio_api/call/upscale", json={"data": given})
        assert answer.status_code == 503
        assert f"Max size is {MAX_WAITING}" in answer.json()["detail"]
    finally:
        release.set()
        for job in jobs:
            job.exception()
