"""Attacks on what the page opens, keeps, holds and says. ``tools.attack`` runs them."""

from __future__ import annotations

import contextlib
import io
import json
import re
import resource
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from tools.attack import Outcome, Target, attack

META = {"_type": "gradio.FileData"}
WIDTH, HEIGHT = 67, 41
"""Size of an image that no visitor may see; no image of the page has it, at any scale."""

LIMIT_MB = 2000
"""What SECURITY.md promises as the limit on stored files."""

ADDRESS = {"X-Forwarded-For": "203.0.113.7"}
"""A visitor's address, as a proxy on this machine passes it on."""


def png(width: int, height: int) -> bytes:
    """A noisy image as a PNG file."""
    stored = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)).save(stored, "PNG")
    return stored.getvalue()


def upload(web: httpx.Client, data: bytes, name: str = "own.png") -> str:
    """Upload a file as the page does; returns its path on the server."""
    (stored,) = web.post("/gradio_api/upload", files={"files": (name, data, "image/png")}).json()
    return str(stored)


def events(web: httpx.Client) -> list[dict[str, Any]]:
    """The functions of the page that run on the server, private ones included."""
    return [event for event in web.get("/config").json()["dependencies"] if event["backend_fn"]]


def join(web: httpx.Client, event: dict[str, Any], data: list[Any], event_data: Any = None) -> tuple[int, str]:
    """Put a function into the queue; returns the status, and the session or what was told instead."""
    session = uuid.uuid4().hex
    count = len(event["inputs"])
    body = {"fn_index": event["id"], "session_hash": session, "event_data": event_data}
    asked = web.post("/gradio_api/queue/join", json={**body, "data": (data + [None] * count)[:count]})
    return asked.status_code, session if asked.status_code == 200 else asked.text


def answers(web: httpx.Client, session: str, seconds: float = 30.0) -> str:
    """All that a session is told until its last function ends."""
    told, ends = [], time.monotonic() + seconds
    with web.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as stream:
        for line in stream.iter_lines():
            told.append(line)
            if "process_completed" in line or "unexpected_error" in line or time.monotonic() > ends:
                break
    return "\n".join(told)


def call(web: httpx.Client, name: str, data: list[Any]) -> str:
    """Call an endpoint by its name; returns all that is told, the status first if it is refused."""
    asked = web.post(f"/gradio_api/call/{name}", json={"data": data})
    if asked.status_code != 200:
        return f"{asked.status_code} {asked.text}"
    return web.get(f"/gradio_api/call/{name}/{asked.json()['event_id']}").text


def connect(target: Target) -> socket.socket:
    """A connection to the page."""
    return socket.create_connection(("127.0.0.1", target.port), timeout=20)


def head(target: Target, length: int, path: str = "/gradio_api/upload", more: str = "") -> bytes:
    """The head of a POST request whose body has ``length`` bytes."""
    lines = [f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{target.port}", f"Content-Length: {length}"]
    return "\r\n".join([*lines, "Content-Type: multipart/form-data; boundary=b", more]).encode() + b"\r\n"


def part(name: str) -> bytes:
    """The head of a part of a form that holds a file."""
    return f'--b\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()


def secret_image(target: Target) -> Path:
    """Write the image that no visitor may see."""
    path = target.secrets / "secret.png"
    path.write_bytes(png(WIDTH, HEIGHT))
    return path


def shown(web: httpx.Client, told: str) -> Iterator[tuple[int, int]]:
    """The sizes of the images that an answer names and that the server hands out."""
    for path in set(re.findall(r'"path": ?"([^"]+\.png)"', told)):
        answer = web.get(f"/gradio_api/file={path}")
        if answer.status_code == 200:
            with Image.open(io.BytesIO(answer.content)) as image:
                yield image.size


@attack(1, "see an image of the server by its path, through every function")
def open_read(target: Target) -> Outcome:
    """Sends the path bare, and as the page's own files are sent, to every function index and every name."""
    secret = str(secret_image(target))
    sizes = {(WIDTH // cut * cut * by, HEIGHT // cut * cut * by) for cut in (1, 2, 3, 4) for by in (1, 2, 3, 4)}
    seen, asked = set(), 0
    with target.web(60) as web:
        for event in events(web):
            for file in ({"path": secret}, {"path": secret, "meta": META}):
                told = [call(web, event["api_name"], [file, "2", False])] if event["api_name"] else []
                status, session = join(web, event, [file, "2", False])
                told += [answers(web, session)] if status == 200 else []
                asked += len(told)
                if any(size in sizes for text in told for size in shown(web, text)):
                    seen.add(event["api_name"])
    return Outcome(not seen, f"{asked} requests; shown by {', '.join(sorted(map(str, seen))) or 'none'}")


@attack(1, "learn whether a file exists")
def file_oracle(target: Target) -> Outcome:
    """Compares the answers for an image, a text file and a missing file."""
    secret = secret_image(target)
    (target.secrets / "text.png").write_text("no image")
    told: dict[str, set[str]] = {}
    with target.web() as web:
        for name in (secret.name, "text.png", "missing.png"):
            for function in ("run", "upscale", "compare"):
                for file in ({"path": str(target.secrets / name)}, {"path": str(target.secrets / name), "meta": META}):
                    answer = re.sub(r'"(path|url)": ?"[^"]*"', "", call(web, function, [file, "2", False]))
                    told.setdefault(answer.replace(name, "NAME"), set()).add(name)
    return Outcome(all(len(names) == 3 for names in told.values()), f"{len(told)} different answers")


@attack(3, "use up file descriptors by one stalled upload of 990 parts and 40 idle connections")
def descriptors(target: Target) -> Outcome:
    """The page has to answer within 5 s, and the log must not grow by more than 100 lines."""
    lines = target.log.read_bytes().count(b"\n")
    with contextlib.ExitStack() as opened:
        stalled = opened.enter_context(connect(target))
        with contextlib.suppress(OSError):
            stalled.sendall(head(target, 10_000_000) + b"".join(part(f"{n}.png") + b"x\r\n" for n in range(990)))
        time.sleep(2)
        for _ in range(40):
            opened.enter_context(connect(target))
        held, seconds = _page_answers(target)
        time.sleep(3)
        lines = target.log.read_bytes().count(b"\n") - lines
    return Outcome(held and lines < 100, f"/ {seconds}, {lines} log lines in 5 s")


@attack(3, "use up file descriptors by 1,100 idle connections")
def idle_connections(target: Target) -> Outcome:
    """The page has to answer within 5 s, and the log must not grow by more than 100 lines."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    lines = target.log.read_bytes().count(b"\n")
    with contextlib.ExitStack() as opened:
        for _ in range(1100):
            with contextlib.suppress(OSError):
                opened.enter_context(connect(target))
        held, seconds = _page_answers(target)
        time.sleep(3)
        lines = target.log.read_bytes().count(b"\n") - lines
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return Outcome(held and lines < 100, f"/ {seconds}, {lines} log lines in 5 s")


def _page_answers(target: Target) -> tuple[bool, str]:
    start = time.monotonic()
    try:
        with target.web(5) as web:
            web.get("/").raise_for_status()
    except httpx.HTTPError as error:
        return False, f"failed ({type(error).__name__})"
    return True, f"answered in {time.monotonic() - start:.2f} s"


@attack(4, "overrun the limit on stored files by 125 uploads in flight")
def disk_in_flight(target: Target) -> Outcome:
    """Each upload stalls before its last kilobyte."""
    size, block = 19_900_000, bytes(100_000)

    def stall(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection.sendall(head(target, size + 500) + part("large.png"))
            for _ in range(size // len(block) - 1):
                connection.sendall(block)

    with contextlib.ExitStack() as opened:
        connections = [opened.enter_context(connect(target)) for _ in range(125)]
        threads = [threading.Thread(target=stall, args=(connection,), daemon=True) for connection in connections]
        for thread in threads:
            thread.start()
        most, ends = 0, time.monotonic() + 60
        while any(thread.is_alive() for thread in threads) and time.monotonic() < ends:
            most = max(most, target.stored_bytes())
            time.sleep(0.5)
        most = max(most, target.stored_bytes())
    return Outcome(most <= LIMIT_MB * 1e6, f"{most / 1e6:.0f} MB stored, the limit is {LIMIT_MB} MB")


@attack(5, "leave files behind by 60 uploads that break off")
def broken_uploads(target: Target) -> Outcome:
    """Each breaks off after 5 MB of 6."""
    before = target.stored_bytes()
    for number in range(60):
        with connect(target) as connection, contextlib.suppress(OSError):
            connection.sendall(head(target, 6_000_000) + part(f"{number}.png") + bytes(5_000_000))
    time.sleep(3)
    left = target.stored_bytes() - before
    return Outcome(left < 1e6, f"{left / 1e6:.1f} MB left")


@attack(5, "fill the disk: an upload that cannot be written")
def disk_full(target: Target) -> Outcome:
    """The system lets the server write no file of more than 40 kB."""
    before = target.stored_bytes()
    resource.prlimit(target.pid, resource.RLIMIT_FSIZE, (40_000, 40_000))
    with target.web() as web:
        answer = web.post("/gradio_api/upload", files={"files": ("large.png", bytes(300_000), "image/png")})
    told = "cannot store files just now" in answer.text
    time.sleep(0.5)
    left = target.stored_bytes() - before
    sentence = "the sentence" if told else "no sentence"
    return Outcome(told and left == 0, f"status {answer.status_code}, {sentence}, {left} bytes left")


@attack(6, "have a text of 900 kB sent back")
def echo(target: Target) -> Outcome:
    """Sends it as the token of a viewer."""
    token = "x" * 900_000
    seen = {"token": token, "x": 0, "y": 0, "width": 9, "height": 9}
    with target.web() as web:
        for event in (event for event in events(web) if any(kind == "viewport" for _, kind in event["targets"])):
            status, session = join(web, event, [], seen)
            if status == 200 and token[:1000] in answers(web, session):
                return Outcome(False, "sent back")
    return Outcome(True, f"refused with status {status}")


@attack(6, "have answers kept that nobody fetches")
def unfetched_answers(target: Target) -> Outcome:
    """Fetches them 65 s later."""
    with target.web() as web:
        (event,) = [event for event in events(web) if event["api_name"] == "when_settled"]
        sessions = [join(web, event, [])[1] for _ in range(20)]
        time.sleep(65)
        kept = sum("process_completed" in answers(web, session, 3) for session in sessions)
    return Outcome(kept == 0, f"{kept} of 20 kept")


@attack(6, "hold the queue by jobs that nobody listens to")
def unheard_jobs(target: Target) -> Outcome:
    """Eight long jobs are asked for and left; the job of another visitor has to end within 30 s."""
    with target.web(120) as web:
        large, small = upload(web, png(700, 700)), upload(web, png(60, 40))
        for _ in range(8):
            asked = web.post("/gradio_api/call/upscale", json={"data": [{"path": large, "meta": META}, "4", True]})
            asked.raise_for_status()
        start = time.monotonic()
        asked = web.post("/gradio_api/call/upscale", json={"data": [{"path": small, "meta": META}, "2", False]})
        done = False
        with (
            contextlib.suppress(httpx.HTTPError),
            web.stream(
                "GET", f"/gradio_api/call/upscale/{asked.json()['event_id']}", timeout=httpx.Timeout(20, read=20)
            ) as stream,
        ):
            for line in stream.iter_lines():
                done = done or line == "event: complete"
                if done or time.monotonic() - start > 30:
                    break
        seconds = time.monotonic() - start
    return Outcome(done, f"the other job {'ended' if done else 'had not ended'} after {seconds:.0f} s")


@attack(8, "hold connections by requests that are half sent")
def half_sent(target: Target) -> Outcome:
    """One head, one event and one upload stop in the middle; the server has to end them within 20 s."""
    pieces = {
        "head": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ",
        "event": head(target, 1000, "/gradio_api/queue/join") + b'{"data"',
        "upload": head(target, 1_000_000) + part("a.png") + b"x",
    }
    with contextlib.ExitStack() as opened:
        held = {}
        for name, piece in pieces.items():
            held[name] = opened.enter_context(connect(target))
            held[name].sendall(piece)
        time.sleep(20)
        for name, connection in list(held.items()):
            connection.setblocking(False)
            try:
                connection.recv(1000)
            except BlockingIOError:
                continue
            except OSError:
                pass
            del held[name]
    return Outcome(not held, f"after 20 s open: {', '.join(held) or 'none'}")


@attack(8, "read the headers of the request in the answer to a Range request")
def range_echo(target: Target) -> Outcome:
    """Asks for a part of a private file, with a header of its own."""
    with target.web() as web:
        path = upload(web, b"0123456789")
        answer = web.get(f"/gradio_api/file={path}", headers={"Range": "bytes=0-9", "X-Marker": "of-the-request"})
    repeated = "of-the-request" in str(answer.headers)
    return Outcome(not repeated, f"status {answer.status_code}, headers {'' if repeated else 'not '}repeated")


@attack(8, "find private images in a shared cache, or in a page of another site")
def private_headers(target: Target) -> Outcome:
    """Looks at the headers of a private file."""
    with target.web() as web:
        answer = web.get(f"/gradio_api/file={upload(web, b'0123456789')}")
    told = [answer.headers.get(name, "none") for name in ("cache-control", "cross-origin-resource-policy")]
    return Outcome(told == ["private, no-store", "same-origin"], ", ".join(told))


@attack(8, "have a form of the page send to another site")
def form_action(target: Target) -> Outcome:
    """Looks at the content security policy."""
    with target.web() as web:
        policy = web.get("/").headers.get("content-security-policy", "")
    held = "form-action 'self'" in policy
    return Outcome(held, f"form-action {'is' if held else 'is not'} restricted")


@attack(8, "have another host's address put into the page")
def hosts(target: Target) -> Outcome:
    """Names the host in each header that gradio makes addresses of."""
    put = []
    with target.web() as web:
        for name in ("Host", "X-Forwarded-Host", "X-Gradio-Server"):
            value = "http://evil.example" if name == "X-Gradio-Server" else "evil.example"
            if "evil.example" in web.get("/config", headers={name: value}).text:
                put.append(name)
    return Outcome(not put, f"put into the page by {', '.join(put) or 'no header'}")


@attack(8, "read answers, or ask, from a page of another site")
def other_sites(target: Target) -> Outcome:
    """Asks as a browser does for a page of another site, on a public host and on this one."""
    open_to = []
    with target.web() as web:
        origin = {"Origin": "https://evil.example"}
        for host in ("public.example", f"127.0.0.1:{target.port}"):
            answer = web.get("/config", headers={**origin, "Host": host})
            if answer.headers.get("access-control-allow-origin"):
                open_to.append(f"reading on {host}")
        asked = web.options("/gradio_api/upload", headers={**origin, "Access-Control-Request-Method": "POST"})
        if asked.headers.get("access-control-allow-origin"):
            open_to.append("a preflight request")
        if web.post("/gradio_api/upload", files={"files": ("a.png", b"x")}, headers=origin).status_code == 200:
            open_to.append("uploads")
    return Outcome(not open_to, f"open to another site: {', '.join(open_to) or 'nothing'}")


@attack(8, "take the whole queue from one address, and from one session")
def queue_share(target: Target) -> Outcome:
    """Asks for 31 long jobs."""
    taken = []
    with target.web(60) as web:
        large = {"path": upload(web, png(700, 700)), "meta": META}
        (event,) = [event for event in events(web) if event["api_name"] == "upscale"]
        for headers, session in ((ADDRESS, None), ({}, uuid.uuid4().hex)):
            statuses = []
            for _ in range(31):
                body = {"fn_index": event["id"], "session_hash": session or uuid.uuid4().hex}
                content = json.dumps({**body, "data": [large, "4", True]}).encode()
                kind = {"Content-Type": "application/json"}
                asked = web.post("/gradio_api/queue/join", content=content, headers={**headers, **kind})
                statuses.append(asked.status_code)
            taken.append(statuses.count(200))
            if taken[0] == 31:
                break
    return Outcome(max(taken) <= 16, f"{' and '.join(map(str, taken))} of 31 taken, the queue has 32 places")


@attack(8, "get no sentence from a job that fails for memory")
def memory(target: Target) -> Outcome:
    """The system lets the server have 40 MB more than it has; a job needs more."""
    with target.web(60) as web:
        large = {"path": upload(web, png(1990, 1990)), "meta": META}
        size = int(re.findall(r"VmSize:\s+(\d+) kB", Path(f"/proc/{target.pid}/status").read_text())[0]) * 1024
        resource.prlimit(target.pid, resource.RLIMIT_AS, (size + 40_000_000, resource.RLIM_INFINITY))
        told = call(web, "compare", [large, "2", False, ""])
    sentences = [json.loads(line[6:]) for line in told.splitlines() if line.startswith('data: {"error"')]
    sentence = str(sentences[-1]["error"]) if sentences else told[-80:]
    return Outcome("memory" in sentence, f"told: {sentence[:110]}")
