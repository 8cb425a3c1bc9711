"""The data that the server and the viewer's JavaScript exchange.

``static/contract.js`` repeats these types as JSDoc for the JavaScript side; a test compares both files.
Coordinates and sizes are in pixels of the original image (HR pixels) unless a field says otherwise.
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict, get_args

Role = Literal["small", "method", "original", "error_map", "added_map"]
"""Kind of an image: the LR input, a method's result, the original, a method's error, or the detail a method adds."""

Layout = Literal["side", "divider", "single", "scales"]
"""Arrangement of the images: side by side, two images with a divider, one at a time, or a row for each scale."""

LAYOUTS: tuple[Layout, ...] = get_args(Layout)


class Region(TypedDict):
    """A rectangle of the original image."""

    x: int
    y: int
    width: int
    height: int


class StoredFile(TypedDict):
    """A file in gradio's cache. The server sets ``path`` and ``meta``; gradio adds ``url`` for the page."""

    path: str
    meta: dict[str, str]
    url: NotRequired[str]


class Legend(TypedDict):
    """The labels at both ends of a map's colour scale."""

    low: str
    high: str


class ImageValue(TypedDict):
    """One image of a scene.

    Attributes:
        key: Identifies the image within its scene and in links. It has no other meaning.
        role: The kind of image. An image of role "small" has one pixel for ``scale`` x ``scale`` HR pixels; every
            other image has the size of the original.
        scale: Scale of the comparison that the image belongs to.
        method: Name of the method that made the image; None for the small image and the original.
        name: Label.
        note: A few words of explanation.
        legend: Labels of the colour scale; None unless the image is a map.
        shown: Whether the image is among the panels that a new visitor sees side by side.
        file: The pixels, as a lossless file; None while they are being computed.
    """

    key: str
    role: Role
    scale: int
    method: str | None
    name: str
    note: str
    legend: Legend | None
    shown: bool
    file: StoredFile | None


class Viewpoint(TypedDict):
    """The position and zoom of the view, the chosen region, and the images that are shown.

    Attributes:
        x: Horizontal centre of the view.
        y: Vertical centre of the view.
        fit: Whether the whole image is fitted into a panel; the centre and the zoom then have no effect.
        zoom: CSS pixels for one HR pixel, above 0.
        min_width: Least number of HR pixels that are visible across a panel. In a narrow panel, the zoom is lowered to
            show them; 0 leaves the zoom unchanged.
        layout: Arrangement of the images.
        front: Key of the image in front, in the layouts "divider" and "single".
        left: Key of the image left of the divider.
        shown: Keys of the images side by side. In the layout "scales" they are shown at every scale.
        divider: Share of a panel's width left of the divider.
        region: The chosen region; it is fitted into a panel, whatever the centre and the zoom are. None if the numbers
            are those of the region in view.
        seen: The region that was in view when a link was made; None if unknown. A viewer in which another region is in
            view takes it as the chosen one, so that the numbers are the same.

    If ``front``, ``left`` or ``shown`` is empty, the viewer chooses the images. Unknown keys are ignored.
    """

    x: float
    y: float
    fit: bool
    zoom: float
    min_width: int
    layout: Layout
    front: str
    left: str
    shown: list[str]
    divider: float
    region: Region | None
    seen: Region | None


class SceneValue(TypedDict):
    """The value of the viewer component: images, and how they are shown.

    Attributes:
        token: Identifies this set of images; it changes whenever an image changes.
        picture: Identifies the photograph; the viewport is kept while this value stays the same.
        name: Name of the photograph, for files and tables of numbers.
        width: Width of the original image.
        height: Height of the original image.
        shared_width: Width of the part that the originals of all scales have.
        shared_height: Height of this part. The layout "scales" shows only this part.
        images: The images in the order of the number keys: first those of the chosen scale, then those that the layout
            "scales" adds at other scales.
        start: The viewpoint when the images are opened.
        columns: Largest number of panels in a row; None for as many as fit.
        hint: A sentence shown below the panels; may be empty.
        link: Query that opens these images again, without a viewpoint; None if no link can open them.
        failed: Whether the computation of the images without a file has failed or was stopped.
        degradation: Degradation of the small images, such as "JPEG 75"; the numbers are then outside the benchmark
            protocol. Empty for none.
    """

    token: str
    picture: str
    name: str
    width: int
    height: int
    shared_width: int
    shared_height: int
    images: list[ImageValue]
    start: Viewpoint
    columns: int | None
    hint: str
    link: str | None
    failed: bool
    degradation: str


class Score(TypedDict):
    """One formatted value of a metric, and whether it is the best value of all compared methods."""

    text: str
    best: bool


class Scores(TypedDict):
    """PSNR and SSIM of one image over one area."""

    psnr: Score
    ssim: Score


class ImageNumbers(TypedDict):
    """The numbers of one image: scores of the region in view and of the whole image, and seconds of its method.

    The seconds are None for a finished result, which was not computed here.
    """

    region: Scores
    whole: Scores
    seconds: float | None


class Numbers(TypedDict):
    """The answer to a ``ViewportEvent``.

    Attributes:
        token: Token of the scene that was measured.
        region: The region that was measured.
        scores: By image key. Images without numbers are left out.
    """

    token: str
    region: Region
    scores: dict[str, ImageNumbers]


class Props(TypedDict):
    """The properties that the server sets on the component.

    Attributes:
        value: The scene; the viewer is hidden while it is None.
        numbers: The last answer to a ``ViewportEvent``.
        address: Whether the address of the page contains the state of this viewer.
    """

    value: SceneValue | None
    numbers: Numbers | None
    address: bool


class ViewportEvent(TypedDict):
    """The event ``viewport``: the viewer requests the numbers of a region of a scene.

    The region is the chosen one; if none is chosen, it is the region in view.
    """

    token: str
    region: Region


class LinkQuery(TypedDict, total=False):
    """The part of a link's query that names a viewpoint. The viewer writes it; all values are text.

    ``SceneValue.link`` is the other part, which names the images. Regions are written ``X,Y,W,H``.

    Attributes:
        region: The chosen region. It replaces ``x``, ``y``, ``zoom``, ``fit`` and ``seen``.
        x: Horizontal centre of the view.
        y: Vertical centre of the view.
        zoom: CSS pixels for one HR pixel; absent if the whole image is fitted.
        fit: "1" if the whole image is fitted.
        seen: The region in view.
        layout: A ``Layout``.
        shown: Keys of the images side by side, separated by commas.
        front: Key of the image in front.
        left: Key of the image left of the divider.
        divider: Share of a panel's width left of the divider.
    """

    region: str
    x: str
    y: str
    zoom: str
    fit: str
    seen: str
    layout: str
    shown: str
    front: str
    left: str
    divider: str


class ElementData(TypedDict):
    """The ``data-`` attributes of the viewer's root element, which scripts of the page and the tests read.

    Attributes:
        picture: ``SceneValue.picture`` of the scene shown.
        seen: The newest ``ViewportEvent``, as JSON. The viewer has sent it or will send it soon.
        fresh: "true" if the displayed numbers are the answer to ``seen``, otherwise "false".
        mode: The present ``Layout``.
        scales: "true" if results of every scale are needed, because the layout "scales" is visible; otherwise "false".
    """

    picture: str
    seen: str
    fresh: str
    mode: str
    scales: str
