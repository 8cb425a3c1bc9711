"""Paths that visitors send: only uploads are opened, and the answer to all other paths is the same."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio.utils import get_upload_folder

from app.photographs import read_upload
from app.serving.checks import checked_event
from app.serving.jobs import deadline
from app.serving.uploads import NO_UPLOAD, find_upload
from app.session import open_upload
from drn.errors import InputError
from drn.image import Array, Picture
from drn.writing import write_image
from tests.helpers.jobs import result_of
from tools.fuzz import elsewhere, watching

pytestmark = pytest.mark.slow

META = {"_type": "gradio.FileData"}
WRONG_METAS: list[Any] = [
    *(None, "", "gradio.FileData", 1, [], {}, ["_type"], {"_type": None}, {"_type": 1}, {"_type": "FileData"}),
    *({"_type": "gradio.FileData", "more": 1}, {"_type": {"_type": "gradio.FileData"}}),
]


@pytest.fixture(scope="module")
def web(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=20) as web:
        yield web


def upload(web: httpx.Client, name: str = "mine.png", data: bytes = b"mine") -> str:
    (stored,) = web.post("/gradio_api/upload", files={"files": (name, data, "image/png")}).json()
    return str(stored)


@pytest.fixture
def secret(photo: Array, tmp_path: Path) -> Path:
    """An image on the server that visitors must not see."""
    write_image(tmp_path / "secret.png", Picture(photo))
    return tmp_path / "secret.png"


def shapes(secret: Path, stored: str) -> list[str]:
    """Make paths in many forms: of the secret, of a missing file, and of files in the temporary folder."""
    folder = Path(stored).parent
    inside = Path(get_upload_folder()) / "inside.png"
    inside.write_bytes(secret.read_bytes())
    link, folder_link = folder / "link.png", folder / "elsewhere"
    for place, target in ((link, secret), (folder_link, secret.parent)):
        if not place.is_symlink():
            place.symlink_to(target)
    return [
        *map(str, (secret, secret.with_name("missing.png"), inside, link, folder_link / secret.name, secret.parent)),
        os.path.relpath(secret),
        "app/examples/cat.png",
        *(
            f"{folder}/../../{inside.name}",
            f"{folder}/./{Path(stored).name}",
            f"{stored}/",
            f"{stored}\0",
            f" {stored}",
        ),
        *(f"{folder}{os.path.relpath(secret, folder)}", f"{folder}/{os.path.relpath(secret, folder)}"),
        *(f"file={secret}", f"file://{secret}", f"/gradio_api/file={secret}", f"FILE:{secret}", f"data:,{secret}"),
        *("http://198.51.100.7/x.png", "", ".", "/", "~", "\0", "/dev/zero", "/proc/self/environ", "/etc/passwd"),
    ]


def routes(web: httpx.Client) -> Iterator[tuple[str, dict[str, Any], int]]:
    """List all routes to the functions of the page: path, body without data, and number of inputs."""
    for event in web.get("/config").json()["dependencies"]:
        if event["backend_fn"]:
            body = {"fn_index": event["id"], "session_hash": "files"}
            yield "/gradio_api/queue/join", body, len(event["inputs"])
            yield "/gradio_api/run/predict", body, len(event["inputs"])
            if event["api_name"] in ("upscale", "compare"):
                yield f"/gradio_api/call/{event['api_name']}", {}, len(event["inputs"])


def test_every_function_refuses_files_that_are_not_uploads_with_one_sentence(web: httpx.Client, secret: Path) -> None:
    stored = upload(web)
    # A file that is only an address becomes a text, which nothing opens: see the next test.
    files: list[Any] = [{"path": path, "meta": META} for path in shapes(secret, stored) if not path.startswith("http")]
    files += [{"path": path, "meta": meta} for path in (stored, str(secret)) for meta in WRONG_METAS]
    files += [{"path": stored}, {"path": str(secret)}, {"path": None}, {"path": 1, "meta": META}]
    files += [{"path": [stored], "meta": META}, {"path": {"path": stored, "meta": META}, "meta": META}]
    files += [[{"a": {"b": file}}] for file in files[:3]] + [{"path": stored, "meta": META, "x": {"path": str(secret)}}]
    answers = set()
    called = list(routes(web))
    assert len({body.get("fn_index") for _, body, _ in called}) > 20
    with watching() as watch:
        for index, (path, body, count) in enumerate(called):
            # Routes that accept a file get every path. Each other route gets a third of the paths.
            for file in files if path.startswith("/gradio_api/call") or index < 3 else files[index % 3 :: 3]:
                answer = web.post(path, json={**body, "data": [file, *[None] * (count - 1)]})
                answers.add((answer.status_code, answer.text))
                answer = web.post(path, json={**body, "data": [None] * count, "event_data": {"value": file}})
                answers.add((answer.status_code, answer.text))
    assert answers == {(400, json.dumps({"detail": NO_UPLOAD}, separators=(",", ":")))}
    assert str(secret) not in watch.opened


def test_an_address_is_never_opened(web: httpx.Client) -> None:
    file = {"path": "http://198.51.100.7/x.png", "url": "http://198.51.100.7/x.png", "meta": META}
    with watching() as watch:
        for path, body, count in routes(web):
            asked = web.post(path, json={**body, "data": [file, *[None] * (count - 1)]})
            if path.startswith("/gradio_api/call"):
                told = web.get(f"{path}/{asked.json()['event_id']}").text
                assert "The image must be sent as a file" in told
    assert elsewhere(watch) == []
    assert checked_event(json.dumps({"data": [file]}).encode()) == b'{"data": ["an address"]}'


@pytest.mark.parametrize("name", ["run_upscale", "show_upload", "predict", "lambda", "store_figure"])
def test_private_functions_have_no_route_by_name(web: httpx.Client, secret: Path, name: str) -> None:
    for route in ("call", "call/v2", "api"):
        answer = web.post(
            f"/gradio_api/{route}/{name}", json={"data": [{"path": str(secret), "meta": META}, "2", False, "auto"]}
        )
        assert (answer.status_code, answer.json()) == (404, {"detail": "There is nothing at this address."})


def test_no_function_opens_such_a_file_even_without_the_guard(
    web: httpx.Client, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = upload(web)
    named = shapes(secret, stored)
    monkeypatch.setattr("app.serving.guard.checked_event", lambda body: body)
    with watching() as watch:
        for path, body, count in routes(web):
            for name in named[:6] if "call" in path else named[:2]:
                data = [{"path": name, "meta": META}, *["2"] * (count - 1)][:count]
                asked = web.post(path, json={**body, "data": data})
                if asked.status_code == 200 and path.startswith("/gradio_api/call"):
                    told = web.get(f"{path}/{asked.json()['event_id']}").text
                    assert "event: complete" not in told, (path, name)
    assert not {str(secret), named[2], named[3]} & set(watch.opened)


def test_an_upload_is_found_only_by_its_path(web: httpx.Client, secret: Path) -> None:
    stored = upload(web, data=secret.read_bytes())
    assert str(find_upload(stored)) == stored
    assert result_of(open_upload(stored, 2, deadline())).pairs[0].scale == 2
    for path in shapes(secret, stored):
        with pytest.raises(InputError) as refused:
            result_of(read_upload(path, 10**6, deadline()))
        assert str(refused.value) == NO_UPLOAD


def test_a_symbolic_link_that_replaces_an_upload_is_not_followed(web: httpx.Client, secret: Path) -> None:
    stored = Path(upload(web, data=secret.read_bytes()))
    stored.unlink()
    with pytest.raises(InputError, match=NO_UPLOAD):
        find_upload(str(stored))
    stored.symlink_to(secret)
    with pytest.raises(InputError, match=NO_UPLOAD):
        find_upload(str(stored))


def test_only_files_of_the_temporary_folder_are_served(web: httpx.Client, secret: Path) -> None:
    stored = upload(web, data=b"0123456789")
    assert web.get(f"/gradio_api/file={stored}").content == b"0123456789"
    for path in filter(str.isprintable, shapes(secret, stored)):
        answer = web.get(f"/gradio_api/file={path}")
        if answer.status_code == 200:
            assert Path(path).resolve().is_relative_to(get_upload_folder()), path
        else:
            assert (answer.status_code, answer.json()) == (404, {"detail": "There is nothing at this address."}), path


def test_private_files_are_neither_cached_nor_shown_on_other_sites(web: httpx.Client) -> None:
    stored = upload(web, data=b"0123456789")
    marked = {"Range": "bytes=2-5", "X-Marker": "marker", "Cookie": "c=marker", "Authorization": "marker"}
    answer = web.get(f"/gradio_api/file={stored}", headers=marked)
    assert answer.content in (b"0123456789", b"2345")
    assert "marker" not in str(answer.headers)
    assert answer.headers["cache-control"] == "private, no-store"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
