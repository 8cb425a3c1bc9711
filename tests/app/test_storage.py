"""Files that are stored for visitors: their names, and a full disk."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NoReturn

import httpx
import numpy as np
import pytest
from gradio.utils import get_upload_folder
from gradio_client.utils import apply_diff
from PIL import Image

from app.photographs import examples
from app.scene import scene_of
from app.serving.jobs import store_result
from app.session import Session, open_example
from app.viewer.component import WEBP_SIDE, Layer, Scene, first_view, image_path, scene_value
from app.viewer.contract import SceneValue
from drn.evaluation.pairs import make_pair
from drn.image import Array, Picture
from drn.writing import write_image
from tests.helpers.storage import stored_files
from tools.load import ROOT

pytestmark = pytest.mark.slow

FULL = "The server cannot store files just now: try again later."


@pytest.fixture
def photograph(photo: Array, tmp_path: Path) -> Path:
    write_image(tmp_path / "photo.png", Picture(photo))
    return tmp_path / "photo.png"


class Visitor:
    """Sends events like a page in a browser."""

    def __init__(self, url: str) -> None:
        self.web = httpx.Client(base_url=url, timeout=60)
        self.session = uuid.uuid4().hex

    def index(self, name: str, after: int | None = None) -> int:
        """Find the event that the function called ``name`` handles.

        Args:
            name: Name of the function.
            after: Index of the event that triggers it, where it handles several events.
        """
        for event in self.web.get("/config").json()["dependencies"]:
            is_called = re.sub(r"_\d+$", "", str(event["api_name"])) == name
            if event["backend_fn"] and is_called and after in (None, event["trigger_after"]):
                return int(event["id"])
        raise AssertionError(f"The page has no event {name}.")

    def upload(self, path: Path) -> dict[str, Any]:
        (stored,) = self.web.post("/gradio_api/upload", files={"files": (path.name, path.read_bytes())}).json()
        return {"path": stored, "meta": {"_type": "gradio.FileData"}}

    def send(self, index: int, data: list[Any], event_data: Any = None, query: str = "") -> dict[str, Any]:
        """Send an event, wait for its end and return gradio's last message."""
        *_, last = self.messages(index, data, event_data, query)
        return last

    def shown(self, index: int, data: list[Any]) -> list[list[Any]]:
        """Send an event that succeeds; return the values of the outputs after each message, as a page receives them."""
        values: list[list[Any]] = []
        for message in self.messages(index, data):
            if message["msg"] == "process_generating":
                new = message["output"]["data"]
                # From the second message on, gradio sends the differences to the message before.
                values.append([apply_diff(*pair) for pair in zip(values[-1], new, strict=True)] if values else new)
        assert message["success"]
        return values

    def messages(
        self, index: int, data: list[Any], event_data: Any = None, query: str = ""
    ) -> Iterator[dict[str, Any]]:
        """Send an event and yield gradio's messages until its end."""
        body = {"data": data, "fn_index": index, "session_hash": self.session, "event_data": event_data}
        self.web.post(f"/gradio_api/queue/join{query}", json=body).raise_for_status()
        with self.web.stream("GET", "/gradio_api/queue/data", params={"session_hash": self.session}) as answer:
            for line in filter(None, answer.iter_lines()):
                message = dict(json.loads(line.removeprefix("data: ")))
                yield message
                if message["msg"] == "process_completed":
                    return
        raise AssertionError("the stream ended before the event")


@pytest.fixture
def visitor(url: str) -> Iterator[Visitor]:
    visitor = Visitor(url)
    yield visitor
    visitor.web.close()


@contextlib.contextmanager
def full_disk(for_what: str) -> Iterator[None]:
    """Let writing an image fail in the middle (``for_what`` is "files"), or making a folder ("folders")."""
    save, mkdir, write_bytes = Image.Image.save, Path.mkdir, Path.write_bytes

    def save_a_part(image: Image.Image, target: Path | IO[bytes], *args: Any, **options: Any) -> None:
        if not isinstance(target, Path):
            save(image, target, *args, **options)
            return
        write_a_part(target, b"\x89PNG, and a part of the rest")

    def write_a_part(target: Path, content: bytes) -> NoReturn:
        write_bytes(target, content[:20])
        raise OSError(errno.ENOSPC, "No space left on device")

    def make_none(path: Path, *args: Any, **options: Any) -> None:
        if path.is_relative_to(get_upload_folder()) and not path.exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        mkdir(path, *args, **options)

    with pytest.MonkeyPatch.context() as full:
        if for_what == "files":
            full.setattr(Image.Image, "save", save_a_part)
            full.setattr(Path, "write_bytes", write_a_part)
        else:
            full.setattr(Path, "mkdir", make_none)
        yield


@pytest.fixture(autouse=True)
def removed_afterwards(url: str) -> Iterator[None]:
    """Remove the files that a test stores, because existing files are not written again."""
    before = stored_files()
    yield
    for path in sorted(stored_files() - before, reverse=True):
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()


full_for = pytest.mark.parametrize("for_what", ["files", "folders"])


def first_token(visitor: Visitor) -> str:
    """Return the token of the images that the page shows when it is loaded."""
    for component in visitor.web.get("/config").json()["components"]:
        if component["props"].get("elem_id") == "viewer":
            return str(component["props"]["value"]["token"])
    raise AssertionError("the page has no viewer")


@full_for
@pytest.mark.parametrize(
    "choice",
    ["example", "upload", "scale", "plus", "figure", "link", "scales", "upscale", "/upscale", "/compare"],
)
def test_a_full_disk_is_reported_in_one_sentence_by_every_event(
    visitor: Visitor, photograph: Path, choice: str, for_what: str
) -> None:
    seen = json.dumps({"token": first_token(visitor), "region": {"x": 0, "y": 0, "width": 50, "height": 40}})
    moment, query = 1.0, ""
    data: list[Any]
    visitor.send(visitor.index("lambda"), [])  # as the page does when it loads
    if choice in ("example", "upload", "scale", "plus", "scales"):
        scale = "4" if choice == "scales" else "3"
        note, data = visitor.index("note_options"), [moment, choice == "scales", scale, choice == "plus", "bicubic"]
        if choice == "example":
            note = visitor.index("note_example")
        elif choice == "upload":
            note, data = visitor.index("note_upload"), [*data, visitor.upload(photograph)]
        visitor.send(note, data, {"index": 5, "value": None} if choice == "example" else None)
        show = "show_image" if choice in ("example", "upload") else "show_options"
        event, data = visitor.index(show, after=note), [None]
    elif choice == "figure":
        event, data = visitor.index("draw_figure"), [None, seen]
    elif choice == "link":
        event, data, query = visitor.index("show_link"), [moment], "?image=rocket&scale=2&x=9&y=9&zoom=2&layout=side"
    elif choice == "/upscale":
        event, data = visitor.index("upscale"), [visitor.upload(photograph), "2", False, "auto"]
    elif choice == "/compare":
        event, data = visitor.index("compare"), [visitor.upload(photograph), "2", False, ""]
    else:
        event, data = visitor.index("run_upscale"), ["0" * 32, visitor.upload(photograph), "2", False, "auto"]
    before = stored_files()
    with full_disk(for_what):
        ended = visitor.send(event, data, query=query)
    assert not ended["success"]
    assert ended["output"]["error"] == FULL
    assert sorted(stored_files() ^ before) == [], "a part of a file was left"
    assert visitor.send(event, data, query=query)["success"], "the request fails although there is space again"


def test_a_result_that_fails_leaves_no_folder(url: str) -> None:
    def fail(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = stored_files()
    with pytest.raises(OSError, match="No space left"):
        store_result("a.png", fail)
    assert stored_files() == before


NAMES = """
import numpy as np
from app.viewer.component import image_path
from app.serving.cache import use_own_folder
use_own_folder()
print(image_path(np.zeros((4, 5, 3), np.uint8), "").parent.name)
"""


def test_changed_outputs_are_sent_whole(url: str) -> None:
    visitor = Visitor(url)
    show = visitor.index("show_link")
    query = "?image=cat&scale=4&x=100&y=90&zoom=2&layout=side"
    first, *later = [
        message["output"]["data"]
        for message in visitor.messages(show, [1.0], query=query)
        if message["msg"] == "process_generating"
    ]
    edits = [edit for values in later for value in values for edit in value]
    assert len(later) > 1
    # The client would apply any other edit to a message that the page may not have read yet.
    assert {(action, *path) for action, path, _ in edits} == {("replace",)}
    scenes = [first[1], *(edit[2] for values in later for edit in values[1])]
    assert sum("images" in scene for scene in scenes) > 1
    visitor.web.close()


def test_names_of_known_pixels_cannot_be_computed() -> None:
    pixels = np.zeros((4, 5, 3), np.uint8)
    done = subprocess.run([sys.executable, "-c", NAMES], cwd=ROOT, capture_output=True, text=True, check=True)
    names = {done.stdout.strip(), image_path(pixels, "").parent.name}
    assert len(names) == 2, "two processes give the same pixels the same name"
    for content in (pixels.tobytes(), b"(4, 5, 3)" + pixels.tobytes(), b" (4, 5, 3)" + pixels.tobytes()):
        plain = {hashlib.sha256(content).hexdigest(), hashlib.blake2b(content, digest_size=32).hexdigest()}
        assert not names & plain


def paths(value: SceneValue) -> set[str]:
    return {image["file"]["path"] for image in value["images"] if image["file"]}


@pytest.mark.parametrize(("width", "suffix"), [(WEBP_SIDE, ".webp"), (WEBP_SIDE + 1, ".png")])
def test_an_image_too_long_for_webp_is_a_png(width: int, suffix: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, width, 3), dtype=np.uint8)
    layer = Layer("hr", "original", 2, "Original", "", pixels)
    (path,) = paths(scene_value(Scene("token", "picture", width, 2, (layer,), first_view(1, 1))))
    assert Path(path).suffix == suffix
    with Image.open(path) as stored:
        assert np.array_equal(np.asarray(stored), pixels)


def test_visitors_with_the_same_photograph_share_no_file(photo: Array) -> None:
    """With shared files, the response time would reveal to a visitor whether the images were already stored."""
    picture = Picture(photo)
    one, other = (Session(picture, token, (make_pair(picture, 2),)) for token in ("one", "other"))
    mine = paths(scene_value(scene_of(one)))
    assert mine == paths(scene_value(scene_of(one)))
    assert not mine & paths(scene_value(scene_of(other)))
    example = examples()[0]
    first, second = (paths(scene_value(scene_of(open_example(example, 2)))) for _ in range(2))
    assert first == second, "the examples are public, so they are stored only once"


def test_uploads_of_the_same_file_share_no_folder(visitor: Visitor, photograph: Path) -> None:
    """The path of an upload must not reveal the path of another visitor's upload of the same file."""
    one, other = (Path(visitor.upload(photograph)["path"]) for _ in range(2))
    assert one.parent != other.parent
    assert visitor.web.get(f"/gradio_api/file={one.with_name('holiday.png')}").status_code in (403, 404)
