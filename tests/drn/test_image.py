from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from drn.errors import InputError
from drn.files import replace_file
from drn.image import Array, Picture, fill_clear, mod_crop, on_checkers, quantize, to_tensor
from drn.reading import read_image
from drn.writing import write_image
from tests.helpers.pngs import png_chunk, png_file


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
    upright[:8, :8] = 255  # a white block in the upper left corner
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
    """Make a 16-bit PNG of (H, W, 1 to 4): grey, grey and alpha, RGB or RGBA. Pillow cannot write 16-bit colour."""
    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2" if depth == 16 else "u1").tobytes() for row in pixels)
    return png_file(width, height, depth, (0, 4, 2, 6)[channels - 1], extra + png_chunk(b"IDAT", zlib.compress(rows)))


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
    levels = np.array([[[0, 257, 1000], [32896, 65535, 65400]]], ">u2")
    (tmp_path / "a.ppm").write_bytes(b"P6 2 1 65535\n" + levels.tobytes())
    picture = read_image(tmp_path / "a.ppm")
    assert picture.rgb.tolist() == [[[0, 1, 4], [128, 255, 254]]]  # levels / 257, rounded
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


@pytest.mark.parametrize(("depth", "packed", "key"), [(2, 0b00011011, 3), (4, 0xF0, 15), (2, 0b00011011, 1)])
def test_a_transparent_grey_of_few_bits(tmp_path: Path, depth: int, packed: int, key: int) -> None:
    width = 8 // depth
    levels = [(packed >> (8 - depth * (index + 1))) & (2**depth - 1) for index in range(width)]
    chunks = png_chunk(b"tRNS", struct.pack(">H", key)) + png_chunk(b"IDAT", zlib.compress(bytes([0, packed])))
    (tmp_path / "a.png").write_bytes(png_file(width, 1, depth, 0, chunks))
    picture = read_image(tmp_path / "a.png")
    assert picture.rgb[0, :, 0].tolist() == [level * 255 // (2**depth - 1) for level in levels]
    assert picture.alpha is not None
    assert picture.alpha[0].tolist() == [0 if level == key else 255 for level in levels]


def test_a_bmp_of_16_bits_a_pixel_has_8_bit_colours(tmp_path: Path) -> None:
    header = struct.pack("<IiiHHIIiiII", 40, 1, 1, 1, 16, 3, 4, 0, 0, 0, 0) + struct.pack("<III", 0xF800, 0x7E0, 0x1F)
    body = struct.pack("<HH", 0xF800, 0)
    start = 14 + len(header)
    (tmp_path / "a.bmp").write_bytes(b"BM" + struct.pack("<IHHI", start + 4, 0, 0, start) + header + body)
    picture = read_image(tmp_path / "a.bmp")
    assert (picture.rgb.tolist(), picture.notes) == ([[[255, 0, 0]]], ())


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


def tiff(pages: list[tuple[int, int, bytes]], bits: int, photometric: int = 1, sample_format: int = 1) -> bytes:
    """Make a little-endian grey TIFF of uncompressed pages (width, height, data), unsigned, with black as 0."""
    content = bytearray(b"II*\0" + struct.pack("<I", 8))
    for number, (width, height, data) in enumerate(pages, 1):
        entries = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric)]
        entries += [(273, 0), (277, 1), (279, len(data)), (339, sample_format)]
        end = len(content) + 2 + 12 * len(entries) + 4
        content += struct.pack("<H", len(entries))
        for tag, value in entries:
            content += struct.pack("<HHII", tag, 4, 1, end if tag == 273 else value)
        content += struct.pack("<I", end + len(data) if number < len(pages) else 0) + data
    return bytes(content)


def test_12_bit_tiff(tmp_path: Path) -> None:
    packed = bytes.fromhex("000fff8007ff")  # 0, 4095, 2048, 2047
    (tmp_path / "a.tif").write_bytes(tiff([(4, 1, packed)], 12))
    picture = read_image(tmp_path / "a.tif")
    assert picture.measured.tolist() == [[0, 255, 128, 127]]
    assert picture.notes == ("The 12-bit image was processed as 8-bit.",)


def test_16_bit_tiff_with_white_as_zero_is_inverted(tmp_path: Path) -> None:
    levels = np.array([0, 30000, 65535], "<u2").tobytes()
    (tmp_path / "a.tif").write_bytes(tiff([(3, 1, levels)], 16, photometric=0))
    assert read_image(tmp_path / "a.tif").measured.tolist() == [[255, 138, 0]]  # 255 - 117
    (tmp_path / "b.tif").write_bytes(tiff([(3, 1, levels)], 16))
    assert read_image(tmp_path / "b.tif").measured.tolist() == [[0, 117, 255]]


def test_signed_numbers_are_refused(tmp_path: Path) -> None:
    levels = np.array([-5, 30000, 32767], "<i2").tobytes()
    (tmp_path / "a.tif").write_bytes(tiff([(3, 1, levels)], 16, sample_format=2))
    with pytest.raises(InputError, match=r"a\.tif holds signed numbers"):
        read_image(tmp_path / "a.tif")


def test_the_pages_of_a_file_are_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow's time for counting pages grows with the square of their number: hours for a file within the limits."""
    counted = property(lambda _: pytest.fail("the pages were counted"))
    monkeypatch.setattr("PIL.TiffImagePlugin.TiffImageFile.n_frames", counted)
    (tmp_path / "a.tif").write_bytes(tiff([(2, 1, bytes([7, 9]))] * 50, 8))
    picture = read_image(tmp_path / "a.tif")
    assert picture.measured.tolist() == [[7, 9]]
    assert picture.notes == ("The file has several frames: the first one is used.",)


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
        ("bomb.png", png_file(60_000, 60_000, 8, 2, b""), "has too many pixels"),
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


@pytest.mark.parametrize("highest", [255, 65536])
@pytest.mark.parametrize(("dtype", "sentence"), [("f4", "floating-point numbers"), ("i4", "32-bit numbers")])
def test_numbers_that_are_not_pixels_are_refused(tmp_path: Path, dtype: str, sentence: str, highest: int) -> None:
    Image.fromarray(np.array([[0, 100, highest]], dtype)).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match=f"a.tif holds {sentence}"):
        read_image(tmp_path / "a.tif")


def test_limits_are_checked_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (2000, 1000)).save(tmp_path / "big.png")
    monkeypatch.setattr("drn.reading._decode", lambda *_: pytest.fail("was decoded"))
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
        write_image(tmp_path / f"{name}.png", picture)
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


def test_transparent_pixels_take_the_nearest_visible_colour() -> None:
    rgb = np.zeros((3, 5, 3), np.uint8)
    alpha = np.zeros((3, 5), np.uint8)
    rgb[:, 0], alpha[:, 0] = (250, 10, 20), 255
    rgb[:, 4], alpha[:, 4] = (5, 6, 240), 1
    filled = fill_clear(Picture(rgb, alpha))
    assert (filled[:, :2] == (250, 10, 20)).all()
    assert (filled[:, 3:] == (5, 6, 240)).all()
    assert fill_clear(Picture(rgb, np.zeros_like(alpha))) is rgb  # no pixel is visible


def test_transparency_is_shown_on_checkers() -> None:
    rgb, alpha = np.full((4, 4, 3), 100, np.uint8), np.array([[0, 0, 255, 255]] * 4, np.uint8)
    seen = on_checkers(Picture(rgb, alpha), 1)
    assert (seen[:, 2:] == 100).all()
    assert seen[0, 0, 0] == seen[1, 1, 0] == 255
    assert seen[0, 1, 0] == seen[1, 0, 0] == 230
    assert on_checkers(Picture(rgb), 1) is rgb
    half = on_checkers(
        Picture(rgb[:3, :3], np.full((3, 3), 102, np.uint8)), 2
    )  # 0.4 x colour 100 + 0.6 x checkerboard 255 or 230
    assert half[..., 2].tolist() == [[193, 193, 178], [193, 193, 178], [178, 178, 193]]


def test_a_large_transparent_image_is_not_copied_as_floats() -> None:
    picture = Picture(np.zeros((1000, 800, 3), np.uint8), np.zeros((1000, 800), np.uint8))
    tracemalloc.start()
    on_checkers(picture, 4)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.5 * picture.rgb.nbytes
