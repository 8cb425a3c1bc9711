"""Measure the time that decoding in a separate process adds to an upload.

python -m tools.decoding_time --busy 2
"""

from __future__ import annotations

import io
import os
import statistics
import subprocess
import sys
import time
from typing import Annotated

import numpy as np
import typer
from PIL import Image

from app.photographs import EXAMPLES
from app.serving.decoding import Pool
from app.serving.limits import MAX_PIXELS
from drn.reading import read_image


def files() -> dict[str, bytes]:
    """By name: a small photograph, and the largest photographs that are accepted."""
    photo = Image.open(EXAMPLES / "astronaut.png").convert("RGB")
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (2000, 2000, 3), np.uint8))
    made: dict[str, bytes] = {}
    for name, image, options in (
        ("PNG", photo, {"format": "PNG"}),
        ("JPEG", photo.resize((2000, 2000)), {"format": "JPEG", "quality": 90}),
        ("PNG of noise", noise, {"format": "PNG", "compress_level": 1}),
    ):
        stored = io.BytesIO()
        image.save(stored, **options)
        made[f"{name}, {image.width}x{image.height}, {stored.tell() / 1e6:.1f} MB"] = stored.getvalue()
    return made


def main(
    runs: Annotated[int, typer.Option(min=1, help="Number of times that each file is decoded.")] = 15,
    busy: Annotated[int, typer.Option(min=0, help="Number of processes that compute at the same time.")] = 0,
) -> None:
    """Print the time for decoding each file in a separate process and in this process, measured in turn."""
    pool, made = Pool(), files()
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
    print(f"{os.cpu_count()} cores, {busy} busy; median (longest) of {runs}, in ms")
    try:
        for name, data in made.items():
            pool.warm()
            time.sleep(1)
            apart, here = [], []
            for _ in range(runs):
                start = time.perf_counter()
                picture = pool.decode(data, "photo", MAX_PIXELS, lambda: False)
                middle = time.perf_counter()
                assert np.array_equal(picture.rgb, read_image(io.BytesIO(data)).rgb)
                apart.append(1000 * (middle - start))
                here.append(1000 * (time.perf_counter() - middle))
            added = [a - b for a, b in zip(apart, here, strict=True)]
            print(
                f"{name:34} apart {statistics.median(apart):4.0f}, here {statistics.median(here):4.0f}, "
                f"added {statistics.median(added):4.0f} ({max(added):.0f})"
            )
        pool.close()
        start = time.perf_counter()
        pool.decode(next(iter(made.values())), "photo", MAX_PIXELS, lambda: False)
        print(f"when no process waits: {1000 * (time.perf_counter() - start):.0f}")
    finally:
        pool.close()
        for other in others:
            other.kill()


if __name__ == "__main__":
    typer.run(main)
