"""Attack a page on this machine and print which attacks got through.

python -m tools.attack                      starts the app of this checkout and attacks it
python -m tools.attack --root ../before     starts the app of another checkout
python -m tools.attack --only range,host    runs some of the attacks

Only a server that the tool started itself, on loopback, is attacked. Every attack is bounded in size and in time.
An attack is a function of a ``Target`` that returns an ``Outcome``; ``@attack`` adds it to the table.
"""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated

import httpx
import typer

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 90.0
SOFT_FILE_LIMIT = 1024
"""Soft limit on file descriptors when the server starts: the usual value."""


@dataclass(frozen=True)
class Target:
    """A running page.

    Attributes:
        url: Address of the page, without a slash at the end.
        port: Port of the page on 127.0.0.1.
        pid: Process id of the server.
        temporary: The folder with the files of visitors.
        log: The file with the server's standard output and standard error.
        secrets: A folder outside ``temporary`` with images that no visitor may see.
    """

    url: str
    port: int
    pid: int
    temporary: Path
    log: Path
    secrets: Path

    def web(self, timeout: float = 20.0) -> httpx.Client:
        """Return a client for this page."""
        return httpx.Client(base_url=self.url, timeout=timeout)

    def stored_bytes(self) -> int:
        """Return the size of all files in the temporary folder, in bytes."""
        total = 0
        for folder, _, names in os.walk(self.temporary):
            for name in names:
                try:
                    total += Path(folder, name).stat().st_size
                except OSError:
                    continue
        return total


@dataclass(frozen=True)
class Outcome:
    """The result of one attack.

    Attributes:
        held: Whether the page withstood the attack.
        seen: The observation in a few words, with numbers.
    """

    held: bool
    seen: str


Attack = Callable[[Target], Outcome]
ATTACKS: dict[str, tuple[int, str, Attack]] = {}
"""Name of an attack -> its point in the security review, its aim, and its function."""


def attack(point: int, tries: str) -> Callable[[Attack], Attack]:
    """Add a function to the attacks, under the name of the function.

    Args:
        point: The point of the security review that the attack belongs to; docs/security-tests.md lists the points.
        tries: The aim of the attack in a few words.
    """

    def add(function: Attack) -> Attack:
        ATTACKS[function.__name__] = point, tries, function
        return function

    return add


@contextmanager
def started(root: Path, folder: Path) -> Iterator[Target]:
    """Run the app of ``root`` in a separate process until the block ends.

    Args:
        root: A checkout of this repository.
        folder: An empty folder for the files and the log of the app.

    Raises:
        RuntimeError: If the app does not start.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    temporary, log, secrets = folder / "temporary", folder / "log.txt", folder / "secrets"
    secrets.mkdir()
    env = {**os.environ, "GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": str(temporary)}
    with log.open("wb") as output:
        server = subprocess.Popen([sys.executable, "-u", "app.py"], cwd=root, env=env, stdout=output, stderr=output)
        hard = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (min(SOFT_FILE_LIMIT, hard), hard))
        try:
            ends = time.monotonic() + START_SECONDS
            while b"Running on local URL" not in log.read_bytes():
                if server.poll() is not None or time.monotonic() > ends:
                    raise RuntimeError(f"The app in {root} did not start: {log.read_text(errors='replace')[-500:]}")
                time.sleep(0.2)
            yield Target(f"http://127.0.0.1:{port}", port, server.pid, temporary, log, secrets)
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def run(root: Path, names: list[str]) -> list[tuple[str, Outcome]]:
    """Run the named attacks, each on its own server. An unexpected failure means that the page did not hold."""
    outcomes = []
    for name in names:
        _, _, function = ATTACKS[name]
        try:
            with tempfile.TemporaryDirectory() as folder, started(root, Path(folder)) as target:
                outcome = function(target)
        except Exception as error:  # for example, the page no longer answers
            outcome = Outcome(False, f"the page did not answer: {type(error).__name__}: {str(error)[:80]}")
        print(f"{'held' if outcome.held else 'GOT THROUGH':12} {name}: {outcome.seen}", file=sys.stderr, flush=True)
        outcomes.append((name, outcome))
    return outcomes


def table(outcomes: list[tuple[str, Outcome]]) -> str:
    """Return the outcomes as a Markdown table."""
    lines = ["| point | attack | tries to | outcome | seen |", "|---|---|---|---|---|"]
    for name, outcome in outcomes:
        point, tries, _ = ATTACKS[name]
        lines.append(
            f"| {point} | `{name}` | {tries} | {'held' if outcome.held else '**got through**'} | {outcome.seen} |"
        )
    return "\n".join(lines)


def main(
    root: Annotated[Path, typer.Option(help="The checkout whose app is attacked.")] = ROOT,
    only: Annotated[str, typer.Option(help="Names of attacks, separated by commas; all if empty.")] = "",
) -> None:
    """Start the app, attack it, print the table, and end with exit code 1 if an attack got through."""
    for module in ("tools.page_attacks", "tools.limit_attacks", "tools.image_attacks"):
        import_module(module)
    names = [name for name in only.split(",") if name] or list(ATTACKS)
    if unknown := sorted(set(names) - set(ATTACKS)):
        raise typer.BadParameter(f"There is no attack {unknown[0]}: choose from {', '.join(ATTACKS)}.")
    outcomes = run(root.resolve(), names)
    print(table(outcomes))
    raise SystemExit(any(not outcome.held for _, outcome in outcomes))


if __name__ == "__main__":
    from tools import attack as registered  # the modules with attacks import tools.attack, not __main__

    typer.run(registered.main)
