"""How bin/up fetches the browser's packages: with the npm of the machine, else with that of PyPI, else not at all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = (
    "bash",
    "sh",
    "cat",
    "cmp",
    "cp",
    "dirname",
    "basename",
    "env",
    "flock",
    "grep",
    "mkdir",
    "rm",
    "sed",
    "tar",
    "uname",
)


@pytest.fixture
def home(tmp_path):
    """A home with an environment, which is the one that runs this test."""
    folder = tmp_path / "home" / "venv" / "bin"
    folder.mkdir(parents=True)
    script(folder / "python", f'exec {sys.executable} "$@"')
    return tmp_path / "home"


@pytest.fixture
def path(tmp_path):
    """A folder for PATH with what every machine has, and without npm."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in TOOLS:
        for place in ("/usr/bin", "/bin"):
            if Path(place, name).exists():
                (folder / name).symlink_to(Path(place, name))
                break
    return folder


def script(file, text):
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)


def npm(folder, *, version="10.9.0", ci="mkdir -p node_modules/htmx.org"):
    """An npm that writes down how it was called."""
    script(folder / "npm", f'[ "$1" = --version ] && echo {version} && exit\necho "$PWD $*" >> "$CALLS"\n{ci}')


def install(home, path, **environment):
    environment = {
        "PATH": str(path),
        "HOME": str(home),
        "WATCHBILL_HOME": str(home),
        "CALLS": str(home / "calls"),
    } | environment
    done = subprocess.run(
        [ROOT / "bin" / "up", "--install"], env=environment, capture_output=True, text=True, timeout=400
    )
    calls = (home / "calls").read_text().splitlines() if (home / "calls").exists() else []
    return done, calls


def test_the_npm_of_the_machine_fetches_by_the_lockfile_and_runs_no_script_of_a_package(home, path):
    npm(path)
    done, calls = install(home, path)
    packages = home / "venv" / "packages"
    assert done.returncode == 0, done.stderr
    assert calls == [f"{packages} ci --ignore-scripts --no-audit --no-fund --loglevel=error"]
    assert (packages / "package-lock.json").read_bytes() == (ROOT / "package-lock.json").read_bytes()


def test_the_second_start_fetches_nothing(home, path):
    npm(path)
    install(home, path)
    done, calls = install(home, path)
    assert done.returncode == 0 and len(calls) == 1


def test_another_lockfile_is_fetched_anew(home, path):
    npm(path)
    install(home, path)
    (home / "venv" / "packages" / "installed-package-lock.json").write_text("{}")
    _, calls = install(home, path)
    assert len(calls) == 2


def test_without_any_npm_it_fails_with_a_sentence_and_tries_again_at_the_next_start(home, path):
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0"}
    done, _ = install(home, path, **nowhere)
    assert done.returncode == 1
    assert "The browser's packages could not be fetched; the lines above say why." in done.stderr
    npm(path)
    done, calls = install(home, path)
    assert done.returncode == 0 and len(calls) == 1


def test_an_npm_that_is_too_old_or_fails_is_not_the_end(home, path):
    """The one of PyPI is used instead; here it is in the environment already."""
    npm(path, version="6.14.0")
    npm(home / "venv" / "bin", ci="mkdir -p node_modules/from-pypi")
    stamp = home / "venv" / "installed-requirements-node.txt"
    stamp.write_bytes((ROOT / "requirements-node.txt").read_bytes())
    done, calls = install(home, path)
    assert done.returncode == 0 and len(calls) == 1, done.stderr
    assert (home / "venv" / "packages" / "node_modules" / "from-pypi").is_dir()


def test_the_npm_of_pypi_really_fetches_them(request, tmp_path, path):
    """Downloads 60 MB."""
    if not request.config.getoption("--long"):
        pytest.skip("needs --long")
    home = tmp_path / "fresh"
    home.mkdir()
    done, _ = install(home, f"{path}:{Path(sys.executable).parent}", PYTHON=os.path.realpath(sys.executable))
    assert done.returncode == 0, done.stderr
    assert (home / "venv" / "packages" / "node_modules" / "htmx.org" / "dist" / "htmx.min.js").is_file()
