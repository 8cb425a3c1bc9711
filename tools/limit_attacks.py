"""Attacks on stored data, connections, headers, hosts and the queue. ``tools.attack`` runs them."""

from __future__ import annotations

import contextlib
import json
import re
import resource
import time
import uuid
from pathlib import Path

import httpx

from tools.asking import ADDRESS, META, answers, call, connect, events, head, join, part, png, upload
from tools.attack import Outcome, Target, attack


@attack(6, "make the server send back a text of 900 kB")
def echo(target: Target) -> Outcome:
    """Send a long text as the token of a viewer."""
    token = "x" * 900_000
    seen = {"token": token, "region": {"x": 0, "y": 0, "width": 9, "height": 9}}
    with target.web() as web:
        for event in (event for event in events(web) if any(kind == "viewport" for _, kind in event["targets"])):
            status, session = join(web, event, [], seen)
            if status == 200 and token[:1000] in answers(web, session):
                return Outcome(False, "sent back")
    return Outcome(True, f"refused with status {status}")


@attack(6, "make the server store answers that nobody fetches")
def unfetched_answers(target: Target) -> Outcome:
    """Make requests, and fetch the answers 65 s later."""
    with target.web() as web:
        (event,) = [event for event in events(web) if event["api_name"] == "when_settled"]
        sessions = [join(web, event, [])[1] for _ in range(20)]
        time.sleep(65)
        kept = sum("process_completed" in answers(web, session, 3) for session in sessions)
    return Outcome(kept == 0, f"{kept} of 20 kept")


@attack(6, "block the queue with jobs whose visitors have left")
def unheard_jobs(target: Target) -> Outcome:
    """Request eight long jobs and leave; the job of another visitor has to end within 30 s."""
    with target.web(120) as web:
        large, small = upload(web, png(700, 700)), upload(web, png(60, 40))
        for _ in range(8):
            asked = web.post(
                "/gradio_api/call/upscale", json={"data": [{"path": large, "meta": META}, "4", True, "auto"]}
            )
            asked.raise_for_status()
        start = time.monotonic()
        asked = web.post("/gradio_api/call/upscale", json={"data": [{"path": small, "meta": META}, "2", False, "auto"]})
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


@attack(8, "keep connections open with requests that are sent only in part")
def half_sent(target: Target) -> Outcome:
    """Send half of a head, of an event and of an upload; the server has to close the connections within 20 s."""
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


@attack(8, "use all connections from one address with 4,200 open streams")
def open_streams(target: Target) -> Outcome:
    """A visitor from another address has to get the page within 5 s."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    time.sleep(5)  # gradio checks its own address after the start
    opened = 0
    with contextlib.ExitStack() as held, target.web(5) as web:
        for number in range(4200):
            with contextlib.suppress(OSError):
                path, address = f"/gradio_api/heartbeat/s{number}", f"X-Forwarded-For: {ADDRESS['X-Forwarded-For']}"
                asked = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{address}\r\n\r\n"
                held.enter_context(connect(target)).sendall(asked.encode())
                opened += 1
        time.sleep(8)  # connections without a request are closed
        start = time.monotonic()
        try:
            status = web.get("/", headers={"X-Forwarded-For": "203.0.113.8"}).status_code
            answer = f"status {status}"
        except httpx.HTTPError as error:
            answer = type(error).__name__
        seconds = time.monotonic() - start
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return Outcome(answer == "status 200", f"{opened} asked for; / got {answer} after {seconds:.1f} s")


@attack(8, "read the headers of the request in the answer to a Range request")
def range_echo(target: Target) -> Outcome:
    """Request a part of a private file, with an additional header."""
    with target.web() as web:
        path = upload(web, b"0123456789")
        answer = web.get(f"/gradio_api/file={path}", headers={"Range": "bytes=0-9", "X-Marker": "of-the-request"})
    repeated = "of-the-request" in str(answer.headers)
    return Outcome(not repeated, f"status {answer.status_code}, headers {'' if repeated else 'not '}repeated")


@attack(8, "find private images in a shared cache, or in a page of another site")
def private_headers(target: Target) -> Outcome:
    """Check the headers of a private file."""
    with target.web() as web:
        answer = web.get(f"/gradio_api/file={upload(web, b'0123456789')}")
    told = [answer.headers.get(name, "none") for name in ("cache-control", "cross-origin-resource-policy")]
    return Outcome(told == ["private, no-store", "same-origin"], ", ".join(told))


@attack(8, "make a form of the page send data to another site")
def form_action(target: Target) -> Outcome:
    """Check the content security policy."""
    with target.web() as web:
        policy = web.get("/").headers.get("content-security-policy", "")
    held = "form-action 'self'" in policy
    return Outcome(held, f"form-action {'is' if held else 'is not'} restricted")


@attack(8, "put another host's address into the page")
def hosts(target: Target) -> Outcome:
    """Send another host's name in each header that gradio uses for addresses."""
    put = []
    with target.web() as web:
        for name in ("Host", "X-Forwarded-Host", "X-Gradio-Server"):
            value = "http://evil.example" if name == "X-Gradio-Server" else "evil.example"
            if "evil.example" in web.get("/config", headers={name: value}).text:
                put.append(name)
    return Outcome(not put, f"put into the page by {', '.join(put) or 'no header'}")


@attack(8, "read answers, or send requests, from a page of another site")
def other_sites(target: Target) -> Outcome:
    """Send the requests of a browser that shows a page of another site, to a public host and to this one."""
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
    """Request 31 long jobs."""
    taken = []
    with target.web(60) as web:
        large = {"path": upload(web, png(700, 700)), "meta": META}
        (event,) = [event for event in events(web) if event["api_name"] == "upscale"]
        for headers, session in ((ADDRESS, None), ({}, uuid.uuid4().hex)):
            statuses = []
            for _ in range(31):
                body = {"fn_index": event["id"], "session_hash": session or uuid.uuid4().hex}
                content = json.dumps({**body, "data": [large, "4", True, "auto"]}).encode()
                kind = {"Content-Type": "application/json"}
                asked = web.post("/gradio_api/queue/join", content=content, headers={**headers, **kind})
                statuses.append(asked.status_code)
            taken.append(statuses.count(200))
            if taken[0] == 31:
                break
    return Outcome(max(taken) <= 16, f"{' and '.join(map(str, taken))} of 31 taken, the queue has 32 places")


@attack(8, "make a job run out of memory without a message")
def memory(target: Target) -> Outcome:
    """Limit the server to 40 MB more memory than it uses, and request a job that needs more."""
    with target.web(60) as web:
        large = {"path": upload(web, png(1990, 1990)), "meta": META}
        size = int(re.findall(r"VmSize:\s+(\d+) kB", Path(f"/proc/{target.pid}/status").read_text())[0]) * 1024
        resource.prlimit(target.pid, resource.RLIMIT_AS, (size + 40_000_000, resource.RLIM_INFINITY))
        told = call(web, "compare", [large, "2", False, ""])
    sentences = [json.loads(line[6:]) for line in told.splitlines() if line.startswith('data: {"error"')]
    sentence = str(sentences[-1]["error"]) if sentences else told[-80:]
    return Outcome("memory" in sentence, f"message: {sentence[:110]}")
