"""Send hostile input, made from a seed: damaged image files to the reader, and invalid data to every event of the page.

python -m tools.fuzz --images 20000 --events 3000
"""

from __future__ import annotations

import io
import json
import math
import os
import random
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any
from unittest.mock import patch

import httpx
import numpy as np
import typer
from PIL import Image

from app.serving import decoding
from app.serving.checks import checked_event
from app.serving.decoding import Pool
from app.serving.prechecks import check_effort
from app.serving.refused import Refused
from drn.errors import InputError
from drn.image import Picture
from drn.reading import read_image

ROOT = Path(__file__).resolve().parent.parent
MAX_PIXELS = 1_000_000
META = {"_type": "gradio.FileData"}
SECRETS = ("/etc/passwd", "/etc/hostname", "/proc/self/environ", str(ROOT / "docs" / "compare.png"))
"""Files that are named in the events; the server must not open them."""


def seeds() -> list[bytes]:
    """Return small valid files of every format and mode that the reader supports."""
    grid = np.random.default_rng(0).integers(0, 256, (13, 17, 4), np.uint8)
    picture = Image.fromarray(grid)
    forms: list[tuple[str, str, dict[str, Any]]] = [
        ("PNG", "RGBA", {}),
        ("PNG", "P", {}),
        ("PNG", "1", {}),
        ("PNG", "I;16", {}),
        ("PNG", "RGB", {"icc_profile": bytes(range(128))}),
        ("JPEG", "RGB", {"quality": 80}),
        ("JPEG", "CMYK", {"progressive": True}),
        ("JPEG", "L", {"exif": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"}),
        ("WEBP", "RGB", {}),
        ("WEBP", "RGBA", {"lossless": True}),
        ("GIF", "P", {"save_all": True, "append_images": [picture.convert("P")]}),
        ("TIFF", "RGB", {}),
        ("TIFF", "RGB", {"compression": "tiff_lzw"}),
        ("TIFF", "I;16", {}),
        ("BMP", "RGB", {}),
        ("PPM", "RGB", {}),
        ("AVIF", "RGB", {"quality": 80}),
        ("AVIF", "RGBA", {"exif": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"}),
        ("HEIF", "RGB", {"quality": 80}),
        ("HEIF", "RGBA", {"quality": 80}),
        ("JXL", "RGB", {"quality": 80}),
        ("JXL", "L", {"lossless": True, "use_container": True}),
    ]
    files = []
    for file_format, mode, options in forms:
        if mode == "I;16":
            image = Image.fromarray(grid[..., 0].astype(np.uint16) * 257)
        else:
            image = picture.convert("RGB").convert(mode) if mode in ("P", "CMYK", "1") else picture.convert(mode)
        stored = io.BytesIO()
        image.save(stored, format=file_format, **options)
        files.append(stored.getvalue())
    return files


def damaged(files: list[bytes], choose: random.Random) -> bytes:
    """Return one of ``files`` with damage, mostly in its header: changed, cut, repeated or foreign bytes."""
    data = bytearray(choose.choice(files))
    for _ in range(choose.randint(1, 4)):
        at = choose.randrange(min(len(data), choose.choice((16, 64, 100_000)))) if data else 0
        kind = choose.randrange(6)
        if kind == 0:
            data[at : at + 1] = bytes([choose.randrange(256)])
        elif kind == 1:
            data[at : at + 4] = choose.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\0\1\0\0"))
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            del data[at : at + choose.randint(1, 9)]
        elif kind == 4:
            data[at:at] = data[at : at + choose.randint(1, 40)]
        else:
            data[at:] = choose.choice(files)[at:]
    return bytes(data)


def fuzz_images(count: int, seed: int = 0, pool: Pool | None = None) -> Counter[str]:
    """Read ``count`` damaged files. Each must give a picture or an ``InputError``; other exceptions are raised.

    Args:
        count: Number of files.
        seed: Random seed of the damage.
        pool: Processes that decode each file a second time, with the same outcome.
    """
    choose, files, outcomes = random.Random(seed), seeds(), Counter[str]()
    for _ in range(count):
        data = damaged(files, choose)
        picture: Picture | str
        try:
            picture = read_image(io.BytesIO(data), max_bytes=100_000, max_pixels=MAX_PIXELS)
        except InputError as error:
            picture = str(error)
        if pool is not None:
            outcomes["apart: " + _decoded_apart(pool, data, picture)] += 1
        if isinstance(picture, str):
            assert "\n" not in picture and len(picture) < 200, picture
            kinds = ("limit", "not an image", "damaged", "not supported")
            outcomes["refused: " + next((kind for kind in kinds if kind in picture), picture)] += 1
            continue
        assert picture.rgb.dtype == np.uint8 and picture.rgb.shape[0] * picture.rgb.shape[1] <= MAX_PIXELS
        outcomes["read"] += 1
    return outcomes


def _decoded_apart(pool: Pool, data: bytes, expected: Picture | str) -> str:
    """Decode a file in a separate process, unless it is refused before; check and return the outcome."""
    try:
        check_effort(data, "The file", MAX_PIXELS)
    except InputError:
        return "refused before it was decoded"
    try:
        picture = pool.decode(data, "The file", MAX_PIXELS, lambda: False)
    except InputError as error:
        assert str(error) == expected, (str(error), expected)
        return "the same"
    assert isinstance(expected, Picture) and np.array_equal(picture.rgb, expected.rgb)
    assert (picture.alpha is None) == (expected.alpha is None)
    assert picture.alpha is None or np.array_equal(picture.alpha, np.asarray(expected.alpha))
    assert (picture.is_grey, picture.notes) == (expected.is_grey, expected.notes)
    return "the same"


COMMAND_THAT_TELLS = (
    sys.executable,
    "-c",
    "import resource; from app.serving import decoder; decoder.main(); "
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)",
)
"""A decoding process that prints, when there are no more files, the peak memory of those it has forked, in kB."""


def fuzz_apart(count: int, seed: int = 0) -> tuple[Counter[str], float]:
    """``fuzz_images`` with a decoding process; returns its outcomes and the process's peak memory for a file, in MB."""
    with patch.object(decoding, "COMMAND", COMMAND_THAT_TELLS):
        pool = decoding.Pool()
        outcomes = fuzz_images(count, seed, pool)
        process = pool._take()
    process._requests.close()
    peak = float(process._answers.readall() or 0) / 1000
    process.close()
    return outcomes, peak


def file_named(choose: random.Random, uploaded: list[str]) -> dict[str, Any]:
    """Return a file as in an event: a path of any form, and ``meta`` right, missing, empty or of a wrong type."""
    target = choose.choice((*SECRETS, *uploaded, "/missing.png"))
    folder = Path(uploaded[0]).parent
    path = choose.choice(
        [
            *(target, target, os.path.relpath(target), f"{folder}/{os.path.relpath(target, folder)}", f"{folder}/.."),
            *(f"file={target}", f"file://{target}", f"/gradio_api/file={target}", f" {target}", f"{target}/", "", None),
        ]
    )
    meta: Any = choose.choice(
        (META, META, META, None, "", {}, [], 1, {"_type": 1}, {"_type": "FileData"}, META | {"x": 1})
    )
    return {"path": path} if meta is None else {"path": path, "meta": meta}


def nonsense(choose: random.Random, uploaded: list[str], depth: int = 0) -> Any:
    """Return a value that the page never sends."""
    html = '<img src=x onerror="alert(1)">'
    values: list[Any] = [
        *(None, True, False, 0, -1, 1, 10**30, -(10**18), 0.5, 1e308, math.nan, math.inf, -math.inf),
        *("", "2", "4", "7", "first", html, "\0", "\ud7ff" * 50, "x" * 5000, "../../etc/passwd", "C:\\x", "drn/drn"),
        *("http://198.51.100.7/x.png", "file:///etc/passwd", "0,0,0,0", "-1,-1,5,5", "1e9,1,1,1", "nan,1,1,1"),
        *("9" * 4000 + ",1,1,1", "1,2,30,20", *SECRETS),
        *(file_named(choose, uploaded) for _ in range(8)),
        *({"path": path, "meta": META} for path in uploaded),
        *({"path": uploaded[0], "orig_name": html, "url": "http://198.51.100.7/"}, {"path": ""}, {"url": SECRETS[0]}),
        *({"path": {"path": 1}}, {"data": "data:image/png;base64,AAAA"}, {"x": math.nan, "y": -5, "width": 1e400}),
    ]
    if depth < 3 and choose.random() < 0.2:
        inner = [nonsense(choose, uploaded, depth + 1) for _ in range(choose.randint(0, 4))]
        return inner if choose.random() < 0.5 else {str(index): value for index, value in enumerate(inner)}
    return choose.choice(values)


def nonsense_that_passes(choose: random.Random, uploaded: list[str]) -> Any:
    """Return a value that the page never sends and that the guard accepts, to test the code after the guard."""
    while True:
        value = nonsense(choose, uploaded)
        with suppress(Refused):
            checked_event(json.dumps({"data": [value]}).encode())
            return value


@dataclass
class Watch:
    """The observed actions of the process."""

    opened: list[str] = field(default_factory=list)
    connected: list[str] = field(default_factory=list)
    active: bool = False


_watch = Watch()


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if not _watch.active:
        return
    if event == "open" and isinstance(args[0], (str, bytes, os.PathLike)):
        _watch.opened.append(os.fsdecode(args[0]))
    elif event in ("socket.connect", "socket.getaddrinfo"):
        _watch.connected.append(str(args[1] if event == "socket.connect" else args[0]))


sys.addaudithook(_audit)


@contextmanager
def watching() -> Iterator[Watch]:
    """Record every file that this process opens and every address that it connects to."""
    _watch.opened.clear()
    _watch.connected.clear()
    _watch.active = True
    try:
        yield _watch
    finally:
        _watch.active = False


class Visitor:
    """Sends invalid data to the events of a running page."""

    def __init__(self, url: str) -> None:
        self.web = httpx.Client(base_url=url, timeout=60)
        self.events = [event for event in self.web.get("/config").json()["dependencies"] if event["backend_fn"]]
        files = {"files": ("<b>small</b>.png", seeds()[0], "image/png")}
        self.uploaded: list[str] = self.web.post("/gradio_api/upload", files=files).json()
        self.uploaded += self.web.post("/gradio_api/upload", files={"files": ("a.png", b"no image")}).json()

    def send(self, seed: int) -> str:
        """Send one event and return its outcome; raise an exception for a forbidden outcome."""
        choose = random.Random(seed)
        event = choose.choice(self.events)
        invent = nonsense_that_passes if choose.random() < 0.7 else nonsense
        session = uuid.uuid4().hex
        count = len(event["inputs"]) + (choose.choice((-1, 1, 3)) if choose.random() < 0.1 else 0)
        if choose.random() < 0.2:
            data = [invent(choose, self.uploaded) for _ in range(max(0, count))]
            return self.call(event["api_name"] or "run", data)
        body: dict[str, Any] = {
            "data": [invent(choose, self.uploaded) for _ in range(max(0, count))],
            "fn_index": choose.choice((-1, 999, "x", None)) if choose.random() < 0.05 else event["id"],
            "session_hash": session,
            "event_data": invent(choose, self.uploaded),
            "trigger_id": choose.choice((None, 3, -9, "x")) if choose.random() < 0.1 else None,
        }
        asked = self.web.post(
            "/gradio_api/queue/join",
            content=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        _check_told(asked.text)
        if asked.status_code != 200:
            assert asked.status_code in (400, 404, 413, 422, 500, 503), (asked.status_code, asked.text)
            return f"refused: {asked.status_code}"
        with self.web.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as answer:
            for line in answer.iter_lines():
                if "process_completed" in line:
                    message = json.loads(line.removeprefix("data: "))
                    if message["success"]:
                        return "answered"
                    _check_told(line)
                    # The page displays our messages as HTML. gradio's message about a wrong choice quotes the choice,
                    # but only the client that sent it receives the message.
                    assert "<img src=x" not in line or "not in the list of choices" in line, line
                    return "refused: one sentence" if message["output"].get("error") else "refused: an error"
                if "unexpected_error" in line or "server_stopped" in line:
                    _check_told(line)
                    return "refused: an error"
        raise AssertionError(f"no answer to {body}")

    def call(self, name: str, data: list[Any]) -> str:
        """Call a function by its name and return the outcome."""
        asked = self.web.post(
            f"/gradio_api/call/{name}",
            content=json.dumps({"data": data}).encode(),
            headers={"Content-Type": "application/json"},
        )
        _check_told(asked.text)
        if asked.status_code != 200:
            assert asked.status_code in (400, 404, 413, 422, 500, 503), (asked.status_code, asked.text)
            return f"refused: {asked.status_code}"
        told = self.web.get(f"/gradio_api/call/{name}/{asked.json()['event_id']}").text
        _check_told(told)
        return "answered" if "event: complete" in told else "refused: an error"


def _check_told(text: str) -> None:
    for leak in ("Traceback", 'File "', "site-packages", "root:x"):
        assert leak not in text, text


def fuzz_events(url: str, count: int, seed: int = 0) -> tuple[Counter[str], Watch]:
    """Send ``count`` events to the page at ``url``, which this process serves."""
    visitor = Visitor(url)
    with watching() as watch, ThreadPoolExecutor(6) as pool:
        outcomes = Counter(pool.map(visitor.send, range(seed, seed + count)))
    return outcomes, watch


def main(
    images: Annotated[int, typer.Option()] = 20_000,
    events: Annotated[int, typer.Option()] = 3000,
    seed: Annotated[int, typer.Option()] = 1,
) -> None:
    """Print the number of inputs for each outcome."""
    from app.page import build, launch
    from app.serving import jobs

    outcomes, peak = fuzz_apart(images, seed)
    print("images", *(f"{count:8} {outcome}" for outcome, count in outcomes.most_common()), sep="\n")
    print(f"peak memory of a decoding process: {peak:.0f} MB")
    demo = build()
    jobs.JOB_SECONDS = 1.0  # some events are valid and take long
    outcomes, watch = fuzz_events(launch(demo, block=False), events, seed)
    print("events", *(f"{count:8} {outcome}" for outcome, count in outcomes.most_common()), sep="\n")
    print("opened of what was named:", sorted(set(SECRETS) & set(watch.opened)) or "nothing")
    print("connections elsewhere:", elsewhere(watch) or "none")
    demo.close()


def elsewhere(watch: Watch) -> list[str]:
    """Return the addresses of other machines to which connections were opened."""
    here = ("127.0.0.1", "localhost")
    return sorted({address for address in watch.connected if not any(own in address for own in here)})


if __name__ == "__main__":
    typer.run(main)
