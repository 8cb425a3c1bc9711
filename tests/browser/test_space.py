"""The published Space, run with only its own files, its own requirements and the weights of the Hub."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from playwright.sync_api import Browser, expect

from tests.helpers.hub_server import TOKEN, Hub, running

MODEL, SPACE = "drn/drn", "drn/demo"


def link_installed(requirements: str, target: Path) -> None:
    """Link into ``target`` exactly the packages that ``pip install -r`` of these requirements would install."""
    wanted, seen = (
        [Requirement(line.partition("#")[0]) for line in requirements.splitlines() if line[:1].isalpha()],
        set(),
    )
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


def test_the_published_space_serves_a_comparison_with_the_weights_of_the_hub(tmp_path: Path, browser: Browser) -> None:
    with running() as hub:
        env = {**os.environ, **hub.env, "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path / "publisher")}
        command = [sys.executable, "-m", "drn", "publish", "--model", MODEL, "--space", SPACE]
        subprocess.run(command, env=env, capture_output=True, timeout=120, check=True)
        serve_and_look(hub, tmp_path, browser)


def serve_and_look(hub: Hub, tmp_path: Path, browser: Browser) -> None:
    """Serve the Space of ``hub`` and check that a page shows the comparison with the weights of its model repo."""
    space = hub.repos["spaces", SPACE]
    for path, content in space.files.items():
        (tmp_path / "space" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "space" / path).write_bytes(content)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    installed = tmp_path / "installed"
    installed.mkdir()
    link_installed((tmp_path / "space" / "requirements.txt").read_text(), installed)
    env = {**os.environ, **hub.env, **space.variables, "HF_HOME": str(tmp_path / "hf"), "GRADIO_SERVER_PORT": str(port)}
    env["PYTHONPATH"] = str(installed)
    # -S: without the packages of the test environment.
    server = subprocess.Popen(
        [sys.executable, "-uS", "app.py"], cwd=tmp_path / "space", env=env, stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        assert any("Running on local URL" in line for line in server.stdout)
        page = browser.new_page()
        response = page.goto(f"http://127.0.0.1:{port}")
        assert response is not None
        assert response.status == 200
        revision = space.variables["DRN_HUB_REPO"].split("@")[1][:7]
        expect(page.get_by_test_id("weights")).to_contain_text(f"hub {MODEL}@{revision} (x2", timeout=20_000)
        expect(page.get_by_test_id("hub")).to_have_count(0)
        expect(page.locator("[data-panel]")).to_have_count(4)
        page.close()
    finally:
        server.terminate()
        server.wait(20)
