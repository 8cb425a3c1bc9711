from __future__ import annotations

import io
import json
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drn import weights
from drn.commands.main import main
from drn.image import Array
from drn.metrics import psnr, ssim
from drn.resize import downscale, upscale
from tests.helpers.models import small_model

TRAINING = ["--out", "OUT", "--data", "TINYDIR", "--valid", "TINYDIR", "--iterations", "1"]
COMMANDS = ("upscale", "compare", "evaluate", "train", "bench", "publish", "info")


def drn(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command line in this process, because a new process would take seconds to import torch."""
    output, errors = io.StringIO(), io.StringIO()
    words = list(map(str, arguments))
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(output), redirect_stderr(errors):
        patch.setattr(sys, "argv", ["drn", *words])
        with pytest.raises(SystemExit) as ended:
            main()
    return subprocess.CompletedProcess(words, int(ended.value.code or 0), output.getvalue(), errors.getvalue())


@pytest.fixture
def small_weights(tmp_path: Path) -> Path:
    folder = tmp_path / "weights"
    folder.mkdir()
    for scale in (2, 3):
        weights.save(folder / weights.filename(scale), small_model(scale))
    return folder


def test_upscale_writes_named_pngs_and_continues_after_a_bad_file(
    tmp_path: Path, photo: Array, small_weights: Path
) -> None:
    Image.fromarray(photo).save(tmp_path / "cat.jpg")
    Image.fromarray(np.dstack([photo, photo[..., 0]])).save(tmp_path / "logo.png")
    (tmp_path / "bad.png").write_text("no")
    files = [tmp_path / name for name in ("cat.jpg", "bad.png", "logo.png")]
    result = drn("upscale", *files, "-o", tmp_path / "out", "--scale", "3", "--weights", small_weights)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert f"error: {tmp_path / 'bad.png'} is not an image" in result.stderr
    assert "error: 1 of 3 images could not be upscaled." in result.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["cat_DRN_x3.png", "logo_DRN_x3.png"]
    for name, mode in (("cat", "RGB"), ("logo", "RGBA")):
        with Image.open(tmp_path / "out" / f"{name}_DRN_x3.png") as image:
            assert (image.size, image.mode) == ((252, 180), mode)


def test_compare_prints_the_numbers_and_draws_the_figure(tmp_path: Path, photo: Array, small_weights: Path) -> None:
    Image.fromarray(photo).save(tmp_path / "photo.png")
    options = ["--scale", "2", "--crop", "20,10,40,30", "--self-ensemble", "--weights", str(small_weights)]
    result = drn("compare", tmp_path / "photo.png", "-o", tmp_path / "figure.png", *options)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["bicubic", "DRN", "DRN+"]
    whole = psnr(upscale(downscale(photo, 2), 2), photo, 2)
    assert lines[0].endswith(f"image {whole:.2f} dB / {ssim(upscale(downscale(photo, 2), 2), photo, 2):.4f}")
    with Image.open(tmp_path / "figure.png") as image:
        drawn = np.asarray(image.convert("RGB"))
    truth = photo[10:40, 20:60]
    zoom = 240 // 40
    expected = truth.repeat(zoom, 0).repeat(zoom, 1)
    height, width = expected.shape[:2]
    corners = zip(*np.nonzero((drawn == expected[0, 0]).all(2)), strict=True)
    assert any(np.array_equal(drawn[y : y + height, x : x + width], expected) for y, x in corners)


@pytest.mark.slow
def test_evaluate_takes_several_scales_and_sets(tmp_path: Path, photo: Array, small_weights: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        Image.fromarray(photo).save(tmp_path / name / "a.png")
    common = ["evaluate", "--data", str(tmp_path / "one"), str(tmp_path / "two"), "--scale", "2", "3"]
    result = drn(*common, "--weights", small_weights, "--json")
    assert result.returncode == 0, result.stderr
    printed = json.loads(result.stdout)
    combinations = [(row["scale"], row["data"], row["method"]) for row in printed["rows"]]
    methods = ("bicubic", "DRN", "DRN+")
    assert combinations == [(s, d, m) for s in (2, 3) for d in ("one", "two") for m in methods]
    digest = weights.load(small_weights / "drn_x2.safetensors").sha256
    assert printed["weights"]["x2"]["sha256"] == digest
    command = f"python -m drn evaluate --data one two --scale 2 3 --weights {small_weights} --json"
    assert printed["command"] == command
    table = drn(*common, "--weights", small_weights, "--no-self-ensemble").stdout
    assert len(table.splitlines()) == 1 + 2 * 2 * 2 + 1


def test_info_names_the_weights_and_the_device(small_weights: Path) -> None:
    result = drn("info", "--weights", small_weights, "--device", "cpu", "--dtype", "fp32")
    assert result.returncode == 0
    assert result.stdout.startswith("device cpu, float32\nx2: drn_x2.safetensors")
    assert '"n_feats": 16' in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["upscale", "nothing.png", "-o", "OUT"], 1, "nothing.png cannot be read: No such file or directory."),
        (["upscale", "a/x.png", "b/x.jpg", "-o", "OUT"], 1, "a/x.png and b/x.jpg would both become"),
        (["upscale", "x.png", "-o", "OUT", "--scale", "7"], 1, "no weights for x7"),
        (["upscale", "x.png", "-o", "OUT", "--device", "toaster"], 1, "device 'toaster' is not available"),
        (["evaluate", "--data", "nowhere", "--scale", "2"], 1, "There is no folder nowhere"),
        (["info", "--weights", "nowhere"], 1, "no weights file or folder nowhere"),
        (["info", "--weights", "a/b.safetensors"], 1, "no weights file or folder a/b.safetensors: check the name"),
        (
            ["upscale", "TINY", "-o", "TINY"],
            1,
            "tiny.png is the image itself: give another name, or a folder for the results.",
        ),
        (["train", "--out", "OUT"], 1, "Training needs --data and --valid"),
        (["train", "--out", "OUT", "--resume", "--seed", "3"], 1, "keeps its own settings"),
        (["train", "--out", "OUT", "--resume", "--scale", "4"], 1, "keeps its own settings"),
        (["train", "--out", "OUT", "--scale", "2", "3"], 2, "unexpected extra argument"),
        (["train", *TRAINING, "--seed", "1" + 20 * "0"], 1, "--seed must be at least 0 and below"),
        (["upscale", "x.png", "-o", "OUT", "--scale", "big"], 2, "--scale"),
        (["upscale"], 2, "Missing argument"),
        (["compare", "TINY", "-o", "OUT.png", "--crop", "0,0,1,1"], 1, "The image is too small for x4"),
        (["compare", "TINY", "-o", "OUT.png", "--crop", "0,0,1,1", "--scale", "0"], 1, "no weights for x0"),
        (["compare", "TINY", "-o", ".", "--crop", "0,0,1,1"], 1, ". cannot be written: give the name of a file"),
        (["compare", "TINY", "-o", "nowhere/a.png", "--crop", "0,0,1,1"], 1, "nowhere/a.png cannot be written"),
        (
            ["compare", "TINY", "-o", "OUT.gif", "--crop", "0,0,1,1"],
            1,
            "its name must end in .png, .jpg, .jpeg, .svg, .pdf",
        ),
        (["bench", "--sizes", "--weights", "nowhere"], 1, "An output of 1 megapixels could not be measured."),
        (["bench", "--size", "2"], 2, "--size"),
        (["bench", "--start", "--network", "a=a.onnx"], 1, "--network has no effect with --sizes or --start"),
        (
            ["bench", "--network", "Engine=a.onnx"],
            1,
            "The name engine is used for the engine of DRN: give",
        ),
        (["evaluate", "--data", "a/valid", "b/valid"], 1, "Two test sets have the same name"),
        (["evaluate", "--data", "TINYDIR", "--scale", "2"], 1, "too small to measure at x2: it needs 16 pixels a side"),
        (["enlarge"], 2, "No such command"),
    ],
)
def test_bad_input_gets_one_sentence_and_the_right_exit_code(
    tmp_path: Path, arguments: list[str], code: int, sentence: str
) -> None:
    tiny = tmp_path / "tiny"
    tiny.mkdir()
    Image.new("RGB", (3, 3)).save(tiny / "tiny.png")
    places = {
        "OUT": tmp_path / "out",
        "OUT.png": tmp_path / "out.png",
        "OUT.gif": tmp_path / "out.gif",
        "TINYDIR": tiny,
        "TINY": tiny / "tiny.png",
    }
    result = drn(*(str(places.get(argument, argument)) for argument in arguments))
    assert result.returncode == code, result.stderr
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr
    assert code == 2 or len(result.stderr.strip().splitlines()) <= 2


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_help(command: list[str]) -> None:
    result = drn(*command, "--help")
    assert result.returncode == 0
    assert "Usage" in result.stdout


def test_the_library_does_not_need_gradio() -> None:
    modules = "drn.commands.main, drn.training.loop, drn.publish, drn.evaluation.comparison"
    code = f"import sys, {modules}; sys.exit('gradio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0
