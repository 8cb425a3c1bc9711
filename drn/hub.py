"""The Hugging Face Hub: parse the name of a repo, and download its files within a deadline.

The Hub's client, huggingface_hub, reads ``HF_TOKEN``, ``HF_HOME``, ``HF_ENDPOINT`` and ``HF_HUB_OFFLINE`` as usual.
It is imported on first use, because its import takes long and the bundled weights do not need it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from drn.errors import InputError
from drn.files import replace_file

DEADLINE = 8.0
"""Default time limit for a download, in seconds; the environment variable ``DRN_HUB_DEADLINE`` replaces it."""

MAX_FILE_BYTES = 250_000_000
"""Largest file that is downloaded. A network of ``drn.weights.MAX_PARAMETERS`` is smaller."""

PICKLES = (".bin", ".ckpt", ".pkl", ".pt", ".pth")
"""Suffixes of files that are usually pickles."""

_NAME = re.compile(r"(?=.{3,96}$)[A-Za-z0-9]([\w.-]*\w)?/[A-Za-z0-9]([\w.-]*\w)?", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9][\w./-]{0,99}", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class HubUnreachable(InputError):
    """Error for a Hub that is down, slow or refusing requests; cached files may be used instead."""


class FilesMissing(InputError):
    """Error for a repo without some of the requested files.

    Attributes:
        names: The names of the missing files.
    """

    def __init__(self, sentence: str, names: Sequence[str]) -> None:
        super().__init__(sentence)
        self.names = tuple(names)


@dataclass(frozen=True)
class HubRepo:
    """A model repo at a revision: a branch, a tag or a commit."""

    name: str
    revision: str = "main"

    @classmethod
    def parse(cls, text: str) -> HubRepo:
        """Read ``owner/name`` or ``owner/name@revision``.

        Raises:
            InputError: If the text does not have one of these forms.
        """
        name, at, revision = text.partition("@")
        is_safe = ".." not in text and "--" not in name and not name.endswith(".git")
        if not (is_safe and _NAME.fullmatch(name) and (_REVISION.fullmatch(revision) or not at)):
            raise InputError(f"{text!r} is not a Hub repo: write owner/name or owner/name@revision.")
        return cls(name, revision) if at else cls(name)

    @property
    def is_pinned(self) -> bool:
        """Whether the revision is the full hash of a commit. The files of a commit cannot change."""
        return bool(_COMMIT.fullmatch(self.revision))

    def __str__(self) -> str:
        return f"{self.name}@{self.revision[:7] if self.is_pinned else self.revision}"


def requested() -> str:
    """Return the value of ``DRN_HUB_REPO``; empty if it is not set."""
    return os.environ.get("DRN_HUB_REPO", "").strip()


def deadline() -> float:
    """Return the time limit for a download, in seconds.

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
    """Download files of ``repo`` into the client's cache, all from one commit, within the deadline.

    If ``repo`` names a commit and the cache has its files, no request is made. If it names a branch or tag and the Hub
    cannot be reached, the commit that was cached last is used.

    Args:
        repo: The repo and revision.
        names: Names of files in the root folder of the repo.

    Returns:
        The folder with the files. Its name is the commit.

    Raises:
        HubUnreachable: If the download did not succeed in time and the cache lacks a file.
        FilesMissing: If the repo lacks a file.
        InputError: If the Hub refused the request, or if a file is too large or cannot be stored.
    """
    from huggingface_hub.constants import is_offline_mode

    seconds = deadline()
    if (repo.is_pinned or is_offline_mode()) and (folder := cached(repo, names)):
        return folder
    if is_offline_mode():
        raise InputError(f"{repo} is not in the Hub's cache and HF_HUB_OFFLINE is set: unset it to download the repo.")
    future: Future[Path] = Future()

    def work() -> None:
        try:
            future.set_result(_download(repo, names, seconds))
        except Exception as error:
            future.set_exception(error)

    # A daemon thread, so that a client that hangs or retries delays neither the caller nor the end of the process.
    threading.Thread(target=work, name="hub", daemon=True).start()
    try:
        return future.result(timeout=seconds)
    except Exception as error:
        if isinstance(error, TimeoutError):
            late = (
                f"{repo} did not arrive from the Hub in {seconds:g} s: try again, or raise DRN_HUB_DEADLINE (seconds)."
            )
            failure: InputError = HubUnreachable(late)
        else:
            failure = explain(repo.name, error)
        if isinstance(failure, HubUnreachable) and (folder := cached(repo, names)):
            return folder
        raise failure from error


@dataclass(frozen=True)
class Fetched:
    """Files of a repo in the cache.

    Attributes:
        folder: The folder with the files.
        names: Name of the file to use for each of the files that were requested.
        failure: The reason why substitutes in the cache must be used; None if the Hub answered.
    """

    folder: Path
    names: list[str]
    failure: InputError | None = None


def fetch_preferred(repo: HubRepo, substitutes: Mapping[str, str]) -> Fetched:
    """Download files like ``fetch``, with a substitute for each file that the repo lacks.

    If the files cannot be downloaded for another reason, all substitutes are used, provided that the cache has them.

    Args:
        repo: The repo and revision.
        substitutes: Name of a preferred file -> name of its substitute, which may be the same.

    Raises:
        InputError: See ``fetch``.
    """
    names = list(substitutes)
    try:
        return Fetched(fetch(repo, names), names)
    except FilesMissing as error:
        found = [substitutes[name] if name in error.names else name for name in names]
        if found == names:
            raise
        return Fetched(fetch(repo, found), found)
    except InputError as error:
        found = list(substitutes.values())
        if found != names and (folder := cached(repo, found)):
            return Fetched(folder, found, error)
        raise


def cached(repo: HubRepo, names: Sequence[str]) -> Path | None:
    """Return the folder of the cache with all of ``names``, or None if one is missing; makes no request."""
    from huggingface_hub import try_to_load_from_cache

    first = try_to_load_from_cache(repo.name, names[0], revision=repo.revision)
    if not isinstance(first, str):
        return None
    folder = Path(first).parent
    return folder if all((folder / name).is_file() for name in names) else None


def _download(repo: HubRepo, names: Sequence[str], seconds: float) -> Path:
    from huggingface_hub import HfApi, hf_hub_download

    # The files are listed first, because a failing list request ends at once, whereas the client retries a failing
    # download for 20 s.
    info = HfApi().model_info(repo.name, revision=repo.revision, timeout=2 * seconds, files_metadata=True)
    _check_listing(repo, names, {file.rfilename: file.size or 0 for file in info.siblings or []})
    try:
        for name in names:
            path = Path(hf_hub_download(repo.name, name, revision=info.sha, etag_timeout=seconds))
    except (OSError, InputError):
        raise
    except Exception as error:
        raise HubUnreachable(f"The download of {repo} was interrupted: try again.") from error
    folder = path.parent
    if folder.name != repo.revision:
        # Record the commit of the branch only now. For a download by the name of the branch, the client would record
        # the commit before the download, which may fail.
        ref = folder.parent.parent / "refs" / repo.revision
        with contextlib.suppress(OSError):  # a read-only cache has the files nevertheless
            ref.parent.mkdir(parents=True, exist_ok=True)
            replace_file(ref, lambda temporary: temporary.write_text(folder.name))
    return folder


def _check_listing(repo: HubRepo, names: Sequence[str], sizes: dict[str, int]) -> None:
    missing = [name for name in names if name not in sizes]
    pickles = sorted(name for name in sizes if PurePosixPath(name).suffix in PICKLES)
    if missing and pickles:
        sentence = f"has {pickles[0]} but no {missing[0]}. Pickles can run code and are not loaded: use safetensors."
        raise FilesMissing(f"{repo} {sentence}", missing)
    if missing:
        raise FilesMissing(
            f"{repo} has no {missing[0]}: give a repo with DRN weights for every scale you need.", missing
        )
    for name in names:
        if sizes[name] > MAX_FILE_BYTES:
            raise InputError(
                f"{name} in {repo} has {sizes[name] / 1e6:.0f} MB: the limit is {MAX_FILE_BYTES / 1e6:.0f} MB."
            )


def explain(repo: str, error: BaseException) -> InputError:
    """Return an error of one sentence for an exception of the Hub's client.

    Args:
        repo: ``owner/name``.
        error: The exception.
    """
    from huggingface_hub import get_token
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    if isinstance(error, InputError):
        return error
    if isinstance(error, RevisionNotFoundError):
        return InputError(f"{repo} has no such revision: give one of its branches, tags or commits.")
    if isinstance(error, GatedRepoError):
        return InputError(f"{repo} is gated: accept its terms on the Hub and set HF_TOKEN.")
    if isinstance(error, RepositoryNotFoundError):
        if get_token() is None:
            return InputError(
                f"There is no public repo {repo} on the Hub: check the name, or set HF_TOKEN if it is private."
            )
        return InputError(
            f"There is no repo {repo} on the Hub that your token can access: check the name and the token."
        )
    status = _status(error)
    if status == 429:
        return HubUnreachable(
            "The Hub refuses requests at present (HTTP status 429, too many requests): try again later."
        )
    if status >= 500:
        return HubUnreachable(f"The Hub has a fault (HTTP status {status}): try again later.")
    if status:
        return InputError(f"The Hub refused {repo} (HTTP status {status}): check the name and HF_TOKEN.")
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return InputError("There is no space left for the Hub's cache: free some, or set HF_HOME to another folder.")
    if isinstance(error, OSError) and error.errno and error.filename:
        return InputError("The Hub's cache cannot be written: set HF_HOME to a folder that is writable.")
    if isinstance(error, OSError) and "Consistency check" in str(error):
        return HubUnreachable(f"The download of {repo} was interrupted: try again.")
    return HubUnreachable("The Hub cannot be reached: check the network connection.")


def _status(error: BaseException) -> int:
    """Return the HTTP status that caused an error of the client, or 0 if there was none."""
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(error, HfHubHTTPError):
        return int(error.response.status_code)
    return _status(error.__cause__) if error.__cause__ is not None else 0
