"""Load weights with the real huggingface_hub client from a Hub on the loopback address."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drn import weights
from drn.errors import InputError
from drn.hub import HubRepo, deadline
from tests.helpers.hub_server import TOKEN, Hub, running
from tests.helpers.models import small_model
from tools.hub_failures import Outcome, run_all

pytestmark = pytest.mark.slow

Run = Callable[..., subprocess.CompletedProcess[str]]

SENTENCES = {
    "No such repo": r"There is no public repo drn/nowhere on the Hub: check the name, or set HF_TOKEN",
    "Private repo, no token": r"no public repo drn/private .* set HF_TOKEN if it is private",
    "Gated repo": r"drn/gated is gated: accept its terms",
    "No such revision": r"drn/good has no such revision",
    "Missing file": r"drn/empty@main has no drn_x2\.safetensors",
    "Truncated download": r"The download of drn/truncated@main was interrupted",
    "Truncated file in the repo": r"drn/half@main: .* is not a complete safetensors file",
    "Wrong architecture": r"drn/other@main: .* tensors that do not fit its config",
    "Wrong scale": r"drn/x3@main: .* is for x3, not for x2",
    "Too many parameters": r"drn/large@main: .* more than 50,000,000 parameters",
    "A pickle": r"has pytorch_model\.bin but no drn_x2\.safetensors\. Pickles can run code",
    "A pickle under our file's name": r"is a pickle\. Pickles can run code and are not loaded",
    "Hub answers 500": r"The Hub has a fault \(HTTP status 500\)",
    "Hub answers 429": r"The Hub refuses requests at present \(HTTP status 429",
    "Not a repo's name": r"is not a Hub repo: write owner/name",
    "Hub slow to answer": r"drn/slow@main did not arrive from the Hub in 8 s",
    "Hub stalls in a download": r"drn/hangs@main did not arrive from the Hub in 8 s",
    "Hub down": r"The Hub cannot be reached",
    "Disk full": r"There is no space left for the Hub's cache",
    "Cache folder read-only": r"The Hub's cache cannot be written",
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    return run_all(tmp_path_factory.mktemp("failures"))


@pytest.mark.parametrize("case", SENTENCES)
def test_failures_get_one_sentence_and_the_bundled_weights(outcomes: dict[str, Outcome], case: str) -> None:
    outcome = outcomes[case]
    assert outcome.source == "bundled"
    assert len(outcome.messages) == 1
    assert re.fullmatch(rf"Using the bundled weights: .*{SENTENCES[case]}.*\.", outcome.messages[0])
    assert outcome.seconds < 8 + 4  # the deadline, and time to load the weights on a busy machine


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with running() as hub:
        yield hub


@pytest.fixture
def drn(hub: Hub, tmp_path: Path) -> Run:
    """Return a function that runs the command line with the loopback Hub and an empty cache."""
    hub.requests.clear()

    def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        clean = {key: value for key, value in os.environ.items() if key not in ("HF_TOKEN", "HF_HUB_OFFLINE")}
        env = clean | hub.env | {"HF_HOME": str(tmp_path / "hf")} | env
        command = [sys.executable, "-m", "drn", *arguments]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)

    return run


def files(folder: Path, seed: int = 0) -> dict[str, bytes]:
    """Return the files of a model repo with small networks; each ``seed`` gives different bytes."""
    for scale in (2, 3, 4):
        weights.save(folder / weights.filename(scale), small_model(scale), {"seed": str(seed)})
    return {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}


def test_a_branch_follows_the_hub_and_a_commit_needs_no_request(hub: Hub, drn: Run, tmp_path: Path) -> None:
    repo = hub.add("drn/model", files(tmp_path))
    first = repo.head
    shown = drn("info", DRN_HUB_REPO="drn/model")
    assert shown.stderr == ""
    digest = weights.load(tmp_path / "drn_x3.safetensors").sha256[:12]
    assert f"x3: drn_x3.safetensors (hub drn/model@{first[:7]}), sha256 {digest}" in shown.stdout

    second = repo.commit(files(tmp_path, seed=1))
    assert f"hub drn/model@{second[:7]}" in drn("info", DRN_HUB_REPO="drn/model").stdout

    hub.requests.clear()
    pinned = drn("info", "--weights", f"drn/model@{first}")
    assert f"hub drn/model@{first[:7]}" in pinned.stdout
    assert digest in pinned.stdout
    assert f"hub drn/model@{second[:7]}" in drn("info", DRN_HUB_REPO="drn/model", HF_HUB_OFFLINE="1").stdout
    assert hub.requests == []

    # While the Hub fails, the commit of the branch that was cached last is used.
    repo.fault = "500"
    shown = drn("info", DRN_HUB_REPO="drn/model")
    assert f"hub drn/model@{second[:7]}" in shown.stdout
    assert shown.stderr == ""

    # The cached commit is also used after an interrupted download of a newer commit, and later offline.
    repo.commit(files(tmp_path, seed=2))
    for fault, offline in (("truncated", "0"), ("500", "0"), ("", "1")):
        repo.fault = fault
        shown = drn("info", DRN_HUB_REPO="drn/model", HF_HUB_OFFLINE=offline)
        assert f"hub drn/model@{second[:7]}" in shown.stdout, shown.stderr


def test_a_token_gives_access_to_a_private_repo(hub: Hub, drn: Run, tmp_path: Path) -> None:
    repo = hub.add("drn/hidden", files(tmp_path), private=True)
    assert repo.head[:7] in drn("info", "--weights", "drn/hidden", HF_TOKEN=TOKEN).stdout
    refused = drn("info", "--weights", "drn/hidden", HF_TOKEN="hf_other", HF_HOME=str(tmp_path / "other"))
    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1


def test_an_explicit_repo_that_fails_is_an_error(hub: Hub, drn: Run, tmp_path: Path) -> None:
    result = drn("upscale", "x.png", "-o", str(tmp_path / "out"), "--weights", "drn/nowhere")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("error: There is no public repo drn/nowhere")
    offline = drn("info", "--weights", "drn/nowhere", HF_HUB_OFFLINE="1")
    assert "error: drn/nowhere@main is not in the Hub's cache and HF_HUB_OFFLINE is set" in offline.stderr


def test_a_repo_can_be_loaded_from_python(hub: Hub, tmp_path: Path) -> None:
    hub.add("drn/python", files(tmp_path))
    code = (
        "import sys, drn; assert 'torch' not in sys.modules\n"
        "from drn import load_model\n"
        "model = load_model('drn/python', scale=4)\n"
        "print(model.scale, model.training)"
    )
    env = os.environ | hub.env | {"HF_HOME": str(tmp_path / "hf")}
    result = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120)
    assert result.stdout == "4 False\n", result.stderr


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a/b", HubRepo("a/b", "main")),
        ("a-1/b.c_d@v1.0", HubRepo("a-1/b.c_d", "v1.0")),
        ("a/b@refs/pr/1", HubRepo("a/b", "refs/pr/1")),
    ],
)
def test_repo_names(text: str, expected: HubRepo) -> None:
    assert HubRepo.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a/b/c",
        "/a/b",
        "./a/b",
        "../b",
        "a/..",
        "a/b@",
        "a/b@../../x",
        "a/b@-x",
        "a/b c",
        "a/b\n",
        "a--b/c",
        "a/b.git",
        "https://x/y",
        "a/b@x\n",
        "a/" + "b" * 96,
    ],
)
def test_other_text_is_not_a_repo_name(text: str) -> None:
    with pytest.raises(InputError, match="is not a Hub repo: write owner/name"):
        HubRepo.parse(text)


def test_a_commit_is_pinned_and_shown_short() -> None:
    repo = HubRepo.parse("a/b@" + "0123456789" * 4)
    assert repo.is_pinned
    assert str(repo) == "a/b@0123456"
    assert not HubRepo.parse("a/b@0123456").is_pinned


@pytest.mark.parametrize("text", ["0", "-1", "soon", "nan", "inf", ""])
def test_deadline_must_be_seconds(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("DRN_HUB_DEADLINE", text)
    with pytest.raises(InputError, match="DRN_HUB_DEADLINE must be a number of seconds above 0"):
        deadline()
    monkeypatch.setenv("DRN_HUB_DEADLINE", "2.5")
    assert deadline() == 2.5


def test_a_local_folder_is_preferred_to_a_repo_of_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "owner/name").mkdir(parents=True)
    content = files(tmp_path / "owner/name")
    monkeypatch.chdir(tmp_path)
    loaded = weights.load_scales("owner/name")
    assert [item.model.scale for item in loaded] == [2, 3, 4] == sorted(int(name[5]) for name in content)
    assert loaded[0].source == "owner/name/drn_x2.safetensors"


def load_photo(hub: Hub, home: Path, repo: str, **env: str) -> list[str]:
    """Load the photo weights for x2 and x3 in a new process; return a line for each file, then the notes."""
    code = (
        "import sys; from drn import weights\nnotes = []\n"
        "parts = weights.load_scales(sys.argv[1], [2, 3], notes.append, 'photo')\n"
        "for part in parts: print(part.path.name, part.source)\n"
        "print(*notes, sep='\\n', end='')"
    )
    env = os.environ | hub.env | {"HF_HOME": str(home)} | env
    result = subprocess.run([sys.executable, "-c", code, repo], env=env, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def test_a_repo_without_the_variant_gives_its_clean_weights(hub: Hub, tmp_path: Path) -> None:
    content = files(tmp_path)
    weights.save(tmp_path / weights.filename(2, "photo"), small_model(2), {"degradation": "photo"})
    photo = {"drn_x2_photo.safetensors": (tmp_path / "drn_x2_photo.safetensors").read_bytes()}
    commit = hub.add("drn/variants", content | photo).head
    source = f"hub drn/variants@{commit[:7]}"
    expected = [
        f"drn_x2_photo.safetensors {source}",
        f"drn_x3.safetensors {source}",
        "No photo weights for x3 were found in drn/variants@main: using the clean weights.",
    ]
    assert load_photo(hub, tmp_path / "hf", "drn/variants") == expected

    commit = hub.add("drn/plain", content).head
    expected = [f"drn_x{scale}.safetensors hub drn/plain@{commit[:7]}" for scale in (2, 3)]
    note = "No photo weights for x2, x3 were found in drn/plain@{}: using the clean weights."
    assert load_photo(hub, tmp_path / "hf", "drn/plain") == [*expected, note.format("main")]
    # Offline and while the Hub fails, the clean weights in the cache are used.
    pinned, reason = f"drn/plain@{commit}", "The photo weights could not be fetched, using the clean weights: "
    *loaded, noted = load_photo(hub, tmp_path / "hf", pinned, HF_HUB_OFFLINE="1")
    assert loaded == expected
    assert noted.startswith(reason)
    hub.repos["models", "drn/plain"].fault = "500"
    *loaded, noted = load_photo(hub, tmp_path / "hf", pinned)
    assert loaded == expected
    assert noted.startswith(reason)
    assert "500" in noted or "fail" in noted
