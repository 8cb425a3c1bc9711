from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from drn import weights
from drn.commands.batch import Options, Report, shared_work, terminated_like_interrupted, upscale_files
from drn.commands.networks import Networks
from drn.commands.planning import plan
from drn.errors import InputError
from drn.folders import find_images
from drn.image import Array, Picture
from drn.upscaler import Upscaler
from tests.helpers.models import one_network, small_model


@pytest.fixture
def tree(tmp_path: Path, photo: Array) -> Path:
    """A folder with a.png, sub/a.jpg, sub/deep/c.png, and sub/bad.png, which is not an image."""
    folder = tmp_path / "in"
    for name in ("a.png", "sub/a.jpg", "sub/deep/c.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo).save(folder / name)
    (folder / "sub" / "bad.png").write_text("no")
    return folder


@pytest.fixture
def upscaler() -> Upscaler:
    return Upscaler(small_model(2), "cpu", "fp32")


@pytest.fixture
def networks(upscaler: Upscaler) -> Networks:
    return one_network(upscaler)


RESULTS = ["a_DRN_x2.png", "sub/a_DRN_x2.png", "sub/deep/c_DRN_x2.png"]


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_subfolders_are_kept_and_a_bad_file_is_named(
    tree: Path, tmp_path: Path, upscaler: Upscaler, networks: Networks, photo: Array
) -> None:
    said: list[str] = []
    report = upscale_files(plan([tree], tmp_path / "out", 2).targets, networks, say=said.append)
    assert files(tmp_path / "out") == RESULTS
    assert (report.written, report.skipped) == (3, 0)
    [failure] = report.failures
    assert failure.startswith(f"{tree / 'sub' / 'bad.png'} is not an image that can be read")
    assert said[0] == f"{tmp_path / 'out' / 'a_DRN_x2.png'} 168x120"
    with Image.open(tmp_path / "out" / "a_DRN_x2.png") as image:
        assert np.array_equal(np.asarray(image), upscaler.upscale(photo))


def test_an_image_too_large_for_the_memory_is_one_failure(tree: Path, tmp_path: Path, upscaler: Upscaler) -> None:
    def upscale_picture(picture: Picture, **options: object) -> Picture:
        raise MemoryError

    lacking = Mock(upscale_picture=upscale_picture, scale=2)
    report = upscale_files(plan([tree / "a.png"], tmp_path / "out", 2).targets, one_network(lacking))
    assert report.failures == [
        f"{tree / 'a.png'}: its result does not fit in the memory of this machine: use a lower scale."
    ]


def test_existing_results_are_kept_unless_overwritten(tree: Path, tmp_path: Path, networks: Networks) -> None:
    targets = plan([tree / "a.png", tree / "sub" / "deep"], tmp_path / "out", 2).targets
    assert list(targets.values()) == [tmp_path / "out" / "a_DRN_x2.png", tmp_path / "out" / "c_DRN_x2.png"]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a_DRN_x2.png").write_text("mine")
    assert upscale_files(targets, networks, say=lambda line: None) == Report(written=1, skipped=1)
    assert (tmp_path / "out" / "a_DRN_x2.png").read_text() == "mine"
    assert upscale_files(targets, networks, Options(overwrite=True), say=lambda line: None) == Report(written=2)
    assert (tmp_path / "out" / "a_DRN_x2.png").read_bytes().startswith(b"\x89PNG")


def test_results_never_become_inputs(tree: Path, networks: Networks) -> None:
    for _ in range(2):
        targets = plan([tree], tree / "out", 2).targets
        assert len(targets) == 4
        upscale_files(targets, networks, say=lambda line: None)
    with pytest.raises(InputError, match="cannot be written into the folder of the images"):
        plan([tree], tree / "sub" / "..", 2)


def test_results_may_be_written_above_the_images(tree: Path, upscaler: Upscaler) -> None:
    targets = plan([tree / "sub"], tree, 2).targets
    assert sorted(targets.values()) == [tree / "a_DRN_x2.png", tree / "bad_DRN_x2.png", tree / "deep" / "c_DRN_x2.png"]


def test_a_folder_with_results_only_is_refused(tree: Path, photo: Array) -> None:
    (tree / "empty" / "out").mkdir(parents=True)
    Image.fromarray(photo).save(tree / "empty" / "out" / "a_DRN_x2.png")
    with pytest.raises(InputError, match="has no images except results of earlier runs"):
        plan([tree / "empty"], tree / "empty" / "out", 2)


def test_two_images_with_the_same_result_are_refused(tree: Path, tmp_path: Path, photo: Array) -> None:
    Image.fromarray(photo).save(tree / "sub" / "a.png")
    with pytest.raises(InputError, match=r"sub/a\.jpg and .*sub/a\.png would both become .*sub/a_DRN_x2\.png"):
        plan([tree], tmp_path / "out", 2)


def test_an_interrupted_run_leaves_no_partial_file(
    tree: Path, tmp_path: Path, networks: Networks, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(image: Image.Image, path: Path, **options: object) -> None:
        path.write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGTERM)

    targets = plan([tree], tmp_path / "out", 2).targets
    monkeypatch.setattr(Image.Image, "save", stopped)
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), terminated_like_interrupted():
        upscale_files(targets, networks)
    assert files(tmp_path / "out") == []
    assert signal.getsignal(signal.SIGTERM) == handler


def test_several_processes_need_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with (
        pytest.raises(InputError, match=r"several processes needs accelerate: in a checkout, pip install"),
        shared_work({}, "cpu"),
    ):
        pass


def test_several_processes_share_the_files(tree: Path, tmp_path: Path) -> None:
    weights.save(tmp_path / weights.filename(2), small_model(2))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "drn"]
    command += ["upscale", str(tree), "-o", str(tmp_path / "out"), "--scale", "2"]
    command += ["--weights", str(tmp_path), "--tile", "64"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment)
    assert result.returncode == 1
    assert files(tmp_path / "out") == RESULTS
    assert sorted(Path(line.split()[0]).name for line in result.stdout.splitlines()) == sorted(
        Path(name).name for name in RESULTS
    )
    assert result.stderr.count("error: 1 of 4 images could not be upscaled.") == 1
    assert len(find_images(tmp_path / "out")) == 3
