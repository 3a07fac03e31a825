"""``python -m dlcore``: what it prints, run as a user runs it."""

import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import dlcore as dl
from backends import registry
from backends.errors import BackendError
from dlcore import __main__ as main
from tests.devices import why_no_cuda

ROOT = Path(__file__).parent.parent
TWO_CUPYS = "which overwrite each other's files; uninstall both, then install one"


def printed(*arguments: str, **environment: str) -> str:
    """What ``python -m dlcore`` prints in a process of its own, which must end well."""
    done = subprocess.run(
        [sys.executable, "-m", "dlcore", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def joined(text: str) -> str:
    """``text`` in one line, however it was wrapped."""
    return " ".join(text.split())


@pytest.fixture
def registering():
    """``register_backend`` whose backends are forgotten after the test."""
    before = dict(registry._factories)
    yield registry.register_backend
    registry._factories.clear()
    registry._factories.update(before)


# --- the report ------------------------------------------------------------------------------------


def test_the_report_begins_with_the_versions_of_dlcore_and_python():
    first = printed().splitlines()[0]

    assert first.startswith(f"dlcore {dl.__version__} on Python {sys.version.split()[0]}, ")


@pytest.mark.parametrize("name", ["numpy", "scipy", "safetensors", "tqdm"])
def test_the_report_has_the_version_of_every_dependency(name):
    assert re.search(rf"^  {name} +{re.escape(version(name))}$", printed(), re.MULTILINE)


def test_a_backend_that_loads_is_said_to_load():
    assert re.search(r"^  cpu +loads$", printed(), re.MULTILINE)


def test_a_backend_that_does_not_load_says_why_and_what_to_do(registering):
    def factory():
        raise BackendError("backend 'moon' is not available: the link is down; wait for the next window")

    registering("moon", factory)

    assert main.loading("moon") == "does not load: the link is down; wait for the next window"


def test_a_backend_whose_factory_breaks_does_not_break_the_report(registering):
    registering("moon", lambda: 1 // 0)

    assert "moon does not load: ZeroDivisionError: " in joined(main.report())


def test_cuda_loads_or_is_in_the_report_with_its_reason():
    reason = why_no_cuda().removeprefix("backend 'cuda' is not available: ")

    assert main.loading("cuda") == (f"does not load: {reason}" if reason else "loads")


def test_the_report_tells_where_new_arrays_are_made():
    unset = printed(DLCORE_BACKEND="")

    assert "new arrays backend cpu (DLCORE_BACKEND is not set) dtype float32" in joined(unset)
    assert "backend cpu (DLCORE_BACKEND is 'cpu')" in joined(printed(DLCORE_BACKEND="cpu"))


def test_a_backend_of_the_environment_that_is_unknown_is_reported():
    text = joined(printed(DLCORE_BACKEND="abacus"))

    cause = "environment variable DLCORE_BACKEND=abacus: unknown backend 'abacus'; known: "
    assert f"backend none: {cause}" in text


def test_lines_are_aligned_and_no_longer_than_a_terminal(registering):
    def factory():
        raise BackendError("a cause that takes many words to tell " * 9)

    registering("moon", factory)

    lines = main.report().splitlines()
    backends = lines[lines.index("backends") + 1:lines.index("new arrays") - 1]

    column = max(map(len, registry.known_backends())) + 4
    assert {line[:column].rstrip() == line[:column - 2].rstrip() for line in backends} == {True}
    assert {line[column:column + 1].isspace() for line in backends} == {False}
    assert max(map(len, lines)) <= main.WIDTH


@pytest.mark.parametrize(
    ("versions", "text"),
    [
        ({"cupy-cuda13x": "14.2.0"}, "cupy-cuda13x 14.2.0"),
        ({"cupy": "14.2.0"}, "14.2.0"),
        ({}, "no; the extra cuda13 or cuda12 brings it"),
        (
            {"cupy-cuda13x": "14.2.0", "cupy-cuda12x": "14.1.1"},
            f"cupy-cuda13x 14.2.0 and cupy-cuda12x 14.1.1, {TWO_CUPYS}",
        ),
    ],
)
def test_cupy_is_found_under_each_of_its_names(monkeypatch, versions, text):
    monkeypatch.setattr(main, "version_of", versions.get)

    assert main.installed("cupy") == text


def test_a_missing_dependency_is_told_apart_from_a_missing_extra(monkeypatch):
    monkeypatch.setattr(main, "version_of", lambda name: None)

    assert main.installed("numpy") == "no; dlcore needs it"
    assert main.installed("matplotlib") == "no; the extra viz brings it"


def test_an_unknown_page_is_refused(capsys):
    with pytest.raises(SystemExit):
        main.main(["weather"])

    assert "invalid choice: 'weather'" in capsys.readouterr().err
