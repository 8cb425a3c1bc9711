"""The Hugging Face Hub: a repo's name, and its files brought into the client's cache before a deadline.

``HF_TOKEN``, ``HF_HOME``, ``HF_ENDPOINT`` and ``HF_HUB_OFFLINE`` mean what they mean everywhere; the client reads them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from huggingface_hub import HfApi, get_token, hf_hub_download, try_to_load_from_cache
from huggingface_hub.constants import is_offline_mode
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from drn.errors import InputError
from drn.files import replace_file

DEADLINE = 8.0
"""Seconds that the Hub is waited for; ``DRN_HUB_DEADLINE`` changes it."""

MAX_FILE_BYTES = 250_000_000
"""Largest file that is fetched: more than any network within ``drn.weights.MAX_PARAMETERS`` takes."""

PICKLES = (".bin", ".ckpt", ".pkl", ".pt", ".pth")
_NAME = re.compile(r"(?=.{3,96}$)[A-Za-z0-9]([\w.-]*\w)?/[A-Za-z0-9]([\w.-]*\w)?", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9][\w./-]{0,99}", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class HubUnreachable(InputError):
    """The Hub is down, slow or refusing for now; what the cache holds may stand in."""


@dataclass(frozen=True)
class HubRepo:
    """A model repo at a branch, tag or commit."""

    name: str
    revision: str = "main"

    @classmethod
    def parse(cls, text: str) -> HubRepo:
        """Read ``owner/name`` or ``owner/name@revision``.

        Raises:
            InputError: If it is anything else.
        """
        name, at, revision = text.partition("@")
        is_safe = ".." not in text and "--" not in name and not name.endswith(".git")
        if not (is_safe and _NAME.fullmatch(name) and (_REVISION.fullmatch(revision) or not at)):
            raise InputError(f"{text!r} is not a Hub repo: write owner/name or owner/name@revision.")
        return cls(name, revision) if at else cls(name)

    @property
    def is_pinned(self) -> bool:
        return bool(_COMMIT.fullmatch(self.revision))

    def __str__(self) -> str:
        return f"{self.name}@{self.revision[:7] if self.is_pinned else self.revision}"


def requested() -> str:
    """The text of ``DRN_HUB_REPO``; empty if no repo is asked for."""
    return os.environ.get("DRN_HUB_REPO", "").strip()


def deadline() -> float:
    """Seconds that the Hub is waited for.

    Raises:
        InputError: If ``DRN_HUB_DEADLINE`` is not a number of seconds above 0.
    """
    text = os.environ.get("DRN_HUB_DEADLINE", str(DEADLINE))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < threading.TIMEOUT_MAX:
        raise InputError(f"DRN_HUB_DEADLINE must be a number of seconds above 0, not {text!r}.")
    return seconds


def fetch(repo: HubRepo, names: Sequence[str]) -> Path:
    """Bring files at the root of ``repo`` into the cache, all from one commit, before the deadline.

    A cached commit that ``repo`` pins is used without any request. Of a branch or tag, the commit
    cached last stands in while the Hub cannot be reached.

    Returns:
        The folder with the files; its name is the commit.

    Raises:
        HubUnreachable: If the Hub did not deliver and the cache lacks a file.
        InputError: If the Hub said no, or a file is missing, too large, or cannot be stored.
    """
    seconds = deadline()
    if (repo.is_pinned or is_offline_mode()) and (folder := cached(repo, names)):
        return folder
    if is_offline_mode():
        raise InputError(f"{repo} is not in the Hub's cache and HF_HUB_OFFLINE is set: unset it to fetch.")
    future: Future[Path] = Future()

    def work() -> None:
        try:
            future.set_result(_download(repo, names, seconds))
        except Exception as error:
            future.set_exception(error)

    # A daemon: a client that hangs or retries for long keeps neither us nor the end of the process waiting.
    threading.Thread(target=work, name="hub", daemon=True).start()
    try:
        return future.result(timeout=seconds)
    except Exception as error:
        if isinstance(error, TimeoutError):
            late = f"The Hub did not deliver {repo} in {seconds:g} s: try again, or raise DRN_HUB_DEADLINE (seconds)."
            failure: InputError = HubUnreachable(late)
        else:
            failure = explain(repo.name, error)
        if isinstance(failure, HubUnreachable) and (folder := cached(repo, names)):
            return folder
        raise failure from error


def cached(repo: HubRepo, names: Sequence[str]) -> Path | None:
    """The cache's folder with ``names``, None if one is not there. Nothing is requested."""
    first = try_to_load_from_cache(repo.name, names[0], revision=repo.revision)
    if not isinstance(first, str):
        return None
    folder = Path(first).parent
    return folder if all((folder / name).is_file() for name in names) else None


def _download(repo: HubRepo, names: Sequence[str], seconds: float) -> Path:
    # The listing is asked for first because it fails at once, where a download would retry for 20 s.
    info = HfApi().model_info(repo.name, revision=repo.revision, timeout=2 * seconds, files_metadata=True)
    _check_listing(repo, names, {file.rfilename: file.size or 0 for file in info.siblings or []})
    try:
        for name in names:
            path = Path(hf_hub_download(repo.name, name, revision=info.sha, etag_timeout=seconds))
    except (OSError, InputError):
        raise
    except Exception as error:
        raise HubUnreachable(f"The download of {repo} was cut off: try again.") from error
    folder = path.parent
    if folder.name != repo.revision:
        # Asked for by branch, the client would note this before the download, which could then be cut off.
        ref = folder.parent.parent / "refs" / repo.revision
        with contextlib.suppress(OSError):  # the files are there, if only to be read
            ref.parent.mkdir(parents=True, exist_ok=True)
            replace_file(ref, lambda temporary: temporary.write_text(folder.name))
    return folder


def _check_listing(repo: HubRepo, names: Sequence[str], sizes: dict[str, int]) -> None:
    missing = [name for name in names if name not in sizes]
    pickles = sorted(name for name in sizes if PurePosixPath(name).suffix in PICKLES)
    if missing and pickles:
        raise InputError(f"{repo} has {pickles[0]} and no {missing[0]}: pickles can run code and are never loaded.")
    if missing:
        raise InputError(f"{repo} has no {missing[0]}: choose a repo with DRN weights for every scale you need.")
    for name in names:
        if sizes[name] > MAX_FILE_BYTES:
            raise InputError(f"{name} in {repo} has {sizes[name] / 1e6:.0f} MB: no DRN needs so many parameters.")


def explain(repo: str, error: BaseException) -> InputError:
    """Put what the client raised about ``repo`` (``owner/name``) into one sentence."""
    if isinstance(error, InputError):
        return error
    if isinstance(error, RevisionNotFoundError):
        return InputError(f"{repo} has no such revision: give a branch, a tag or a commit of it.")
    if isinstance(error, GatedRepoError):
        return InputError(f"{repo} is gated: accept its terms on the Hub and set HF_TOKEN.")
    if isinstance(error, RepositoryNotFoundError):
        if get_token() is None:
            return InputError(
                f"There is no public repo {repo} on the Hub: check the name, or set HF_TOKEN if it is private."
            )
        return InputError(f"There is no repo {repo} on the Hub that your token may use: check the name and the token.")
    status = _status(error)
    if status == 429:
        return HubUnreachable("The Hub is refusing requests for now (429, too many): try again later.")
    if status >= 500:
        return HubUnreachable(f"The Hub is in trouble (it answered {status}): try again later.")
    if status:
        return InputError(f"The Hub refused {repo} (it answered {status}): check the name and HF_TOKEN.")
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return InputError(
            "There is no room left in the Hub's cache: free some space, or set HF_HOME to another folder."
        )
    if isinstance(error, OSError) and error.errno and error.filename:
        return InputError("The Hub's cache cannot be written: set HF_HOME to a folder that can.")
    if isinstance(error, OSError) and "Consistency check" in str(error):
        return HubUnreachable(f"The download of {repo} was cut off: try again.")
    return HubUnreachable("The Hub cannot be reached: check the network connection.")


def _status(error: BaseException) -> int:
    """The HTTP status behind an error of the client, 0 if there is none."""
    if isinstance(error, HfHubHTTPError):
        return int(error.response.status_code)
    return _status(error.__cause__) if error.__cause__ is not None else 0
