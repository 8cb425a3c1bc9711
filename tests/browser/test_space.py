"""The published Space runs on its own, with the weights of the Hub, in a real browser."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from playwright.sync_api import Browser, expect

from tests.helpers.hub_server import Hub, run_drn, running

MODEL, SPACE = "drn/drn", "drn/demo"


def link_installed(requirements: str, target: Path) -> None:
    """Link what ``pip install -r`` would install for ``requirements``, and nothing else, into ``target``."""
    wanted = [Requirement(line.partition("#")[0]) for line in requirements.splitlines() if line[:1].isalpha()]
    seen: set[str] = set()
    while wanted:
        requirement = wanted.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        found = distribution(requirement.name)
        assert requirement.specifier.contains(found.version, prereleases=True), requirement
        if found.name in seen:
            continue
        seen.add(found.name)
        extras = [{"extra": extra} for extra in ("", *requirement.extras)]
        for needed in map(Requirement, found.requires or []):
            if needed.marker is None or any(needed.marker.evaluate(extra) for extra in extras):
                needed.marker = None
                wanted.append(needed)
        for name in {path.parts[0] for path in found.files or [] if path.parts[0] not in ("..", "__pycache__")}:
            if not (target / name).exists():
                (target / name).symlink_to(Path(str(found.locate_file(name))))


@contextmanager
def serving(hub: Hub, folder: Path) -> Iterator[str]:
    """Serve the Space that ``hub`` holds, without the packages of the tests, and give its address."""
    space = hub.repos["spaces", SPACE]
    for path, content in space.files.items():
        (folder / "space" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "space" / path).write_bytes(content)
    installed = folder / "installed"
    installed.mkdir()
    link_installed((folder / "space" / "requirements.txt").read_text(encoding="utf-8"), installed)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {**os.environ, **hub.env, **space.variables, "HF_HOME": str(folder / "hf"), "GRADIO_SERVER_PORT": str(port)}
    env["PYTHONPATH"] = str(installed)
    # -S: without the site-packages of the tests
    command = [sys.executable, "-uS", "app.py"]
    server = subprocess.Popen(command, cwd=folder / "space", env=env, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        assert any("Running on local URL" in line for line in server.stdout)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


def test_the_space_alone_serves_a_comparison_with_the_hubs_weights(tmp_path: Path, browser: Browser) -> None:
    with running() as hub:
        published = run_drn(hub, tmp_path / "publisher", "publish", "--model", MODEL, "--space", SPACE)
        assert published.returncode == 0, published.stderr
        with serving(hub, tmp_path) as url:
            page = browser.new_page()
            response = page.goto(url)
            assert response is not None
            assert response.status == 200
            revision = hub.repos["spaces", SPACE].variables["DRN_HUB_REPO"].split("@")[1][:7]
            expect(page.get_by_test_id("weights")).to_contain_text(f"hub {MODEL}@{revision} (x2", timeout=20_000)
            expect(page.get_by_test_id("hub")).to_have_count(0)
            expect(page.locator("[data-panel]")).to_have_count(4)
            page.close()
