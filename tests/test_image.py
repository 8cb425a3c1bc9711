from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from drn.errors import InputError
from drn.image import Array, Picture, find_images, mod_crop, quantize, read_image, replace_file, to_tensor, write_png


def test_float_and_back_keeps_every_level() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    x = to_tensor(levels)
    assert x.shape == (1, 3, 16, 16)
    assert (float(x.min()), float(x.max())) == (0.0, 1.0)
    assert np.array_equal(quantize(x), levels)


def test_quantize_clamps_and_rounds() -> None:
    x = torch.tensor([-0.2, 1.7, 100.4 / 255, 100.6 / 255]).reshape(1, 1, 1, 4).expand(1, 3, 1, 4)
    assert quantize(x)[0, :, 0].tolist() == [0, 255, 100, 101]


def test_mod_crop_keeps_the_top_left() -> None:
    image = np.arange(7 * 8).reshape(7, 8).astype(np.uint8)
    assert np.array_equal(mod_crop(image, 3), image[:6, :6])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    upright = np.zeros((16, 24, 3), np.uint8)
    upright[:8, :8] = 255  # a white block in the upper left
    undo = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(undo[orientation](upright))).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "a.png").rgb, upright)


def png_16_bit(rgb: np.ndarray) -> bytes:
    """A 16-bit RGB PNG, which Pillow reads but does not write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width = rgb.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in rgb)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_16_bit_becomes_8_bit_and_says_so(tmp_path: Path) -> None:
    values = np.array([[0, 255, 256, 32768, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "grey.png")
    (tmp_path / "rgb.png").write_bytes(png_16_bit(values[:, :, None].repeat(3, 2)))
    for name, is_grey in (("grey.png", True), ("rgb.png", False)):
        picture = read_image(tmp_path / name)
        assert picture.rgb[0, :, 0].tolist() == [0, 0, 1, 128, 255]
        assert picture.is_grey is is_grey
        assert picture.notes == ("The 16-bit image was processed as 8-bit.",)


def test_modes(tmp_path: Path, photo: Array) -> None:
    rgb = Image.fromarray(photo)
    ramp = Image.fromarray(np.tile(np.arange(84, dtype=np.uint8), (60, 1)))
    rgba, grey_alpha = rgb.copy(), rgb.convert("L")
    rgba.putalpha(ramp)
    grey_alpha.putalpha(ramp)
    palette = rgb.quantize(8)
    images = {"rgb": rgb, "L": rgb.convert("L"), "RGBA": rgba, "LA": grey_alpha, "P": palette, "1": rgb.convert("1")}
    for name, image in images.items():
        image.save(tmp_path / f"{name}.png")
        picture = read_image(tmp_path / f"{name}.png")
        assert np.array_equal(picture.rgb, np.asarray(image.convert("RGB"))), name
        assert picture.is_grey == (name in ("L", "LA", "1")), name
        assert (picture.alpha is not None) == ("A" in name), name
        if picture.alpha is not None:
            assert np.array_equal(picture.alpha, np.asarray(ramp)), name
    palette.save(tmp_path / "transparent.png", transparency=0)
    alpha = read_image(tmp_path / "transparent.png").alpha
    assert alpha is not None
    assert np.array_equal(alpha == 0, np.asarray(palette) == 0)
    rgb.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    cmyk = read_image(tmp_path / "cmyk.jpg")
    assert np.abs(cmyk.rgb.astype(int) - photo).mean() < 6


def test_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    picture = read_image(tmp_path / "a.gif")
    assert picture.rgb[4, 4].tolist() == [255, 0, 0]
    assert picture.notes == ("The file has several frames: the first one is used.",)


def linear_profile() -> bytes:
    """A minimal ICC v2 profile by hand: sRGB's primaries (adapted to D50) with linear curves."""

    def fixed(*values: float) -> bytes:
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    def text(value: bytes) -> bytes:
        return b"desc\0\0\0\0" + struct.pack(">I", len(value) + 1) + value + b"\0" + bytes(78)

    xyz = {
        b"wtpt": (0.9642, 1.0, 0.8249),
        b"rXYZ": (0.43607, 0.22249, 0.01392),
        b"gXYZ": (0.38515, 0.71687, 0.09708),
        b"bXYZ": (0.14307, 0.06061, 0.71410),
    }
    tags = {name: b"XYZ \0\0\0\0" + fixed(*values) for name, values in xyz.items()}
    tags |= {name: b"curv" + bytes(8) for name in (b"rTRC", b"gTRC", b"bTRC")}
    tags |= {b"desc": text(b"Linear test"), b"cprt": b"text\0\0\0\0none\0"}
    offset, table, body = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += name + struct.pack(">II", offset + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    size = offset + len(body)
    header = struct.pack(">I4xI", size, 0x02100000) + b"mntrRGB XYZ " + bytes(12) + b"acsp" + bytes(28)
    header += fixed(0.9642, 1.0, 0.8249)
    return header + bytes(128 - len(header)) + table + body


def test_embedded_profile_is_converted_to_srgb(tmp_path: Path) -> None:
    linear = np.array([[[55, 55, 55], [255, 255, 255], [10, 100, 200]]], np.uint8)
    image = Image.fromarray(linear)
    image.save(tmp_path / "linear.png", icc_profile=linear_profile())
    picture = read_image(tmp_path / "linear.png")
    expected = 255 * (1.055 * (linear / 255) ** (1 / 2.4) - 0.055)  # IEC 61966-2-1
    assert np.abs(picture.rgb - expected).max() <= 1
    assert picture.notes == ("Colours were converted from the embedded profile (Linear test) to sRGB.",)


def test_profiles_that_change_nothing(tmp_path: Path) -> None:
    image = Image.new("RGB", (4, 4), (55, 155, 5))
    image.save(tmp_path / "broken.png", icc_profile=b"not a profile")
    picture = read_image(tmp_path / "broken.png")
    assert picture.rgb[0, 0].tolist() == [55, 155, 5]
    assert picture.notes == ("The embedded colour profile could not be used and was ignored.",)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    image.save(tmp_path / "srgb.png", icc_profile=srgb.tobytes())
    assert read_image(tmp_path / "srgb.png").notes == ()


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("empty.png", b"", "is not an image"),
        ("text.png", b"hello there", "is not an image"),
        ("cut.png", "png", "damaged or incomplete"),
        ("cut.jpg", "jpeg", "damaged or incomplete"),
    ],
)
def test_bad_files_get_one_sentence(
    tmp_path: Path, photo: Array, name: str, content: bytes | str, sentence: str
) -> None:
    if isinstance(content, str):
        buffer = io.BytesIO()
        Image.fromarray(photo).save(buffer, format=content)
        content = buffer.getvalue()[: len(buffer.getvalue()) // 2]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name} .*{sentence}"):
        read_image(tmp_path / name)


def test_limits_come_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (2000, 1000)).save(tmp_path / "big.png")
    monkeypatch.setattr("drn.image._decode", lambda image: pytest.fail("was decoded"))
    with pytest.raises(InputError, match=r"2000x1000: the limit here is 1\.00 megapixels"):
        read_image(tmp_path / "big.png", max_pixels=1_000_000)
    with pytest.raises(InputError, match="the limit is 0 MB"):
        read_image(tmp_path / "big.png", max_bytes=100)


def test_write_keeps_alpha_and_grey(tmp_path: Path, photo: Array) -> None:
    alpha = photo[..., 1]
    grey = photo[..., :1].repeat(3, 2)
    for name, picture, mode in (
        ("rgb", Picture(photo), "RGB"),
        ("rgba", Picture(photo, alpha), "RGBA"),
        ("grey", Picture(grey, is_grey=True), "L"),
        ("grey-alpha", Picture(grey, alpha, True), "LA"),
    ):
        write_png(tmp_path / f"{name}.png", picture)
        with Image.open(tmp_path / f"{name}.png") as image:
            assert image.mode == mode
        again = read_image(tmp_path / f"{name}.png")
        assert np.array_equal(again.rgb, picture.rgb)
        assert (again.alpha is None) == (picture.alpha is None)
        assert again.alpha is None or np.array_equal(again.alpha, alpha)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail(path: Path) -> None:
        path.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        replace_file(target, fail)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_find_images_is_sorted_nested_and_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("b/2.PNG", "a.jpg", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in find_images(tmp_path)] == ["a.jpg", "2.PNG"]
    with pytest.raises(InputError, match="There is no folder"):
        find_images(tmp_path / "nowhere")
    (tmp_path / "c").mkdir()
    with pytest.raises(InputError, match="holds no images"):
        find_images(tmp_path / "c")
