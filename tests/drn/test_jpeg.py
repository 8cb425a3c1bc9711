"""The quality of a JPEG, estimated from its tables."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, JpegPresets

from drn.image import Array
from drn.jpeg import jpeg_quality
from drn.reading import read_image


def by_pillow(rgb: Array, quality: int, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "JPEG", quality=quality, **options)
    return file.getvalue()


def by_opencv(rgb: Array, quality: int, *options: int) -> bytes:
    return cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, quality, *options])[1].tobytes()


def quality_of(data: bytes) -> int | None:
    return read_image(io.BytesIO(data)).metadata.jpeg_quality


@pytest.mark.parametrize("quality", [5, 30, 50, 75, 80, 95, 98, 100])
def test_the_quality_of_libjpeg_is_found(photo: Array, quality: int) -> None:
    files = [
        by_pillow(photo, quality),
        by_pillow(photo, quality, progressive=True),
        by_pillow(photo, quality, subsampling="4:2:0", optimize=True),
        by_pillow(photo, quality, subsampling="4:4:4"),
        by_pillow(photo[..., 0], quality),
        by_opencv(photo, quality),
        by_opencv(photo, quality, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        by_opencv(photo, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
    ]
    assert {quality_of(data) for data in files} == {quality}


def test_the_table_of_the_luma_counts(photo: Array) -> None:
    data = by_opencv(photo, 60, cv2.IMWRITE_JPEG_LUMA_QUALITY, 85, cv2.IMWRITE_JPEG_CHROMA_QUALITY, 40)
    assert quality_of(data) == 85


def test_other_tables_get_the_nearest_quality(photo: Array) -> None:
    presets: dict[str, Any] = JpegPresets.presets  # the tables of Photoshop
    found = [jpeg_quality({0: presets[name]["quantization"][0]}) for name in ("low", "medium", "high", "maximum")]
    assert found == sorted(found)
    assert 40 <= found[0] < found[1] <= 75 < found[2] <= 90 < found[3] <= 96
    assert jpeg_quality({0: [8] * 64}) == quality_of(by_pillow(photo, 50, qtables=[[8] * 64] * 2))
    assert 1 <= jpeg_quality({1: [0] * 64}) <= 100  # a damaged table


def test_an_incomplete_and_a_turned_jpeg_keep_their_quality(photo: Array) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert quality_of(by_pillow(photo, 70, exif=exif)) == 70
    assert quality_of(by_pillow(np.tile(photo, (4, 4, 1)), 70)[:-20]) == 70


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "AVIF", "TIFF"])
def test_other_formats_have_no_quality(photo: Array, file_format: str) -> None:
    file = io.BytesIO()
    Image.fromarray(photo).save(file, file_format)
    assert quality_of(file.getvalue()) is None


def test_an_enlarged_image_is_no_longer_the_jpeg(photo: Array) -> None:
    metadata = read_image(io.BytesIO(by_pillow(photo, 70))).metadata
    assert metadata.enlarged(2, 168, 120).jpeg_quality is None
