"""Write a figure as PNG, JPEG, SVG or PDF. SVG and PDF contain the texts as text, and the images as pixels."""

from __future__ import annotations

import base64
import io
import tempfile
from collections.abc import Callable
from html import escape
from pathlib import Path

from PIL import Image

from drn.errors import InputError, not_installed
from drn.evaluation.figure import FRAME, INK, Colour, Figure, Line, draw, font
from drn.files import replace_file

JPEG_QUALITY = 95


def check_figure_file(path: Path) -> None:
    """Check that ``path`` names a file that ``write_figure`` can write.

    Raises:
        InputError: If its suffix or folder cannot be used, or if a package for it is missing.
    """
    if path.is_dir() or not path.parent.is_dir():
        raise InputError(f"{path} cannot be written: give the name of a file in an existing folder.")
    if path.suffix.lower() not in WRITERS:
        raise InputError(f"{path} cannot be written: its name must end in {', '.join(WRITERS)}.")
    if path.suffix.lower() == ".pdf":
        try:
            import fpdf  # noqa: F401
        except ModuleNotFoundError as error:
            raise not_installed("A figure as PDF", error, "pdf") from error


def write_figure(path: Path, made: Figure) -> None:
    """Write a figure in the format of the file's suffix, atomically.

    Args:
        path: A path that ``check_figure_file`` accepts.
        made: The figure.

    Raises:
        OSError: If the disk is full.
    """
    content = WRITERS[path.suffix.lower()](made)
    replace_file(path, lambda temporary: temporary.write_bytes(content))


def _png(made: Figure) -> bytes:
    return _encoded(draw(made), "PNG")


def _jpeg(made: Figure) -> bytes:
    return _encoded(draw(made), "JPEG", quality=JPEG_QUALITY, subsampling=0)


def _svg(made: Figure) -> bytes:
    """Return the figure as SVG. ``textLength`` gives each text its measured width in any font.

    The baseline of a line is about one font size below its top.
    """
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{made.width}" height="{made.height}" '
        f'viewBox="0 0 {made.width} {made.height}">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
    ]
    for left, top, pixels in made.images:
        data = base64.b64encode(_encoded(Image.fromarray(pixels), "PNG")).decode()
        height, width = pixels.shape[:2]
        parts.append(
            f'<image x="{left}" y="{top}" width="{width}" height="{height}" href="data:image/png;base64,{data}"/>'
        )
    for inner, colour in made.frames:
        parts.append(
            f'<rect x="{inner.x - FRAME / 2}" y="{inner.y - FRAME / 2}" width="{inner.width + FRAME}" '
            f'height="{inner.height + FRAME}" fill="none" stroke="{_hex(colour)}" stroke-width="{FRAME}"/>'
        )
    parts += [_svg_line(line, made.font_size) for line in made.lines]
    return "\n".join([*parts, "</svg>\n"]).encode()


def _svg_line(line: Line, font_size: int) -> str:
    spans = "".join(
        f'<tspan font-weight="bold" fill="{_hex(INK)}">{escape(part)}</tspan>' if is_bold else escape(part)
        for part, is_bold in line.text
    )
    length = font(font_size).getlength("".join(part for part, _ in line.text))
    return (
        f'<text x="{line.left}" y="{line.top + font_size}" font-family="Helvetica, Arial, sans-serif" '
        f'font-size="{font_size}" fill="{_hex(line.ink)}" xml:space="preserve" textLength="{length:.1f}" '
        f'lengthAdjust="spacingAndGlyphs">{spans}</text>'
    )


def _pdf(made: Figure) -> bytes:
    """Return the figure as PDF: one point is one pixel, and the font of ``draw`` is embedded."""
    from fpdf import FPDF
    from fpdf.enums import TextMode

    pdf = FPDF(unit="pt", format=(made.width, made.height))
    pdf.set_auto_page_break(False)
    pdf.add_page()
    face = font(made.font_size)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "figure.ttf"
        file.write_bytes(getattr(face, "font_bytes", b""))
        pdf.add_font("figure", fname=file)
    pdf.set_font("figure", size=made.font_size)
    for left, top, pixels in made.images:
        pdf.image(Image.fromarray(pixels), left, top, pixels.shape[1], pixels.shape[0])
    pdf.set_line_width(FRAME)
    for inner, colour in made.frames:
        pdf.set_draw_color(*colour)
        pdf.rect(inner.x - FRAME / 2, inner.y - FRAME / 2, inner.width + FRAME, inner.height + FRAME)
    pdf.set_draw_color(*INK)
    pdf.set_line_width(0.4)
    for line in made.lines:
        left_end = float(line.left)
        for part, is_bold in line.text:
            pdf.text_mode = TextMode.FILL_STROKE if is_bold else TextMode.FILL
            pdf.set_text_color(*(INK if is_bold else line.ink))
            pdf.text(left_end, line.top + made.font_size, part)
            left_end += face.getlength(part)
    return bytes(pdf.output())


def _encoded(image: Image.Image, form: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=form, **options)
    return buffer.getvalue()


def _hex(colour: Colour) -> str:
    return "#" + bytes(colour).hex()


WRITERS: dict[str, Callable[[Figure], bytes]] = {
    ".png": _png,
    ".jpg": _jpeg,
    ".jpeg": _jpeg,
    ".svg": _svg,
    ".pdf": _pdf,
}
"""Suffix -> function that returns the content of the file."""
