"""The endpoints for programs, ``/compare`` and ``/upscale``; every other event of the page is private."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from app.engines import Engine
from app.jobs import Job, deadline, told_to_visitor
from app.session import Session, compute, open_upload
from app.tabs.compare import HEAVY, draw_figure
from app.tabs.upscale import enlarge
from app.uploads import path_of
from drn.compare import Score, notes_on, parse_region, score, whole_of
from drn.errors import InputError
from drn.inference import Region

OPTIONS: dict[str, Any] = {**HEAVY, "api_visibility": "public"}


def endpoints(engine: Engine, scales: list[int]) -> None:
    """Add the endpoints to the page; their components give the clients types and defaults, and are not shown."""
    with gr.Row(visible=False):
        image = gr.File(label="image")
        image.preprocess = path_of  # type: ignore[method-assign]
        scale = gr.Radio([str(s) for s in scales], value=str(max(scales)), label="scale")
        self_ensemble = gr.Checkbox(label="self_ensemble")
        crop = gr.Textbox(label="crop", value="")
        numbers, drawn, enlarged = gr.JSON(label="numbers"), gr.File(label="figure"), gr.File(label="enlarged")
        call = gr.Button()

    def upscale(image: str | None, scale: str | None, self_ensemble: bool) -> Iterator[Any]:
        """Enlarge an image; answers with a PNG called <stem>_DRN_x<scale>.png, alpha kept."""
        with told_to_visitor(str):
            job = Job(enlarge(_given("image", image), engine(int(_given("scale", scale))), bool(self_ensemble)))
            for _ in job:
                yield gr.skip()
        yield str(job.result.file)

    def compare(image: str | None, scale: str | None, self_ensemble: bool, crop: str) -> Iterator[tuple[Any, Any]]:
        """Shrink a photograph, enlarge it by each method, and measure; answers with numbers and a figure.

        crop: X,Y,W,H, the region of the photograph that is measured and drawn; all of it if empty.
        """
        with told_to_visitor(str):
            path, ends = _given("image", image), deadline()
            opening = Job(open_upload(path, int(_given("scale", scale)), ends))
            for _ in opening:
                yield gr.skip(), gr.skip()
            session = replace(opening.result, name=Path(path).stem, plus=bool(self_ensemble))
            (pair,) = session.pairs
            region = parse_region(crop, pair) if crop else whole_of(pair)
            for computed in compute(session, engine, session.plus, ends):
                session = computed or session
                yield gr.skip(), gr.skip()
            drawn = draw_figure(session, region)
        yield answer(session, region), drawn

    call.click(upscale, [image, scale, self_ensemble], enlarged, api_name="upscale", **OPTIONS)
    call.click(compare, [image, scale, self_ensemble, crop], [numbers, drawn], api_name="compare", **OPTIONS)


def answer(session: Session, region: Region) -> dict[str, Any]:
    """What ``/compare`` measured, as JSON holds it: no number where there is none to give, equal images included."""
    (pair,) = session.pairs

    def numbers(value: Score) -> dict[str, float | None]:
        psnr = value.psnr if value.psnr is not None and math.isfinite(value.psnr) else None
        return {"psnr": psnr, "ssim": value.ssim}

    return {
        "scale": pair.scale,
        "notes": notes_on(session.picture),
        "crop": [region.x, region.y, region.width, region.height],
        "methods": {
            method: {
                "crop": numbers(score(pair, result.sr, region)),
                "image": numbers(result.whole),
                "seconds": round(result.seconds, 3),
            }
            for (_, method), result in session.results.items()
        },
    }


def _given(name: str, value: str | None) -> str:
    if value is None:
        raise InputError(f"No {name} was given: send one.")
    return value
