from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from drn.data import PatchSampler, augment
from drn.errors import InputError
from drn.image import Array
from drn.resize import downscale


@pytest.fixture
def folder(tmp_path: Path, photo: Array) -> Path:
    (tmp_path / "nested").mkdir()
    Image.fromarray(photo).save(tmp_path / "a.png")
    Image.fromarray(photo[::-1, :50]).save(tmp_path / "nested" / "b.png")
    Image.fromarray(photo[:13, :13]).save(tmp_path / "small.png")
    return tmp_path


def test_patches_are_aligned_pairs_of_the_images(folder: Path, photo: Array) -> None:
    sampler = PatchSampler([folder], scale=3, seed=0)
    lr, hr = sampler.batch(0, batch_size=12, patch_size=8)
    assert lr.shape == (12, 3, 8, 8)
    assert hr.shape == (12, 3, 24, 24)
    assert lr.dtype == torch.float32
    assert 0 <= float(hr.min()) < float(hr.max()) <= 1
    # Away from the borders, shrinking the HR patch gives the LR patch, whichever way it was turned.
    for i in range(12):
        shrunk = downscale((hr[i] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy(), 3)
        ours = (lr[i] * 255).round().permute(1, 2, 0).numpy()
        assert np.abs(shrunk[3:-3, 3:-3] - ours[3:-3, 3:-3]).max() <= 1


def test_shrunk_images_are_drawn_from_beside_the_whole_ones(tmp_path: Path, photo: Array) -> None:
    Image.fromarray(photo).save(tmp_path / "a.png")
    height, width = photo.shape[:2]
    pairs = PatchSampler([tmp_path], 2, seed=0, shrink=(0.5, 0.3)).pairs
    assert [hr.shape[:2] for _, hr in pairs] == [
        (round(height * share) // 2 * 2, round(width * share) // 2 * 2) for share in (1, 0.5, 0.3)
    ]
    for lr, hr in pairs:
        assert np.array_equal(lr, downscale(hr, 2))
    # An antialiased half is near the mean of each four pixels; a picked pixel is far from it.
    _, half = pairs[1]
    means = photo[: half.shape[0] * 2, : half.shape[1] * 2].reshape(half.shape[0], 2, half.shape[1], 2, 3).mean((1, 3))
    picked = photo[: half.shape[0] * 2 : 2, : half.shape[1] * 2 : 2]
    assert np.abs(half - means).mean() < 0.5 * np.abs(half - picked.astype(float)).mean()


def test_the_iteration_alone_fixes_the_patches(folder: Path) -> None:
    first, second = PatchSampler([folder], 2, seed=1), PatchSampler([folder], 2, seed=1)
    for i in range(3):
        first.batch(i, 2, 8)
    assert torch.equal(first.batch(7, 4, 8)[0], second.batch(7, 4, 8)[0])
    assert not torch.equal(first.batch(7, 4, 8)[0], first.batch(8, 4, 8)[0])
    assert not torch.equal(first.batch(7, 4, 8)[0], PatchSampler([folder], 2, seed=2).batch(7, 4, 8)[0])


def test_augment_has_eight_different_results() -> None:
    patch = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    results = {augment(patch, turns, flip).tobytes() for turns in range(4) for flip in (False, True)}
    assert len(results) == 8


def test_all_places_and_turns_are_drawn(folder: Path) -> None:
    sampler = PatchSampler([folder], 2, seed=0)
    seen = {patch.numpy().tobytes() for i in range(20) for patch in sampler.batch(i, 8, patch_size=8)[0]}
    assert len(seen) > 150


def test_too_large_patches_get_one_sentence(folder: Path) -> None:
    with pytest.raises(InputError, match="No training image is at least 200x200"):
        PatchSampler([folder], 2, seed=0).batch(0, 1, 100)
