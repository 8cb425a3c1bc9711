"""The installed package: its public names, its requirements, and a wheel that works from any folder."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import sysconfig
import tomllib
import urllib.request
import venv
from pathlib import Path
from typing import Any

import pytest

import drn
from drn import weights
from drn.image import Array, Picture
from drn.reading import read_image
from drn.upscaler import Upscaler
from drn.writing import write_image

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    """Return the content of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def requirements(name: str) -> set[str]:
    """Return the requirements in a file, without comments and without ``-r`` lines."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return {line for text in lines if (line := text.partition("#")[0].strip()) and not line.startswith("-r")}


def test_both_lists_of_requirements_are_equal(project: dict[str, Any]) -> None:
    extras = project["project"]["optional-dependencies"]
    assert requirements("requirements.txt") == {*project["project"]["dependencies"], *extras["app"]}
    assert requirements("requirements-dev.txt") >= set(extras["train"])
    assert set(extras["networks"]) <= set(extras["bench"])


def test_the_base_requirements_do_not_include_gradio(project: dict[str, Any]) -> None:
    assert not any("gradio" in requirement for requirement in project["project"]["dependencies"])


def test_every_folder_with_code_is_packaged(project: dict[str, Any]) -> None:
    folders = {path.parent.relative_to(ROOT) for name in ("drn", "app") for path in (ROOT / name).rglob("*.py")}
    packages = {".".join(folder.parts) for folder in folders}
    assert set(project["tool"]["setuptools"]["packages"]) == packages | {"drn._weights"}


def test_importing_the_package_does_not_load_torch() -> None:
    code = "import sys, drn; print(drn.__version__); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60).returncode == 0


def test_the_command_line_starts_without_the_client_of_the_hub() -> None:
    code = "import sys, drn.commands.main; sys.exit('huggingface_hub' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60).returncode == 0


def test_every_public_name_exists() -> None:
    assert set(drn.__all__) == {"InputError", "Upscaler", "__version__", "downscale", "load_model", "psnr", "ssim"}
    for name in drn.__all__:
        assert name in dir(drn)
        assert getattr(drn, name) is not None
    assert drn.Upscaler is Upscaler
    with pytest.raises(AttributeError, match="'drn' has no attribute 'nothing'"):
        drn.nothing  # noqa: B018


@pytest.mark.parametrize("arguments", [["--version"], ["-h"], ["upscale", "-h"]])
def test_short_options_of_the_command_line(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "drn", *arguments]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0
    expected = f"drn {drn.__version__}\n" if arguments == ["--version"] else r"Usage: "
    assert expected in result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, built from a copy of its sources without a network."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("app", "drn", "weights"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", "dist", "."]
    subprocess.run([sys.executable, "-m", "pip", *command], cwd=source, check=True, timeout=120)
    (path,) = (source / "dist").glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a new environment with the wheel, and return its folder of programs.

    The environment also contains the other packages of the present environment.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = folder / "lib" / version / "site-packages"
    (packages / "shared.pth").write_text(sysconfig.get_path("purelib"))
    python = folder / "bin" / "python"
    command = ["--python", str(python), "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", *command], check=True, timeout=120)
    return python.parent


def offline(*command: str | Path, cwd: Path) -> str:
    """Run a command outside the checkout and without a Hub, and return its output."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "DRN_HUB_REPO")}
    environment |= {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_wheel_upscales_from_any_folder(installed: Path, tmp_path: Path, photo: Array) -> None:
    write_image(tmp_path / "small.png", Picture(photo))
    code = """
import sys
from pathlib import Path
import drn
from drn import Upscaler, load_model
from drn.image import Picture
from drn.reading import read_image
from drn.writing import write_image
assert Path(drn.__file__).is_relative_to(sys.prefix), drn.__file__
assert load_model(scale=4).scale == 4
sr = Upscaler.load(scale=4, dtype="fp32").upscale(read_image(Path("small.png")).rgb)
write_image(Path("large.png"), Picture(sr))
"""
    offline(installed / "python", "-c", code, cwd=tmp_path)
    expected = Upscaler(weights.load_model(weights.BUNDLED, scale=4), "auto", "fp32").upscale(photo)
    assert (read_image(tmp_path / "large.png").rgb == expected).all()


@pytest.mark.slow
def test_the_wheel_has_a_console_script(installed: Path, tmp_path: Path, photo: Array) -> None:
    assert offline(installed / "drn", "--version", cwd=tmp_path) == f"drn {drn.__version__}\n"
    assert re.search(r"^x4: drn_x4\.safetensors \(bundled\)", offline(installed / "drn", "info", cwd=tmp_path), re.M)
    write_image(tmp_path / "small.png", Picture(photo))
    offline(installed / "drn", "upscale", "small.png", "-o", "out", "--scale", "2", cwd=tmp_path)
    assert read_image(tmp_path / "out" / "small_DRN_x2.png").rgb.shape == (120, 168, 3)


@pytest.mark.slow
def test_the_wheel_serves_the_page(installed: Path, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "DRN_HUB_REPO")}
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    command = [str(installed / "drn"), "app", "--port", str(port)]
    environment |= {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert any(f":{port}" in line for line in server.stdout)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20) as answer:
            assert b"DRN super-resolution" in answer.read()
        server.terminate()
        assert server.wait(20) == 0
