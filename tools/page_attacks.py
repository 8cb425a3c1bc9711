"""Attacks on the files of the server and of visitors. ``tools.attack`` runs them."""

from __future__ import annotations

import contextlib
import io
import re
import resource
import socket
import threading
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import httpx
from PIL import Image

from tools.asking import META, answers, call, connect, events, head, join, part, png, with_file
from tools.attack import Outcome, Target, attack

WIDTH, HEIGHT = 67, 41
"""Size of an image that no visitor may see. No image of the page has this size at any scale."""

LIMIT_MB = 2000
"""Limit on stored files in SECURITY.md, in MB."""


def secret_image(target: Target) -> Path:
    """Write the image that no visitor may see."""
    path = target.secrets / "secret.png"
    path.write_bytes(png(WIDTH, HEIGHT))
    return path


def shown(web: httpx.Client, told: str) -> Iterator[tuple[int, int]]:
    """Return the sizes of the images that an answer names and that the server delivers."""
    for path in set(re.findall(r'"path": ?"([^"]+\.png)"', told)):
        answer = web.get(f"/gradio_api/file={path}")
        if answer.status_code == 200:
            with Image.open(io.BytesIO(answer.content)) as image:
                yield image.size


@attack(1, "read an image on the server by its path, through every function")
def open_read(target: Target) -> Outcome:
    """Send the path as plain text, and in the form of the page's own files, to every function index and every name."""
    secret = str(secret_image(target))
    sizes = {(WIDTH // cut * cut * by, HEIGHT // cut * cut * by) for cut in (1, 2, 3, 4) for by in (1, 2, 3, 4)}
    seen, asked = set(), 0
    with target.web(60) as web:
        for event in events(web):
            for file in ({"path": secret}, {"path": secret, "meta": META}):
                data = with_file(web, event, file)
                told = [call(web, event["api_name"], data)] if event["api_name"] else []
                status, session = join(web, event, data)
                told += [answers(web, session)] if status == 200 else []
                asked += len(told)
                if any(size in sizes for text in told for size in shown(web, text)):
                    seen.add(event["api_name"])
    return Outcome(not seen, f"{asked} requests; shown by {', '.join(sorted(map(str, seen))) or 'none'}")


@attack(1, "learn whether a file exists")
def file_oracle(target: Target) -> Outcome:
    """Compare the answers for an image, a text file and a missing file, from all functions: there must be only one."""
    secret = secret_image(target)
    (target.secrets / "text.png").write_text("no image")
    told: dict[str, set[str]] = {}
    with target.web() as web:
        functions = [event for event in events(web) if event["api_name"] in ("run_upscale", "upscale", "compare")]
        for name in (secret.name, "text.png", "missing.png"):
            path = str(target.secrets / name)
            for event, file in product(functions, ({"path": path}, {"path": path, "meta": META})):
                data = with_file(web, event, file)
                status, answer = join(web, event, data)
                said = [answers(web, answer) if status == 200 else f"{status} {answer}"]
                if event["api_name"] != "run_upscale":
                    said.append(call(web, event["api_name"], data))
                for text in said:
                    told.setdefault(text.replace(name, "NAME"), set()).add(name)
    return Outcome(len(told) == 1 and all(len(names) == 3 for names in told.values()), f"{len(told)} different answers")


@attack(3, "use up file descriptors with one stalled upload of 990 parts and 40 idle connections")
def descriptors(target: Target) -> Outcome:
    """Check that the page still answers within 5 s, and that the log grows by at most 100 lines."""
    lines = target.log.read_bytes().count(b"\n")
    with contextlib.ExitStack() as opened:
        stalled = opened.enter_context(connect(target))
        with contextlib.suppress(OSError):
            stalled.sendall(head(target, 10_000_000) + b"".join(part(f"{n}.png") + b"x\r\n" for n in range(990)))
        time.sleep(2)
        for _ in range(40):
            opened.enter_context(connect(target))
        held, seconds = _page_answers(target)
        time.sleep(3)
        lines = target.log.read_bytes().count(b"\n") - lines
    return Outcome(held and lines < 100, f"/ {seconds}, {lines} log lines in 5 s")


@attack(3, "use up file descriptors with 1,100 idle connections")
def idle_connections(target: Target) -> Outcome:
    """Check that the page still answers within 5 s, and that the log grows by at most 100 lines."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    lines = target.log.read_bytes().count(b"\n")
    with contextlib.ExitStack() as opened:
        for _ in range(1100):
            with contextlib.suppress(OSError):
                opened.enter_context(connect(target))
        held, seconds = _page_answers(target)
        time.sleep(3)
        lines = target.log.read_bytes().count(b"\n") - lines
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return Outcome(held and lines < 100, f"/ {seconds}, {lines} log lines in 5 s")


def _page_answers(target: Target) -> tuple[bool, str]:
    start = time.monotonic()
    try:
        with target.web(5) as web:
            web.get("/").raise_for_status()
    except httpx.HTTPError as error:
        return False, f"failed ({type(error).__name__})"
    return True, f"answered in {time.monotonic() - start:.2f} s"


@attack(4, "exceed the limit on stored files with 125 simultaneous uploads")
def disk_in_flight(target: Target) -> Outcome:
    """Stall each upload before its last kilobyte."""
    size, block = 19_900_000, bytes(100_000)

    def stall(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection.sendall(head(target, size + 500) + part("large.png"))
            for _ in range(size // len(block) - 1):
                connection.sendall(block)

    with contextlib.ExitStack() as opened:
        connections = [opened.enter_context(connect(target)) for _ in range(125)]
        threads = [threading.Thread(target=stall, args=(connection,), daemon=True) for connection in connections]
        for thread in threads:
            thread.start()
        most, ends = 0, time.monotonic() + 60
        while any(thread.is_alive() for thread in threads) and time.monotonic() < ends:
            most = max(most, target.stored_bytes())
            time.sleep(0.5)
        most = max(most, target.stored_bytes())
    return Outcome(most <= LIMIT_MB * 1e6, f"{most / 1e6:.0f} MB stored, the limit is {LIMIT_MB} MB")


@attack(5, "leave files behind with 60 interrupted uploads")
def broken_uploads(target: Target) -> Outcome:
    """Break off each upload after 5 MB of 6."""
    before = target.stored_bytes()
    for number in range(60):
        with connect(target) as connection, contextlib.suppress(OSError):
            connection.sendall(head(target, 6_000_000) + part(f"{number}.png") + bytes(5_000_000))
    time.sleep(3)
    left = target.stored_bytes() - before
    return Outcome(left < 1e6, f"{left / 1e6:.1f} MB left")


@attack(5, "store an upload on a full disk")
def disk_full(target: Target) -> Outcome:
    """Upload a file to a server that can write at most 40 kB into a file."""
    before = target.stored_bytes()
    resource.prlimit(target.pid, resource.RLIMIT_FSIZE, (40_000, 40_000))
    with target.web() as web:
        answer = web.post("/gradio_api/upload", files={"files": ("large.png", bytes(300_000), "image/png")})
    told = "cannot store files just now" in answer.text
    time.sleep(0.5)
    left = target.stored_bytes() - before
    sentence = "the sentence" if told else "no sentence"
    return Outcome(told and left == 0, f"status {answer.status_code}, {sentence}, {left} bytes left")
