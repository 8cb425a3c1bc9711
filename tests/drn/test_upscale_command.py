"""`drn upscale`: formats and metadata of results, earlier results, pipes, unusual file names, and terminals."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drn import weights
from drn.commands.batch import Options, Report, upscale_files
from drn.commands.planning import choose_format, plan
from drn.errors import InputError
from drn.image import Array
from drn.upscaler import Upscaler
from tests.helpers.models import one_network, small_model


@pytest.fixture
def upscaler() -> Upscaler:
    return Upscaler(small_model(2), "cpu", "fp32")


@pytest.fixture
def small(photo: Array) -> Array:
    return np.ascontiguousarray(photo[:20, :24])


@pytest.fixture(scope="module")
def weights_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    weights.save(folder / weights.filename(2), small_model(2))
    return folder


def drn(weights_folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "drn", "upscale", *words, "--scale", "2", "--weights", str(weights_folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    return subprocess.run(command, capture_output=True, timeout=120, env=environment)


def run(targets: dict[Path, Path], upscaler: Upscaler, options: Options = Options(), sha256: str = "") -> Report:
    return upscale_files(targets, one_network(upscaler, sha256), options, say=None)


def source_with_metadata(small: Array, path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x8298] = 6, "Camera", "Somebody 2026"
    exif[0x011A] = exif[0x011B] = 300.0
    exif.get_ifd(0x8769)[0xA002] = 24
    Image.fromarray(small).save(path, exif=exif, dpi=(300, 300), quality=95, comment=b"A comment")


@pytest.mark.parametrize("file_format", ["png", "jpeg", "webp", "avif", "tiff"])
def test_a_result_keeps_the_metadata_and_is_turned_once(
    small: Array, tmp_path: Path, upscaler: Upscaler, file_format: str
) -> None:
    source_with_metadata(small, tmp_path / "a.jpg")
    planned = plan([tmp_path / "a.jpg"], tmp_path / "out", 2, file_format)
    assert run(planned.targets, upscaler, Options(file_format)).failures == []
    (target,) = planned.targets.values()
    with Image.open(target) as image:
        assert image.format == file_format.upper()
        assert image.size == (40, 48)  # upright
        exif = image.getexif()
        assert (exif.get(0x010F), exif.get(0x8298)) == ("Camera", "Somebody 2026")
        assert exif.get(0x0112, 1) == 1
        if file_format != "tiff":
            assert exif.get_ifd(0x8769)[0xA002] == 40
        if file_format in ("png", "jpeg", "tiff"):
            assert image.info["dpi"] == pytest.approx((600, 600), abs=1)
        if file_format == "jpeg":
            assert image.info["comment"] == b"A comment"


@pytest.mark.parametrize("file_format", ["png", "jpeg", "webp", "avif", "tiff"])
def test_strip_leaves_out_the_metadata(small: Array, tmp_path: Path, upscaler: Upscaler, file_format: str) -> None:
    source_with_metadata(small, tmp_path / "a.jpg")
    planned = plan([tmp_path / "a.jpg"], tmp_path / "out", 2, file_format)
    run(planned.targets, upscaler, Options(file_format, strip=True))
    (target,) = planned.targets.values()
    content = target.read_bytes()
    for text in (b"Camera", b"Somebody", b"A comment"):
        assert text not in content
    with Image.open(target) as image:
        assert not {0x010F, 0x8298} & set(image.getexif())


def test_the_embedded_thumbnail_is_dropped(small: Array, tmp_path: Path, upscaler: Upscaler) -> None:
    thumbnail = b"\xff\xd8THUMBNAIL\xff\xd9"
    ifd0 = b"\1\0" + b"\x0f\1\2\0\4\0\0\0cam\0" + (26).to_bytes(4, "little")
    ifd1 = b"\2\0" + b"\1\2\4\0\1\0\0\0" + (56).to_bytes(4, "little")
    ifd1 += b"\2\2\4\0\1\0\0\0" + len(thumbnail).to_bytes(4, "little") + bytes(4)
    Image.fromarray(small).save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0" + ifd0 + ifd1 + thumbnail)
    assert b"THUMBNAIL" in (tmp_path / "a.jpg").read_bytes()
    planned = plan([tmp_path / "a.jpg"], tmp_path / "out", 2)
    run(planned.targets, upscaler)
    (target,) = planned.targets.values()
    assert b"THUMBNAIL" not in target.read_bytes()
    with Image.open(target) as image:
        assert image.getexif()[0x010F] == "cam"


def test_faulty_exif_data_does_not_stop_a_result(small: Array, tmp_path: Path, upscaler: Upscaler) -> None:
    ratio = b"Exif\0\0II*\0\x08\0\0\0\1\0\x1a\1\x0a\0\1\0\0\0\x1a\0\0\0\0\0\0\0\xff\xff\xff\xff\0\0\0\0"
    Image.fromarray(small).save(tmp_path / "a.jpg", exif=ratio)
    for file_format in ("png", "jpeg", "webp", "avif", "tiff"):
        targets = plan([tmp_path / "a.jpg"], tmp_path / "out", 2, file_format).targets
        assert run(targets, upscaler, Options(file_format)) == Report(written=1), file_format


def test_texts_of_a_png_are_kept(small: Array, tmp_path: Path, upscaler: Upscaler) -> None:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("Copyright", "Somebody")
    info.add_itxt("Title", "Ein schönes Bild")
    Image.fromarray(small).save(tmp_path / "a.png", pnginfo=info)
    run(plan([tmp_path / "a.png"], tmp_path / "out", 2).targets, upscaler)
    with Image.open(tmp_path / "out" / "a_DRN_x2.png") as image:
        assert image.text["Copyright"] == "Somebody"  # type: ignore[attr-defined]
        assert image.text["Title"] == "Ein schönes Bild"  # type: ignore[attr-defined]


def test_a_jpeg_result_has_a_white_background(small: Array, tmp_path: Path, upscaler: Upscaler) -> None:
    rgba = np.dstack([small, np.zeros(small.shape[:2], np.uint8)])
    rgba[:10, :, 3] = 255
    Image.fromarray(rgba).save(tmp_path / "a.png")
    said: list[str] = []
    targets = plan([tmp_path / "a.png"], tmp_path, 2, "jpeg").targets
    upscale_files(targets, one_network(upscaler), Options("jpeg"), said.append)
    with Image.open(tmp_path / "a_DRN_x2.jpg") as image:
        assert np.asarray(image)[30:].min() > 245
    assert said[0].endswith("Transparency was replaced by white.")


def test_a_single_result_may_have_a_name(small: Array, tmp_path: Path) -> None:
    Image.fromarray(small).save(tmp_path / "a.png")
    one = [tmp_path / "a.png"]
    assert plan(one, tmp_path / "big.webp", 2).targets == {one[0]: tmp_path / "big.webp"}
    for inputs in ([tmp_path], one * 2):
        with pytest.raises(InputError, match=r"big\.png is the name of a file: give a folder for the results"):
            plan(inputs, tmp_path / "big.png", 2)
    (tmp_path / "folder.png").mkdir()
    assert plan(one, tmp_path / "folder.png", 2).targets == {one[0]: tmp_path / "folder.png" / "a_DRN_x2.png"}


def test_the_format_follows_the_option_or_the_name(tmp_path: Path) -> None:
    assert choose_format(tmp_path, None) == choose_format(tmp_path / "a", None) == "png"
    assert choose_format(tmp_path / "a.JPG", None) == choose_format(tmp_path / "out", "jpeg") == "jpeg"
    with pytest.raises(InputError, match=r"The name a\.png does not fit --format webp"):
        choose_format(tmp_path / "a.png", "webp")
    with pytest.raises(InputError, match="The format bmp is unknown: choose one of png, jpeg, webp, avif, tiff"):
        choose_format(tmp_path, "bmp")


@pytest.mark.parametrize("file_format", ["png", "jpeg", "webp", "avif", "tiff"])
def test_a_changed_source_or_other_options_are_not_there_already(
    small: Array, tmp_path: Path, upscaler: Upscaler, file_format: str
) -> None:
    Image.fromarray(small).save(tmp_path / "a.png")
    targets = plan([tmp_path / "a.png"], tmp_path / "out", 2, file_format).targets
    plain, plus = Options(file_format), Options(file_format, self_ensemble=True)
    assert run(targets, upscaler, plain) == Report(written=1)
    assert run(targets, upscaler, plain) == Report(skipped=1)
    assert run(targets, upscaler, plus) == Report(written=1)
    assert run(targets, upscaler, plus) == Report(skipped=1)
    assert run(targets, upscaler, plus, "other") == Report(written=1)
    Image.fromarray(255 - small).save(tmp_path / "a.png")
    assert run(targets, upscaler, plus) == Report(written=1)


def test_earlier_results_are_not_enlarged_again_unless_named(small: Array, tmp_path: Path) -> None:
    for name in ("a.png", "out/a_DRN_x2.png", "old/b_DRN_x4.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(small).save(tmp_path / name)
    planned = plan([tmp_path], tmp_path / "new", 2)
    assert list(planned.targets) == [tmp_path / "a.png"]
    assert planned.left_out == [
        f"2 files were left out of {tmp_path}, as results of earlier runs: give the path of a file to enlarge it."
    ]
    named = tmp_path / "old" / "b_DRN_x4.png"
    assert list(plan([named], tmp_path / "new", 2).targets) == [named]


def test_files_that_are_left_out_are_counted(small: Array, tmp_path: Path) -> None:
    Image.fromarray(small).save(tmp_path / "a.png")
    for name in ("b.psd", "c.cr2", "none", "._a.png", "Thumbs.db"):
        (tmp_path / name).touch()
    assert plan([tmp_path], tmp_path / "out", 2).left_out == [
        f"3 files were left out of {tmp_path} because of unknown suffixes (.cr2, .psd, no suffix)."
    ]


@pytest.mark.parametrize(("name", "result"), [("-", "stdin"), ("/dev/stdin", "stdin"), ("/dev/fd/{}", "pipe")])
def test_pipes(
    small: Array, tmp_path: Path, upscaler: Upscaler, monkeypatch: pytest.MonkeyPatch, name: str, result: str
) -> None:
    Image.fromarray(small).save(tmp_path / "a.png")
    out, (ending, start) = tmp_path / "out", os.pipe()
    os.write(start, (tmp_path / "a.png").read_bytes())
    os.close(start)
    with os.fdopen(ending, "rb") as pipe:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(pipe))
        assert run(plan([Path(name.format(ending))], out, 2).targets, upscaler) == Report(written=1)
    assert run(plan([tmp_path / "a.png"], out, 2).targets, upscaler) == Report(written=1)
    assert (out / f"{result}_DRN_x2.png").read_bytes() == (out / "a_DRN_x2.png").read_bytes()


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_names_that_the_terminal_cannot_print(
    small: Array, tmp_path: Path, weights_folder: Path, encoding: str
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    Image.fromarray(small).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    for name in (b"caf\xe9.png", "画像.png".encode(), "😀.png".encode(), b"new\nline.png", b"\x1b[31m.png"):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(data)
    Path(os.fsdecode(os.fsencode(folder) + b"/bad\xff.png")).write_bytes(b"no image")
    done = drn(weights_folder, str(folder), "-o", str(tmp_path / "out"), PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert done.returncode == 1
    assert len(list((tmp_path / "out").iterdir())) == 5
    assert b"Traceback" not in done.stderr
    assert b"error: 1 of 6 images could not be upscaled." in done.stderr
    assert b"it/s" not in done.stderr and b"image/s" not in done.stderr


def test_errors_escape_the_names_of_missing_folders(small: Array, tmp_path: Path) -> None:
    name = os.fsdecode(b"\x1b]0;x\x07\n\xff")
    Image.fromarray(small).save(tmp_path / "a.png")
    done = drn(tmp_path / name, str(tmp_path / "a.png"), "-o", str(tmp_path / "out"))
    assert done.returncode == 1
    assert b"\x1b" not in done.stderr and b"\x07" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert b"\\x1b]0;x\\x07\\n\\udcff" in done.stderr


@pytest.mark.parametrize("name", ["d" * 300, "dddddddddd/" * 500])
def test_an_output_folder_whose_name_is_too_long_is_one_sentence(
    small: Array, tmp_path: Path, weights_folder: Path, name: str
) -> None:
    Image.fromarray(small).save(tmp_path / "a.png")
    done = drn(weights_folder, str(tmp_path / "a.png"), "-o", name)
    assert done.returncode == 1
    message = done.stderr.decode()
    assert message.startswith("error: ddd") and message.endswith(" cannot be used: File name too long.\n")
    assert len(message) < 260


@pytest.mark.parametrize("output", [b"out\xff", b"new\nline", b"dots.. ", b" "])
def test_unusual_names_of_the_output_folder(small: Array, tmp_path: Path, weights_folder: Path, output: bytes) -> None:
    Image.fromarray(small).save(tmp_path / "a .png")
    folder = tmp_path / os.fsdecode(output)
    done = drn(weights_folder, str(tmp_path / "a .png"), "-o", str(folder), PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, b"")
    assert (folder / "a _DRN_x2.png").is_file()
    assert len(done.stdout.splitlines()) == 1


def test_a_name_that_is_too_long_costs_one_file(small: Array, tmp_path: Path, upscaler: Upscaler) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.png", "b" * 245 + ".png", "c.png"):
        Image.fromarray(small).save(folder / name)
    report = run(plan([folder], tmp_path / "out", 2).targets, upscaler)
    assert report.written == 2
    (failure,) = report.failures
    assert failure.endswith("cannot be written (File name too long).")


def test_quiet_prints_errors_only(small: Array, tmp_path: Path, weights_folder: Path) -> None:
    Image.fromarray(small).save(tmp_path / "a.png")
    (tmp_path / "notes.txt").touch()
    (tmp_path / "bad.png").touch()
    done = drn(weights_folder, str(tmp_path), "-o", str(tmp_path / "out"), "-q")
    assert (done.returncode, done.stdout) == (1, b"")
    failed, summary = done.stderr.decode().splitlines()
    assert failed.startswith(f"error: {tmp_path / 'bad.png'} is not an image that can be read")
    assert summary == "error: 1 of 2 images could not be upscaled."
    assert (tmp_path / "out" / "a_DRN_x2.png").is_file()
