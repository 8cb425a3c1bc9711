"""The synced viewer: a gradio component of our own, whose client side is app/static/viewer/."""

from __future__ import annotations

import functools
import hashlib
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.utils import get_upload_folder
from PIL import Image

from app.cache import folder_for, make_room
from drn.compare import Score, best, format_psnr, format_ssim
from drn.image import Array, replace_file
from drn.inference import Region

STATIC = Path(__file__).parent / "static"
LAYOUTS = ("side", "divider", "single")

_SECRET = secrets.token_bytes(32)
"""Key of the digests that name image files. A plain digest would tell who knows an image whether it was looked at."""


def read_static(*names: str) -> str:
    """The named files of app/static, joined."""
    return "\n".join((STATIC / name).read_text(encoding="utf-8") for name in names)


@dataclass(frozen=True)
class Layer:
    """One image of a scene.

    Attributes:
        key: Short name used by the client side and in links.
        name: Label.
        note: A few words of explanation.
        pixels: uint8, (h, w, 3); None while it is being computed.
        factor: HR pixels for one of its pixels on each axis.
        legend: For maps: kind of colour scale, label of its low end, label of its high end.
        shown: Whether it is among the panels to begin with.
    """

    key: str
    name: str
    note: str
    pixels: Array | None
    factor: int = 1
    legend: tuple[str, str, str] | None = None
    shown: bool = True


@dataclass(frozen=True)
class View:
    """Where to look, and at what.

    Attributes:
        x: Centre, in HR pixels.
        y: Centre, in HR pixels.
        zoom: Screen pixels per HR pixel; 0 fits all of it.
        layout: One of ``LAYOUTS``.
        least: HR pixels to be seen across; in a panel too small for them the zoom is lowered.
        front: Key of the image in front, where one is; unknown keys are ignored.
        left: Key of the image left of the divider; unknown keys are ignored.
        shown: Keys of the images side by side; none is the usual ones, unknown keys are ignored.
    """

    x: float
    y: float
    zoom: float
    layout: str = "side"
    least: int = 0
    front: str = ""
    left: str = ""
    shown: tuple[str, ...] = ()


def first_view(x: float, y: float) -> View:
    """Where to look when nobody has said where."""
    return View(x, y, zoom=4, least=64)


@dataclass(frozen=True)
class Scene:
    """What the viewer shows.

    Attributes:
        token: Changes whenever the images do.
        picture: Changes when another photograph is opened; the view stays while it does not.
        width: Of the ground truth, in pixels.
        height: Of the ground truth, in pixels.
        layers: The images, in the order of the number keys.
        start: Where to look first.
        columns: Panels in a row where there is room; 0 is as many as fit.
        hint: A sentence shown below the panels.
        link: The query that opens these images again; empty if there is none.
        failed: Whether images without pixels are not being computed any more.
        owner: Scenes of one owner share the files of equal images; the owner of the examples is empty.
    """

    token: str
    picture: str
    width: int
    height: int
    layers: tuple[Layer, ...]
    start: View
    columns: int = 0
    hint: str = ""
    link: str = ""
    failed: bool = False
    owner: str = ""


@dataclass(frozen=True)
class Line:
    """The numbers of one image: in view, over the whole image (None while unknown), and the seconds it took."""

    region: Score
    whole: Score
    seconds: float


def viewer(scene: Scene | None, elem_id: str) -> gr.HTML:
    """The component: images side by side under one viewport.

    Its value is a ``scene_value``. Its event ``viewport`` reports the region in view (token, x, y, width, height,
    in HR pixels); the answer is ``gr.HTML(numbers=numbers_for(...))``, which leaves the images alone.
    """
    return gr.HTML(
        None if scene is None else scene_value(scene),
        html_template=read_static("viewer/viewer.html"),
        js_on_load=read_static("viewer/view.js", "viewer/panels.js", "viewer/controls.js"),
        apply_default_css=False,
        elem_id=elem_id,
        numbers=None,
    )


def busy_js(elem_id: str, busy: bool) -> str:
    """JavaScript that marks a viewer as waiting for the server, or not; a new scene ends the wait too."""
    return f"document.querySelector('#{elem_id} .viewer')?.setAttribute('aria-busy', '{str(busy).lower()}');"


def scene_value(scene: Scene) -> dict[str, Any]:
    """The scene as the client side takes it; the images become PNG files in gradio's cache."""
    files = _store({layer.key: layer.pixels for layer in scene.layers if layer.pixels is not None}, scene.owner)
    return {
        "token": scene.token,
        "picture": scene.picture,
        "width": scene.width,
        "height": scene.height,
        "start": asdict(scene.start) | {"zoom": scene.start.zoom or "fit"},
        "columns": scene.columns,
        "hint": scene.hint,
        "link": scene.link,
        "failed": scene.failed,
        "images": [_image(layer, files.get(layer.key)) for layer in scene.layers],
    }


def _image(layer: Layer, file: Path | None) -> dict[str, Any]:
    described: dict[str, Any] = {
        "key": layer.key,
        "name": layer.name,
        "note": layer.note,
        "factor": layer.factor,
        "legend": layer.legend,
        "shown": layer.shown,
    }
    if file is not None:
        described["file"] = {"path": str(file), "meta": {"_type": "gradio.FileData"}}
    return described


def image_path(pixels: Array, owner: str) -> Path:
    """The file of an image: its name tells nobody outside of this process what is in it."""
    digest = hashlib.blake2b(f"{owner} {pixels.shape}".encode(), key=_SECRET, digest_size=32)
    digest.update(np.ascontiguousarray(pixels).data)
    return Path(get_upload_folder()) / digest.hexdigest() / "image.png"


def _store(images: Mapping[str, Array], owner: str) -> dict[str, Path]:
    """PNG files of ``images``, by key; equal pixels of one owner are one file, which is never written again.

    Raises:
        OSError: If the disk is full, for example; then the file that was being written is not there.
    """
    paths, new = {}, {}
    for key, pixels in images.items():
        paths[key] = path = image_path(pixels, owner)
        try:
            os.utime(path)
        except FileNotFoundError:
            new[path] = pixels
    if new:
        make_room(sum(pixels.nbytes for pixels in new.values()))  # which walks the whole folder: once a scene
    for path, pixels in new.items():
        with folder_for(path):
            replace_file(path, functools.partial(Image.fromarray(pixels).save, format="PNG", compress_level=4))
    return paths


def numbers_for(token: str, region: Region, groups: Sequence[Mapping[str, Line]]) -> dict[str, Any]:
    """The ``numbers`` of a viewer: formatted scores by layer key, the best PSNR and SSIM of each group marked."""
    scores: dict[str, Any] = {}
    for lines in groups:
        region_scores = _marked({key: line.region for key, line in lines.items()})
        whole_scores = _marked({key: line.whole for key, line in lines.items()})
        for key, line in lines.items():
            time = f"whole image in {line.seconds:.2f} s"
            scores[key] = {"region": region_scores[key], "whole": whole_scores[key], "time": time}
    return {
        "token": token,
        "region": {"x": region.x, "y": region.y, "width": region.width, "height": region.height},
        "scores": scores,
    }


def _marked(scores: Mapping[str, Score]) -> dict[str, dict[str, Any]]:
    """PSNR and SSIM as text, and whether each is the best of them."""
    psnr = best({key: score.psnr for key, score in scores.items()})
    ssim = best({key: score.ssim for key, score in scores.items()})
    return {
        key: {"psnr": [format_psnr(score), key in psnr], "ssim": [format_ssim(score), key in ssim]}
        for key, score in scores.items()
    }
