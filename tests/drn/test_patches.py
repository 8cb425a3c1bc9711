"""Random training patches: their content, their distribution, and their reproducibility."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from drn.errors import InputError
from drn.image import Array
from drn.resize import downscale
from drn.training.patches import PatchSampler, _shrink


@pytest.fixture
def folder(tmp_path: Path, photo: Array) -> Path:
    (tmp_path / "nested").mkdir()
    Image.fromarray(photo).save(tmp_path / "a.png")
    Image.fromarray(photo[::-1, :50]).save(tmp_path / "nested" / "b.png")
    Image.fromarray(photo[:13, :13]).save(tmp_path / "small.png")
    return tmp_path


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_patch_is_a_crop_of_the_image_and_of_the_image_shrunk(
    tmp_path: Path, rng: np.random.Generator, scale: int
) -> None:
    image = rng.integers(0, 256, (10 * scale + 1, 9 * scale + 2, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / "a.png")
    # All possible patches: the image, mirrored at its border, is shrunk from each row and column on, in 8 orientations.
    allowed: dict[bytes, tuple[tuple[int, int], bytes]] = {}
    size, border = 8, 4 * scale
    mirrored = np.pad(image, ((border, border), (border, border), (0, 0)), mode="symmetric")
    positions = list(np.ndindex(image.shape[0] - size * scale + 1, image.shape[1] - size * scale + 1))
    for y, x in positions:
        lr = downscale(mirrored[y:, x:][: (size + 8) * scale, : (size + 8) * scale], scale)[4:-4, 4:-4]
        hr = image[y : y + size * scale, x : x + size * scale]
        for turns, flip in itertools.product(range(4), (False, True)):
            allowed[oriented(lr, turns, flip).tobytes()] = (y, x), oriented(hr, turns, flip).tobytes()
    assert len(allowed) == 8 * len(positions)
    sampler, seen = PatchSampler([tmp_path], scale, seed=0), set()
    drawn: set[bytes] = set()
    for i in range(60):
        for lr, hr in zip(*sampler.batch(i, 16, size), strict=True):
            assert lr.dtype == torch.float32
            position, expected = allowed[as_bytes(lr)]
            assert expected == as_bytes(hr)
            seen.add(position)
            drawn.add(as_bytes(lr))
    assert seen == set(positions)
    assert len(drawn) > 5 * len(positions)


def oriented(patch: Array, turns: int, flip: bool) -> Array:
    """Turn (H, W, 3) anticlockwise by quarters, then mirror it left to right if ``flip``."""
    return np.rot90(patch, turns)[:, ::-1] if flip else np.rot90(patch, turns)


def as_bytes(patch: torch.Tensor) -> bytes:
    """Return the 8-bit levels of (3, H, W), pixel by pixel."""
    return (patch * 255).round().to(torch.uint8).permute(1, 2, 0).numpy().tobytes()


def test_an_image_is_drawn_equally_often_at_each_size(tmp_path: Path) -> None:
    for colour in (40, 200):
        Image.new("RGB", (40, 20), (colour, colour, colour)).save(tmp_path / f"{colour}.png")
    Image.new("RGB", (1, 1)).save(tmp_path / "tiny.png")
    sampler = PatchSampler([tmp_path], 2, seed=0, shrink=(0.5, 0.4))
    drawn: Counter[tuple[int, int]] = Counter()
    # Each size of each image has its own level. A patch has sides of 5 LR pixels; the images at 0.5 have the same size.
    sides = sampler.sizes.min(1).tolist()
    for number, start in enumerate(sampler.starts):
        sampler.pixels[start:] = number
        drawn[number, sides[number]] = 0
    for i in range(100):
        _, hr = sampler.batch(i, 8, patch_size=5)
        for level in (hr.flatten(1).mean(1) * 255).round().int().tolist():
            drawn[level, sides[level]] += 1
    assert {side for _, side in drawn} == {20, 10, 8, 1}
    for (_, side), count in drawn.items():
        assert (150 < count < 250) if side >= 10 else count == 0


def test_a_shrunk_image_is_antialiased(photo: Array) -> None:
    half = _shrink(photo, 0.5)
    means = photo.reshape(photo.shape[0] // 2, 2, photo.shape[1] // 2, 2, 3).mean((1, 3))
    assert np.abs(half - means).mean() < 0.5 * np.abs(half - photo[::2, ::2].astype(float)).mean()


def test_patches_depend_on_seed_and_iteration_alone(folder: Path) -> None:
    first, second = PatchSampler([folder], 2, seed=1), PatchSampler([folder], 2, seed=1)
    for i in range(3):
        first.batch(i, 2, 8)
    assert torch.equal(first.batch(7, 4, 8)[0], second.batch(7, 4, 8)[0])
    assert not torch.equal(first.batch(7, 4, 8)[0], first.batch(8, 4, 8)[0])
    assert not torch.equal(first.batch(7, 4, 8)[0], PatchSampler([folder], 2, seed=2).batch(7, 4, 8)[0])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
def test_cuda_makes_the_same_patches(folder: Path) -> None:
    on_cpu = PatchSampler([folder], 2, seed=0, shrink=(0.6,)).batch(3, 64, 8)
    on_cuda = PatchSampler([folder], 2, seed=0, shrink=(0.6,), device="cuda").batch(3, 64, 8)
    for cpu, cuda in zip(on_cpu, on_cuda, strict=True):
        difference = (cpu - cuda.cpu()).abs() * 255
        assert difference.max() < 1.01  # a value halfway between two levels may be rounded to either
        assert (difference > 0.5).float().mean() < 0.001


def test_many_positions_and_orientations_are_drawn(folder: Path) -> None:
    sampler = PatchSampler([folder], 2, seed=0)
    seen = {patch.numpy().tobytes() for i in range(20) for patch in sampler.batch(i, 8, patch_size=8)[0]}
    assert len(seen) > 150


def test_the_patches_of_a_batch_come_from_many_images(tmp_path: Path) -> None:
    for level in range(0, 250, 10):
        Image.new("RGB", (16, 16), (level, level, level)).save(tmp_path / f"{level}.png")
    _, hr = PatchSampler([tmp_path], 2, seed=0).batch(0, 25, 8)
    assert len(set(hr[:, 0, 0, 0].tolist())) > 10


def test_too_large_patches_get_one_sentence(folder: Path) -> None:
    with pytest.raises(InputError, match="No training image is at least 200x200"):
        PatchSampler([folder], 2, seed=0).batch(0, 1, 100)


def test_images_smaller_than_a_patch_are_counted(folder: Path) -> None:
    assert PatchSampler([folder], 2, 0, shrink=(0.5,)).count_small(7) == (1, 3)
    assert PatchSampler([folder], 2, 0).count_small(6) == (0, 3)
    assert PatchSampler([folder], 2, 0).count_small(26) == (2, 3)
