"""Figures as files: pixels in PNG and JPEG, text and embedded images in SVG and PDF."""

from __future__ import annotations

import base64
import io
import re
import sys
import zlib
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from drn.errors import InputError
from drn.evaluation.comparison import Result, score
from drn.evaluation.figure import FRAMES, Figure, draw, lay_out
from drn.evaluation.figure_files import check_figure_file, write_figure
from drn.evaluation.pairs import make_pair, whole_rect
from drn.geometry import Rect
from drn.image import Array, Picture
from drn.resize import upscale

SVG = "{http://www.w3.org/2000/svg}"
RECTS = [Rect(4, 4, 30, 20), Rect(40, 20, 12, 16)]


@pytest.fixture
def made(photo: Array) -> Figure:
    pair = make_pair(Picture(photo), 2)
    results = {}
    for name, sr in (("A & <b>", upscale(pair.lr, 2)), ("perfect", pair.hr)):
        results[name] = Result(sr, score(pair, sr, whole_rect(pair)), 0.1)
    return lay_out(pair, results, RECTS, panel=120)


def test_pixels(made: Figure, tmp_path: Path) -> None:
    drawn = np.asarray(draw(made))
    for name, limit in (("a.png", 0), ("a.JPG", 40), ("a.jpeg", 40)):
        write_figure(tmp_path / name, made)
        with Image.open(tmp_path / name) as image:
            assert image.format == ("PNG" if limit == 0 else "JPEG")
            difference = np.abs(np.asarray(image.convert("RGB")).astype(int) - drawn)
        assert difference.max() <= 255 * (limit > 0)
        assert difference.mean() <= limit / 10


def test_svg_has_text_as_text_and_every_image(made: Figure, tmp_path: Path) -> None:
    write_figure(tmp_path / "a.svg", made)
    root = ElementTree.fromstring((tmp_path / "a.svg").read_bytes())
    assert (root.get("width"), root.get("height")) == (str(made.width), str(made.height))
    texts = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]
    assert texts == ["".join(part for part, _ in line.text) for line in made.lines]
    assert texts.count("A & <b>") == 2
    bold = ["".join(span.itertext()) for span in root.iter(f"{SVG}tspan")]
    assert bold == [part for line in made.lines for part, is_bold in line.text if is_bold]
    assert "∞ dB" in bold
    images = list(root.iter(f"{SVG}image"))
    assert len(images) == 1 + 2 * 4
    for element, (left, top, pixels) in zip(images, made.images, strict=True):
        data = base64.b64decode((element.get("href") or "").partition("base64,")[2])
        assert (element.get("x"), element.get("y")) == (str(left), str(top))
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), pixels)
    strokes = [rect.get("stroke") for rect in root.iter(f"{SVG}rect") if rect.get("stroke")]
    assert strokes == [f"#{bytes(colour).hex()}" for colour in FRAMES[:2] for _ in range(4)]


def test_pdf_has_text_as_text_and_every_image(made: Figure, tmp_path: Path) -> None:
    write_figure(tmp_path / "a.pdf", made)
    data = (tmp_path / "a.pdf").read_bytes()
    assert data.startswith(b"%PDF-")
    assert f"/MediaBox [0 0 {made.width} {made.height}]".encode() in data.replace(b".00", b"")
    distinct = {(pixels.shape, pixels.tobytes()) for *_, pixels in made.images}
    # The perfect result and the ground truth have the same pixels and are stored once.
    assert data.count(b"/Subtype /Image") == len(distinct) == 1 + 2 * 3
    streams = []
    for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", data, re.S):
        try:
            streams.append(zlib.decompress(stream))
        except zlib.error:
            continue
    assert sum(stream.count(b" Do") for stream in streams) == 1 + 2 * 4
    shown = sum(stream.count(b"Tj") + stream.count(b"TJ") for stream in streams)
    assert shown >= sum(len(line.text) for line in made.lines)


def test_regions_have_rows_of_their_own(photo: Array) -> None:
    pair = make_pair(Picture(photo), 2)
    results = {"perfect": Result(pair.hr, score(pair, pair.hr, whole_rect(pair)), 0.1)}
    places = lay_out(pair, results, RECTS, panel=60).images[1:]
    assert [pixels.shape[:2] for *_, pixels in places] == 3 * [(40, 60)] + 3 * [(48, 36)]
    assert len({top for _, top, _ in places}) == 2
    assert np.array_equal(places[2][2], photo[4:24, 4:34].repeat(2, 0).repeat(2, 1))
    one_column = lay_out(pair, results, RECTS, columns=1, panel=60).images[1:]
    assert len({left for left, *_ in one_column}) == 1


def test_files_that_cannot_be_written_get_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (tmp_path, tmp_path / "nothing" / "a.png"):
        with pytest.raises(InputError, match="give the name of a file in an existing folder"):
            check_figure_file(path)
    with pytest.raises(InputError, match=r"its name must end in .png, .jpg, .jpeg, .svg, .pdf"):
        check_figure_file(tmp_path / "a.gif")
    check_figure_file(tmp_path / "a.PDF")
    monkeypatch.setitem(sys.modules, "fpdf", None)
    with pytest.raises(InputError, match=r"A figure as PDF needs fpdf: in a checkout, pip install '.\[pdf\]'"):
        check_figure_file(tmp_path / "a.pdf")
