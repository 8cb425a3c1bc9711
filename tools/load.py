"""Load the page with many visitors at once: ``python -m tools.load --visitors 32 --seconds 120``.

Every answer is compared with the answer to the same request without load. The page must respond throughout, and the
server's memory must return to its size before the load.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from gradio_client import Client, handle_file
from PIL import Image

from app.photographs import examples
from drn.reading import read_image

ROOT = Path(__file__).resolve().parent.parent
BUSY = "Queue is full"
"""Part of the message of a full queue."""

PAGE_SECONDS = 0.5
"""Seconds between two requests for the page itself."""

Call = dict[str, Any]
"""Arguments of ``Client.predict``."""


@dataclass
class Tally:
    """Observations of all visitors.

    Attributes:
        outcomes: Number of requests by outcome.
        waits: Seconds from each request to its answer.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    waits: list[float] = field(default_factory=list)


def make_calls(folder: Path) -> list[Call]:
    """Make different requests, of several kinds and sizes, with images that are stored in ``folder``."""
    calls: list[Call] = []
    for index, example in enumerate(examples()[:6]):
        picture = Image.fromarray(read_image(example).rgb).crop((40, 40, 168 + 8 * index, 152 + 4 * index))
        path = folder / f"{example.stem}.png"
        picture.save(path)
        for scale in ("2", "3", "4"):
            calls.append({"api_name": "/upscale", "image": path, "scale": scale})
            calls.append({"api_name": "/compare", "image": path, "scale": scale, "crop": f"{index},3,60,40"})
    calls.append({"api_name": "/upscale", "image": path, "scale": "2", "self_ensemble": True})
    return calls


def ask(client: Client, call: Call) -> str:
    """Send a request and return a digest of the answer, without the seconds in it."""
    given = {**call, "image": handle_file(str(call["image"]))}
    answer = client.predict(**given)
    digest = hashlib.sha256()
    for part in answer if isinstance(answer, (tuple, list)) else [answer]:
        if isinstance(part, str):
            digest.update(Path(part).name.encode() + Path(part).read_bytes())
        else:
            digest.update(re.sub(r"'seconds': [\d.]+", "", str(part)).encode())
    return digest.hexdigest()


def visit(url: str, calls: list[Call], alone: list[str], ends: float, seed: int, tally: Tally) -> None:
    """Send requests one after another, like one visitor.

    Args:
        url: Address of the page.
        calls: The requests to choose from.
        alone: Digest of the answer to each request without load.
        ends: When to stop, by ``time.monotonic()``.
        seed: Seed of the visitor's choices.
        tally: Collects the observations.
    """
    choose = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        client = None
        while time.monotonic() < ends:
            index = choose.randrange(len(calls))
            start = time.monotonic()
            try:
                client = client or Client(url, verbose=False, download_files=folder, analytics_enabled=False)
                same = ask(client, calls[index]) == alone[index]
                outcome = "right" if same else "WRONG"
            except Exception as error:
                outcome = "queue full" if BUSY in str(error) else f"FAILED: {error}"
            tally.outcomes[outcome] += 1
            tally.waits.append(time.monotonic() - start)


def watch_page(url: str, ends: float) -> list[tuple[float, str]]:
    """Request the page every ``PAGE_SECONDS``; this must run in a process that does nothing else.

    Args:
        url: Address of the page.
        ends: When to stop, by ``time.monotonic()``.

    Returns:
        Of each request, the seconds until the whole answer was there, and the error; empty without an error.
    """
    seen = []
    with httpx.Client(base_url=url, timeout=30) as web:
        while time.monotonic() < ends:
            start, error = time.monotonic(), ""
            try:
                web.get("/").raise_for_status()
            except httpx.HTTPError as failure:
                error = repr(failure)
            seen.append((time.monotonic() - start, error))
            time.sleep(PAGE_SECONDS)
    return seen


def resident(pid: int) -> float:
    """Return the resident memory of a process, in MB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    match = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert match is not None
    return int(match[1]) / 1000


@contextmanager
def served(env: Mapping[str, str] = os.environ, **changes: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Serve the page in a process of its own.

    Args:
        env: Environment variables.
        changes: Further environment variables.

    Yields:
        The process and the address of the page.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-u", "app.py"],
        cwd=ROOT,
        env={**env, "GRADIO_SERVER_PORT": str(port), **changes},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        assert any("Running on local URL" in line for line in server.stdout), "the app did not start"
        yield server, f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


def main(
    visitors: Annotated[int, typer.Option(min=1)] = 32, seconds: Annotated[float, typer.Option(min=1)] = 120.0
) -> None:
    """Run the visitors and print the figures; the exit code is 1 if an answer, a time or the memory is wrong."""
    tally = Tally()
    fresh = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
    with fresh, served() as (server, url), tempfile.TemporaryDirectory() as folder:
        calls = make_calls(Path(folder))
        client = Client(url, verbose=False, download_files=folder, analytics_enabled=False)
        alone = [ask(client, call) for call in calls]
        before = resident(server.pid)
        fresh.submit(watch_page, url, 0).result()  # starts the process
        ends = time.monotonic() + seconds
        threads = [
            threading.Thread(target=visit, args=(url, calls, alone, ends, seed, tally)) for seed in range(visitors)
        ]
        watching = fresh.submit(watch_page, url, ends)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seen = watching.result()
        after = resident(server.pid)
    tally.outcomes.update(f"FAILED: the page, {error}" for _, error in seen if error)
    broken = [name for name in tally.outcomes if name not in ("right", "queue full")]
    waits, page = sorted(tally.waits), sorted(spent for spent, _ in seen)
    print(f"{visitors} visitors, {seconds:.0f} s, {len(calls)} kinds of request, {os.cpu_count()} cores")
    for outcome, count in tally.outcomes.most_common():
        print(f"{count:6} {outcome}")
    print(f"an answer takes {waits[len(waits) // 2]:.1f} s (median), {waits[-1]:.1f} s (longest)")
    print(f"the page answers / in {page[len(page) // 2]:.2f} s (median), {page[-1]:.2f} s (longest) of {len(page)}")
    print(f"resident memory: {before:.0f} MB before, {after:.0f} MB after")
    raise SystemExit(1 if broken or not tally.outcomes["right"] or page[-1] > 1 or after - before > 150 else 0)


if __name__ == "__main__":
    typer.run(main)
