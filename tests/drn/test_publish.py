"""Publish to a Hub on the loopback address, and load the published weights from it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from huggingface_hub import RepoCard

from drn import weights
from drn.card import complete_card, read_rows
from drn.errors import InputError
from drn.hub import HubRepo
from drn.publish import model_content, publish, space_content
from drn.reading import read_image
from drn.upscaler import Upscaler
from tests.helpers.hub_server import TOKEN, Hub, running
from tests.helpers.models import small_model

pytestmark = pytest.mark.slow

MODEL, SPACE = "drn/drn", "drn/demo"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with running() as hub:
        yield hub


@pytest.fixture(scope="module")
def run(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a function that runs the command line with write access to the loopback Hub."""
    home = tmp_path_factory.mktemp("hf")

    def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, **hub.env, "HF_TOKEN": TOKEN, "HF_HOME": str(home), **env}
        command = [sys.executable, "-m", "drn", *arguments]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)

    return run


@pytest.fixture(scope="module")
def published(hub: Hub, run: Run) -> subprocess.CompletedProcess[str]:
    result = run("publish", "--model", MODEL, "--space", SPACE)
    assert result.returncode == 0, result.stderr
    return result


def header(content: bytes) -> dict[str, object]:
    values: dict[str, object] = RepoCard(content.decode()).data.to_dict()  # type: ignore[no-untyped-call]
    return values


def test_the_model_repo_is_the_weights_folder(hub: Hub, published: subprocess.CompletedProcess[str]) -> None:
    files = dict(hub.repos["models", MODEL].files)
    del files[".gitattributes"]  # the Hub adds this file
    assert files == {path.name: path.read_bytes() for path in weights.BUNDLED.iterdir()}
    card = header(files["README.md"])
    assert (card["library_name"], card["pipeline_tag"], card["license"]) == ("drn", "image-to-image", "other")
    assert published.stderr == ""


def test_the_space_is_pinned_to_the_models_commit(hub: Hub, published: subprocess.CompletedProcess[str]) -> None:
    commit = hub.repos["models", MODEL].head
    space = hub.repos["spaces", SPACE]
    card = header(space.files["README.md"])
    assert (card["sdk"], card["app_file"], card["models"]) == ("gradio", "app.py", [MODEL])
    names = [weights.filename(scale) for scale in weights.available_scales()]
    names += [path.name for path in weights.photo_files()]
    assert card["preload_from_hub"] == [f"{MODEL} {','.join(names)} {commit}"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", str(card["sdk_version"]))
    assert space.variables == {"DRN_HUB_REPO": f"{MODEL}@{commit}"}
    assert not [path for path in space.files if "__pycache__" in path or path.startswith("tests/")]


def test_publishing_again_changes_nothing(hub: Hub, run: Run, published: subprocess.CompletedProcess[str]) -> None:
    before = [list(repo.commits) for repo in hub.repos.values()]
    hub.requests.clear()
    again = run("publish", "--model", MODEL, "--space", SPACE)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("unchanged at") == 2
    assert [list(repo.commits) for repo in hub.repos.values()] == before
    assert not [
        line for line in hub.requests if "/commit/" in line or "PUT" in line or ("POST" in line and "var" in line)
    ]


def test_published_weights_are_the_same_when_loaded_from_the_hub(
    hub: Hub, run: Run, published: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    """The files are equal byte for byte, and both networks give the same image."""
    code = (
        "import sys; from drn import weights\nfor item in weights.load_scales('drn/drn'): print(item.sha256, item.path)"
    )
    env = {**os.environ, **hub.env, "HF_HOME": str(tmp_path / "empty")}
    pulled = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120)
    lines = [line.split(" ", 1) for line in pulled.stdout.splitlines()]
    bundled = weights.load_scales(weights.BUNDLED)
    assert [digest for digest, _ in lines] == [item.sha256 for item in bundled], pulled.stderr
    for (_, path), item in zip(lines, bundled, strict=True):
        assert Path(path).read_bytes() == item.path.read_bytes()
        photo = read_image(next(Path("app/examples").glob("*.png"))).rgb[:24, :32]
        ours, theirs = (Upscaler(weights.load(p).model, "cpu", "fp32").upscale(photo) for p in (item.path, Path(path)))
        assert (ours == theirs).all()


def test_after_a_failed_upload_the_previous_content_is_in_use(
    hub: Hub, run: Run, published: subprocess.CompletedProcess[str]
) -> None:
    space, model = hub.repos["spaces", SPACE], hub.repos["models", MODEL]
    head, variables = space.head, dict(space.variables)
    wanted = model.files
    model.commit(wanted | {"README.md": b"# other", "old.safetensors": b"gone from here"})
    space.fails_commit = True
    result = run("publish", "--model", MODEL, "--space", SPACE)
    assert result.returncode == 1
    assert result.stderr == (
        "error: drn/demo was not published, and its previous content is still in use: "
        "The Hub has a fault (HTTP status 500): try again later.\n"
    )
    # The model repo is uploaded first and is complete. The Space still uses its previous commit.
    assert model.files == wanted
    assert (space.head, space.variables) == (head, variables)
    assert variables["DRN_HUB_REPO"].split("@")[1] in model.commits
    space.fails_commit, space.fails_variable = False, True
    result = run("publish", "--model", MODEL, "--space", SPACE)
    assert result.returncode == 1
    assert space.head != head  # the Space was published, as the message says
    assert result.stderr == (
        "error: drn/demo was published, but its variable DRN_HUB_REPO was not set, so publish again: "
        "The Hub has a fault (HTTP status 500): try again later.\n"
    )
    space.fails_variable = False
    assert run("publish", "--model", MODEL, "--space", SPACE).returncode == 0
    assert space.variables == {"DRN_HUB_REPO": f"{MODEL}@{model.head}"}
    assert model.head in str(header(space.files["README.md"])["preload_from_hub"])


def test_private_repos_are_made_private_and_a_wrong_token_is_refused(hub: Hub, run: Run) -> None:
    assert run("publish", "--model", "drn/secret", "--private").returncode == 0
    assert hub.repos["models", "drn/secret"].private
    result = run("publish", "--model", "drn/x", HF_TOKEN="hf_wrong")
    assert result.returncode == 1
    assert "The Hub refused drn/x (HTTP status 401): check the name and HF_TOKEN." in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_publishing_that_cannot_start_gets_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("drn.publish.get_token", lambda: None)
    with pytest.raises(InputError, match="'drn' is not a Hub repo"):
        publish("drn", None, False, print)
    with pytest.raises(InputError, match="drn/x@v1 names a revision"):
        publish("drn/x@v1", None, False, print)
    with pytest.raises(InputError, match="Publishing needs a token with write access"):
        publish("drn/x", None, False, print)
    with pytest.raises(
        InputError, match="The app is not part of the installed package: publish a Space from a checkout"
    ):
        space_content(HubRepo("drn/x"), tmp_path)


def test_missing_files_of_the_space_are_found_before_anything_is_uploaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drn.publish.get_token", lambda: "hf_any")
    monkeypatch.setattr("drn.publish.version", Mock(side_effect=PackageNotFoundError))
    asked = Mock()
    monkeypatch.setattr("drn.publish.HfApi", lambda: asked)
    with pytest.raises(InputError, match=r"^gradio is not installed"):
        publish("drn/x", "drn/y", False, print)
    assert not asked.method_calls


def test_a_dry_run_lists_every_file_and_makes_no_request(hub: Hub, run: Run) -> None:
    hub.requests.clear()
    result = run("publish", "--model", "drn/new", "--space", "drn/new-demo", "--dry-run", HF_TOKEN="")
    assert result.returncode == 0, result.stderr
    size = (weights.BUNDLED / "drn_x4.safetensors").stat().st_size
    assert re.search(rf"^ *{size:,}  drn_x4\.safetensors$", result.stdout, re.M)
    for path in ("app.py", "requirements.txt", "drn/model.py", "weights/drn_x4.safetensors"):
        assert re.search(rf"^ *[\d,]+  {re.escape(path)}$", result.stdout, re.M)
    assert hub.requests == []
    assert ("models", "drn/new") not in hub.repos


ROWS = [
    {"data": "Set5", "scale": 4, "method": "bicubic", "images": 5, "psnr": 28.42, "ssim": 0.8102, "seconds": 0.01},
    {"data": "Set5", "scale": 4, "method": "DRN", "images": 5, "psnr": 31.98761, "ssim": 0.8914, "seconds": 0.1},
]


def test_the_card_has_the_measured_results(tmp_path: Path) -> None:
    rows = [*ROWS[1:], ROWS[1] | {"method": "DRN+", "psnr": 32.1}, ROWS[1] | {"scale": 2, "psnr": 37.9}]
    text = complete_card("---\nlanguage: en\ntags: [old]\n---\n# Our card\n\nText.\n", rows)
    assert text.endswith("\n---\n\n# Our card\n\nText.\n")
    card = header(text.encode())
    assert card["language"] == "en"
    index: Any = card["model-index"]
    results = index[0]["results"]
    assert [result["dataset"]["name"] for result in results] == ["Set5 x4, DRN", "Set5 x4, DRN+", "Set5 x2, DRN"]
    values = [[(metric["type"], metric["value"]) for metric in result["metrics"]] for result in results]
    assert values[0] == [("psnr", 31.9876), ("ssim", 0.8914)]
    assert [value[0][1] for value in values] == [31.9876, 32.1, 37.9]
    assert complete_card(text, rows) == text


def test_equal_images_have_no_psnr_on_the_hub(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(json.dumps({"rows": [ROWS[1] | {"psnr": None}]}))
    card: Any = header(complete_card("# Our card\n", read_rows(tmp_path / "results.json")).encode())
    (result,) = card["model-index"][0]["results"]
    assert [metric["type"] for metric in result["metrics"]] == ["ssim"]


def test_a_missing_or_outdated_card_is_not_published(tmp_path: Path) -> None:
    weights.save(tmp_path / "drn_x4.safetensors", small_model(4))
    measured = {"file": "drn_x4.safetensors", "sha256": weights.load(tmp_path / "drn_x4.safetensors").sha256}
    results = {"rows": ROWS, "weights": {"x4": measured}}
    (tmp_path / "results.json").write_text(json.dumps(results))
    with pytest.raises(InputError, match=r"has no README\.md: write the model card first"):
        model_content(tmp_path)
    (tmp_path / "README.md").write_bytes("# Our card, naïve\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"README\.md is not UTF-8 text"):
        model_content(tmp_path)
    (tmp_path / "README.md").write_text(complete_card("# Our card\n", ROWS[:0]))
    with pytest.raises(InputError, match=r"does not show the results in results\.json: run `python -m scripts"):
        model_content(tmp_path)
    (tmp_path / "README.md").write_text(complete_card("# Our card\n", ROWS[1:]))
    assert model_content(tmp_path) == {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    weights.save(tmp_path / "drn_x4.safetensors", small_model(4), {"hours": "6"})
    with pytest.raises(InputError, match=r"was measured with another drn_x4\.safetensors: measure again"):
        model_content(tmp_path)


def test_photo_weights_are_published_with_their_measurement(tmp_path: Path) -> None:
    names = [weights.filename(4), weights.filename(4, "photo")]
    for name in names:
        weights.save(tmp_path / name, small_model(4), {"name": name})
    entries = [{"file": name, "sha256": weights.load(tmp_path / name).sha256} for name in names]
    card = complete_card("# Our card\n", ROWS[1:])
    (tmp_path / "README.md").write_text(card)

    def measured(jpeg: list[dict[str, str]]) -> None:
        results = {"rows": ROWS, "weights": {"x4": entries[0]}, "jpeg": {"weights": dict(enumerate(jpeg))}}
        (tmp_path / "results.json").write_text(json.dumps(results))

    measured(entries)
    assert {*names} < model_content(tmp_path).keys()
    measured([])
    with pytest.raises(
        InputError, match=r"has no results of drn_x4_photo\.safetensors: run scripts\.write_jpeg_curve first"
    ):
        model_content(tmp_path)
    measured([entries[0] | {"sha256": "other"}, entries[1]])
    with pytest.raises(InputError, match=r"was measured with another drn_x4\.safetensors: measure again"):
        model_content(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", '{"rows": [{"method": "DRN"}]}', '{"rows": 3}'])
def test_results_that_cannot_be_read_are_refused(tmp_path: Path, text: str) -> None:
    weights.save(tmp_path / "drn_x4.safetensors", small_model(4))
    (tmp_path / "results.json").write_text(text)
    (tmp_path / "README.md").write_text("# Our card\n")
    with pytest.raises(InputError, match=r"results\.json is not the output of"):
        model_content(tmp_path)
