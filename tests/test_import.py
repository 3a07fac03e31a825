"""What ``import dlcore`` brings in, and what it says when a file of the user's is in its way."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import dlcore as dl

ROOT = Path(__file__).parent.parent
HEAVY = {
    "array_api_compat",
    "cupy",
    "cupyx",
    "matplotlib",
    "ml_dtypes",
    "mpi4py",
    "numpy",
    "PIL",
    "safetensors",
    "scipy",
    "sklearn",
    "tqdm",
}


def python(code: str, folder: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """The outcome of ``code`` in a new process that starts in ``folder``."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def loaded(code: str, **environment: str) -> set[str]:
    """The libraries that are in memory after ``code``."""
    listing = "; import sys; print(*{name.split('.')[0] for name in sys.modules})"
    done = python(code + listing, **environment)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_importing_dlcore_imports_no_other_library():
    assert loaded("import dlcore") & HEAVY == set()


def test_naming_a_backend_in_the_environment_imports_no_array_library():
    assert loaded("import dlcore", DLCORE_BACKEND="cuda") & HEAVY == set()


def test_the_first_array_brings_numpy():
    assert "numpy" in loaded("import dlcore; dlcore.tensor(1.0)")


@pytest.mark.parametrize("stray", ["backends.py", "backends/__init__.py"])
def test_a_file_that_shadows_backends_is_named(tmp_path, stray):
    path = tmp_path / stray
    path.parent.mkdir(exist_ok=True)
    path.write_text("")

    done = python("import dlcore", folder=tmp_path)

    assert done.returncode != 0
    error = done.stderr.splitlines()[-1]
    assert error.startswith("ImportError: ")
    assert str(path) in error
    assert "cannot import name" not in error  # Python's own words explain nothing to a user


def test_a_plain_folder_called_backends_is_not_in_the_way(tmp_path):
    (tmp_path / "backends").mkdir()

    done = python("import dlcore", folder=tmp_path)

    assert done.returncode == 0, done.stderr


LATE = ("checkpoint", "data", "fft", "graph", "linalg", "nn", "optim", "testing", "train", "viz")


def test_parts_that_many_programs_do_without_load_when_they_are_named():
    code = ("import sys, dlcore as dl\n"
            f"late = {LATE!r}\n"
            "assert not [n for n in late if f'dlcore.{n}' in sys.modules]\n"
            "assert set(late) <= set(dir(dl))\n"
            "assert all(getattr(dl, n) is sys.modules[f'dlcore.{n}'] for n in late)\n"
            "from dlcore import *\n"
            "train.Trainer, optim.SGD")

    assert python(code).stderr == ""


def test_a_misspelt_part_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'dlcore' has no attribute 'tensr'"):
        dl.tensr  # noqa: B018  asking is the test
