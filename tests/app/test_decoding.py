"""Ordinary and hostile image files in the decoding process."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from app.serving import decoding
from app.serving.decoding import Pool
from app.serving.prechecks import check_effort
from drn.errors import InputError
from drn.image import Array, Picture
from drn.metadata import Metadata
from drn.reading import read_image
from drn.upscaler import Cancelled
from drn.writing import write_image
from tools import hostile
from tools.fuzz import seeds
from tools.load import resident

pytestmark = pytest.mark.slow

MAX_PIXELS = 4_000_000


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool()
    yield pool
    pool.close()


def decode(pool: Pool, data: bytes, cancelled: Callable[[], bool] = lambda: False) -> Picture:
    return pool.decode(data, "photo.x", MAX_PIXELS, cancelled)


def command(setup: str) -> tuple[str, ...]:
    """Return the command of a decoding process that runs ``setup`` first."""
    return (sys.executable, "-c", f"import os, sys, time\n{setup}\nfrom app.serving import decoder\ndecoder.main()")


def command_that_reads_by(body: str) -> tuple[str, ...]:
    """Return the command of a decoding process whose ``read_image`` runs ``body``."""
    return command(f"import drn.reading\ndef read_image(*_, **__):\n    {body}\ndrn.reading.read_image = read_image")


def process_ends(pid: int) -> None:
    """Wait until a process has ended."""
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{pid}").exists(), "the process still runs"


def children(pid: int) -> list[int]:
    """List the ids of the processes that ``pid`` has forked."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_decoded_pictures_equal_those_of_read_image(pool: Pool) -> None:
    """Colour, grey, alpha, palettes, 16 bits, profiles, animations, orientation: every format and mode."""
    kinds, qualities = set(), set()
    for data in seeds():
        expected, decoded = read_image(io.BytesIO(data), name="photo.x"), decode(pool, data)
        assert np.array_equal(decoded.rgb, expected.rgb)
        assert (decoded.alpha is None) == (expected.alpha is None)
        assert decoded.alpha is None or np.array_equal(decoded.alpha, expected.alpha)  # type: ignore[arg-type]
        assert (decoded.is_grey, decoded.notes) == (expected.is_grey, expected.notes)
        assert decoded.metadata == Metadata(jpeg_quality=expected.metadata.jpeg_quality)
        kinds.add((decoded.alpha is not None, decoded.is_grey, decoded.notes))
        qualities.add(decoded.metadata.jpeg_quality)
    assert {(alpha, grey) for alpha, grey, _ in kinds} >= {(False, False), (True, False), (False, True)}
    assert {None, 75} <= qualities
    assert any("16-bit" in " ".join(notes) for _, _, notes in kinds)


def test_refusals_equal_those_of_read_image(pool: Pool) -> None:
    big = io.BytesIO()
    Image.new("L", (2500, 2000)).save(big, "PNG")
    floats = io.BytesIO()
    Image.fromarray(np.zeros((3, 3), np.float32)).save(floats, "TIFF")
    for data in (b"", b"no image", seeds()[0][:60], big.getvalue(), floats.getvalue()):
        with pytest.raises(InputError) as expected:
            read_image(io.BytesIO(data), max_pixels=MAX_PIXELS, name="photo.x")
        with pytest.raises(InputError) as refused:
            decode(pool, data)
        assert str(refused.value) == str(expected.value)
    assert len(pool.waiting) == 1


HOSTILE: list[tuple[str, Callable[[], bytes], str]] = [
    ("scans", lambda: hostile.jpeg_of_scans(200_000), "200 scans"),
    ("segments", lambda: hostile.jpeg_of_segments(4_000_000), "10000 segments"),
    ("comments", lambda: hostile.ppm_of_comments(19_000_000), "65536 bytes of comments"),
    ("header", lambda: hostile.ppm_of_header(19_000_000), "65536 bytes of comments"),
    ("strips", lambda: hostile.tiff_of_strips(2_400_000), "100000 strips or tiles"),
    ("four million strips", lambda: hostile.tiff_of_strips(4_000_000), "100000 strips or tiles"),
    ("tags", lambda: hostile.tiff_of_tags(900, 1_900_000), "1.9 MB of tags"),
    ("many tags", lambda: hostile.tiff_of_tags(25_000, 1), "1000 tags"),
    ("chunks", lambda: hostile.png_of_chunks(1_600_000), "50000 chunks"),
    ("comment", lambda: hostile.gif_of_comments(19_000_000), "4000 blocks of comments"),
]


@pytest.mark.parametrize(("make", "excess"), [row[1:] for row in HOSTILE], ids=[row[0] for row in HOSTILE])
def test_files_that_take_long_are_refused_before_they_are_decoded(make: Callable[[], bytes], excess: str) -> None:
    data = make()
    start = time.process_time()
    with pytest.raises(InputError, match=f"^photo.x has more than {excess}: save it again as PNG.$"):
        check_effort(data, "photo.x", MAX_PIXELS)
    assert time.process_time() - start < 0.5


def test_the_canvas_of_a_webp_is_checked_before_it_is_allocated(pool: Pool) -> None:
    with pytest.raises(
        InputError,
        match=r"^photo.x is 16000x16000: the limit here is 4\.00 megapixels\. Crop it, or make it smaller\.$",
    ):
        check_effort(hostile.webp_of_size(16_000, 16_000), "photo.x", MAX_PIXELS)
    assert decode(pool, hostile.webp_of_size(200, 150)).rgb.shape == (150, 200, 3)
    for options in ({"lossless": True}, {"quality": 80}, {"lossless": True, "exact": True}):
        stored = io.BytesIO()
        Image.new("RGB", (300, 200), (9, 90, 30)).save(stored, "WEBP", **options)
        with pytest.raises(
            InputError,
            match=r"^photo.x is 300x200: the limit here is 0\.06 megapixels\. Crop it, or make it smaller\.$",
        ):
            check_effort(stored.getvalue(), "photo.x", 59_999)
        check_effort(stored.getvalue(), "photo.x", 60_000)


def test_the_checks_accept_ordinary_files() -> None:
    """Files with many segments, chunks or blocks are accepted, if the number is usual for encoders."""
    for data in seeds():
        check_effort(data, "photo.x", MAX_PIXELS)
    for data in (
        hostile.jpeg_of_scans(100),
        hostile.ppm_of_comments(60_000),
        hostile.tiff_of_strips(50_000),
        hostile.png_of_chunks(3000),
        hostile.gif_of_comments(500_000),
        hostile.gif_of_frames(200_000),
    ):
        check_effort(data, "photo.x", MAX_PIXELS)


@pytest.mark.parametrize("start", [b"\xff\xd8\xff\xe0\0\4", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\0", b"P3\n", b"P6 "])
def test_the_checks_take_less_than_a_second(start: bytes) -> None:
    frame = b"\1\0\1\0\0\0\0" + b",\0\0\0\0\1\0\1\0\0\2"
    for filling in (b"\0", b"\xff", b"\xff\0", b"\xff\xd0", b"\1\1", b"\n", b"#\n", b" #", b"1", b"!\xfe\0", frame):
        data = start + filling * (20_000_000 // len(filling))
        if start == b"GIF89a":
            data = start + frame + data
        begin = time.process_time()
        try:
            check_effort(data, "photo.x", MAX_PIXELS)
        except InputError as error:
            assert "has more than" in str(error)
        assert time.process_time() - begin < 1


def test_decoding_stops_at_the_time_limit(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the checks before it, a progressive JPEG of 200,000 scans is decoded for a minute."""
    pool.warm()
    (pid,) = pool.waiting
    with monkeypatch.context() as short:
        short.setattr(decoding, "check_effort", lambda *_: None)
        short.setattr(decoding, "SECONDS", 1)
        start = time.monotonic()
        with pytest.raises(InputError, match=r"^photo.x takes longer than 10 seconds to decode: save it again as"):
            decode(pool, hostile.jpeg_of_scans(200_000))
        assert time.monotonic() - start < 5
    process_ends(pid)
    assert len(pool.waiting) == 1, "no process waits for the next file"
    assert decode(pool, seeds()[0]).rgb.shape == (13, 17, 3)


def test_decoding_stops_at_the_memory_limit(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "check_effort", lambda *_: None)
    before = resident(os.getpid())
    with pytest.raises(InputError, match=r"^photo.x needs more than 1 GB of memory to decode: reduce it first\.$"):
        decode(pool, hostile.tiff_of_tags(900, 1_900_000))
    assert resident(os.getpid()) - before < 100
    assert decode(pool, seeds()[0]).rgb.shape == (13, 17, 3)


def test_a_decoder_has_no_more_than_a_gigabyte(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    for nbytes, sentence in ((500_000_000, "^It fits"), (800_000_000, r"^photo\.x cannot be decoded")):
        body = f"bytearray({nbytes}); raise drn.errors.InputError('It fits.')"
        monkeypatch.setattr(decoding, "COMMAND", command_that_reads_by(body))
        with pytest.raises(InputError, match=sentence):
            decode(pool, seeds()[0])
        pool.close()


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT])
def test_a_crash_of_the_decoder_is_reported_in_one_sentence(
    pool: Pool, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(decoding, "COMMAND", command_that_reads_by(f"os.kill(os.getpid(), {int(number)})"))
        with pytest.raises(InputError, match=r"^photo.x cannot be decoded: save it again as PNG or JPEG\.$"):
            decode(pool, seeds()[0])
        pool.close()
    assert "A decoding process failed with" in caplog.text
    assert "photo" not in caplog.text
    assert decode(pool, seeds()[0]).rgb.shape == (13, 17, 3)


def test_a_waiting_process_that_was_killed_is_replaced(pool: Pool) -> None:
    pool.warm()
    (pid,) = pool.waiting
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.1)
    assert decode(pool, seeds()[0]).rgb.shape == (13, 17, 3)
    assert pool.waiting != [pid]


@pytest.mark.parametrize(
    "answer",
    [
        "b'garbage' * 9000",
        "b'\\xff\\xff\\xff\\xff' + bytes(99)",
        "b'\\0\\0\\0\\2[]'",
        "b'\\0\\0\\0\\2{}'",
        "told(width=10**6, height=10**6)",
        "told(width=-1, height=-1)",
        "told(width=2, height='x')",
        "told(notes=5)",
        "told(width=1, height=1, quality=101)",
        "told(width=1, height=1, quality=0)",
        "told(width=1, height=1, quality='x')",
        "told(alpha=True, width=1, height=1)",
    ],
)
def test_the_answer_of_a_decoder_is_checked(pool: Pool, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    """The answer is checked before memory is allocated for the pixels."""
    setup = (
        "import json, struct\n"
        "def told(**changes):\n"
        "    text = json.dumps({'width': 2, 'height': 2, 'alpha': False, 'grey': False, 'notes': [],\n"
        "        'quality': None, **changes})\n"
        "    return struct.pack('!I', len(text)) + text.encode() + bytes(3)\n"
        f"os.read(0, 50); os.write(1, {answer}); os._exit(0)"
    )
    monkeypatch.setattr(decoding, "COMMAND", command(setup))
    before = resident(os.getpid())
    with pytest.raises(InputError, match=r"^photo.x cannot be decoded"):
        decode(pool, seeds()[0])
    assert resident(os.getpid()) - before < 100


def test_decoding_stops_when_the_visitor_disconnects(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "COMMAND", command_that_reads_by("time.sleep(60)"))
    pool.warm()
    (pid,) = pool.waiting
    gone = threading.Event()
    threading.Timer(0.5, gone.set).start()
    start = time.monotonic()
    with pytest.raises(Cancelled):
        decode(pool, seeds()[0], gone.is_set)
    assert time.monotonic() - start < 5
    process_ends(pid)


def test_a_decoder_without_a_server_ends_by_itself(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the server is killed while a file is decoded, the alarm ends the process."""
    shorter = "import app.serving.decoder; app.serving.decoder.SECONDS, app.serving.decoder.GRACE = 1, 0\n"
    endless = (
        "import drn.reading\ndef read_image(*_, **__):\n    while True: pass\ndrn.reading.read_image = read_image\n"
    )
    monkeypatch.setattr(decoding, "COMMAND", command(endless + shorter))
    pool.warm()
    (pid,) = pool.waiting
    with pytest.raises(InputError, match=r"^photo.x cannot be decoded"):
        decode(pool, seeds()[0])
    process_ends(pid)


def test_a_decoder_inherits_neither_files_nor_secrets(
    pool: Pool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret-of-the-server")
    with (tmp_path / "open").open("wb") as file:
        os.set_inheritable(file.fileno(), True)
        pool.warm()
        decode(pool, seeds()[0])
        (pid,) = pool.waiting
        # The process that decoded the file may still be ending; the process for the next file continues.
        deadline, forked = time.monotonic() + 20, list[int]()
        while (not forked or children(pid) != forked) and time.monotonic() < deadline:
            forked = children(pid)
            time.sleep(0.5)
        assert forked
        for process in (pid, *forked):
            assert b"secret-of-the-server" not in Path(f"/proc/{process}/environ").read_bytes()
            files = sorted(Path(f"/proc/{process}/fd").iterdir())
            assert [path.name for path in files] == ["0", "1", "2"]
            assert str(files[2].readlink()) == "/dev/null"
            loaded = Path(f"/proc/{process}/maps").read_text()
            assert "libtorch" not in loaded


def test_each_file_is_decoded_in_a_separate_process(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """No data of one visitor's image is in memory when the next image is decoded."""
    body = "seen.append(1); raise drn.errors.InputError(f'This is file {len(seen)}.')"
    setup = "import drn.reading\nseen = []\n" + command_that_reads_by(body)[2]
    monkeypatch.setattr(decoding, "COMMAND", (sys.executable, "-c", f"import os, sys, time\n{setup}"))
    for _ in range(3):
        with pytest.raises(InputError, match=r"^This is file 1\.$"):
            decode(pool, seeds()[0])


def test_without_fork_and_resource_the_time_limit_holds(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows there is neither ``fork`` nor ``alarm``, and no module ``resource``."""
    setup = "sys.modules['resource'] = None\ndel os.fork\nimport signal\ndel signal.alarm"
    with monkeypatch.context() as windows:
        windows.setattr(decoding, "COMMAND", command(setup))
        for data in seeds()[:3]:
            assert np.array_equal(decode(pool, data).rgb, read_image(io.BytesIO(data)).rgb)
        windows.setattr(decoding, "check_effort", lambda *_: None)
        windows.setattr(decoding, "SECONDS", 0.5)
        with pytest.raises(InputError, match="takes longer than"):
            decode(pool, hostile.jpeg_of_scans(200_000))
        pool.close()


def test_a_process_that_cannot_be_started_is_reported(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "COMMAND", ("/nonexistent/python",))
    pool.warm()
    with pytest.raises(InputError, match=r"^The server cannot decode images just now: try again later\.$"):
        decode(pool, seeds()[0])


def test_many_files_are_decoded_at_the_same_time(pool: Pool) -> None:
    outcomes: list[bool] = []

    def work(data: bytes) -> None:
        outcomes.append(np.array_equal(decode(pool, data).rgb, read_image(io.BytesIO(data)).rgb))

    threads = [threading.Thread(target=work, args=(data,)) for data in seeds()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [True] * len(seeds())
    assert len(pool.waiting) == 1


def test_the_server_itself_decodes_no_upload(
    client: Client, photo: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither our code nor gradio's code opens a visitor's image in the server's process."""
    write_image(tmp_path / "photo.png", Picture(photo))
    with monkeypatch.context() as watched:
        watched.setattr("PIL.Image.open", lambda *_, **__: pytest.fail("an image was opened"))
        watched.setattr("app.photographs.read_image", lambda *_, **__: pytest.fail("an image was read"))
        enlarged = client.predict(handle_file(str(tmp_path / "photo.png")), "2", api_name="/upscale")
        numbers, _ = client.predict(handle_file(str(tmp_path / "photo.png")), "2", api_name="/compare")
    assert read_image(Path(enlarged)).rgb.shape == (120, 168, 3)
    assert numbers["methods"]["DRN"]["image"]["psnr"] > 10


@pytest.mark.parametrize("api_name", ["/upscale", "/compare"])
def test_an_upload_that_crashes_or_hangs_frees_the_queue(
    client: Client, photo: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, api_name: str
) -> None:
    write_image(tmp_path / "photo.png", Picture(photo))
    given = handle_file(str(tmp_path / "photo.png"))
    for body, seconds, sentence in (
        ("os.kill(os.getpid(), 11)", 10, r"^photo\.png cannot be decoded: save it again as PNG or JPEG\.$"),
        ("time.sleep(60)", 1, r"^photo\.png takes longer than 10 seconds to decode: save it again as PNG or JPEG\.$"),
    ):
        with monkeypatch.context() as broken:
            decoding.pool.close()
            broken.setattr(decoding, "COMMAND", command_that_reads_by(body))
            broken.setattr(decoding, "SECONDS", seconds)
            with pytest.raises(AppError, match=sentence):
                client.predict(given, "2", api_name=api_name)
            decoding.pool.close()
    with monkeypatch.context() as hanging:
        hanging.setattr(decoding, "COMMAND", command_that_reads_by("time.sleep(60)"))
        hanging.setattr("app.serving.jobs.JOB_SECONDS", 0.5)
        with pytest.raises(AppError, match="limit for one job on this server"):
            client.predict(given, "2", api_name=api_name)
        time.sleep(0.2)
        decoding.pool.close()
    assert client.predict(given, "2", api_name=api_name)
