"""What can be checked, each thing in an environment of its own.

``nox -l`` lists the sessions, ``nox`` runs the daily ones, ``nox -s tests`` runs one of them.
``nox --no-venv -s tests`` uses the environment that is there and installs nothing.
"""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import nox

nox.needs_version = ">=2025.10.14"
nox.options.sessions = ["lint", "types", "tests", "docs", "examples"]
nox.options.default_venv_backend = "uv|virtualenv"  # uv installs faster, where it is present
nox.options.reuse_venv = "yes"

ROOT = Path(__file__).parent
CURRENT = f"{sys.version_info.major}.{sys.version_info.minor}"


def runs(version: str) -> bool:
    """Whether this Python starts; a shim of pyenv may be on the path with nothing behind it."""
    command = shutil.which(f"python{version}")
    if command is None:
        return False
    return subprocess.run([command, "-c", ""], capture_output=True, check=False).returncode == 0


ONE_THREAD = dict.fromkeys(["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"], "1")
PYTHONS = [v for v in ("3.11", "3.12") if v == CURRENT or runs(v)] or [CURRENT]


def install(session: nox.Session, *requirements: str) -> None:
    """Install into the session's own environment, never into the user's."""
    if session.virtualenv.is_sandboxed:
        session.install(*requirements)


def lowest(requirements: list[str]) -> list[str]:
    """``name>=1.2`` as ``name==1.2``, for each requirement that states a lower bound."""
    bounds = (re.match(r"([\w.-]+)(?:\[.*\])?>=([\w.]+)", r) for r in requirements)
    return [f"{bound[1]}=={bound[2]}" for bound in bounds if bound]


def pytest(session: nox.Session, profile: str) -> None:
    """Run all tests but the cuda ones, a process per core."""
    env = {"HYPOTHESIS_PROFILE": profile, **ONE_THREAD}
    session.run("python", "-m", "pytest", "-n", "auto", "-m", "not cuda", *session.posargs, env=env)


def scripts(pattern: str) -> list[str]:
    """The scripts of examples/ by name; a pattern that finds none is an error."""
    found = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "examples").glob(pattern))
    if not found:
        raise FileNotFoundError(f"no examples/{pattern}")
    return found


@nox.session(python=PYTHONS, download_python="never")
def tests(session: nox.Session) -> None:
    """Run the tests on the CPU and on array-api-strict, on Python 3.11 and 3.12 where present."""
    install(session, "-e", ".[test,examples,half]")
    pytest(session, profile="ci")


@nox.session
def cuda(session: nox.Session) -> None:
    """Run every check that needs a card, in ten minutes, and write down what it found; fails without one.

    It takes CUDA 13; elsewhere, use ``nox --no-venv -s cuda`` in an environment with CuPy.
    """
    install(session, "-e", ".[test,examples,half,cuda13]")
    session.run("python", "-m", "tests.on_card", *session.posargs)


@nox.session(name="cuda-on-cpu")
def cuda_on_cpu(session: nox.Session) -> None:
    """Prove what can be proven of the CUDA backend without a device; needs g++, skips nothing."""
    compiler = ["nvidia-cuda-nvrtc~=13.0", "nvidia-cuda-runtime~=13.0"]  # 126 MB where cupy[ctk] has 1.2 GB
    install(session, "-e", ".[test,half,examples,cuda13-system]", *compiler, "uv")
    subjects = ("cuda_on_cpu", "planted_mistakes", "backend_cupy", "optim_cupy", "transfers")
    tests = session.posargs or [f"tests/test_{subject}.py" for subject in subjects]
    session.run("python", "-m", "pytest", "-n", "auto", "-m", "cuda_on_cpu or not cuda", *tests)
    if not session.posargs:  # and all that would run on a card
        one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        session.run("python", "-m", "pytest", "-n", "auto", "-p", "tests.stand_in", "-m", "cuda",
                    env={"HYPOTHESIS_PROFILE": "card", **one_thread})


@nox.session
def peers(session: nox.Session) -> None:
    """Compare with PyTorch and JAX, and check functions of theirs; both are large."""
    install(session, "-e", ".[test,examples]", "torch", "jax")
    session.run("python", "-m", "pytest", "-m", "peers", *session.posargs)


@nox.session
def nightly(session: nox.Session) -> None:
    """Run the tests with thousands of drawn examples each, new ones every time."""
    install(session, "-e", ".[test,examples,half]")
    pytest(session, profile="nightly")


@nox.session(python="3.11", download_python="never")
def minimum(session: nox.Session) -> None:
    """Run the tests on the oldest Python and the oldest dependencies that pyproject.toml allows."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    oldest = [*project["dependencies"], *extras["viz"], *extras["data"], *extras["half"]]
    install(session, "-e", ".[test,examples,half]", *lowest(oldest))
    pytest(session, profile="ci")


@nox.session
def lint(session: nox.Session) -> None:
    """Check names, imports, docstrings and known traps."""
    install(session, "-e", ".[dev]")
    session.run("ruff", "check", *(session.posargs or ["."]))


@nox.session
def types(session: nox.Session) -> None:
    """Check types, strictly."""
    install(session, "-e", ".[dev,examples]")
    session.run("mypy", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Run every code block of the pages and every example in a docstring."""
    install(session, "-e", ".[test,examples]")
    pages = ["README.md", "CONTRIBUTING.md", "docs", "dlcore", "backends"]
    session.run("python", "-m", "pytest", "-p", "tests.documents", *(session.posargs or pages))


@nox.session
def ledger(session: nox.Session) -> None:
    """Measure every operation on the CPU and on array-api-strict, and write docs/ledger.{json,md}."""
    install(session, "-e", ".[test,examples,half]")
    strict = "strict=tests.strict_backend:StrictBackend"
    session.run("python", "-m", "dlcore", "ledger", "--backend", "cpu", "--backend", strict, *session.posargs,
                env={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})


@nox.session
def tutorials(session: nox.Session) -> None:
    """Retell the five tutorials: figures on the terminal, pictures in out/."""
    install(session, ".[examples]")  # not editable: the scripts also prove that the wheel is whole
    for script in scripts("tutorial_*.py"):
        session.run("python", script, "--out", "out/", *session.posargs)


@nox.session
def examples(session: nox.Session) -> None:
    """Run every example to its end, the tutorials among them, and ask for the figures that they claim."""
    install(session, ".[test,examples]")
    for script in scripts("*.py"):
        session.run("python", script, "--out", "out/", *session.posargs)
    session.run("python", "-m", "pytest", "-n", "auto", "-m", "figures", "tests/test_examples.py",
                env=ONE_THREAD)


@nox.session
def bench(session: nox.Session) -> None:
    """Time dlcore beside its peers (PyTorch is large); ``nox -s bench -- --help`` tells more."""
    install(session, ".", "autograd", "torch")
    session.run("python", "-m", "benchmarks", *session.posargs)
