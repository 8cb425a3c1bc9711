"""Publish ``weights/`` as a model repo of the Hub, and the app as a Space that uses one commit of that repo."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from huggingface_hub import (
    CommitOperation,
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    SpaceCardData,
    get_token,
)

from drn import hub, weights
from drn.card import LICENSE_NAME, complete_card, read_digests, read_rows
from drn.errors import InputError
from drn.hub import HubRepo

ROOT = Path(__file__).resolve().parent.parent
"""The folder of the checkout, if the package is not installed elsewhere."""
CARD = "README.md"
RESULTS = "results.json"
PYTHON = "3.12"
PAPER = "https://arxiv.org/abs/1907.02843"

UNKNOWN_COMMIT = "0" * 40
"""Placeholder for the hash of a commit that is not made yet, with the length of a hash."""

Content = dict[str, bytes]
"""The files of a repo: path in the repo -> bytes."""


def model_content(folder: Path = weights.BUNDLED) -> Content:
    """Return the files of the model repo: the files of ``weights/``, byte for byte.

    Raises:
        InputError: If the weights are missing or unusable, if the results were measured with other weights, or
            if the model card is missing or does not show the results.
    """
    parts = [*weights.load_scales(folder), *map(weights.load, weights.photo_files(folder))]
    paths = [part.path for part in parts]
    paths += [path for path in [folder / name for name in (CARD, RESULTS, weights.SUMS)] if path.is_file()]
    paths += sorted(folder.glob("*.csv"))
    content = {path.name: path.read_bytes() for path in paths}
    if CARD not in content:
        raise InputError(f"{folder} has no {CARD}: write the model card first.")
    if RESULTS in content:
        measured = read_digests(folder / RESULTS)
        for part in parts:
            name = part.path.name
            if name not in measured:
                command = "scripts.write_jpeg_curve" if part.variant == "photo" else "drn evaluate --json"
                raise InputError(f"{RESULTS} has no results of {name}: run {command} first.")
            if measured[name] != {part.sha256}:
                raise InputError(f"{RESULTS} was measured with another {name}: measure again.")
    try:
        text = content[CARD].decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{folder / CARD} is not UTF-8 text: save it as UTF-8.") from error
    if complete_card(text, read_rows(folder / RESULTS) if RESULTS in content else []) != text:
        raise InputError(
            f"{folder / CARD} does not show the results in {RESULTS}: run `python -m scripts.write_results`."
        )
    return content


def space_content(model: HubRepo, root: Path = ROOT) -> Content:
    """Return the files of the Space: the app, the library, the bundled weights and a card.

    Because of the front matter of the card, the Hub downloads ``model`` at its commit before the app starts.

    Raises:
        InputError: If ``root`` is not a checkout with the app, or gradio is not installed.
    """
    if not (root / "app.py").is_file():
        raise InputError(
            "The app is not part of the installed package: publish a Space from a checkout of the project."
        )
    paths = [root / "app.py", root / "requirements.txt", root / "LICENSE"]
    for folder in ("app", "drn"):
        paths += sorted(path for path in (root / folder).rglob("*") if path.is_file())
    paths += [root / "weights" / weights.filename(scale) for scale in weights.available_scales(root / "weights")]
    paths += weights.photo_files(root / "weights")
    paths += [path for path in [root / "weights" / name for name in (RESULTS, weights.SUMS)] if path.is_file()]
    paths += sorted((root / "weights").glob("*.csv"))
    names = {path: path.relative_to(root) for path in paths}
    content = {
        name.as_posix(): path.read_bytes()
        for path, name in names.items()
        if "__pycache__" not in name.parts and not any(part.startswith(".") for part in name.parts)
    }
    content[CARD] = _space_card(model).encode()
    return content


def _space_card(model: HubRepo) -> str:
    try:
        gradio = version("gradio")
    except PackageNotFoundError as error:
        raise InputError(
            "gradio is not installed: publish a Space from an environment that can run the app."
        ) from error
    names = [weights.filename(scale) for scale in weights.available_scales()]
    files = ",".join([*names, *(path.name for path in weights.photo_files())])
    data = SpaceCardData(
        title="DRN super-resolution",
        emoji="🔍",
        colorFrom="green",
        colorTo="gray",
        sdk="gradio",
        sdk_version=gradio,
        python_version=PYTHON,
        app_file="app.py",
        license="other",
        license_name=LICENSE_NAME,
        license_link=f"https://huggingface.co/{model.name}",
        short_description="Super-resolution you can judge by eye and number",
        models=[model.name],
        preload_from_hub=[f"{model.name} {files} {model.revision}"],
    )
    return (
        f"---\n{data.to_yaml()}\n---\n\n# DRN\n\n"
        f"Super-resolution compared with the ground truth, by the network of [this paper]({PAPER}).\n"
        "The code has the MIT licence. The terms of the weights are in the "
        f"[model card](https://huggingface.co/{model.name}).\n"
    )


UNPUBLISHED = "was not published, and its previous content is still in use"


def publish(model: str, space: str | None, private: bool, say: Callable[[str], object]) -> None:
    """Upload the model repo, then the Space.

    Each upload is one commit. If a repo has no changes, it gets no commit. The last step sets the variable
    ``DRN_HUB_REPO`` of the Space to the new commit of the model repo. If any step fails, a running Space keeps its
    previous weights.

    Args:
        model: ``owner/name`` of the model repo.
        space: ``owner/name`` of the Space, or None to publish only the model.
        private: Whether new repos are private.
        say: Called with one line for each step.

    Raises:
        InputError: If a name, a file or the token cannot be used, or a request to the Hub fails.
    """
    model, space = _target(model), _target(space) if space else None
    if get_token() is None:
        raise InputError("Publishing needs a token with write access: set HF_TOKEN, or run `hf auth login`.")
    content = model_content()
    if space:
        space_content(HubRepo(model, UNKNOWN_COMMIT))  # find missing files before anything is uploaded
    api = HfApi()
    failed = f"{model} {UNPUBLISHED}"
    try:
        commit = _upload(api, model, "model", content, private, say)
        if space:
            failed = f"{space} {UNPUBLISHED}"
            _upload(api, space, "space", space_content(HubRepo(model, commit)), private, say)
            failed = f"{space} was published, but its variable DRN_HUB_REPO was not set, so publish again"
            _set_variable(api, space, f"{model}@{commit}", say)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{failed}: {hub.explain(failed.partition(' ')[0], error)}") from error


def _target(text: str) -> str:
    if "@" in text:
        raise InputError(f"{text} names a revision: give only owner/name.")
    return HubRepo.parse(text).name


def _upload(api: HfApi, name: str, kind: str, content: Content, private: bool, say: Callable[[str], object]) -> str:
    """Replace the whole content of the repo by ``content`` in one commit, and return the hash of the commit."""
    sdk = "gradio" if kind == "space" else None
    api.create_repo(name, repo_type=kind, private=private or None, space_sdk=sdk, exist_ok=True)
    before = api.repo_info(name, repo_type=kind).sha
    stale = set(api.list_repo_files(name, repo_type=kind)) - content.keys() - {".gitattributes"}
    operations: list[CommitOperation] = [
        *(CommitOperationAdd(path, data) for path, data in content.items()),
        *(CommitOperationDelete(path) for path in sorted(stale)),
    ]
    info = api.create_commit(name, operations, commit_message="Publish DRN", repo_type=kind, parent_commit=before)
    done = "unchanged at" if info.oid == before else "published as"
    say(f"{kind} {name}: {done} {info.oid[:7]}, {len(content)} files")
    return info.oid


def _set_variable(api: HfApi, space: str, value: str, say: Callable[[str], object]) -> None:
    current = api.get_space_variables(space).get("DRN_HUB_REPO")
    if current is None or current.value != value:
        api.add_space_variable(space, "DRN_HUB_REPO", value)
        say(f"space {space}: DRN_HUB_REPO is now {value}")


def listing(model: str, space: str | None) -> list[str]:
    """List the files that ``publish`` would upload, one line for each with its size in bytes; makes no request.

    Raises:
        InputError: If a name or a file cannot be used.
    """
    contents = {f"model {_target(model)}": model_content()}
    if space:
        contents[f"space {_target(space)}"] = space_content(HubRepo(model, UNKNOWN_COMMIT))
    lines = []
    for repo, content in contents.items():
        lines.append(f"{repo}: {len(content)} files, {sum(map(len, content.values())):,} bytes")
        lines += [f"{len(data):>12,}  {path}" for path, data in sorted(content.items())]
    return lines
