"""Load weights from faulty Hub repos and print the messages, for the table in docs/hub.md.

    python -m tools.hub_failures

The real client of the Hub sends its requests to a server on the loopback address. ``DRN_HUB_REPO`` names each repo, as
for users of the app and the command line.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from drn import weights
from drn.model import DRN, DRNConfig
from tests.helpers.hub_server import Hub, running
from tests.helpers.models import rewritten, small_model

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
    "Hub slow to answer": "drn/slow",
    "Hub stalls in a download": "drn/hangs",
    "Not a repo's name": "https://evil.example/drn",
}
"""Fault -> the value of ``DRN_HUB_REPO`` that causes it."""

FULL = 2**20
"""Largest file, in bytes, that can be written in the case of the full disk."""


def special(closed: str) -> dict[str, tuple[str, dict[str, str], int]]:
    """Return the cases that need other changes than a repo.

    Args:
        closed: Address of a server that refuses connections.

    Returns:
        Fault -> the value of ``DRN_HUB_REPO``, changes to the constants of the client, and the largest file that can be
        written (-1 is no limit).
    """
    return {
        "Hub down": ("drn/good", {"ENDPOINT": closed}, -1),
        "Disk full": ("drn/good", {}, FULL),
        "Cache folder read-only": ("drn/good", {"HF_HUB_CACHE": "/sys/drn"}, -1),  # even root cannot write there
    }


_CHILD = """
import json, os, resource, sys, time
from drn import weights
from huggingface_hub import constants
original = dict(vars(constants))
for repo, changes, limit in json.loads(sys.argv[1]):
    os.environ["DRN_HUB_REPO"] = repo
    vars(constants).update(original | changes)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, -1))
    messages = []
    start = time.perf_counter()
    source = weights.load_scales(None, [2], messages.append)[0].source
    print(json.dumps([messages, source, time.perf_counter() - start]))
"""


@dataclass(frozen=True)
class Outcome:
    """The outcome of one attempt to load weights.

    Attributes:
        messages: The sentences shown.
        source: Source of the weights that were loaded in the end.
        seconds: Time until they were loaded.
    """

    messages: list[str]
    source: str
    seconds: float


def fill(hub: Hub, folder: Path) -> None:
    """Add the faulty repos to ``hub``; ``folder`` is for temporary files."""

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
    weights.save(folder / NAME, DRN(DRNConfig(scale=2)))  # larger than FULL
    hub.add("drn/good", {NAME: (folder / NAME).read_bytes()})
    hub.add("drn/private", {NAME: good}, private=True)
    hub.add("drn/gated", {NAME: good}, gated=True)
    for fault in ("truncated", "500", "429", "slow", "hangs"):
        hub.add(f"drn/{fault}", {NAME: good}, fault=fault)


def run_all(folder: Path) -> dict[str, Outcome]:
    """Try all cases, one after the other in one process, in about 25 s.

    Args:
        folder: For temporary files.

    Returns:
        The outcome of each case, by fault.
    """
    with running() as hub, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound but not listening, so that connections are refused
        fill(hub, folder)
        cases = {case: (repo, dict[str, str](), -1) for case, repo in CASES.items()}
        cases |= special(f"http://127.0.0.1:{closed.getsockname()[1]}")
        env = {key: value for key, value in os.environ.items() if key not in ("HF_TOKEN", "HF_HUB_OFFLINE")}
        env |= hub.env | {"HF_HOME": str(folder / "cache"), "HF_HUB_VERBOSITY": "error"}
        command = [sys.executable, "-c", _CHILD, json.dumps(list(cases.values()))]
        child = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, timeout=240, check=True)
    return {case: Outcome(*json.loads(line)) for case, line in zip(cases, child.stdout.splitlines(), strict=True)}


def main() -> None:
    """Print the outcomes as a Markdown table."""
    with tempfile.TemporaryDirectory() as folder:
        outcomes = run_all(Path(folder))
    print("| fault | message | after |\n| --- | --- | ---: |")
    for case, outcome in outcomes.items():
        print(f"| {case} | {' '.join(outcome.messages)} | {outcome.seconds:.1f} s |")


if __name__ == "__main__":
    main()
