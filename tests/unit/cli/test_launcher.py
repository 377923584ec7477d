"""The launcher's decisions and its answers when something is missing."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
LISTS = ("requirements.txt", "requirements-embedded.txt", "requirements-dev.txt")


@pytest.fixture
def launcher(tmp_path, monkeypatch):
    """Load the launcher as if it stood in an empty directory."""
    loader = SourceFileLoader("launcher_under_test", str(ROOT / "millrace"))
    spec = spec_from_loader(loader.name, loader)
    assert spec
    module = module_from_spec(spec)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader.exec_module(module)
    for name in LISTS:
        shutil.copy(ROOT / name, tmp_path)
    venv = tmp_path / ".venv"
    for name, value in {
        "ROOT": tmp_path,
        "VENV": venv,
        "PYTHON": venv / "bin" / "python",
        "STAMP": venv / "millrace-stamp.json",
        "UNFINISHED": venv / "millrace-unfinished",
    }.items():
        monkeypatch.setattr(module, name, value)
    return module


@pytest.fixture
def installed(launcher):
    """Give a launcher whose packages are installed."""
    launcher.PYTHON.parent.mkdir(parents=True)
    launcher.PYTHON.symlink_to(sys.executable)
    stamp = {"root": str(launcher.ROOT), "python": os.path.realpath(sys.executable)}
    stamp |= {name: launcher.digest(name) for name in launcher.RUN_LISTS}
    launcher.STAMP.write_text(json.dumps(stamp))
    return launcher


def test_a_finished_set_up_is_not_repeated(installed):
    assert installed.is_current(installed.RUN_LISTS)


def test_a_changed_list_is_installed(installed):
    with (installed.ROOT / "requirements.txt").open("a") as file:
        file.write("# newer\n")
    assert not installed.is_current(installed.RUN_LISTS)


def test_an_interrupted_set_up_is_repaired(installed):
    installed.UNFINISHED.touch()
    assert not installed.is_current(installed.RUN_LISTS)


def test_a_damaged_stamp_a_moved_directory_and_a_gone_python_are_repaired(installed, monkeypatch):
    good = installed.STAMP.read_text()
    for bad in ("{", "[]", good.replace(str(installed.ROOT), "/elsewhere")):
        installed.STAMP.write_text(bad)
        assert not installed.is_current(installed.RUN_LISTS)
    installed.STAMP.write_text(good)
    installed.PYTHON.unlink()
    installed.PYTHON.symlink_to("/nowhere/python")
    assert not installed.is_current(installed.RUN_LISTS)


def test_only_developers_commands_need_their_tools(launcher):
    assert launcher.lists_for(["--debug", "test", "-x"]) == LISTS
    assert launcher.lists_for(["run"]) == LISTS[:2]
    assert launcher.lists_for([]) == LISTS[:2]


@pytest.mark.parametrize(
    ("output", "answer"),
    [
        ("ERROR: [Errno 28] No space left on device", "the disk is full"),
        (
            "WARNING: Retrying (Retry(total=1)) after connection broken by 'NewConnectionError'\n"
            "ERROR: No matching distribution found for alembic==1.20.1",
            "the package registry cannot be reached",
        ),
        ("SSLError(SSLCertVerificationError(1, 'CERTIFICATE_VERIFY_FAILED'", "PIP_CERT"),
        (
            "ERROR: Could not find a version that satisfies the requirement scipy==1.17.1\n"
            "ERROR: No matching distribution found for scipy==1.17.1",
            "scipy==1.17.1 has no ready-made wheel",
        ),
        (
            "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n"
            "    flask==3.1.3 from https://x:\n        Expected sha256 1\n",
            "another file than the one pinned for flask==3.1.3",
        ),
        ("ERROR: Could not install packages: [Errno 13] Permission denied: '/x'", "chown"),
        ("one\ntwo\nsomething unforeseen", "something unforeseen"),
    ],
)
def test_each_failure_of_pip_has_its_answer(launcher, output, answer):
    assert answer in launcher.explain(output)


def test_a_directory_that_cannot_be_written_is_named(launcher):
    for number in (errno.EACCES, errno.EROFS):
        assert f"cannot write to {launcher.ROOT}" in launcher.explain_os_error(
            OSError(number, "no")
        )


def test_a_full_disk_is_told_before_anything_is_fetched(launcher, monkeypatch):
    monkeypatch.setattr(launcher, "NEEDED_BYTES", 1 << 60)
    with pytest.raises(launcher.SetupError, match="MB are needed"):
        launcher.install(launcher.RUN_LISTS)


def test_a_python_without_pip_and_ensurepip_is_told_what_to_install(launcher, monkeypatch):
    monkeypatch.setattr("importlib.metadata.version", lambda name: "9.0")
    monkeypatch.setattr(launcher, "PYTHON", Path(shutil.which("false") or "/bin/false"))
    with pytest.raises(launcher.SetupError, match="apt install python3"):
        launcher.pip_command()


def test_a_list_that_is_missing_is_named(launcher):
    (launcher.ROOT / "requirements.txt").unlink()
    with pytest.raises(launcher.SetupError, match=r"requirements\.txt cannot be read"):
        launcher.is_current(launcher.RUN_LISTS) or launcher.digest("requirements.txt")


def test_the_launcher_parses_on_python_3_8():
    compile((ROOT / "millrace").read_text(), "millrace", "exec", _feature_version=8)


def test_an_old_python_answers_in_one_line(tmp_path):
    code = (
        "import sys, runpy\n"
        "sys.version_info = (3, 8, 18, 'final', 0)\n"
        "sys.argv = ['millrace']\n"
        "runpy.run_path(sys.argv[0] if False else "
        + repr(str(ROOT / "millrace"))
        + ", run_name='__main__')\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 1
    assert said.stderr.startswith("millrace: Python 3.11 or newer is needed, this is 3.8")
    assert said.stderr.count("\n") == 1
