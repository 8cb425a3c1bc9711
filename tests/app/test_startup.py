"""The start of the page: behind proxies, with wrong ports and host names, and on systems without fcntl."""

from __future__ import annotations

import errno
import logging
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from PIL import Image

from app.photographs import examples
from app.serving import cache, connections, locks
from app.serving.startup import prepare_environment
from drn.errors import InputError
from drn.image import Array
from tools.load import ROOT

pytestmark = pytest.mark.slow

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "no_proxy", "NO_PROXY")


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in (*PROXIES, "GRADIO_SERVER_NAME", "GRADIO_SERVER_PORT"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(name, os.environ.get(name, ""))  # so that the variables are restored after the test
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize("port", ["99999", "abc", "0", "-1", "65536", "", "７８６０", "7860.0", " 7860"])
def test_a_port_that_is_none_gets_one_sentence(clean: pytest.MonkeyPatch, port: str) -> None:
    clean.setenv("GRADIO_SERVER_PORT", port)
    with pytest.raises(InputError, match=r"^GRADIO_SERVER_PORT is '.*': give a number from 1 to 65535\.$"):
        prepare_environment()


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 300, "host..name", "256.1.1.1", "http://localhost"])
def test_an_unknown_host_gets_one_sentence(clean: pytest.MonkeyPatch, host: str) -> None:
    clean.setenv("GRADIO_SERVER_NAME", host)
    with pytest.raises(InputError, match=r"^The host name .* in GRADIO_SERVER_NAME is unknown: give 127"):
        prepare_environment()


def test_a_port_in_use_and_an_address_of_another_machine_get_one_sentence(clean: pytest.MonkeyPatch) -> None:
    with socket.socket() as used:
        used.bind(("127.0.0.1", 0))
        used.listen()
        clean.setenv("GRADIO_SERVER_PORT", str(used.getsockname()[1]))
        with pytest.raises(InputError, match=r"cannot be served at 127\.0\.0\.1:\d+ \(Address already in use\)"):
            prepare_environment()
    clean.setenv("GRADIO_SERVER_NAME", "198.51.100.7")
    with pytest.raises(InputError, match=r"cannot be served at 198\.51\.100\.7"):
        prepare_environment()


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_requests_to_this_machine_go_without_a_proxy(clean: pytest.MonkeyPatch, name: str) -> None:
    clean.setenv("GRADIO_SERVER_NAME", name)
    clean.setenv("NO_PROXY", "example.org")
    for variable in ("http_proxy", "ALL_PROXY"):
        clean.setenv(variable, "http://127.0.0.1:9")
    prepare_environment()
    assert os.environ["NO_PROXY"] == "example.org,127.0.0.1,localhost,::1"
    assert os.environ["no_proxy"].endswith("127.0.0.1,localhost,::1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(f"http://127.0.0.1:{server.getsockname()[1]}/", timeout=0.3)
        server.accept()[0].close()  # the request arrived at this server and not at the proxy


def test_a_proxy_of_an_unknown_kind_gets_one_sentence(clean: pytest.MonkeyPatch) -> None:
    clean.setenv("ALL_PROXY", "gopher://127.0.0.1:70")
    with pytest.raises(InputError, match=r"^The proxy in HTTP_PROXY, HTTPS_PROXY or ALL_PROXY cannot be used"):
        prepare_environment()


@pytest.mark.parametrize("variables", [{"GRADIO_SERVER_PORT": "abc"}, {"GRADIO_SERVER_NAME": "no.invalid"}])
def test_the_program_ends_with_one_sentence(variables: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "app.py"], cwd=ROOT, env=os.environ | variables, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert re.fullmatch(r"error: .*\n", done.stderr)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a page that runs with the prefix /drn and with proxies that do not exist."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    variables = {"http_proxy": "http://127.0.0.1:9", "ALL_PROXY": "socks5://127.0.0.1:9", "GRADIO_ROOT_PATH": "/drn"}
    page = subprocess.Popen(
        [sys.executable, "-u", "app.py"],
        cwd=ROOT,
        env=os.environ | variables | {"GRADIO_SERVER_PORT": str(port)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert page.stdout is not None
        assert any("Running on local URL" in line for line in page.stdout)
        yield f"http://127.0.0.1:{port}"
    finally:
        page.send_signal(signal.SIGTERM)
        page.wait(30)


@pytest.mark.parametrize("prefix", ["", "/drn"], ids=["stripped", "kept"])
def test_every_route_works_behind_a_proxy_with_a_prefix(server: str, prefix: str) -> None:
    with httpx.Client(base_url=server + prefix, timeout=60, trust_env=False) as web:
        assert "DRN" in web.get("/").text
        assert web.get("/config").json()["root"].endswith("/drn")
        assert web.get("/gradio_api/info").status_code == 200
        assert web.get("/theme.css").status_code == 200
        stored = web.post("/gradio_api/upload", files={"files": ("a.png", b"0123456789")}).json()[0]
        got = web.get(f"/gradio_api/file={stored}")
        assert got.content == b"0123456789"
        assert got.headers["cache-control"] == "private, no-store"
        asked = web.post("/gradio_api/call/upscale", json={"data": [None, "2", False, "auto"]}).json()
        assert "No image was given" in web.get(f"/gradio_api/call/upscale/{asked['event_id']}").text
        for path in ("/gradio_api/file=/etc/passwd", "/gradio_api/proxy=x", "/drn/drn/config", "/login"):
            assert web.get(path).status_code == 404, path
        event = {"data": [{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}, "2", False, "auto"]}
        assert web.post("/gradio_api/call/upscale", json=event).status_code == 400
        assert web.post("/gradio_api/upload", content=b"").status_code != 200
        assert web.get("/config", headers={"Host": "elsewhere.example"}).status_code == 421


def test_a_bad_example_is_left_out(
    photo: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Image.fromarray(photo).save(tmp_path / "mine.png")
    Image.fromarray(photo[:5]).save(tmp_path / "tiny.png")
    Image.new("L", (3000, 2000)).save(tmp_path / "huge.png")
    (tmp_path / "bad.png").write_text("no image")
    monkeypatch.setenv("DRN_EXAMPLES", str(tmp_path))
    with caplog.at_level(logging.WARNING):
        names = [path.stem for path in examples()]
    assert names[-1] == "mine"
    assert not {"tiny", "huge", "bad"} & set(names)
    assert len([record for record in caplog.records if "is left out: " in record.getMessage()]) == 3


def test_the_lock_of_windows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without fcntl, msvcrt locks one byte of the lock file, and a second lock is refused."""
    held: set[int] = set()

    def locking(handle: int, mode: int, nbytes: int) -> None:
        assert (mode, nbytes) == (2, 1)
        if os.fstat(handle).st_ino in held:
            raise OSError(errno.EACCES, "Permission denied")
        held.add(os.fstat(handle).st_ino)

    monkeypatch.setattr(locks, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(locking=locking, LK_NBLCK=2))
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr(cache, "_own", [])
    (tmp_path / f"{cache.PREFIX}left").mkdir()
    cache.use_own_folder()
    assert not (tmp_path / f"{cache.PREFIX}left").exists(), "a folder that nobody holds is removed"
    (own,) = cache._own
    with pytest.raises(PermissionError):
        cache._lock(own)
    cache.remove_own_folder()
    assert list(tmp_path.iterdir()) == []


def test_a_system_without_a_limit_on_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "resource", None)
    connections.raise_file_limit()
    assert connections.max_connections() == 4096
