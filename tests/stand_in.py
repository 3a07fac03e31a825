"""A pytest plugin that lets ``cuda`` be the file of the CUDA backend on the stand-in for CuPy.

    pytest -p tests.stand_in -m cuda

runs every test that a machine with a card runs, on a machine without one.  It shows that the file of the
backend passes the whole suite, and that a run on a card will not fail for a mistake in a test.
"""

import importlib

import pytest

import backends
from tests import fake_cupy


def load(ordinal=0):
    """The backend of the stand-in's one device."""
    if ordinal:
        raise backends.BackendError(f"backend 'cuda' is not available: there is no device {ordinal}")
    with fake_cupy.installed():
        return importlib.import_module("backends.cupy_backend").CupyBackend()


def pytest_configure(config):
    """Refuse tests that know the stand-in as ``fakecuda``: of an array only one backend can be the owner."""
    if config.getoption("markexpr") != "cuda":
        raise pytest.UsageError("-p tests.stand_in runs the tests of a card: say -m cuda")


backends.register_backend("cuda", load)
