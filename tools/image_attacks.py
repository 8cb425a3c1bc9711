"""Attacks with images that are hard to decode, and on the names of images and results. ``tools.attack`` runs them."""

from __future__ import annotations

import contextlib
import hashlib
import re
import resource
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

from tools import hostile
from tools.asking import META, answers, call, events, join, png, upload
from tools.attack import Outcome, Target, attack

LEFT_AFTER = 2.0
"""Seconds after which the visitor leaves a long job."""

LIMIT_SECONDS, LIMIT_MB = 15.0, 300.0
"""Longest wait of the next visitor, in seconds, and largest growth of the server's peak memory, in MB."""


def peak(pid: int) -> float:
    """Return the peak resident memory of a process, in MB."""
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))
    return int(kilobytes) / 1000


def upscale(web: httpx.Client, path: str, seconds: float) -> bool:
    """Upscale an uploaded file, but leave after some seconds; return whether the job was done before."""
    asked = web.post("/gradio_api/call/upscale", json={"data": [{"path": path, "meta": META}, "2", False, "auto"]})
    address, ends = f"/gradio_api/call/upscale/{asked.json()['event_id']}", time.monotonic() + seconds
    patience = httpx.Timeout(20, read=seconds)
    with contextlib.suppress(httpx.ReadTimeout), web.stream("GET", address, timeout=patience) as stream:
        for line in stream.iter_lines():  # a heartbeat every 15 s
            if line in ("event: complete", "event: error") or time.monotonic() > ends:
                return line == "event: complete"
    return False


def hold_the_queue(target: Target, data: bytes, name: str) -> Outcome:
    """Request a long job, leave, and then upscale a small image; measure the wait and the growth of the memory."""
    with target.web(60) as web:
        small, bomb = upload(web, png(60, 40)), upload(web, data, name)
        upscale(web, small, 60)
        before = peak(target.pid)
        upscale(web, bomb, LEFT_AFTER)
        start = time.monotonic()
        done = upscale(web, small, 100)
        seconds = time.monotonic() - start
        grown = peak(target.pid) - before
    waited = f"the next visitor {'waited' if done else 'still waits after'} {seconds:.1f} s"
    held = done and seconds < LIMIT_SECONDS and grown < LIMIT_MB
    return Outcome(held, f"{len(data) / 1e6:.1f} MB; {waited}; memory +{grown:.0f} MB")


BOMBS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "scans.jpg": ("a progressive JPEG of 200,000 scans", lambda: hostile.jpeg_of_scans(200_000)),
    "comments.ppm": ("a PPM of 19 MB of comments", lambda: hostile.ppm_of_comments(19_000_000)),
    "strips.tif": ("a TIFF of 2.4 million strips", lambda: hostile.tiff_of_strips(2_400_000)),
    "comment.gif": ("a GIF with a comment of 19 MB", lambda: hostile.gif_of_comments(19_000_000)),
    "tags.tif": ("a TIFF whose 900 tags share 1.9 MB", lambda: hostile.tiff_of_tags(900, 1_900_000)),
    "canvas.webp": ("a WebP with a canvas of 16000x16000 pixels", lambda: hostile.webp_of_size(16_000, 16_000)),
}
"""File name -> description of the file, and its content."""


def _add(name: str, described: str, make: Callable[[], bytes]) -> None:
    def bomb(target: Target) -> Outcome:
        return hold_the_queue(target, make(), name)

    bomb.__name__ = f"bomb_{name.replace('.', '_')}"
    attack(2, f"block the queue and use up memory with {described}; the visitor leaves after {LEFT_AFTER:.0f} s")(bomb)


for _name, (_described, _make) in BOMBS.items():
    _add(_name, _described, _make)


@attack(7, "learn from a file's name whether a known picture was compared here")
def picture_oracle(target: Target) -> Outcome:
    """Request the file whose name is the sha256 of a known picture, after another visitor has compared this picture."""
    pixels = np.random.default_rng(1).integers(0, 256, (64, 48, 3), np.uint8)
    Image.fromarray(pixels).save(target.secrets / "known.png")
    digest = hashlib.sha256(f"{pixels.shape}".encode() + pixels.data).hexdigest()
    with target.web(60) as web:
        own = upload(web, png(9, 9))
        known = upload(web, (target.secrets / "known.png").read_bytes(), "known.png")
        (button,) = [c["id"] for c in web.get("/config").json()["components"] if c["props"].get("elem_id") == "upload"]
        (note,) = [event for event in events(web) if [button, "upload"] in event["targets"] and event["inputs"]]
        (show,) = [event for event in events(web) if event["trigger_after"] == note["id"] and event["queue"]]
        _, session = join(web, note, [1.0, False, "2", False, "bicubic", {"path": known, "meta": META}])
        answers(web, session)
        told = answers(web, join(web, show, [None], session=session)[1])
        path = Path(own).parent.parent / digest / "image.webp"
        status = web.get(f"/gradio_api/file={path}").status_code
    compared = '"success": true' in told or '"success":true' in told
    return Outcome(compared and status != 200, f"{'' if compared else 'not '}compared, then status {status}")


@attack(5, "store a result on a full disk")
def disk_full_result(target: Target) -> Outcome:
    """Request a result of 100 kB from a server that can write at most 40 kB into a file."""
    with target.web(60) as web:
        small = upload(web, png(100, 90))
        before = target.stored_bytes()
        resource.prlimit(target.pid, resource.RLIMIT_FSIZE, (40_000, 40_000))
        told = call(web, "upscale", [{"path": small, "meta": META}, "4", False, "auto"])
    left = target.stored_bytes() - before
    said = "cannot store files just now" in told
    return Outcome(said and left == 0, f"{'the' if said else 'no'} sentence, {left} bytes left")


@attack(5, "leave files behind with ordinary jobs")
def files_of_jobs(target: Target) -> Outcome:
    """Count the files that 10 jobs leave behind in addition to uploads and results."""
    with target.web(60) as web:
        small = upload(web, png(30, 20))
        before = {path for path in target.temporary.rglob("*") if path.is_file()}
        for _ in range(10):
            call(web, "upscale", [{"path": small, "meta": META}, "2", False, "auto"])
    after = {path for path in target.temporary.rglob("*") if path.is_file()} - before
    left = [path for path in after if "_DRN_x" not in path.name]
    return Outcome(not left, f"{len(left)} files left")
