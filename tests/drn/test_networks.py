"""Networks of other projects as methods: scale, range, channels, tiles, and files that cannot be used."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from skimage.color import rgb2ycbcr
from torch import Tensor, nn

from drn import load_model
from drn.errors import InputError
from drn.evaluation import networks
from drn.evaluation.comparison import measure
from drn.evaluation.methods import drn
from drn.evaluation.networks import network
from drn.evaluation.pairs import make_pair
from drn.evaluation.speed_networks import network_runs
from drn.image import Array, Picture
from drn.resize import upscale
from drn.upscaler import Cancelled, Upscaler


class Plain(nn.Module):
    """A small network that is not a DRN: one convolution and a pixel shuffle, for values in [0, ``peak``]."""

    def __init__(self, scale: int = 2, channels: int = 3, peak: int = 1) -> None:
        super().__init__()
        torch.manual_seed(scale)
        self.scale, self.mean = scale, 0.4 * peak
        self.body = nn.Conv2d(channels, channels * scale**2, 3, padding=1, bias=False)
        nn.init.normal_(self.body.weight, std=0.02)
        self.shuffle = nn.PixelShuffle(scale)

    def forward(self, x: Tensor) -> Tensor:
        whole = nn.functional.interpolate(x, scale_factor=float(self.scale), mode="nearest")
        enlarged: Tensor = whole + self.shuffle(self.body(x - self.mean).tanh() * 0.01 * self.mean)
        return enlarged


def export(path: Path, module: nn.Module, *shapes: tuple[int, ...], fixed: bool = False) -> Path:
    """Export a module as ONNX, for any height and width unless ``fixed``."""
    names = [f"input{index}" for index in range(len(shapes))]
    axes = None if fixed else {name: {2: "height", 3: "width"} for name in names}
    inputs = tuple(torch.rand(shape) for shape in shapes)
    with torch.no_grad():
        torch.onnx.export(module.eval(), inputs, str(path), dynamo=False, input_names=names, dynamic_axes=axes)
    return path


def levels(module: nn.Module, lr: Array, peak: int) -> Array:
    """Run a module on the whole image."""
    with torch.no_grad():
        output = module(torch.from_numpy(lr.astype(np.float32)).permute(2, 0, 1)[None] * (peak / 255))
    return np.asarray((output[0].permute(1, 2, 0) * (255 / peak)).clip(0, 255).round().numpy(), np.uint8)


def same(a: Array, b: Array) -> bool:
    """Return whether two images agree, except for a difference of one level where a value is halfway between levels."""
    return int(np.abs(a.astype(int) - b.astype(int)).max()) <= 1 and float(np.mean(a != b)) < 1e-3


def test_our_own_network_as_onnx_has_the_same_psnr(tmp_path: Path, photo: Array) -> None:
    pair = make_pair(Picture(photo), 2)
    model = load_model(scale=2)
    method = network("own", export(tmp_path / "own.onnx", model, (1, 3, 16, 16)))
    assert (method.scale, method.description) == (2, "own.onnx, RGB in [0, 1]")
    assert method.notes[0].startswith("own (own.onnx) enlarges by x2 and takes RGB in [0, 1]; tiles have up to 32")
    ours = measure(pair, drn(Upscaler(model, "cpu", "fp32"))).whole
    theirs = measure(pair, method).whole
    assert ours.psnr is not None
    assert theirs.psnr == pytest.approx(ours.psnr, abs=0.002)
    assert theirs.ssim == pytest.approx(ours.ssim, abs=1e-4)


@pytest.mark.parametrize(("scale", "peak"), [(3, 255), (2, 1), (4, 255)])
def test_scale_and_range_are_found(tmp_path: Path, photo: Array, scale: int, peak: int) -> None:
    module = Plain(scale, 3, peak)
    method = network("plain", export(tmp_path / "plain.onnx", module, (1, 3, 16, 16)))
    assert (method.scale, method.description) == (scale, f"plain.onnx, RGB in [0, {peak}]")
    pair = make_pair(Picture(photo), scale)
    assert same(method.enlarge(pair), levels(module, pair.lr, peak))


def test_a_network_of_one_channel_enlarges_luma(tmp_path: Path, photo: Array) -> None:
    module = Plain(2, 1)
    method = network("y", export(tmp_path / "y.onnx", module, (1, 1, 16, 16)))
    assert method.description == "y.onnx, luma in [0, 1]"
    pair = make_pair(Picture(photo // 2 + 60), 2)  # no value is clamped
    sr = method.enlarge(pair)
    luma = np.rint(rgb2ycbcr(pair.lr)[..., :1]).astype(np.uint8)
    got, colours = rgb2ycbcr(sr), rgb2ycbcr(upscale(pair.lr, 2))
    assert np.abs(got[..., 0] - levels(module, luma, 1)[..., 0]).max() < 1.01  # both sides are rounded
    assert np.abs(got[..., 1:] - colours[..., 1:]).max() < 1


@pytest.mark.parametrize("fixed", [False, True])
def test_tiles_give_the_whole_image(tmp_path: Path, photo: Array, monkeypatch: pytest.MonkeyPatch, fixed: bool) -> None:
    monkeypatch.setattr(networks, "TILE", 12)
    monkeypatch.setattr(networks, "OVERLAP", 4)
    module = Plain(2)
    method = network("plain", export(tmp_path / "plain.onnx", module, (1, 3, 20, 16), fixed=fixed))
    pair = make_pair(Picture(photo), 2)
    tiles: list[tuple[int, int]] = []
    sr = method.enlarge(pair, lambda done, total: tiles.append((done, total)))
    assert same(sr, levels(module, pair.lr, 1))  # the overlap is wider than the receptive field
    assert len(tiles) > 4
    assert tiles[-1][0] == tiles[-1][1]
    small = make_pair(Picture(np.ascontiguousarray(photo[:20, :16])), 2)  # smaller than the fixed size
    assert same(method.enlarge(small)[:18, :14], levels(module, small.lr, 1)[:18, :14])
    with pytest.raises(Cancelled):
        method.enlarge(pair, None, lambda: True)
    with pytest.raises(InputError, match="enlarges by x2, not by x3: choose x2"):
        method.enlarge(make_pair(Picture(photo), 3))


class Scaled(nn.Module):
    """A network that enlarges and multiplies by a factor, so that it changes a grey field."""

    def __init__(self, factor: float, scale: float = 2.0) -> None:
        super().__init__()
        self.factor, self.scale = factor, scale

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.interpolate(x, scale_factor=self.scale, mode="nearest") * self.factor


class Sum(nn.Module):
    """A network that takes two images."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return nn.functional.interpolate(x + y, scale_factor=2.0)


@pytest.mark.parametrize(
    ("module", "shapes", "sentence"),
    [
        (Scaled(1.0, 1.0), [(1, 3, 8, 8)], "returns an image of the same size: give a network that enlarges"),
        (Scaled(1.0, 0.5), [(1, 3, 8, 8)], "give a network that enlarges it by a whole factor"),
        (Scaled(1.0, 1.5), [(1, 3, 8, 8)], "give a network that enlarges it by a whole factor"),
        (Scaled(0.5), [(1, 3, 8, 8)], r"changes a grey field, both in \[0, 1\] and in \[0, 255\]: export"),
        (Scaled(float("inf")), [(1, 3, 8, 8)], "of finite values: give a network that does"),
        (Scaled(1.0), [(1, 4, 8, 8)], "takes images of 4 channels: give a network for 1 or 3 channels"),
        (Scaled(1.0), [(2, 3, 8, 8)], "takes 2 images at a time: export it for one"),
        (Sum(), [(1, 3, 8, 8), (1, 3, 8, 8)], "does not take one float32 image"),
    ],
)
def test_other_networks_get_one_sentence(
    tmp_path: Path, module: nn.Module, shapes: list[tuple[int, ...]], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        network("other", export(tmp_path / "other.onnx", module, *shapes))


def test_files_that_cannot_be_read_get_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="There is no file"):
        network("a", tmp_path / "a.onnx")
    for name, sentence in (("a.onnx", "cannot be read as an ONNX network"), ("a.txt", "give .onnx, .safetensors or")):
        (tmp_path / name).write_text("no network")
        with pytest.raises(InputError, match=sentence):
            network("a", tmp_path / name)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"needs onnxruntime: in a checkout, pip install '.\[networks\]'"):
        network("a", tmp_path / "a.onnx")
    monkeypatch.setitem(sys.modules, "spandrel", None)
    (tmp_path / "a.pth").write_text("no network")
    with pytest.raises(InputError, match="needs the package spandrel: pip install spandrel, or export"):
        network("a", tmp_path / "a.pth")


class Descriptor:
    """Stands for the object that spandrel returns for an image network."""

    input_channels = 3

    def __init__(self, module: nn.Module) -> None:
        self.model = module

    def eval(self) -> None:
        self.model.eval()

    def __call__(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.model(x)).clamp(0, 1)


class Loader:
    """Stands for ``spandrel.ModelLoader``, and supports one architecture."""

    def __init__(self, device: str) -> None:
        assert device == "cpu"

    def load_from_state_dict(self, state: dict[str, Tensor]) -> Descriptor:
        if "body.weight" not in state:
            raise RuntimeError("UnsupportedModelError")
        module = Plain(2)
        module.load_state_dict(state)
        return Descriptor(module)


@pytest.fixture
def fake_spandrel(monkeypatch: pytest.MonkeyPatch) -> None:
    def canonical(state: dict[str, Any]) -> dict[str, Any]:
        return dict(state.get("params_ema", state))

    fake = SimpleNamespace(ModelLoader=Loader, ImageModelDescriptor=Descriptor, canonicalize_state_dict=canonical)
    monkeypatch.setitem(sys.modules, "spandrel", fake)


@pytest.mark.parametrize("name", ["plain.pth", "plain.safetensors"])
def test_weights_that_spandrel_knows(tmp_path: Path, photo: Array, fake_spandrel: None, name: str) -> None:
    module = Plain(2)
    if name.endswith(".pth"):
        torch.save({"params_ema": module.state_dict()}, tmp_path / name)
    else:
        save_file(module.state_dict(), tmp_path / name)
    method = network("plain", tmp_path / name)
    assert (method.scale, method.description) == (2, f"{name}, RGB in [0, 1]")
    pair = make_pair(Picture(photo), 2)
    assert same(method.enlarge(pair), levels(module, pair.lr, 1))


def test_a_network_is_timed_in_float32_and_in_the_dtype_of_the_engine(tmp_path: Path, fake_spandrel: None) -> None:
    save_file(Plain(2).state_dict(), tmp_path / "plain.safetensors")
    onnx = export(tmp_path / "plain.onnx", Plain(2, 1, 255), (1, 1, 16, 16))
    files = {"weights": tmp_path / "plain.safetensors", "luma": onnx}
    lr = torch.rand(1, 3, 20, 30)
    runs = network_runs(files, 2, lr, torch.bfloat16)
    assert list(runs) == ["weights: float32", "weights: bfloat16, channels_last", "luma: ONNX Runtime, float32"]
    with torch.no_grad():
        expected, luma = Plain(2)(lr).clamp(0, 1), Plain(2, 1, 255)(255 * lr.mean(1, keepdim=True))
    in_float32, in_bfloat16, in_runtime = (run() for run in runs.values())
    torch.testing.assert_close(in_float32, expected)
    assert in_bfloat16.dtype == torch.bfloat16
    torch.testing.assert_close(in_bfloat16.float(), expected, atol=0.01, rtol=0)
    np.testing.assert_allclose(in_runtime, luma.numpy(), atol=0.01)
    assert list(network_runs(files, 2, lr, torch.float32)) == ["weights: float32", "luma: ONNX Runtime, float32"]


@pytest.mark.parametrize(
    ("scale", "shape", "device", "sentence"),
    [
        (3, (20, 16), "cpu", "enlarges by x2: measure it with --scale 2"),
        (2, (24, 24), "cpu", "accepts only images of 16x20 pixels"),
        (2, (20, 16), "meta", "runs on the CPU only: measure it with --device cpu"),
    ],
)
def test_networks_that_cannot_be_timed_get_one_sentence(
    tmp_path: Path, scale: int, shape: tuple[int, int], device: str, sentence: str
) -> None:
    onnx = export(tmp_path / "plain.onnx", Plain(2), (1, 3, 20, 16), fixed=True)
    with pytest.raises(InputError, match=sentence):
        network_runs({"plain": onnx}, scale, torch.empty(1, 3, *shape, device=device), torch.float32)


def test_a_network_that_cannot_run_in_the_dtype_of_the_engine_gets_one_sentence(
    tmp_path: Path, fake_spandrel: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Plain, x: Tensor) -> Tensor:
        if x.dtype != torch.float32:
            raise RuntimeError("no such operator\nand a traceback")
        return torch.as_tensor(nn.functional.interpolate(x, scale_factor=2.0))

    save_file(Plain(2).state_dict(), tmp_path / "plain.safetensors")
    monkeypatch.setattr(Plain, "forward", refuse)
    with pytest.raises(
        InputError, match=r"fails on a 30x20 image in bfloat16 \(no such operator\): use --dtype fp32\.$"
    ):
        network_runs({"p": tmp_path / "plain.safetensors"}, 2, torch.rand(1, 3, 20, 30), torch.bfloat16)


class Command:
    """A pickle that creates a file when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def test_weights_that_cannot_be_used_get_one_sentence(tmp_path: Path, fake_spandrel: None) -> None:
    save_file({"head.weight": torch.zeros(3)}, tmp_path / "unknown.safetensors")
    (tmp_path / "damaged.safetensors").write_bytes(b"no")
    mark = tmp_path / "mark"
    torch.save({"params": Command(mark)}, tmp_path / "code.pth")
    (tmp_path / "pickle.pth").write_bytes(pickle.dumps(Command(mark)))
    for name, sentence in (
        ("unknown.safetensors", "is not of an architecture that spandrel knows: export it as ONNX"),
        ("damaged.safetensors", "is damaged: download it again"),
        ("code.pth", "is damaged or holds more than weights"),
        ("pickle.pth", "is damaged or holds more than weights"),
    ):
        with pytest.raises(InputError, match=sentence):
            network("a", tmp_path / name)
    assert not mark.exists()


def test_weights_with_the_real_spandrel(tmp_path: Path, photo: Array) -> None:
    pytest.importorskip("spandrel", reason="spandrel needs a torchvision that fits the installed torch")
    from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact

    torch.manual_seed(0)
    module = SRVGGNetCompact(num_feat=8, num_conv=2, upscale=2).eval()
    with torch.no_grad():
        module.body[-1].weight.mul_(0.01)
        module.body[-1].bias.zero_()
    torch.save({"params": module.state_dict()}, tmp_path / "compact.pth")
    method = network("compact", tmp_path / "compact.pth")
    assert method.scale == 2
    pair = make_pair(Picture(photo), 2)
    assert same(method.enlarge(pair), levels(module, pair.lr, 1))
    save_file({"unknown.weight": torch.zeros(3)}, tmp_path / "unknown.safetensors")
    with pytest.raises(InputError, match="is not of an architecture that spandrel knows"):
        network("unknown", tmp_path / "unknown.safetensors")
