"""Each requirement has version bounds. No source file reads a file format that can execute code."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(path for folder in ("drn", "app", "scripts") for path in (ROOT / folder).rglob("*.py"))
WEIGHTS_ONLY = "torch.load of weights only"
PICKLING = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_requirements_have_an_upper_bound_and_are_satisfied(name: str) -> None:
    lines = [line.partition("#")[0].strip() for line in (ROOT / name).read_text().splitlines()]
    requirements = [Requirement(line) for line in lines if re.match(r"\w", line)]
    assert requirements
    for requirement in requirements:
        operators = {specifier.operator for specifier in requirement.specifier}
        assert operators & {"<", "<=", "==", "~="}, f"{requirement} has no upper bound"
        assert requirement.specifier.contains(version(requirement.name)), requirement


def test_gradio_is_new_enough_for_its_security_fixes() -> None:
    (line,) = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line.startswith("gradio")]
    assert not Requirement(line).specifier.contains(Version("6.30"))


def unpickled(source: str) -> list[str]:
    """Return the names in Python code that can load a pickle."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in PICKLING]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PICKLING:
            found.append(node.module or "")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name = ast.unparse(node.func)
            if name == "torch.load" and any(ast.unparse(word) == "weights_only=True" for word in node.keywords):
                name += " of weights only"
            if name in ("torch.load", "np.load", "numpy.load", "torch.hub.load", "torch.jit.load", WEIGHTS_ONLY):
                found.append(name)
    return found


def test_no_source_file_loads_pickles() -> None:
    assert unpickled("import pickle.x\nfrom joblib import load\ntorch.load(f)") == ["pickle.x", "joblib", "torch.load"]
    assert unpickled("torch.load(f, weights_only=True)") == [WEIGHTS_ONLY]
    assert unpickled("torch.load(f, weights_only=False)") == ["torch.load"]
    assert len(SOURCES) > 30
    for path in SOURCES:
        # Only the command line reads .pth files of other projects (--network). The page reads none.
        allowed = [WEIGHTS_ONLY] if path == ROOT / "drn" / "evaluation" / "network_files.py" else []
        assert unpickled(path.read_text(encoding="utf-8")) == allowed, path


def test_loading_weights_does_not_unpickle() -> None:
    code = (
        "import sys; from drn import load_model; seen = []\n"
        "sys.addaudithook(lambda event, args: seen.append(args) if event == 'pickle.find_class' else None)\n"
        "load_model(scale=2); import pickle; print(seen); pickle.loads(pickle.dumps(Exception())); print(len(seen))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "1"]
