"""The page's HTML: title, description and picture for link previews, and its size on the wire."""

from __future__ import annotations

import copy
import gzip
import io
import re
from html.parser import HTMLParser
from types import FunctionType
from typing import Any

import httpx
import pytest
from PIL import Image

from app.page import build


class Head(HTMLParser):
    """Collects the meta tags and the title."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "meta" and (name := given.get("property") or given.get("name")):
            self.tags.append((name, given.get("content") or ""))


@pytest.fixture(scope="module")
def plain(url: str) -> httpx.Response:
    return httpx.get(url, headers={"Accept-Encoding": "identity"})


def test_link_previews_describe_this_page(plain: httpx.Response, url: str) -> None:
    tags = Head(plain.text).tags
    for name in ("og:title", "og:description", "og:image", "og:url", "description"):
        assert [known for known, _ in tags].count(name) == 1, name
    told = dict(tags)
    assert told["og:title"] == "DRN super-resolution"
    assert "bicubic" in told["og:description"] == told["description"]
    assert not [content for name, content in tags if "Gradio" in content or "gradio.app" in content]
    assert told["og:url"] == url
    picture = httpx.get(told["og:image"])
    assert picture.headers["content-type"] == "image/jpeg"
    assert "content-encoding" not in picture.headers
    with Image.open(io.BytesIO(picture.content)) as image:
        assert image.size == (1200, 630)
    assert "<title>DRN super-resolution</title>" in plain.text


@pytest.mark.parametrize("path", ["", "config"])
def test_the_page_is_compressed(url: str, path: str) -> None:
    whole = httpx.get(url + path, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in whole.headers
    with httpx.stream("GET", url + path, headers={"Accept-Encoding": "gzip"}) as answer:
        sent = b"".join(answer.iter_raw())
        assert answer.headers["content-encoding"] == "gzip"
        assert "accept-encoding" in answer.headers["vary"].lower()
        assert answer.headers["x-content-type-options"] == "nosniff"
    # The lengths may differ a little, because each answer contains random tokens.
    assert len(gzip.decompress(sent)) == pytest.approx(len(whole.content), rel=0.01)
    assert len(sent) < len(whole.content) / 3


def test_scripts_are_compressed_once(url: str, plain: httpx.Response) -> None:
    script = plain.text.split('src="./assets/')[1].split('"')[0]
    for encoding in ("gzip", "br"):
        with httpx.stream("GET", f"{url}assets/{script}", headers={"Accept-Encoding": encoding}) as answer:
            assert answer.headers["content-encoding"] == encoding


def test_the_viewers_script_is_sent_once_and_kept_by_browsers(plain: httpx.Response, url: str) -> None:
    (address,) = re.findall(r'<script src="([^"]*/viewer\.js\?[^"]+)"', plain.text)
    for _ in range(2):  # every visitor gets the same answer
        with httpx.stream("GET", address, headers={"Accept-Encoding": "gzip"}) as answer:
            sent = b"".join(answer.iter_raw())
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        script = gzip.decompress(sent).decode()
        assert "class NumbersFeed" in script
    assert httpx.get(address, headers={"Accept-Encoding": "identity"}).text == script
    assert "class NumbersFeed" not in plain.text
    assert httpx.post(address).status_code == 404
    assert httpx.get(f"{url}viewer.js/more").status_code == 404


def test_no_visit_copies_the_sessions_of_visitors() -> None:
    # gradio copies the config for each request. It copies an object in the config with all its attributes.
    config = build().config
    kinds = set()

    def collect(value: Any) -> None:
        if isinstance(value, (dict, list, tuple)):
            for part in value.values() if isinstance(value, dict) else value:
                collect(part)
        else:
            kinds.add(type(value))

    collect(config)
    plain = (str, int, float, type(None), FunctionType)
    assert [kind for kind in kinds if not issubclass(kind, plain)] == []
    copy.deepcopy(config)


def test_the_schema_of_a_component_is_sent_once(url: str) -> None:
    for component in httpx.get(f"{url}config").json()["components"]:
        schemas = [repr(component[name]) for name in component if name.startswith("api_info")]
        assert len(set(schemas)) == len(schemas), component["type"]
    described = httpx.get(f"{url}gradio_api/info").json()["named_endpoints"]
    assert [parameter["label"] for parameter in described["/compare"]["parameters"]] != []
    assert described["/upscale"]["returns"]


def test_streams_and_images_are_not_compressed(url: str) -> None:
    accept = {"Accept-Encoding": "gzip, br"}
    with httpx.stream("GET", f"{url}gradio_api/heartbeat/abc", headers=accept) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert "content-encoding" not in answer.headers
        assert b"ALIVE" in next(answer.iter_raw())
    config = httpx.get(f"{url}config").json()
    (gallery,) = (part for part in config["components"] if part["props"].get("elem_id") == "upscale-samples")
    image = gallery["props"]["value"][0]["image"]
    with httpx.stream("GET", f"{url}gradio_api/file={image['path']}", headers=accept) as answer:
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
        assert "content-encoding" not in answer.headers
