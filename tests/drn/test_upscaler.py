from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from drn import weights
from drn.device import choose_device, choose_dtype
from drn.errors import InputError
from drn.folders import find_images
from drn.geometry import Margins, Rect, split
from drn.image import Array, Picture, mod_crop, to_tensor
from drn.metrics import psnr
from drn.reading import read_image
from drn.resize import downscale
from drn.resize import upscale as bicubic
from drn.upscaler import Cancelled, Upscaler
from tests.helpers.data import benchmark_folder
from tests.helpers.models import small_model


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("tile", [2, 7, 16, 200])
def test_tiled_equals_untiled(photo: Array, scale: int, tile: int) -> None:
    lr = photo[:19, :25]
    model = small_model(scale)
    with torch.inference_mode():
        whole = model(to_tensor(lr))
    upscaler = Upscaler(model, "cpu", "fp32", tile=tile)
    expected = whole[0].clamp(0, 1).mul(255).permute(1, 2, 0).numpy()
    # The tolerance is half a level for rounding to 8 bits, and 1e-4 of the range for another order of sums.
    assert np.abs(upscaler.upscale(lr) - expected).max() <= 0.5 + 255e-4


def test_tiled_tensors_agree_to_1e_4_in_fp32() -> None:
    model = small_model(3)
    upscaler = Upscaler(model, "cpu", "fp32")
    lr = torch.rand(1, 3, 40, 50)
    halo = model.halo
    whole = upscaler.upscale_tensor(lr)
    tile = upscaler.upscale_tensor(lr[:, :, 10 - halo if halo < 10 else 0 : 20 + halo, : 15 + halo])
    top = min(10, halo)
    assert (whole[:, :, 30:60, :45] - tile[:, :, 3 * top : 3 * top + 30, :45]).abs().max() <= 1e-4


def test_bf16_tiles_differ_by_at_most_one_level(photo: Array) -> None:
    model = small_model(2)
    whole = Upscaler(model, "cpu", "bf16", tile=200).upscale(photo)
    tiled = Upscaler(model, "cpu", "bf16", tile=17).upscale(photo)
    assert np.abs(whole.astype(int) - tiled).max() <= 1


def test_tiles_of_the_self_ensemble_are_parts_of_the_whole(photo: Array) -> None:
    model = small_model(3)
    whole = Upscaler(model, "cpu", "fp32", tile=200).upscale(photo, self_ensemble=True)
    tiled = Upscaler(model, "cpu", "fp32", tile=23).upscale(photo, self_ensemble=True)
    difference = np.abs(whole.astype(int) - tiled)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.001


def test_a_rectangle_is_that_part_of_the_whole(photo: Array) -> None:
    upscaler = Upscaler(small_model(3), "cpu", "fp32", tile=16)
    whole = upscaler.upscale(photo)
    for region in (Rect(0, 0, 84, 60), Rect(83, 59, 1, 1), Rect(20, 31, 40, 5)):
        part = whole[region.y * 3 : (region.y + region.height) * 3, region.x * 3 : (region.x + region.width) * 3]
        difference = np.abs(upscaler.upscale(photo, lr_rect=region).astype(int) - part)
        assert difference.max() <= 1
        assert (difference > 0).mean() < 0.001


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (3, 2)])
def test_tiny_images(size: tuple[int, int]) -> None:
    lr = np.full((*size, 3), 77, np.uint8)
    assert Upscaler(small_model(4), tile=8).upscale(lr).shape == (size[0] * 4, size[1] * 4, 3)


def test_self_ensemble_is_the_mean_over_the_8_orientations() -> None:
    model = small_model(2)
    lr = torch.rand(1, 3, 10, 14)
    views = []
    for turned in (lr, lr.transpose(2, 3)):
        for axes in ((), (2,), (3,), (2, 3)):
            with torch.inference_mode():
                back = model(turned.flip(axes)).flip(axes)
            views.append(back if turned is lr else back.transpose(2, 3))
    expected = torch.stack(views).mean(0)
    actual = Upscaler(model, "cpu", "fp32").upscale_tensor(lr, self_ensemble=True)
    assert torch.allclose(actual, expected, atol=1e-5)
    assert not torch.allclose(actual, views[0], atol=1e-3)


def test_self_ensemble_turns_with_the_image(photo: Array) -> None:
    upscaler = Upscaler(small_model(2), "cpu", "fp32")
    turned = upscaler.upscale(np.rot90(photo).copy(), self_ensemble=True)
    difference = np.rot90(upscaler.upscale(photo, self_ensemble=True)).astype(int) - turned
    assert np.abs(difference).max() <= 1


def test_progress_and_cancel(photo: Array) -> None:
    upscaler = Upscaler(small_model(2), tile=30)
    seen: list[tuple[int, int]] = []
    upscaler.upscale(photo, on_tile=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 6), (2, 6), (3, 6), (4, 6), (5, 6), (6, 6)]
    seen.clear()
    with pytest.raises(Cancelled):
        upscaler.upscale(
            photo, on_tile=lambda done, total: seen.append((done, total)), cancelled=lambda: len(seen) == 2
        )
    assert len(seen) == 2


def test_threads_can_share_an_upscaler(photo: Array) -> None:
    upscaler = Upscaler(small_model(2), tile=20)
    images = [photo, photo[::-1].copy(), 255 - photo]
    alone = [upscaler.upscale(image) for image in images]
    together: dict[int, Array] = {}
    threads = [threading.Thread(target=lambda i=i: together.update({i: upscaler.upscale(images[i])})) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(3):
        assert np.array_equal(together[i], alone[i])


def test_the_callers_model_stays_as_it_was() -> None:
    model = small_model(2).train()
    Upscaler(model, "cpu", "bf16")
    assert model.training
    assert model.head.weight.dtype == torch.float32


def test_picture_keeps_alpha_by_bicubic_and_grey(photo: Array) -> None:
    alpha = photo[..., 0]
    result = Upscaler(small_model(3)).upscale_picture(Picture(photo, alpha, is_grey=True, notes=("a",)))
    assert result.alpha is not None
    assert np.array_equal(result.alpha, bicubic(alpha, 3))
    assert (result.is_grey, result.notes, result.rgb.shape) == (True, ("a",), (180, 252, 3))


def test_colours_of_transparent_pixels_do_not_show_at_the_edge(photo: Array) -> None:
    alpha = np.zeros(photo.shape[:2], np.uint8)
    alpha[:, 40:] = 255
    black, white = np.where(alpha[..., None], photo, 0), np.where(alpha[..., None], photo, 255)
    upscaler = Upscaler(small_model(2), "cpu", "fp32")
    first, second = (upscaler.upscale_picture(Picture(rgb.astype(np.uint8), alpha)) for rgb in (black, white))
    assert np.array_equal(first.rgb, second.rgb)


def test_split_covers_every_pixel_once() -> None:
    seen = np.zeros((23, 31), int)
    for tile in split(Rect(3, 5, 25, 17), 6):
        assert tile.width <= 6
        assert tile.height <= 6
        seen[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width] += 1
    assert (seen[5:22, 3:28] == 1).all()
    assert seen.sum() == 25 * 17


def test_unusable_options_get_one_sentence(photo: Array) -> None:
    with pytest.raises(InputError, match="device 'tpu9' is not available"):
        choose_device("tpu9")
    with pytest.raises(InputError, match="dtype 'int3' is unknown"):
        choose_dtype("int3", torch.device("cpu"))
    with pytest.raises(InputError, match="tile size"):
        Upscaler(small_model(2), tile=-1)
    with pytest.raises(ValueError, match="uint8"):
        Upscaler(small_model(2)).upscale(photo / 255)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not inside the 84x60 image"):
        Upscaler(small_model(2)).upscale(photo, lr_rect=Rect(80, 0, 5, 5))


class Limited(torch.nn.Module):
    """Run ``model`` on crops of at most ``limit`` pixels, and fail with ``error`` on larger ones."""

    def __init__(self, model: torch.nn.Module, limit: int, error: Exception) -> None:
        super().__init__()
        self.model, self.limit, self.error = model, limit, error

    def forward(self, lr: torch.Tensor, margins: Margins) -> torch.Tensor:
        if lr.shape[2] * lr.shape[3] > self.limit:
            raise self.error
        result: torch.Tensor = self.model(lr, margins)
        return result


def limited(limit: int, error: Exception) -> Upscaler:
    upscaler = Upscaler(small_model(2), "cpu", "fp32", tile=200)
    upscaler.model = Limited(upscaler.model, limit, error)
    return upscaler


def cpu_out_of_memory() -> Exception:
    try:
        torch.empty(2**55)
    except RuntimeError as error:
        return error
    raise AssertionError("there is memory for anything")


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("too much"), RuntimeError("MPS backend out of memory"), cpu_out_of_memory()]
)
def test_lack_of_memory_halves_the_tile_with_a_warning(
    photo: Array, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    expected = Upscaler(small_model(2), "cpu", "fp32").upscale(photo)
    seen: list[tuple[int, int]] = []
    result = limited(60 * 60, error).upscale(photo, on_tile=lambda done, total: seen.append((done, total)))
    assert np.abs(result.astype(int) - expected).max() <= 1
    assert caplog.messages == [f"cpu ran out of memory: continuing with tiles of {edge} pixels." for edge in (42,)]
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_too_little_memory_for_any_tile_gets_one_sentence(photo: Array) -> None:
    with pytest.raises(InputError, match="Even a tile of 20 pixels does not fit in the memory of cpu"):
        limited(1, torch.OutOfMemoryError("too much")).upscale(photo)


def test_a_result_larger_than_the_memory_gets_one_sentence() -> None:
    lr = np.broadcast_to(np.uint8(0), (2**22, 2**24, 3))
    with pytest.raises(InputError, match="33554432x8388608 does not fit in the memory"):
        Upscaler(small_model(2)).upscale(lr)


def test_a_failing_tile_fails_the_whole_image(photo: Array) -> None:
    with pytest.raises(
        InputError, match=r"The 84x60 tile at 0, 0 failed on cpu \(device lost\): try --device cpu"
    ) as caught:
        limited(1, RuntimeError("device lost\nat line 3")).upscale(photo)
    assert "\n" not in str(caught.value)


def test_a_cpu_with_unknown_units_computes_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)  # as before torch 2.11
    assert choose_dtype("auto", torch.device("cpu")) == torch.float32


def test_values_that_are_not_finite_are_refused(photo: Array) -> None:
    model = small_model(2)
    torch.nn.init.constant_(model.tail.weight, 1e38)
    with pytest.raises(InputError, match="--dtype fp32"):
        Upscaler(model, "cpu", "bf16").upscale(photo)
    with pytest.raises(InputError, match="its weights cannot be used"):
        Upscaler(model, "cpu", "fp32").upscale(photo)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "scale"), [("Set5", 2), ("Set14", 4)])
def test_bf16_is_as_good_as_fp32(name: str, scale: int) -> None:
    paths = find_images(benchmark_folder(name))
    model = weights.load_model(scale=scale)
    engines = [Upscaler(model, "cpu", dtype) for dtype in ("fp32", "bf16")]
    scores = []
    for path in paths:
        hr = mod_crop(read_image(path).rgb, scale)
        lr = downscale(hr, scale)
        scores.append([psnr(engine.upscale(lr), hr, scale) for engine in engines])
    fp32, bf16 = np.mean(scores, axis=0)
    assert bf16 == pytest.approx(fp32, abs=0.003)
