"""References in the documentation: links, anchors, commands with their options, files and make targets must exist."""

from __future__ import annotations

import ast
import functools
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
from PIL import Image
from typer.core import TyperGroup

from drn.commands.main import app
from drn.image import Array

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/*.md", "weights/*.md")
    for path in ROOT.glob(pattern)
)
HISTORY = ("CHANGELOG.md", "docs/research-log.md")
"""Pages that may name files which no longer exist."""

MAX_README_LINES = 120

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
INLINE_CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
ASSIGNMENT = re.compile(r"[A-Z_]+=\S*")
LAUNCHERS = ("accelerate launch", r"torchrun --nproc-per-node \S+")
DRN = re.compile(rf"(?:drn|(?:python|{'|'.join(LAUNCHERS)}) -m drn)(?= |$)")
FOREIGN = {".", "mv", "pip", "pip-audit", "pre-commit"}
"""Programs that the documentation may call and that are not part of the project."""

FOLDERS = "app|docs|drn|scripts|tests|tools|weights"
NAMED_FILE = re.compile(rf"(?:{FOLDERS})/[\w./-]+\.(?:py|md|js|css|html|json|csv|toml)|(?:{FOLDERS})/(?:[\w-]+/)*")


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def prose(page: str) -> str:
    """Return the text of a page without its code blocks and front matter."""
    return re.sub(r"\A---\n.*?\n---\n", "", FENCE.sub("", read(page)), flags=re.S)


def inline_code(page: str) -> list[str]:
    return [" ".join(code.split()) for code in INLINE_CODE.findall(prose(page))]


def block_commands(page: str) -> list[str]:
    """Return the commands of the shell blocks: continued lines joined, without redirections."""
    blocks = [code for language, code in FENCE.findall(read(page)) if language == "sh"]
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    words = [shlex.join(shlex.split(line, comments=True)) for line in lines]
    return [part.split(" '>' ")[0] for line in words for part in line.split(" '&&' ") if part]


def inline_commands(page: str) -> list[str]:
    """Return the command lines and parts of them, such as ``drn train --init``, in inline code."""
    start = re.compile(rf"(?:[A-Z_]+=\S+ )*(?:{DRN.pattern}|python -m |make )")
    return [code for code in inline_code(page) if start.match(code)]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    found: dict[str, int] = {}
    names = set()
    for heading in re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.M):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        count = found.setdefault(slug, 0)
        found[slug] += 1
        names.add(f"{slug}-{count}" if count else slug)
    return names


@functools.cache
def make_targets() -> set[str]:
    return {target for line in re.findall(r"^([^\s:#][^:=]*):(?!=)", read("Makefile"), re.M) for target in line.split()}


@functools.cache
def extras() -> set[str]:
    return set(tomllib.loads(read("pyproject.toml"))["project"]["optional-dependencies"])


@functools.cache
def module_options(module: str) -> frozenset[str]:
    """Return the options of a module's command line, read from its source: importing it may need a browser."""
    tree = ast.parse(read(f"{module.replace('.', '/')}.py"))
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    options = {text for text in texts if text.startswith("--")}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == "main":
            names = [argument.arg.replace("_", "-") for argument in (*node.args.args, *node.args.kwonlyargs)]
            options |= {f"--{name}" for name in names} | {f"--no-{name}" for name in names}
    return frozenset(options)


def check_drn(arguments: list[str], whole: bool) -> None:
    """Check the words after ``drn``. Unless ``whole`` is set, only the command and its options must exist."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    if not arguments or arguments[0].startswith("-"):
        known = {name for parameter in group.params for name in parameter.opts} | {"--help"}
        assert set(arguments) <= known
        return
    name, *rest = arguments
    assert name in group.commands
    command = group.commands[name]
    if whole and "--help" not in rest:
        command.make_context(name, rest)
        return
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word.partition("=")[0] for word in rest if word.startswith("-")} <= known | {"--help"}


def check_command(line: str, whole: bool) -> None:
    """Check one command line of the documentation.

    Args:
        line: The command line.
        whole: Whether it is a complete command, as in a code block, or perhaps a part of one.
    """
    line = re.sub(rf"^(?:{ASSIGNMENT.pattern} +)+", "", line)
    if match := DRN.match(line):
        arguments = shlex.split(line[match.end() :])
        check_drn([word for word in arguments if word != "..."], whole and "..." not in arguments)
        return
    program, *words = shlex.split(line)
    if program == "make":
        assert set(words) <= make_targets()
    elif program == "python" and words[:1] == ["-m"] and words[1].startswith(("scripts.", "tools.")):
        used = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert used <= module_options(words[1])
    elif program == "python" and words[:2] == ["-m", "pytest"]:
        assert all((ROOT / word).exists() for word in words[2:] if not word.startswith("-"))
    elif program == "python":
        assert (ROOT / words[0]).is_file()
    else:
        assert program in FOREIGN
        if words[:1] == ["install"]:
            named = re.findall(r"\.\[([\w,]+)\]", line)
            assert {extra for names in named for extra in names.split(",")} <= extras()


def fault_of(line: str, whole: bool) -> str:
    """Return why a command line of the documentation is wrong; empty if it is right."""
    try:
        check_command(line, whole)
    except Exception as error:  # typer's own errors have other types in other versions
        return f"{line}: {error!r}"
    return ""


def test_every_page_is_checked() -> None:
    assert {"README.md", "SECURITY.md", "CONTRIBUTING.md", "docs/architecture.md", "weights/README.md"} <= set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings_that_exist(page: str) -> None:
    for link in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), f"{page} links to {link}"
        assert not anchor or anchor in anchors(target), f"{page} links to {link}"


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_their_options_exist(page: str) -> None:
    faults = [fault_of(line, whole=True) for line in block_commands(page)]
    faults += [fault_of(line, whole=False) for line in inline_commands(page)]
    assert [fault for fault in faults if fault] == []


@pytest.mark.parametrize("page", [page for page in PAGES if page not in HISTORY])
def test_files_that_are_named_exist(page: str) -> None:
    named = [code for code in inline_code(page) if NAMED_FILE.fullmatch(code)]
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", [page for page in PAGES if page not in HISTORY])
def test_tests_that_are_named_exist(page: str) -> None:
    defined = {
        name for path in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", path.read_text())
    }
    assert [code for code in inline_code(page) if re.fullmatch(r"test_\w+", code) and code not in defined] == []


def test_the_example_in_the_readme_runs(photo: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = [code for language, code in FENCE.findall(read("README.md")) if language == "python"]
    Image.fromarray(photo[:16, :20]).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(code, names)  # the text is ours
    assert names["sr"].shape == (64, 80, 3)


def test_the_architecture_page_names_every_module() -> None:
    paths = [path for folder in ("app", "drn", "scripts", "tools") for path in (ROOT / folder).rglob("*.[pj][ys]")]
    modules = {path.relative_to(ROOT).as_posix() for path in paths if path.name != "__init__.py"}
    assert sorted(modules - set(inline_code("docs/architecture.md"))) == []


def test_scripts_write_into_pages_that_exist() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "scripts").glob("*.py")]
    named = {name for text in texts for name in re.findall(r'docs"? ?/ ?"?([\w-]+\.md)', text)}
    assert "research-log.md" in named
    assert [name for name in sorted(named) if not (ROOT / "docs" / name).exists()] == []
    for mark in ("ablation", "method"):
        assert read("docs/research-log.md").count(f"<!-- {mark} -->") == 1


def test_the_readme_is_short() -> None:
    assert len(read("README.md").splitlines()) < MAX_README_LINES


@pytest.mark.parametrize(
    "line",
    [
        "drn evaluate --data Set5 --no-such-option",
        "drn evaluate --scale 2",
        "python -m drn enlarge photo.png",
        "accelerate launch -m drn train --out runs/x2 --patches 4",
        "python -m scripts.overlap photos --held-in Set5",
        "python -m scripts.nothing",
        "python -m pytest tests/drn/test_nothing.py",
        "make everything",
        "pip install '.[everything]'",
        "curl https://example.org",
    ],
)
def test_a_command_that_does_not_exist_is_found(line: str) -> None:
    assert fault_of(line, whole=True)
