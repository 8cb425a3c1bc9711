"""A Hub on the loopback address, with the endpoints that the real huggingface_hub client needs, and with faults."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

Files = dict[str, bytes]
TOKEN = "hf_loopback"


@dataclass
class Repo:
    """A repo of the loopback Hub.

    Attributes:
        commits: Hash of a commit -> its files, the oldest commit first. ``main`` is the last one.
        private: Whether requests need the token.
        gated: Whether every request is refused because its terms were not accepted.
        fault: How requests that read the repo fail: ``slow``, ``truncated``, ``hangs`` or an HTTP status such as
            ``500``; empty if they succeed.
        fails_commit: Whether commits are refused with status 500.
        fails_variable: Whether changes of variables are refused with status 500.
        variables: The variables of a Space.
    """

    commits: dict[str, Files] = field(default_factory=dict)
    private: bool = False
    gated: bool = False
    fault: str = ""
    fails_commit: bool = False
    fails_variable: bool = False
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def head(self) -> str:
        return list(self.commits)[-1]

    @property
    def files(self) -> Files:
        return self.commits[self.head]

    def commit(self, files: Files) -> str:
        text = repr((len(self.commits), sorted(files.items())))
        sha = hashlib.sha1(text.encode()).hexdigest()
        self.commits[sha] = files
        return sha

    def resolve(self, revision: str) -> str | None:
        if revision == "main":
            return self.head
        return revision if revision in self.commits else None


class Hub:
    """The state of the server.

    Attributes:
        repos: (``models`` or ``spaces``, ``owner/name``) -> repo.
        blobs: Uploaded large files, by sha256.
        requests: All requests so far, such as ``GET /api/models/drn/drn``.
        stopped: Set when the server stops, which ends requests that wait.
        url: Address of the server.
    """

    def __init__(self) -> None:
        self.repos: dict[tuple[str, str], Repo] = {}
        self.blobs: Files = {}
        self.requests: list[str] = []
        self.stopped = threading.Event()
        self.url = ""

    def add(self, name: str, files: Files, kind: str = "models", **options: Any) -> Repo:
        repo = self.repos[kind, name] = Repo(**options)
        repo.commit(files)
        return repo

    @property
    def env(self) -> dict[str, str]:
        """Environment variables that make the client use this Hub. The caller adds ``HF_HOME`` for the cache."""
        return {"HF_ENDPOINT": self.url, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}


@contextmanager
def running() -> Iterator[Hub]:
    """Serve a new, empty Hub until the block ends."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield hub
    finally:
        hub.stopped.set()
        server.shutdown()
        server.server_close()


class _Answered(Exception):
    """Raised after a request was answered, to end its handler."""


def _is_lfs(path: str) -> bool:
    return path.endswith((".safetensors", ".png", ".bin"))


def _oid(path: str, content: bytes) -> str:
    if _is_lfs(path):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        self._handle()

    do_HEAD = do_POST = do_PUT = do_GET

    def _handle(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        routes: dict[str, Callable[..., None]] = {
            r"/api/(models|spaces)/([^/]+/[^/]+)/variables": self._variables,
            r"/api/(models|spaces)/([^/]+/[^/]+)/preupload/(.+)": self._preupload,
            r"/api/(models|spaces)/([^/]+/[^/]+)/commit/(.+)": self._commit,
            r"/api/(models|spaces)/([^/]+/[^/]+)/tree/(.+)": self._tree,
            r"/api/(models|spaces)/([^/]+/[^/]+)(?:/revision/(.+))?": self._info,
            r"/api/repos/create": self._create,
            r"/api/validate-yaml": lambda: self._json({"errors": [], "warnings": []}),
            r"/blob/([0-9a-f]{64})": self._blob,
            r"/(?:(spaces)/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch": self._batch,
            r"/(?:(spaces)/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)": self._resolve,
        }
        try:
            for pattern, route in routes.items():
                if match := re.fullmatch(pattern, path):
                    route(*match.groups())
            self._refuse(404, "")
        except (_Answered, BrokenPipeError, ConnectionResetError):
            pass

    def _send(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content_Length": str(len(content))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        raise _Answered

    def _json(self, value: Any, status: int = 200) -> None:
        self._send(status, json.dumps(value).encode(), Content_Type="application/json")

    def _refuse(self, status: int, code: str) -> None:
        self._send(status, b"", **({"X_Error_Code": code} if code else {}))

    @property
    def _has_token(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _repo(self, kind: str | None, name: str) -> Repo:
        """Return the requested repo, or answer with an error if it is missing, not accessible or faulty."""
        repo = self.hub.repos.get((kind or "models", name))
        if repo is None or (repo.private and not self._has_token):
            # Without a token, the Hub does not reveal whether a private repo exists.
            self._refuse(404 if self._has_token else 401, "RepoNotFound")
        assert repo is not None
        if repo.gated:
            self._refuse(403, "GatedRepo")
        if repo.fault.isdigit():
            self._refuse(int(repo.fault), "")
        if repo.fault == "slow":
            self.hub.stopped.wait(60)
        return repo

    def _commit_of(self, repo: Repo, revision: str | None) -> str:
        sha = repo.resolve(revision or "main")
        if sha is None:
            self._refuse(404, "RevisionNotFound")
        assert sha is not None
        return sha

    def _info(self, kind: str, name: str, revision: str | None) -> None:
        repo = self._repo(kind, name)
        sha = self._commit_of(repo, revision)
        siblings = [{"rfilename": path, "size": len(data)} for path, data in repo.commits[sha].items()]
        self._json({"id": name, "sha": sha, "private": repo.private, "tags": [], "siblings": siblings})

    def _tree(self, kind: str, name: str, revision: str) -> None:
        repo = self._repo(kind, name)
        files = repo.commits[self._commit_of(repo, revision)]
        self._json(
            [{"type": "file", "path": path, "size": len(data), "oid": _oid(path, data)} for path, data in files.items()]
        )

    def _resolve(self, kind: str | None, name: str, revision: str, path: str) -> None:
        repo = self._repo(kind, name)
        sha = self._commit_of(repo, revision)
        if path not in repo.commits[sha]:
            self._refuse(404, "EntryNotFound")
        content = repo.commits[sha][path]
        headers = {"ETag": f'"{_oid(path, content)}"', "X_Repo_Commit": sha, "Content_Type": "application/octet-stream"}
        if self.command == "GET" and repo.fault == "truncated":
            # The connection closes after half of the file, and at once when the client tries to resume.
            start = int((re.findall(r"bytes=(\d+)-", self.headers.get("Range") or "") or ["0"])[0])
            sent = b"" if start else content[: len(content) // 2]
            self.close_connection = True
            status = 206 if start else 200
            self._send(status, sent, **headers | {"Content_Length": str(len(content) - start)})
        if self.command == "GET" and repo.fault == "hangs":
            self.hub.stopped.wait(60)
        self._send(200, content, **headers)

    def _create(self) -> None:
        asked = json.loads(self.body)
        if not self._has_token:
            self._refuse(401, "")
        kind, name = f"{asked.get('type') or 'model'}s", f"{asked['organization']}/{asked['name']}"
        made = {"url": f"{self.hub.url}/{'' if kind == 'models' else 'spaces/'}{name}", "id": name}
        if (kind, name) in self.hub.repos:
            self._json(made, status=409)
        repo = self.hub.add(name, {".gitattributes": b"*.safetensors filter=lfs\n"}, kind)
        repo.private = asked.get("visibility") == "private" or bool(asked.get("private"))
        self._json(made)

    def _variables(self, kind: str, name: str) -> None:
        repo = self._repo(kind, name)
        if self.command == "POST":
            if repo.fails_variable:
                return self._json({"error": "trouble"}, status=500)
            asked = json.loads(self.body)
            repo.variables[asked["key"]] = asked["value"]
        self._json({key: {"key": key, "value": value} for key, value in repo.variables.items()})

    def _preupload(self, kind: str, name: str, revision: str) -> None:
        files = self._repo(kind, name).files
        answers = []
        for asked in json.loads(self.body)["files"]:
            path = asked["path"]
            answer = {"path": path, "uploadMode": "lfs" if _is_lfs(path) else "regular", "shouldIgnore": False}
            answers.append(answer | ({"oid": _oid(path, files[path])} if path in files else {}))
        self._json({"files": answers})

    def _batch(self, kind: str | None, name: str) -> None:
        self._repo(kind, name)
        objects = []
        for asked in json.loads(self.body)["objects"]:
            href = {"href": f"{self.hub.url}/blob/{asked['oid']}"}
            actions = {} if asked["oid"] in self.hub.blobs else {"actions": {"upload": href, "verify": href}}
            objects.append({"oid": asked["oid"], "size": asked["size"], "authenticated": True, **actions})
        self._json({"transfer": "basic", "objects": objects})

    def _blob(self, oid: str) -> None:
        if self.command == "PUT":
            if hashlib.sha256(self.body).hexdigest() != oid:
                self._refuse(400, "")
            self.hub.blobs[oid] = self.body
        self._json({})

    def _commit(self, kind: str, name: str, revision: str) -> None:
        repo = self._repo(kind, name)
        if repo.fails_commit:
            self._refuse(500, "")
        files = dict(repo.files)
        for line in self.body.splitlines():
            operation = json.loads(line)
            value = operation["value"]
            if operation["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif operation["key"] == "lfsFile":
                files[value["path"]] = self.hub.blobs[value["oid"]]
            elif operation["key"] == "deletedFile":
                del files[value["path"]]
        sha = repo.commit(files)
        self._json({"success": True, "commitOid": sha, "commitUrl": f"{self.hub.url}/{name}/commit/{sha}"})


def wait_until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait until ``condition()`` is true.

    Raises:
        AssertionError: If that takes longer than ``seconds``.
    """
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition was not met in time"
        time.sleep(0.05)
