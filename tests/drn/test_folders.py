"""Search in folders with hidden files, links, loops, and folders without permission."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from drn.errors import InputError
from drn.folders import find_images, search_folder


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names(paths: list[Path], folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in paths]


def test_find_images_is_sorted_and_searches_subfolders(tmp_path: Path) -> None:
    touch(tmp_path / "b" / "2.PNG", tmp_path / "a.jpg", tmp_path / "notes.txt")
    assert names(find_images(tmp_path), tmp_path) == ["a.jpg", "b/2.PNG"]
    with pytest.raises(InputError, match="There is no folder"):
        find_images(tmp_path / "nowhere")
    (tmp_path / "c").mkdir()
    with pytest.raises(InputError, match="holds no images"):
        find_images(tmp_path / "c")


def test_every_suffix_of_an_image_is_found(tmp_path: Path) -> None:
    suffixes = ["avif", "bmp", "gif", "heic", "heif", "jfif", "jpe", "jpeg", "jpg", "jxl"]
    suffixes += ["pbm", "pgm", "png", "pnm", "ppm", "tif", "tiff", "webp"]
    touch(*(tmp_path / f"a.{suffix}" for suffix in suffixes))
    assert names(find_images(tmp_path), tmp_path) == [f"a.{suffix}" for suffix in suffixes]


def test_files_of_the_system_are_neither_images_nor_unknown(tmp_path: Path) -> None:
    system = ["._a.png", ".hidden.png", ".git/x.png", "__MACOSX/a.png", "sub/__MACOSX/._b.png", "Thumbs.db"]
    touch(tmp_path / "a.png", *(tmp_path / name for name in [*system, ".DS_Store", "desktop.ini", "sub/THUMBS.DB"]))
    found = search_folder(tmp_path)
    assert names(found.images, tmp_path) == ["a.png"]
    assert found.unknown == []


def test_other_files_are_listed_as_unknown(tmp_path: Path) -> None:
    touch(tmp_path / "a.png", tmp_path / "a.psd", tmp_path / "sub" / "raw.CR2", tmp_path / "sub" / "none")
    assert sorted(names(search_folder(tmp_path).unknown, tmp_path)) == ["a.psd", "sub/none", "sub/raw.CR2"]


def test_links_to_folders_are_followed(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere" / "deep" / "a.png", tmp_path / "in" / "b.png")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "elsewhere")
    assert names(find_images(tmp_path / "in"), tmp_path / "in") == ["b.png", "link/deep/a.png"]
    (tmp_path / "to-in").symlink_to(tmp_path / "in")
    assert len(find_images(tmp_path / "to-in")) == 2


@pytest.mark.parametrize("target", [".", "..", "sub", "../in/sub/loop"])
def test_a_loop_of_links_ends(tmp_path: Path, target: str) -> None:
    touch(tmp_path / "in" / "a.png", tmp_path / "in" / "sub" / "b.png")
    (tmp_path / "in" / "sub" / "loop").symlink_to(target)
    assert names(find_images(tmp_path / "in"), tmp_path / "in") == ["a.png", "sub/b.png"]


def test_a_folder_that_is_linked_beside_itself_is_searched_by_its_own_path(tmp_path: Path) -> None:
    touch(tmp_path / "z" / "a.png")
    (tmp_path / "alias").symlink_to(tmp_path / "z")
    assert names(find_images(tmp_path), tmp_path) == ["z/a.png"]


def test_a_link_to_nothing_is_no_image(tmp_path: Path) -> None:
    touch(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "nothing.png")
    assert names(find_images(tmp_path), tmp_path) == ["a.png"]
    assert names(search_folder(tmp_path).unknown, tmp_path) == ["b.png"]


def test_a_folder_that_cannot_be_read_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "a.png", tmp_path / "closed" / "b.png")
    scandir = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = search_folder(tmp_path)
    assert names(found.images, tmp_path) == ["a.png"]
    assert names(found.unreadable, tmp_path) == ["closed"]


def test_names_that_are_not_utf_8_are_found(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    path.touch()
    assert find_images(tmp_path) == [path]
