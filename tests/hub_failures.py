"""Every way in which the Hub's weights can fail, through the real client: ``python -m tests.hub_failures`` prints them.

Each place is asked for by ``DRN_HUB_REPO``, as a visitor of the app or a user of the command line meets it.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from drn import weights
from drn.model import DRN, DRNConfig
from tests.conftest import rewritten, small_model
from tests.hub_server import Hub, running

NAME = weights.filename(2)

CASES = {
    "No such repo": "drn/nowhere",
    "Private repo, no token": "drn/private",
    "Gated repo": "drn/gated",
    "No such revision": "drn/good@v9",
    "Missing file": "drn/empty",
    "Truncated download": "drn/truncated",
    "Truncated file in the repo": "drn/half",
    "Wrong architecture": "drn/other",
    "Wrong scale": "drn/x3",
    "Too many parameters": "drn/large",
    "A pickle": "drn/pickle",
    "A pickle under our file's name": "drn/disguised",
    "Hub answers 500": "drn/500",
    "Hub answers 429": "drn/429",
    "Not a repo's name": "https://evil.example/drn",
}
"""What is wrong, and the ``DRN_HUB_REPO`` that shows it."""

ELSEWHERE = {
    "Hub slow to answer": "drn/slow",
    "Hub stalls in a download": "drn/hangs",
    "Hub down": "drn/good",
    "Disk full": "drn/good",
    "Cache folder read-only": "drn/good",
}
"""The same, each in a process of its own: these wait, or need another environment."""

_CHILD = """
import json, os, sys, time
from drn import weights
for place in sys.argv[1:]:
    os.environ["DRN_HUB_REPO"] = place
    said = []
    start = time.perf_counter()
    source = weights.load_scales(None, [2], said.append)[0].source
    print(json.dumps([said, source, time.perf_counter() - start]))
"""


@dataclass(frozen=True)
class Outcome:
    """What came of asking for a place.

    Attributes:
        said: The sentences shown.
        source: Where the weights in use came from.
        seconds: Time until they were.
    """

    said: list[str]
    source: str
    seconds: float


def fill(hub: Hub, folder: Path) -> None:
    """Put a repo for each of the cases on ``hub``; ``folder`` is for temporary files."""

    def saved(model: DRN) -> bytes:
        weights.save(folder / NAME, model)
        return (folder / NAME).read_bytes()

    good = saved(small_model(2))
    repos: dict[str, dict[str, bytes]] = {"empty": {"README.md": b"# soon"}, "x3": {NAME: saved(small_model(3))}}
    repos["half"] = {NAME: good[: len(good) // 2]}
    rewritten(folder / NAME, n_feats=24)
    repos["other"] = {NAME: (folder / NAME).read_bytes()}
    rewritten(folder / NAME, n_feats=256, n_blocks=16, n_groups=16)
    repos["large"] = {NAME: (folder / NAME).read_bytes()}
    torch.save({"head.weight": torch.zeros(3)}, folder / NAME)
    repos["pickle"] = {"pytorch_model.bin": (folder / NAME).read_bytes()}
    repos["disguised"] = {NAME: (folder / NAME).read_bytes()}
    for name, files in repos.items():
        hub.add(f"drn/{name}", files)
    weights.save(folder / NAME, DRN(DRNConfig(scale=2)))  # larger than the disk of "Disk full"
    hub.add("drn/good", {NAME: (folder / NAME).read_bytes()})
    hub.add("drn/private", {NAME: good}, private=True)
    hub.add("drn/gated", {NAME: good}, gated=True)
    for fault in ("truncated", "500", "429", "slow", "hangs"):
        hub.add(f"drn/{fault}", {NAME: good}, fault=fault)


def run_all(folder: Path) -> dict[str, Outcome]:
    """Ask for every case, in several processes at once; about 20 s."""
    with running() as hub, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        fill(hub, folder)
        own: dict[str, dict[str, str]] = {
            "Hub down": {"HF_ENDPOINT": f"http://127.0.0.1:{closed.getsockname()[1]}"},
            "Disk full": {"HF_HOME": str(folder / "full")},
            "Cache folder read-only": {"HF_HOME": "/sys/drn"},  # where not even root can make a folder
        }
        common = {key: value for key, value in os.environ.items() if key not in ("HF_TOKEN", "HF_HUB_OFFLINE")}
        common |= hub.env | {"HF_HOME": str(folder / "cache"), "HF_HUB_VERBOSITY": "error"}
        together = _start(list(CASES.values()), common)
        alone = {
            case: _start([place], common | own.get(case, {}), case == "Disk full") for case, place in ELSEWHERE.items()
        }
        outcomes = dict(zip(CASES, _finish(together), strict=True))
        return outcomes | {case: _finish(child)[0] for case, child in alone.items()}


def _start(places: list[str], env: dict[str, str], full: bool = False) -> subprocess.Popen[str]:
    def limit() -> None:
        if full:  # no file may grow beyond 1 MB: writing more fails as on a full disk
            resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))

    command = [sys.executable, "-c", _CHILD, *places]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True, preexec_fn=limit)


def _finish(child: subprocess.Popen[str]) -> list[Outcome]:
    out, _ = child.communicate(timeout=120)
    return [Outcome(*json.loads(line)) for line in out.splitlines()]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        outcomes = run_all(Path(folder))
    print("| what is wrong | what is said | after |\n| --- | --- | ---: |")
    for case, outcome in outcomes.items():
        print(f"| {case} | {' '.join(outcome.said)} | {outcome.seconds:.1f} s |")


if __name__ == "__main__":
    main()
