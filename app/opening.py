"""The first picture: a still of the first view, which is part of the page's HTML.

A browser on a slow line shows it seconds before gradio's scripts have arrived. The viewer covers the same place when it
shows its first images.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from html import escape
from pathlib import Path

from PIL import Image

from app.viewer.component import read_static
from app.viewer.contract import ImageValue, SceneValue

SIDE = 160
"""Side of the part of each image that is sent, in HR pixels: what a panel shows in most windows."""

SHOW = """{
    const template = document.currentScript.previousElementSibling;
    if (!location.search) template.after(template.content);
    template.remove();
}"""
"""JavaScript that shows the first picture, unless the address describes another view."""


@dataclass(frozen=True)
class Opening:
    """The first picture.

    Attributes:
        html: HTML for the start of the page's body.
        files: The images that ``html`` refers to: path on the server -> WebP file.
    """

    html: str
    files: dict[str, bytes]


def opening_of(scene: SceneValue) -> Opening:
    """Make the first picture of a scene: the middle of the first view of each image that a new visitor sees.

    The page's CSS gives the images the positions of the viewer's panels. On a phone these are the two sides of the
    divider: the first two methods.
    """
    images = [image for image in scene["images"] if image["shown"] and image["file"]]
    methods = [image["key"] for image in images if image["role"] == "method"]
    files, figures = {}, []
    for image in images:
        path = f"opening/{image['key']}.webp"
        files[f"/{path}"] = part = _middle(image, scene)
        place = dict(zip(methods, ("left", "front"), strict=False)).get(image["key"], "further")
        # Images that the window's size hides are not loaded.
        loading = 'loading="lazy"' if place == "further" else 'fetchpriority="high"'
        side = round(SIDE * scene["start"]["zoom"])
        name = escape(image["name"]).replace("{", "&#123;")  # the HTML becomes a part of gradio's template
        version = hashlib.sha256(part).hexdigest()[:16]  # browsers keep the file of a version
        figures.append(
            f'<figure class="{place}"><img src="{path}?{version}" width="{side}" height="{side}" alt="" {loading}>'
            f"<figcaption>{name}</figcaption></figure>"
        )
    style = read_static("static/opening.css")
    html = (
        f'<style>{style}</style><template><div id="opening" aria-hidden="true" style="--count: {len(figures)}">'
        f'<b>DRN</b><div class="stage">{"".join(figures)}<p>Loading…</p></div></div></template>'
        f"<script>{SHOW}</script>"
    )
    return Opening(html, files)


def _middle(image: ImageValue, scene: SceneValue) -> bytes:
    """Cut the part of an image around the centre of the first view, as a lossless WebP file."""
    assert image["file"] is not None
    scale = image["scale"] if image["role"] == "small" else 1
    reach = SIDE / scale / 2
    x, y = (round(scene["start"][axis] / scale - reach) for axis in ("x", "y"))
    with Image.open(Path(image["file"]["path"])) as whole:
        part = whole.crop((x, y, x + SIDE // scale, y + SIDE // scale))
    file = io.BytesIO()
    part.save(file, "WEBP", lossless=True, method=4)
    return file.getvalue()
