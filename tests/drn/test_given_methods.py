"""Methods of other projects on the command line: finished results and networks."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drn import weights
from drn.commands import evaluate
from drn.errors import InputError
from drn.evaluation.methods import Method
from drn.evaluation.pairs import Pair, read_pair
from drn.image import Array, Picture
from drn.reading import read_image
from drn.writing import write_image
from tests.drn.test_commands import drn
from tests.drn.test_docs import FENCE, read
from tests.helpers.models import small_model


@pytest.fixture
def place(tmp_path: Path, photo: Array, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a set of two images and small weights for x2."""
    monkeypatch.chdir(tmp_path)
    Path("set").mkdir()
    write_image(Path("set/cat.png"), Picture(photo))
    write_image(Path("set/dog.png"), Picture(np.ascontiguousarray(photo[::-1])))
    weights.save(tmp_path / "drn_x2.safetensors", small_model(2))
    return tmp_path


COMMON = ["--scale", "2", "--weights", "."]


def test_our_own_results_have_the_same_scores(place: Path) -> None:
    Path("lr").mkdir()
    for name in ("cat", "dog"):
        write_image(Path(f"lr/{name}x2.png"), Picture(read_pair(Path(f"set/{name}.png"), 2).lr))
    assert drn("upscale", "lr", "-o", "sr", *COMMON).returncode == 0
    command = ["evaluate", "--data", "set", *COMMON, "--no-self-ensemble", "--results", "own=sr"]
    done = drn(*command, "--per-image", "scores.csv", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    printed = json.loads(done.stdout)
    rows = {row["method"]: row for row in printed["rows"]}
    assert (rows["own"]["psnr"], rows["own"]["ssim"]) == (rows["DRN"]["psnr"], rows["DRN"]["ssim"])
    assert rows["own"]["seconds"] is None
    assert printed["luma"] == "rounded"
    assert printed["command"].endswith("--weights . --no-self-ensemble --results own=sr --json")
    with Path("scores.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["method"], line["image"]) for line in lines] == [
        (method, image) for method in ("bicubic", "DRN", "own") for image in ("cat", "dog")
    ]
    mean = np.mean([float(line["PSNR"]) for line in lines if line["method"] == "own"])
    assert mean == pytest.approx(rows["own"]["psnr"], abs=1e-4)
    unrounded = drn(*command, "--luma", "float")
    assert "Y not rounded" in unrounded.stdout
    assert json.loads(drn(*command, "--luma", "float", "--json").stdout)["rows"][0]["psnr"] != rows["bicubic"]["psnr"]


def test_images_without_a_result_are_named_and_the_others_count(place: Path) -> None:
    Path("sr").mkdir()
    shutil.copy("set/cat.png", "sr/cat.png")
    done = drn("evaluate", "--data", "set", *COMMON, "--results", "own=sr")
    assert done.returncode == 0
    assert done.stderr == "note: own has no score for dog of set: The folder sr holds no result for dog.\n"
    assert "own            1      inf   1.0000         –" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["--results", "own"],
            "'own' does not have the form --results NAME=DIR: give a name, an equals sign and a path.",
        ),
        (["--network", "=x.onnx"], "'=x.onnx' does not have the form --network NAME=FILE"),
        (["--results", "a=sr", "A=sr"], "Two methods have the name A: give each its own."),
        (["--results", "drn=sr"], "Two methods have the name drn: give each its own."),
        (["--results", "a=sr", "--network", "a=x.onnx"], "Two methods have the name a: give each its own."),
        (["--results", "a=nothing"], "There is no folder nothing: give a folder of images."),
        (["--results", "a=sr"], "a has no result for any of these images: check the names of its files."),
        (["--network", "a=x.onnx"], "x.onnx cannot be read as an ONNX network: export it again."),
        (["--results", "a=sr", "--scale", "3"], "--results and --network are for one scale: give it"),
        (
            ["--per-image", "no/a.csv"],
            "no/a.csv cannot be written: give the name of a .csv file in an existing folder.",
        ),
        (["--per-image", "a.txt"], "a.txt cannot be written: give the name of a .csv file in an existing folder."),
    ],
)
def test_methods_that_cannot_be_used_get_one_sentence(place: Path, arguments: list[str], sentence: str) -> None:
    Path("sr").mkdir()
    shutil.copy("set/cat.png", "sr/bird.png")
    Path("x.onnx").write_text("no network")
    done = drn("evaluate", "--data", "set", *COMMON, *arguments)
    assert done.returncode == 1
    *notes, last = done.stderr.strip().splitlines()
    assert sentence in last
    assert last.startswith("error: ")
    assert len(notes) == (2 if "any of these images" in sentence else 0)


def test_the_methods_of_a_figure_can_be_chosen(place: Path, photo: Array) -> None:
    Path("sr").mkdir()
    shutil.copy("set/cat.png", "sr/cat.png")
    compare = ["compare", "set/cat.png", *COMMON, "--crop", "0,0,20,20", "10,10,40,30", "--results", "own=sr"]
    done = drn(*compare, "-o", "a.png", "--methods", "own", "DRN+", "--columns", "2", "--crop-size", "60")
    assert done.returncode == 0, done.stderr
    assert [line.split()[:3] for line in done.stdout.splitlines()] == [
        [name, "region", crop] for crop in ("0,0,20,20", "10,10,40,30") for name in ("own", "DRN+")
    ]
    with Image.open("a.png") as image:
        drawn = np.asarray(image.convert("RGB"))
    expected = photo[:20, :20].repeat(3, 0).repeat(3, 1)  # the region of the finished result and of the ground truth
    corners = zip(*np.nonzero((drawn == expected[0, 0]).all(2)), strict=True)
    assert sum(np.array_equal(drawn[y : y + 60, x : x + 60], expected) for y, x in corners) == 2
    wrong = drn(*compare, "-o", "a.png", "--methods", "IMDN")
    assert wrong.returncode == 1
    assert wrong.stderr == "error: There is no method IMDN: choose from bicubic, DRN, own.\n"


def test_the_commands_for_your_own_method_run(tmp_path: Path, photo: Array, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run all commands and code blocks in one section of docs/page.md: "Compare your own method"."""
    text = read("docs/page.md")
    section = text[text.index("## Compare your own method") : text.index("## Your test sets and methods on the page")]
    monkeypatch.chdir(tmp_path)
    for folder in ("Set5", "results/imdn"):
        Path(folder).mkdir(parents=True)
        write_image(Path(folder) / "baby.png", Picture(photo))
    (code,) = [code for language, code in FENCE.findall(section) if language == "python"]
    exec(code, {})  # the code comes from our own documentation
    commands = "".join(code for language, code in FENCE.findall(section) if language == "sh").replace("\\\n", " ")
    outputs = []
    for line in commands.strip().splitlines():
        done = drn(*line.split()[1:])
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout)
    finished, network, figure = outputs
    assert "IMDN           1      inf   1.0000         –" in finished
    psnrs = dict(re.findall(r"x4  (\S+) +1 +(\S+)", network))
    # DRN runs in bfloat16 on one small image.
    assert float(psnrs["own"]) == pytest.approx(float(psnrs["DRN"]), abs=0.03)
    assert [line.split()[0] for line in figure.splitlines()] == 2 * ["bicubic", "IMDN", "own", "DRN"]
    assert Path("figure.svg").is_file()
    assert read_image(Path("Set5/baby.png")).rgb.shape == photo.shape


def test_a_network_that_fails_on_an_image_ends_the_command(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(pair: Pair, *_: object, **__: object) -> Array:
        raise InputError("The network fails on a 42x30 image: no reason.")

    method = Method("own", "a test", fails, 2)
    monkeypatch.setattr(evaluate, "given_methods", lambda results, networks, scale: [method])
    done = drn("evaluate", "--data", "set", *COMMON, "--no-self-ensemble")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: The network fails on a 42x30 image: no reason.\n"
