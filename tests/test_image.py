from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

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


def png_bytes(pixels: NDArray[np.integer[Any]], depth: int, extra: bytes = b"") -> bytes:
    """A PNG by hand, of (H, W, 1 to 4) grey, grey+alpha, RGB or RGBA: Pillow writes no 16-bit colour."""
    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2" if depth == 16 else "u1").tobytes() for row in pixels)
    return png_file(width, height, depth, (0, 4, 2, 6)[channels - 1], extra + png_chunk(b"IDAT", zlib.compress(rows)))


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_file(width: int, height: int, depth: int, colour_type: int, chunks: bytes) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunks + png_chunk(b"IEND", b"")


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bit_becomes_8_bit_and_says_so(tmp_path: Path, channels: int) -> None:
    levels = np.array([[0, 255, 256, 32768, 65535]], np.uint16)
    pixels = np.stack([levels if channel % 2 == 0 else levels[:, ::-1] for channel in range(channels)], 2)
    (tmp_path / "a.png").write_bytes(png_bytes(pixels, 16))
    picture = read_image(tmp_path / "a.png")
    expected = (pixels >> 8).astype(np.uint8)
    n_colours = 1 if channels <= 2 else 3
    assert np.array_equal(picture.rgb, np.broadcast_to(expected[:, :, :n_colours], (1, 5, 3)))
    assert picture.is_grey is (channels <= 2)
    assert (picture.alpha is not None) == (channels in (2, 4))
    assert picture.alpha is None or np.array_equal(picture.alpha, expected[:, :, -1])
    assert picture.notes == ("The 16-bit image was processed as 8-bit.",)


def test_16_bit_ppm(tmp_path: Path) -> None:
    levels = 257 * np.array([[[0, 1, 2], [128, 255, 18]]], ">u2")
    (tmp_path / "a.ppm").write_bytes(b"P6 2 1 65535\n" + levels.tobytes())
    picture = read_image(tmp_path / "a.ppm")
    assert picture.rgb.tolist() == [[[0, 1, 2], [128, 255, 18]]]
    assert picture.notes == ("The 16-bit image was processed as 8-bit.",)
    (tmp_path / "b.ppm").write_bytes(b"P6 1 1 255\n\1\2\3")
    assert read_image(tmp_path / "b.ppm").notes == ()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_transparent_colour(tmp_path: Path, photo: Array, channels: int) -> None:
    pixels = photo[:, :, :channels].astype(np.uint16)
    key = png_chunk(b"tRNS", struct.pack(f">{channels}H", *map(int, pixels[7, 9])))
    (tmp_path / "8.png").write_bytes(png_bytes(pixels, 8, key))
    picture = read_image(tmp_path / "8.png")
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha == 0, (pixels == pixels[7, 9]).all(2))
    (tmp_path / "16.png").write_bytes(png_bytes(pixels * 257, 16, key))
    picture = read_image(tmp_path / "16.png")
    assert picture.alpha is None
    assert picture.notes[1:] == ("Its transparent colour was ignored.",)


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


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_first_frame_of_an_animation(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:], lossless=True)
    picture = read_image(tmp_path / f"a.{suffix}")
    assert picture.rgb[4, 4].tolist() == [255, 0, 0]
    assert picture.notes == ("The file has several frames: the first one is used.",)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
def test_thin_images(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size, (1, 2, 3)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").rgb.shape == (size[1], size[0], 3)


def fixed(*values: float) -> bytes:
    """ICC's s15Fixed16 numbers."""
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def icc_profile(name: bytes, tags: dict[bytes, bytes], kind: bytes = b"mntrRGB XYZ ") -> bytes:
    """An ICC profile by hand: header, tag table, tags."""
    tags = tags | {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(name) + 1) + name + b"\0" + bytes(78),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": b"XYZ \0\0\0\0" + fixed(0.9642, 1.0, 0.8249),
    }
    offset, table, body = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for key, content in tags.items():
        table += key + struct.pack(">II", offset + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    header = struct.pack(">I4xI", offset + len(body), 0x02100000) + kind + bytes(12) + b"acsp" + bytes(28)
    header += fixed(0.9642, 1.0, 0.8249)
    return header + bytes(128 - len(header)) + table + body


SRGB_TO_D50 = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
"""Linear sRGB to XYZ under D50 (IEC 61966-2-1 adapted by Bradford): the columns are the primaries."""

P3_TO_D50 = np.array([[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]])
"""The same for Display P3 (SMPTE EG 432-1 primaries, D65 white)."""

SRGB_CURVE = b"para\0\0\0\0\0\3\0\0" + fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
LINEAR_CURVE = b"curv" + bytes(8)


def rgb_profile(name: bytes, to_d50: NDArray[np.float64], curve: bytes) -> bytes:
    primaries = zip((b"rXYZ", b"gXYZ", b"bXYZ"), to_d50.T, strict=True)
    tags = {key: b"XYZ \0\0\0\0" + fixed(*column) for key, column in primaries}
    return icc_profile(name, tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve))


def linear_profile() -> bytes:
    return rgb_profile(b"Linear test", SRGB_TO_D50, LINEAR_CURVE)


def to_srgb_levels(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear light in [0, 1] -> levels in [0, 255] (IEC 61966-2-1)."""
    linear = linear.clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def d65_matrix(*xy: tuple[float, float]) -> NDArray[np.float64]:
    """Linear RGB to XYZ, from the chromaticities of the primaries and a D65 white."""
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in xy]).T
    white = np.array([0.3127 / 0.3290, 1, (1 - 0.3127 - 0.3290) / 0.3290])
    return columns * np.linalg.solve(columns, white)


def test_display_p3_becomes_srgb(tmp_path: Path) -> None:
    levels = np.array([[[200, 100, 50], [120, 180, 90], [60, 80, 150], [128, 128, 128], [255, 0, 0]]], np.uint8)
    profile = rgb_profile(b"Display P3", P3_TO_D50, SRGB_CURVE)
    Image.fromarray(levels).save(tmp_path / "p3.png", icc_profile=profile)
    picture = read_image(tmp_path / "p3.png")
    p3 = d65_matrix((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
    srgb = d65_matrix((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
    encoded = levels / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    expected = to_srgb_levels(linear @ (np.linalg.inv(srgb) @ p3).T)
    assert np.abs(picture.rgb - expected).max() <= 1
    assert np.abs(picture.rgb.astype(int) - levels).max() > 10
    assert picture.notes == ("Colours were converted from the embedded profile (Display P3) to sRGB.",)


def cmyk_profile() -> bytes:
    """Paper is white, black ink black, cyan ink Lab (60, -30, -40), and mixtures of inks grey."""
    corners = np.zeros((2, 2, 2, 2, 3))
    corners[..., 0, 0] = 40
    corners[0, 0, 0, 0] = (100, 0, 0)
    corners[1, 0, 0, 0] = (60, -30, -40)
    encoded = np.rint(corners * [2.55, 1, 1] + [0, 128, 128]).astype(np.uint8)
    ramp = bytes(range(256))
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    lut += ramp * 4 + encoded.tobytes() + ramp * 3
    return icc_profile(b"Ink test", {b"A2B0": lut}, b"prtrCMYKLab ")


def test_cmyk_jpeg_with_a_profile_becomes_srgb(tmp_path: Path) -> None:
    inks = [(0, 0, 0, 0), (0, 0, 0, 128), (0, 0, 0, 255), (255, 0, 0, 0)]
    image = Image.new("CMYK", (64, 16))
    for index, ink in enumerate(inks):
        image.paste(ink, (16 * index, 0, 16 * index + 16, 16))
    image.save(tmp_path / "a.jpg", quality=100, icc_profile=cmyk_profile())
    picture = read_image(tmp_path / "a.jpg")
    for index, lab in enumerate([(100, 0, 0), (100 * (1 - 128 / 255), 0, 0), (0, 0, 0), (60, -30, -40)]):
        f = (lab[0] + 16) / 116 + np.array([lab[1] / 500, 0, -lab[2] / 200])
        xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * [0.9642, 1, 0.8249]
        expected = to_srgb_levels(np.linalg.solve(SRGB_TO_D50, xyz))
        assert np.abs(picture.rgb[8, 16 * index + 8] - expected).max() <= 2, inks[index]
    assert picture.notes == ("Colours were converted from the embedded profile (Ink test) to sRGB.",)


def test_a_grey_image_with_a_colour_profile_stays_grey(tmp_path: Path) -> None:
    levels = np.array([[0, 10, 55, 200, 255]], np.uint8)
    Image.fromarray(levels).save(tmp_path / "a.png", icc_profile=linear_profile())
    picture = read_image(tmp_path / "a.png")
    assert np.abs(picture.measured - to_srgb_levels(levels / 255)).max() <= 1
    assert picture.is_grey


def test_embedded_profile_is_converted_to_srgb(tmp_path: Path) -> None:
    linear = np.array([[[55, 55, 55], [255, 255, 255], [10, 100, 200]]], np.uint8)
    image = Image.fromarray(linear)
    image.save(tmp_path / "linear.png", icc_profile=linear_profile())
    picture = read_image(tmp_path / "linear.png")
    assert np.abs(picture.rgb - to_srgb_levels(linear / 255)).max() <= 1
    assert picture.notes == ("Colours were converted from the embedded profile (Linear test) to sRGB.",)


def test_profiles_that_change_nothing(tmp_path: Path) -> None:
    image = Image.new("RGB", (4, 4), (55, 155, 5))
    image.save(tmp_path / "broken.png", icc_profile=b"not a profile")
    picture = read_image(tmp_path / "broken.png")
    assert picture.rgb[0, 0].tolist() == [55, 155, 5]
    assert picture.notes == ("The embedded colour profile could not be used and was ignored.",)
    image.save(tmp_path / "srgb.png", icc_profile=rgb_profile(b"Whatever its name", SRGB_TO_D50, SRGB_CURVE))
    assert read_image(tmp_path / "srgb.png").notes == ()


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("empty.png", b"", "is not an image"),
        ("text.png", b"hello there", "is not an image"),
        ("cut.png", "png", "damaged or incomplete"),
        ("cut.jpg", "jpeg", "damaged or incomplete"),
        ("cut.gif", "gif", "damaged or incomplete"),
        ("cut.webp", "webp", "damaged or incomplete"),
        ("cut.tiff", "tiff", "damaged or incomplete"),
        ("bomb.png", png_file(60_000, 60_000, 8, 2, b""), "claims too many pixels"),
        ("text.png", png_file(4, 4, 8, 2, png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**8)))), "damaged"),
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


@pytest.mark.parametrize(("dtype", "sentence"), [("f4", "floating-point numbers"), ("i4", "32-bit numbers")])
def test_numbers_that_are_no_pixels_are_refused(tmp_path: Path, dtype: str, sentence: str) -> None:
    Image.fromarray(np.array([[0, 255, 65536]], dtype)).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match=f"a.tif holds {sentence}"):
        read_image(tmp_path / "a.tif")


def test_limits_come_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (2000, 1000)).save(tmp_path / "big.png")
    monkeypatch.setattr("drn.image._decode", lambda *_: pytest.fail("was decoded"))
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
