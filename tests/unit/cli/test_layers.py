"""The modules beside the packages: import-linter reads packages only."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = {"app", "tasks", "cli", "models", "ml", "datasets", "bench"}
FRAMEWORKS = {"flask", "celery", "kombu", "sqlalchemy", "pandas", "sklearn", "scipy"}
ALLOWED = {"celeryconfig": {"celery", "kombu"}, "wsgi": {"app"}, "serve": {"app"}}


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").split(".")[0])
    return found


@pytest.mark.parametrize("path", sorted(ROOT.glob("*.py")), ids=lambda path: path.stem)
def test_a_module_at_the_root_stands_on_no_package_and_no_framework(path):
    assert imports_of(path) & (PACKAGES | FRAMEWORKS) <= ALLOWED.get(path.stem, set())


def test_the_web_process_loads_no_pandas_scipy_or_scikit_learn():
    code = "import sys, app.factory; print({'pandas', 'scipy', 'sklearn'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
