"""The viewer: a gradio component that shows images under one viewport. Its JavaScript files are in ``static/``."""

from __future__ import annotations

import functools
import hashlib
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.utils import get_upload_folder
from PIL import Image

from app.serving.cache import folder_for, make_room
from app.viewer.contract import ImageNumbers, ImageValue, Legend, Numbers, Region, Role, SceneValue, Scores, Viewpoint
from drn.evaluation.comparison import Score, best, format_psnr, format_ssim
from drn.files import replace_file
from drn.geometry import Rect
from drn.image import Array

APP = Path(__file__).parents[1]

SCRIPTS = (
    "viewport",
    "choice",
    "cells",
    "region",
    "numbers",
    "table",
    "panels",
    "stage",
    "gestures",
    "picking",
    "region_bar",
    "controls",
    "announcer",
    "address",
    "walk",
    "upload_thumbnail",
    "viewer",
)
"""The viewer's JavaScript files, in the order in which they are joined. The last one defines ``startViewer``."""

ON_LOAD = 'startViewer(element, props, watch, (event) => trigger("viewport", event));'
"""Starts a viewer; gradio finds the name of its event here."""

_SECRET = secrets.token_bytes(32)
"""Secret key of the digests in names of image files.

With a plain digest, anyone who has an image could find out whether it was compared here.
"""

WEBP_SIDE = 16383
"""Longest side of a WebP file, in pixels."""

FIRST_ZOOM = 4.0
"""CSS pixels for one HR pixel, in the first view."""


def read_static(*names: str) -> str:
    """Read files in the folder ``app`` and join their text."""
    return "\n".join((APP / name).read_text(encoding="utf-8") for name in names)


def read_script() -> str:
    """Join the viewer's JavaScript. The page must load it before its viewers, for which it defines ``startViewer``."""
    script = read_static(*(f"viewer/static/{name}.js" for name in SCRIPTS))
    return f"const startViewer = (() => {{\n{script}\nreturn startViewer;\n}})();\n"


@dataclass(frozen=True)
class Layer:
    """One image of a scene, with its pixels.

    Attributes:
        key: Identifies the image within its scene and in links.
        role: The kind of image.
        scale: Scale of the comparison that the image belongs to.
        name: Label.
        note: A few words of explanation.
        pixels: uint8, (h, w, 3); None while they are being computed. An image of role "small" has one pixel for
            ``scale`` x ``scale`` HR pixels; every other image has the size of the original.
        method: Name of the method that made the image; None for the small image and the original.
        legend: Labels of the colour scale; None unless the image is a map.
        shown: Whether the image is among the panels that a new visitor sees.
    """

    key: str
    role: Role
    scale: int
    name: str
    note: str
    pixels: Array | None
    method: str | None = None
    legend: Legend | None = None
    shown: bool = True


def first_view(x: float, y: float) -> Viewpoint:
    """Build the viewpoint for an address without a viewpoint.

    Args:
        x: Horizontal centre, in HR pixels.
        y: Vertical centre, in HR pixels.
    """
    return Viewpoint(
        x=x,
        y=y,
        fit=False,
        zoom=FIRST_ZOOM,
        min_width=64,
        layout="side",
        front="",
        left="",
        shown=[],
        divider=0.5,
        region=None,
        seen=None,
    )


@dataclass(frozen=True)
class Scene:
    """Images that the viewer shows under one viewport; ``SceneValue`` is its form on the page.

    Attributes:
        token: Identifies this set of images; it changes whenever an image changes.
        picture: Identifies the photograph; the viewport is kept while this value stays the same.
        width: Width of the original image, in pixels.
        height: Height of the original image, in pixels.
        layers: The images, in the order of the number keys.
        start: The first viewpoint.
        shared_width: Width of the part that the originals of all scales have; None for the width of the original.
        shared_height: Height of this part; None for the height of the original.
        columns: Largest number of panels in a row; None for as many as fit.
        hint: A sentence shown below the panels.
        link: Query that opens these images again; None if no link can open them.
        failed: Whether the computation of the images without pixels has failed or was stopped.
        owner: Scenes with the same owner share the files of equal images; the owner of the examples is empty.
        name: Name of the photograph, for files and tables of numbers.
        degradation: Degradation of the small images in a few words; empty for none.
    """

    token: str
    picture: str
    width: int
    height: int
    layers: tuple[Layer, ...]
    start: Viewpoint
    shared_width: int | None = None
    shared_height: int | None = None
    columns: int | None = None
    hint: str = ""
    link: str | None = None
    failed: bool = False
    owner: str = ""
    name: str = "image"
    degradation: str = ""


@dataclass(frozen=True)
class Measured:
    """Measurements of one image: scores of the region in view and of the whole image, and seconds of its method.

    The seconds are None for a finished result, which was not computed here.
    """

    region: Score
    whole: Score
    seconds: float | None


def viewer(scene: Scene | None, elem_id: str, *, has_address: bool = False) -> gr.HTML:
    """Build the component that shows images under one viewport.

    The value of the component is a ``SceneValue`` or None. The data of its event ``viewport`` is a ``ViewportEvent``;
    answer it with ``gr.HTML(numbers=numbers_for(...))``, which leaves the images unchanged.

    Args:
        scene: The first scene; None hides the viewer.
        elem_id: Identifies the component on the page.
        has_address: Whether the address of the page contains the state of this viewer; at most one viewer of a page.
    """
    return gr.HTML(
        None if scene is None else scene_value(scene),
        html_template=read_static("viewer/static/viewer.html"),
        js_on_load=ON_LOAD,
        apply_default_css=False,
        elem_id=elem_id,
        numbers=None,
        address=has_address,
    )


def busy_js(elem_id: str, busy: bool) -> str:
    """JavaScript that marks a viewer as waiting for the server, or removes the mark. A new scene removes it too."""
    return f"document.querySelector('#{elem_id} .viewer')?.setAttribute('aria-busy', '{str(busy).lower()}');"


def scene_value(scene: Scene) -> SceneValue:
    """Convert a scene to its form on the page; the images become files in gradio's cache."""
    files = _store({layer.key: layer.pixels for layer in scene.layers if layer.pixels is not None}, scene.owner)
    return {
        "token": scene.token,
        "picture": scene.picture,
        "name": scene.name,
        "width": scene.width,
        "height": scene.height,
        "start": scene.start,
        "columns": scene.columns,
        "shared_width": scene.shared_width or scene.width,
        "shared_height": scene.shared_height or scene.height,
        "hint": scene.hint,
        "link": scene.link,
        "failed": scene.failed,
        "degradation": scene.degradation,
        "images": [_image(layer, files.get(layer.key)) for layer in scene.layers],
    }


def _image(layer: Layer, file: Path | None) -> ImageValue:
    return {
        "key": layer.key,
        "role": layer.role,
        "scale": layer.scale,
        "method": layer.method,
        "name": layer.name,
        "note": layer.note,
        "legend": layer.legend,
        "shown": layer.shown,
        "file": None if file is None else {"path": str(file), "meta": {"_type": "gradio.FileData"}},
    }


def image_path(pixels: Array, owner: str) -> Path:
    """Return the file name of an image. Nobody can tell from this name which image the file shows.

    Args:
        pixels: The image.
        owner: See ``Scene``.
    """
    digest = hashlib.blake2b(f"{owner} {pixels.shape}".encode(), key=_SECRET, digest_size=32)
    digest.update(np.ascontiguousarray(pixels).data)
    suffix = "png" if max(pixels.shape) > WEBP_SIDE else "webp"
    return Path(get_upload_folder()) / digest.hexdigest() / f"image.{suffix}"


def _store(images: Mapping[str, Array], owner: str) -> dict[str, Path]:
    """Write images as lossless files and return their paths by key.

    Equal images of one owner share one file, and a file that exists is not written again.

    Raises:
        OSError: If a file cannot be written, for example because the disk is full; no partial file is left.
    """
    paths, new = {}, {}
    for key, pixels in images.items():
        paths[key] = path = image_path(pixels, owner)
        try:
            os.utime(path)
        except FileNotFoundError:
            new[path] = pixels
    if new:
        make_room(
            sum(pixels.nbytes for pixels in new.values())
        )  # searches the whole folder, so it is called only once for a scene
    for path, pixels in new.items():
        with folder_for(path):
            replace_file(path, functools.partial(_write_lossless, pixels))
    return paths


def _write_lossless(pixels: Array, path: Path) -> None:
    # At these settings WebP takes a third of the time and 80 % of the space of PNG.
    options: dict[str, Any] = (
        {"compress_level": 4} if path.suffix == ".png" else {"lossless": True, "quality": 0, "method": 0}
    )
    Image.fromarray(pixels).save(path, **options)


def numbers_for(token: str, hr_rect: Rect, groups: Sequence[Mapping[str, Measured]]) -> Numbers:
    """Format scores for the viewer and mark the best PSNR and SSIM of each group.

    Args:
        token: Token of the scene that was measured.
        hr_rect: The region that was measured, in HR pixels.
        groups: Measurements by image key; each group contains images that are compared with each other.
    """
    scores: dict[str, ImageNumbers] = {}
    for group in groups:
        in_region = _marked({key: measured.region for key, measured in group.items()})
        in_whole = _marked({key: measured.whole for key, measured in group.items()})
        for key, measured in group.items():
            scores[key] = {"region": in_region[key], "whole": in_whole[key], "seconds": measured.seconds}
    return {"token": token, "region": region_of(hr_rect), "scores": scores}


def region_of(hr_rect: Rect) -> Region:
    """Convert a rectangle to its form on the page."""
    return Region(x=hr_rect.x, y=hr_rect.y, width=hr_rect.width, height=hr_rect.height)


def _marked(scores: Mapping[str, Score]) -> dict[str, Scores]:
    """Format PSNR and SSIM by image key, and mark the best values."""
    psnr = best({key: score.psnr for key, score in scores.items()})
    ssim = best({key: score.ssim for key, score in scores.items()})
    return {
        key: {
            "psnr": {"text": format_psnr(score), "best": key in psnr},
            "ssim": {"text": format_ssim(score), "best": key in ssim},
        }
        for key, score in scores.items()
    }
