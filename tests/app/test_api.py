"""The endpoints for programs, called as programs call them."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from app.photographs import examples
from drn import load_model
from drn.image import Array, Picture, mod_crop
from drn.metrics import psnr, ssim
from drn.reading import read_image
from drn.resize import downscale
from drn.upscaler import Upscaler
from drn.writing import write_image

PAGE_DOC = Path(__file__).resolve().parents[2] / "docs" / "page.md"


@pytest.fixture(scope="module")
def photo() -> Array:
    return mod_crop(read_image(examples()[0]).rgb[:121, :162], 4)


def test_only_two_endpoints_are_public(client: Client) -> None:
    info: Any = client.view_api(return_format="dict")
    assert sorted(info["named_endpoints"]) == ["/compare", "/upscale"]
    assert info["unnamed_endpoints"] == {}
    parameters = info["named_endpoints"]["/compare"]["parameters"]
    assert [p["parameter_name"] for p in parameters] == ["image", "scale", "self_ensemble", "crop"]
    assert [p["parameter_has_default"] for p in parameters] == [False, True, True, True]
    parameters = info["named_endpoints"]["/upscale"]["parameters"]
    assert [p["parameter_name"] for p in parameters] == ["image", "scale", "self_ensemble", "weights"]
    assert (parameters[-1]["parameter_has_default"], parameters[-1]["parameter_default"]) == (True, "auto")


def test_upscale_returns_the_pixels_of_the_network(client: Client, photo: Array, tmp_path: Path) -> None:
    alpha = np.linspace(1, 255, photo.shape[0] * photo.shape[1]).reshape(photo.shape[:2]).astype(np.uint8)
    write_image(tmp_path / "small one.png", Picture(photo, alpha))
    result = client.predict(handle_file(str(tmp_path / "small one.png")), "2", api_name="/upscale")
    assert Path(result).name == "small one_DRN_x2.png"
    with Image.open(result) as image:
        assert image.mode == "RGBA"
        pixels = np.asarray(image)
    assert np.array_equal(pixels[..., :3], Upscaler(load_model(scale=2)).upscale(photo))


def test_compare_measures_the_crop_and_the_image(client: Client, photo: Array, tmp_path: Path) -> None:
    write_image(tmp_path / "photo.png", Picture(photo))
    file = handle_file(str(tmp_path / "photo.png"))
    numbers, figure = client.predict(file, "3", self_ensemble=True, crop="30,20,60,45", api_name="/compare")
    hr = mod_crop(photo, 3)
    sr = Upscaler(load_model(scale=3)).upscale(downscale(hr, 3))
    assert list(numbers["methods"]) == ["bicubic", "DRN", "DRN+"]
    assert numbers["crop"] == [30, 20, 60, 45]
    measured = numbers["methods"]["DRN"]
    assert measured["image"] == pytest.approx({"psnr": psnr(sr, hr, 3), "ssim": ssim(sr, hr, 3)})
    inside = np.s_[20:65, 30:90]
    assert measured["crop"] == pytest.approx(
        {"psnr": psnr(sr[inside], hr[inside], 0), "ssim": ssim(sr[inside], hr[inside], 0)}
    )
    assert Path(figure).name == "photo_x3_figure.png"
    with Image.open(figure) as image:
        assert image.width > 400


def test_compare_accepts_a_long_photograph(client: Client, photo: Array, tmp_path: Path) -> None:
    long = np.tile(photo[:16], (1, 14, 1))
    write_image(tmp_path / "long.png", Picture(long))
    numbers, figure = client.predict(handle_file(str(tmp_path / "long.png")), "4", api_name="/compare")
    assert long.shape[1] > 2000
    assert numbers["crop"] == [0, 0, long.shape[1] // 4 * 4, 16]
    with Image.open(figure) as image:
        assert image.width > 2000


@pytest.mark.parametrize(
    ("api_name", "arguments", "sentence"),
    [
        ("/compare", {"crop": "'1,2,3'"}, """The crop "'1,2,3'" is not X,Y,W,H: give four whole numbers"""),
        ("/compare", {"crop": "0,0,9999,5"}, "does not lie inside the 160x120 image"),
        ("/compare", {"scale": "5"}, "The scale '5' is unknown: give one of 2, 3, 4."),
        ("/upscale", {"scale": 5}, "The scale '5' is unknown: give one of 2, 3, 4."),
        ("/upscale", {"scale": ["2"]}, """The scale "['2']" is unknown: give one of 2, 3, 4."""),
        ("/upscale", {"image": "photo.png"}, "The image must be sent as a file: save it, and give its path"),
        ("/compare", {"image": "/etc/passwd"}, "The image must be sent as a file: save it, and give its path"),
        ("/upscale", {"image": handle_file("http://127.0.0.1:9/a.png")}, "The image must be sent as a file: save it"),
        ("/compare", {"image": handle_file("https://example.org/a.png")}, "The image must be sent as a file: save it"),
        ("/upscale", {"image": 5}, "The image must be sent as a file: save it, and give its path"),
        ("/upscale", {"image": None}, "No image was given: send one."),
        ("/upscale", {"weights": "x.safetensors"}, "The weights 'x.safetensors' are unknown: give one of auto, clean"),
        ("/upscale", {"weights": ["photo"]}, """The weights "['photo']" are unknown: give one of auto, clean"""),
        ("/upscale", {"weights": None}, "The weights 'None' are unknown: give one of auto, clean, photo."),
        ("/compare", {"scale": None}, "No scale was given: send one."),
    ],
)
def test_bad_input_gets_one_sentence(
    client: Client, photo: Array, tmp_path: Path, api_name: str, arguments: dict[str, Any], sentence: str
) -> None:
    write_image(tmp_path / "photo.png", Picture(photo))
    given = {"image": handle_file(str(tmp_path / "photo.png")), **arguments}
    with pytest.raises(AppError, match=re.escape(sentence)):
        client.predict(**given, api_name=api_name)


@pytest.mark.parametrize("scale", [2, 2.0, "2"])
def test_the_scale_may_be_a_number(client: Client, photo: Array, tmp_path: Path, scale: Any) -> None:
    write_image(tmp_path / "photo.png", Picture(photo[:20, :24]))
    result = client.predict(handle_file(str(tmp_path / "photo.png")), scale, api_name="/upscale")
    assert read_image(Path(result)).rgb.shape == (40, 48, 3)


def header_of(width: int, height: int) -> bytes:
    """Make the start of a PNG that states a size but has no pixels, so that decoding it fails."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    head = struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return b"\x89PNG\r\n\x1a\n" + head + struct.pack(">I", 100) + b"IDAT"


@pytest.mark.parametrize(
    ("api_name", "scale", "size", "sentence"),
    [
        ("/compare", "2", (2001, 2000), "2001x2000: the limit here is 4.00 megapixels"),
        ("/upscale", "4", (1001, 1000), "1001x1000: the limit here is 1.00 megapixels"),
        ("/upscale", "2", (2001, 2000), "2001x2000: the limit here is 4.00 megapixels"),
        ("/upscale", "2", (60_000, 60_000), "has too many pixels: the limit here is 4.00 megapixels"),
    ],
)
def test_the_number_of_pixels_is_checked_before_decoding(
    client: Client, tmp_path: Path, api_name: str, scale: str, size: tuple[int, int], sentence: str
) -> None:
    (tmp_path / "large.png").write_bytes(header_of(*size))
    with pytest.raises(AppError, match=re.escape(sentence)):
        client.predict(handle_file(str(tmp_path / "large.png")), scale, api_name=api_name)


def test_the_documented_example_runs(url: str, photo: Array, tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE_DOC.read_text(encoding="utf-8"), re.S)
    (code,) = [block for block in blocks if "gradio_client" in block]
    assert "http://127.0.0.1:7860" in code
    write_image(tmp_path / "photo.png", Picture(photo))
    code = code.replace("http://127.0.0.1:7860", url.rstrip("/"))
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert re.search(r"photo_DRN_x4\.png$", done.stdout, re.M)
    assert re.search(r"'psnr': \d\d\.\d+", done.stdout)
