"""The endpoints for programs, ``/compare`` and ``/upscale``; all other events of the page are private."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gradio as gr

from app.engines import Chosen, ServedWeights
from app.events import HEAVY
from app.figures import store_figure
from app.serving.gradio_patches import take_any, take_file_or_refuse
from app.serving.jobs import Job, deadline, errors_for_visitor
from app.session import Session, compute, open_upload
from app.upscaling import enlarge
from drn.errors import InputError
from drn.evaluation.comparison import Score, score
from drn.evaluation.pairs import notes_on, parse_rect, whole_rect
from drn.geometry import Rect
from drn.variants import VARIANT_CHOICES, VariantChoice

OPTIONS: dict[str, Any] = {**HEAVY, "api_visibility": "public"}


def endpoints(served: ServedWeights) -> None:
    """Add the endpoints to the page, with hidden components that define the types and defaults for clients."""
    scales = served.scales
    with gr.Row(visible=False):
        image = gr.File(label="image")
        scale = gr.Radio([str(s) for s in scales], value=str(max(scales)), label="scale")
        self_ensemble = gr.Checkbox(label="self_ensemble")
        crop = gr.Textbox(label="crop", value="")
        weights = gr.Radio(list(VARIANT_CHOICES), value="auto", label="weights")
        numbers, drawn, enlarged = gr.JSON(label="numbers"), gr.File(label="figure"), gr.File(label="enlarged")
        call = gr.Button()
    take_file_or_refuse(image)
    take_any(scale)
    take_any(weights)

    def scale_of(given: Any) -> int:
        """Return the scale, which a client may send as text or as a number."""
        sent = str(_given("scale", given)).removesuffix(".0")
        if sent not in map(str, scales):
            raise InputError(f"The scale {sent[:20]!r} is unknown: give one of {', '.join(map(str, scales))}.")
        return int(sent)

    def upscale(image: str | None, scale: Any, self_ensemble: bool, weights: Any) -> Iterator[Any]:
        """Enlarge an image; answers with a PNG called <stem>_DRN_x<scale>.png, alpha kept.

        weights: auto, clean or photo; auto uses the photo weights, if there are any, for JPEG files.
        """
        with errors_for_visitor(str):
            number = scale_of(scale)
            choose = functools.partial(_choose, served, number, choice_of(weights))
            job = Job(enlarge(_given("image", image), number, bool(self_ensemble), choose))
            for _ in job:
                yield gr.skip()
        yield str(job.result.file)

    def compare(image: str | None, scale: Any, self_ensemble: bool, crop: str) -> Iterator[tuple[Any, Any]]:
        """Shrink a photograph, enlarge it by each method, and measure; answers with numbers and a figure.

        crop: X,Y,W,H, the region of the photograph that is measured and drawn; if empty, the whole photograph.
        """
        with errors_for_visitor(str):
            path, ends = _given("image", image), deadline()
            opening = Job(open_upload(path, scale_of(scale), ends))
            for _ in opening:
                yield gr.skip(), gr.skip()
            session = replace(opening.result, self_ensemble=bool(self_ensemble))
            (pair,) = session.pairs
            hr_rect = parse_rect(crop, pair) if crop else whole_rect(pair)
            for computed in compute(session, served.upscaler_for, session.self_ensemble, ends):
                session = computed or session
                yield gr.skip(), gr.skip()
            figure = store_figure(session, hr_rect)
        yield answer(session, hr_rect), figure

    call.click(upscale, [image, scale, self_ensemble, weights], enlarged, api_name="upscale", **OPTIONS)
    call.click(compare, [image, scale, self_ensemble, crop], [numbers, drawn], api_name="compare", **OPTIONS)


def choice_of(given: Any) -> VariantChoice:
    """Return the choice of the weights that a client sent.

    Raises:
        InputError: If there is no such choice.
    """
    for choice in VARIANT_CHOICES:
        if choice == given:
            return choice
    raise InputError(f"The weights {str(given)[:20]!r} are unknown: give one of {', '.join(VARIANT_CHOICES)}.")


def _choose(served: ServedWeights, scale: int, choice: VariantChoice, jpeg_quality: int | None) -> Chosen:
    """Choose the network for an image like ``served.choose``.

    Raises:
        InputError: If photo weights were requested and there are none, because the answer could not say so.
    """
    chosen = served.choose(scale, choice, jpeg_quality)
    if choice == "photo" != chosen.variant:
        raise InputError(f"There are no photo weights for x{scale}: give auto or clean.")
    return chosen


def answer(session: Session, hr_rect: Rect) -> dict[str, Any]:
    """Make the JSON answer of ``/compare``.

    Args:
        session: The comparison.
        hr_rect: The region that is measured, in HR pixels.

    Returns:
        The scores in the region and over the whole image, by method. A score that cannot be measured is null. The PSNR
        of equal images is null too, because JSON has no infinity.
    """
    (pair,) = session.pairs

    def numbers(value: Score) -> dict[str, float | None]:
        psnr = value.psnr if value.psnr is not None and math.isfinite(value.psnr) else None
        return {"psnr": psnr, "ssim": value.ssim}

    return {
        "scale": pair.scale,
        "notes": notes_on(session.picture),
        "crop": [hr_rect.x, hr_rect.y, hr_rect.width, hr_rect.height],
        "methods": {
            method: {
                "crop": numbers(score(pair, result.sr, hr_rect)),
                "image": numbers(result.whole),
                "seconds": round(result.seconds, 3),
            }
            for (_, method), result in session.results.items()
        },
    }


def _given(name: str, value: Any) -> Any:
    """Return a parameter's value.

    Raises:
        InputError: If it is missing.
    """
    if value is None:
        raise InputError(f"No {name} was given: send one.")
    return value
