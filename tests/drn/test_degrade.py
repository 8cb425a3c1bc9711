"""The degradation of LR images, and training with it."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from drn import weights
from drn.degrade import (
    BLUR_SHARE,
    CLEAN,
    CLEAN_SHARE,
    JPEG_SHARE,
    NOISE_SHARE,
    SUBSAMPLED_SHARE,
    TWICE_SHARE,
    VALIDATION,
    Degradation,
    Jpeg,
    draw_degradation,
)
from drn.errors import InputError
from drn.image import Array, mod_crop
from drn.metrics import psnr
from drn.reading import read_image
from drn.resize import downscale
from drn.training.config import TrainConfig
from drn.training.degrade import DRAW_STREAM, degrade_batch, degrade_on_device
from drn.training.loop import train
from drn.training.patches import PatchSampler
from drn.upscaler import Upscaler
from scripts._markdown import ROOT
from tests.helpers.models import SMALL
from tests.helpers.training import rows


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0"])
@pytest.mark.parametrize("quality", [1, 50, 95, 100])
def test_jpeg_equals_a_file_written_and_read_by_pillow(
    photo: Array, tmp_path: Path, quality: int, subsampling: str
) -> None:
    path = tmp_path / "photo.jpg"
    Image.fromarray(photo).save(path, quality=quality, subsampling=subsampling)
    degraded = Degradation(jpegs=(Jpeg(quality, subsampling),)).apply(photo)
    assert np.array_equal(degraded, read_image(path).rgb)


@pytest.mark.parametrize("shift", [(8, 0), (3, 5), (15, 15)])
def test_a_shifted_jpeg_equals_a_crop_of_a_whole_one(photo: Array, shift: tuple[int, int]) -> None:
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "JPEG", quality=40, subsampling="4:2:0")
    decoded = read_image(file).rgb
    down, right = shift
    degraded = Jpeg(40, "4:2:0", shift).apply(photo[down:, right:])
    assert degraded.shape == photo[down:, right:].shape
    # The blocks that the crop cuts, and one more pixel that chroma upsampling reaches, differ at the top and left.
    inner = np.s_[17 - down :, 17 - right :]
    assert np.array_equal(degraded[inner], decoded[down:, right:][inner])
    unshifted = Jpeg(40, "4:2:0").apply(photo[down:, right:])
    assert not np.array_equal(unshifted[inner], decoded[down:, right:][inner])


def test_two_jpegs_are_applied_in_turn(photo: Array) -> None:
    first, second = Jpeg(60), Jpeg(80, "4:4:4", (3, 5))
    assert np.array_equal(Degradation(jpegs=(first, second)).apply(photo), second.apply(first.apply(photo)))


def test_noise_has_the_sigma_asked_for() -> None:
    grey = np.full((200, 200, 3), 128, np.uint8)
    noise = Degradation(noise=4.0, noise_seed=7).apply(grey).astype(np.float64) - 128
    assert noise.std() == pytest.approx(np.hypot(4.0, np.sqrt(1 / 12)), rel=0.01)
    assert abs(noise.mean()) < 0.05
    assert not np.array_equal(noise, Degradation(noise=4.0, noise_seed=8).apply(grey).astype(np.float64) - 128)


def test_blur_spreads_a_point_by_the_sigma_asked_for() -> None:
    point = np.zeros((21, 21, 3), np.uint8)
    point[10, 10] = 255
    blurred = Degradation(blur=0.7).apply(point)[:, :, 0].astype(np.float64)
    offsets = np.arange(21) - 10
    kernel = np.exp(-(offsets**2) / (2 * 0.7**2))
    kernel /= kernel.sum()
    assert np.abs(blurred - 255 * np.outer(kernel, kernel)).max() < 1


def test_the_default_degradation_changes_nothing(photo: Array) -> None:
    assert np.array_equal(Degradation().apply(photo), photo)


def test_a_degradation_is_described_in_the_order_of_its_steps() -> None:
    assert str(Degradation(0.5, 2.0, jpegs=(Jpeg(60), Jpeg(90)))) == "blur 0.5, noise 2, JPEG 60, JPEG 90"
    assert str(Degradation()) == "clean"


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Jpeg(0), "The JPEG quality must be 1 to 100, not 0"),
        (lambda: Jpeg(101), "The JPEG quality must be 1 to 100, not 101"),
        (lambda: Jpeg(75, "4:1:0"), "The chroma subsampling must be 4:4:4 or 4:2:0"),
        (lambda: Jpeg(75, shift=(0, -1)), "The shift of the JPEG grid must be 0 or more"),
        (lambda: Degradation(blur=-1), "The blur must have a sigma of 0 to 10 pixels"),
        (lambda: Degradation(noise=float("nan")), "the noise one of 0 to 100 levels"),
    ],
)
def test_impossible_degradations_are_refused(make: type, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        make()


def test_drawn_degradations_have_the_documented_shares_and_ranges() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_degradation(rng) for _ in range(6000)]
    jpegs = [jpeg for one in drawn for jpeg in one.jpegs]
    coded = [one for one in drawn if one.jpegs]
    degraded = 1 - CLEAN_SHARE

    def share(true: list[bool]) -> float:
        return sum(true) / len(true)

    assert share([bool(one.jpegs) for one in drawn]) == pytest.approx(degraded * JPEG_SHARE, abs=0.02)
    assert share([one.blur > 0 for one in drawn]) == pytest.approx(degraded * BLUR_SHARE, abs=0.02)
    assert share([one.noise > 0 for one in drawn]) == pytest.approx(degraded * NOISE_SHARE, abs=0.02)
    assert share([len(one.jpegs) == 2 for one in coded]) == pytest.approx(TWICE_SHARE, abs=0.02)
    assert share([jpeg.subsampling == "4:2:0" for jpeg in jpegs]) == pytest.approx(SUBSAMPLED_SHARE, abs=0.02)
    assert share([one == Degradation() for one in drawn]) >= CLEAN_SHARE - 0.02
    qualities = [jpeg.quality for jpeg in jpegs]
    assert (min(qualities), max(qualities)) == (30, 95)
    assert np.mean(qualities) == pytest.approx(62.5, abs=1)
    assert {jpeg.shift[0] for jpeg in jpegs} == {jpeg.shift[1] for jpeg in jpegs} == set(range(16))
    assert max(one.noise for one in drawn) <= 5
    assert max(one.blur for one in drawn) <= 0.8


def test_a_batch_depends_on_seed_iteration_and_index_alone(photo: Array) -> None:
    patch = torch.from_numpy(photo[:24, :24].copy()).permute(2, 0, 1).float() / 255
    lr = patch.expand(6, 3, 24, 24).contiguous(memory_format=torch.channels_last)
    before = lr.clone()
    degraded = degrade_batch(lr, seed=3, iteration=5)
    assert torch.equal(lr, before)
    assert degraded.dtype == torch.float32
    assert degraded.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(degraded, degrade_batch(lr, 3, 5))
    assert torch.equal(degraded[:2], degrade_batch(lr[:2], 3, 5))
    assert not torch.equal(degraded[0], degraded[1])
    assert not torch.equal(degraded, degrade_batch(lr, 3, 6))
    assert not torch.equal(degraded, degrade_batch(lr, 4, 5))
    levels = degraded * 255
    assert torch.allclose(levels, levels.round(), atol=1e-4)


def degraded_by_both(lr: Array, degradations: list[Degradation]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Degrade each patch by Pillow and OpenCV, and by PyTorch; levels (B, H, W, 3)."""
    batch = torch.from_numpy(lr.astype(np.float32) / 255).permute(0, 3, 1, 2)
    real = np.stack([degradation.apply(patch) for degradation, patch in zip(degradations, lr, strict=True)])
    on_device = degrade_on_device(batch, degradations).permute(0, 2, 3, 1).numpy() * 255
    assert np.allclose(on_device, on_device.round(), atol=1e-3)
    return real.astype(np.float64), on_device.astype(np.float64)


def rms(difference: NDArray[np.float64]) -> float:
    return float(np.sqrt((difference**2).mean()))


@pytest.fixture
def patches() -> Array:
    """uint8 (6, 45, 50, 3), from a photograph."""
    image = read_image(ROOT / "app" / "examples" / "astronaut.png").rgb
    return np.stack([image[40 * index : 40 * index + 45, 60:110] for index in range(6)])


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0"])
@pytest.mark.parametrize("quality", [30, 60, 95])
def test_jpeg_in_pytorch_equals_that_of_pillow_within_a_level(patches: Array, quality: int, subsampling: str) -> None:
    jpegs = [Jpeg(quality, subsampling, (index, 15 - 2 * index)) for index in range(len(patches))]
    real, on_device = degraded_by_both(patches, [Degradation(jpegs=(jpeg,)) for jpeg in jpegs])
    assert rms(on_device - real) < 1  # a coefficient between two steps may be rounded differently
    assert rms(on_device - real) < 0.4 * rms(real - patches)
    assert abs((on_device - real).mean()) < 0.1


def test_a_batch_in_pytorch_takes_each_patchs_own_degradation(patches: Array) -> None:
    twice = (Jpeg(40, "4:2:0", (3, 4)), Jpeg(80, "4:4:4"))
    mixed = [CLEAN, Degradation(blur=0.7), Degradation(jpegs=twice), CLEAN, Degradation(jpegs=twice[:1]), CLEAN]
    real, on_device = degraded_by_both(patches, mixed)
    for index in (0, 3, 5):
        assert np.array_equal(on_device[index], patches[index])
    assert rms(on_device[1] - real[1]) < 0.1 < rms(real[1] - patches[1])
    assert rms(on_device[2] - real[2]) < 1.5
    assert rms(on_device[4] - real[4]) < 1.2


def test_noise_in_pytorch_has_the_sigma_asked_for() -> None:
    lr = torch.full((2, 3, 64, 64), 128 / 255)
    degraded = degrade_on_device(lr, [Degradation(noise=4.0, noise_seed=1), CLEAN]) * 255
    assert degraded[0].std().item() == pytest.approx(4, rel=0.03)
    assert degraded[0].mean().item() == pytest.approx(128, abs=0.2)
    assert torch.equal(degraded[1].round(), torch.full((3, 64, 64), 128.0))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
def test_patches_on_a_gpu_are_degraded_like_those_on_the_cpu(patches: Array) -> None:
    batch = torch.from_numpy(patches.astype(np.float32) / 255).permute(0, 3, 1, 2)
    degraded = degrade_batch(batch.cuda(), 3, 5)
    drawn = [draw_degradation(np.random.default_rng([3, 5, DRAW_STREAM, index])) for index in range(len(batch))]
    assert degraded.is_cuda
    same = [index for index, degradation in enumerate(drawn) if not degradation.noise]  # each device has its own noise
    assert len(same) > 2
    assert torch.allclose(degraded.cpu()[same], degrade_on_device(batch, drawn)[same], atol=3 / 255)


@pytest.fixture
def photo_config(config: TrainConfig, tmp_path: Path, photo: Array) -> TrainConfig:
    """A short training of weights for photographs, with two validation folders."""
    (tmp_path / "urban").mkdir()
    for number in range(5):
        Image.fromarray(np.roll(photo, 9 * number, axis=0)).save(tmp_path / "urban" / f"{number}.png")
    return replace(config, degrade="photo", valid=(*config.valid, tmp_path / "urban"))


def test_training_sees_degraded_patches(photo_config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []

    def watched(lr: torch.Tensor, seed: int, iteration: int) -> torch.Tensor:
        seen.append((seed, iteration))
        return degrade_batch(lr, seed, iteration)

    monkeypatch.setattr("drn.training.run.degrade_batch", watched)
    train(SMALL, replace(photo_config, iterations=2, seed=4))
    assert seen == [(4, 0), (4, 1)]
    train(SMALL, replace(photo_config, out=photo_config.out / "clean", degrade="none", iterations=2))
    assert len(seen) == 2


def test_validation_is_the_mean_of_the_folders_means_on_the_fixed_degradations(photo_config: TrainConfig) -> None:
    state = train(SMALL, replace(photo_config, iterations=1))
    best = weights.load(photo_config.out / "drn_x2.safetensors")
    assert best.notes["degradation"] == "photo"
    upscaler = Upscaler(best.model, "cpu", "fp32")
    means = {}
    for folder in photo_config.valid:
        found = []
        for index, path in enumerate(sorted(folder.iterdir())):
            hr = mod_crop(read_image(path).rgb, 2)
            quality = (50, 75, 90, None)[index % 4]
            lr = downscale(hr, 2)
            if quality is not None:
                file = io.BytesIO()
                Image.fromarray(lr).save(file, "JPEG", quality=quality, subsampling="4:2:0")
                lr = read_image(file).rgb
            found.append(psnr(upscaler.upscale(lr), hr, 2))
        means[folder.name] = np.mean(found)
    (row,) = rows(photo_config.out)
    assert float(row["valid_psnr_valid"]) == pytest.approx(means["valid"], abs=1e-3)
    assert float(row["valid_psnr_urban"]) == pytest.approx(means["urban"], abs=1e-3)
    assert float(row["valid_psnr"]) == pytest.approx(np.mean(list(means.values())), abs=1e-3)
    assert state.best_psnr == pytest.approx(np.mean(list(means.values())), abs=1e-3)
    assert len(VALIDATION) == 4


def test_one_validation_folder_adds_no_column(config: TrainConfig) -> None:
    train(SMALL, replace(config, iterations=1))
    with (config.out / "curve.csv").open(newline="") as file:
        assert next(csv.reader(file)) == ["iteration", "hours", "learning_rate", "loss", "valid_psnr"]


def test_unusable_settings_are_refused(config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--degrade must be none or photo, not jpeg"):
        replace(config, degrade="jpeg")
    with pytest.raises(InputError, match="Two validation folders have the same name"):
        replace(config, valid=(*config.valid, tmp_path / "more" / config.valid[0].name))


def test_avif_images_are_read_for_training(tmp_path: Path, photo: Array) -> None:
    Image.fromarray(photo).save(tmp_path / "a.avif", quality=100, subsampling="4:4:4")
    assert psnr(read_image(tmp_path / "a.avif").rgb, photo, 1) > 40
    lr, hr = PatchSampler([tmp_path], 2, seed=0).batch(0, 2, 12)
    assert (lr.shape, hr.shape) == ((2, 3, 12, 12), (2, 3, 24, 24))
