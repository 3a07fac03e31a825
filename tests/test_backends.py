"""Choosing a backend: names, scopes, the environment, threads, and who owns an array."""

import logging
import os
import subprocess
import sys
import threading
import types
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

import backends
from backends import (
    OWNERS,
    BackendError,
    available_backends,
    backend_of,
    current,
    get_backend,
    register_backend,
    registry,
    set_backend,
    use_backend,
)
from backends.numpy_backend import NumpyBackend
from tests.devices import why_no_cuda

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def own_registry(monkeypatch):
    """Gives each test a registry to spoil: what it registers, loads and selects is forgotten."""
    monkeypatch.setattr(registry, "_factories", dict(registry._factories))
    loaded = {name: get_backend(name) for name in ("cpu", "strict")}
    monkeypatch.setattr(registry, "_loaded", loaded)
    monkeypatch.setattr(registry, "_default", registry._default)
    before = dict(OWNERS)
    yield
    OWNERS.clear()
    OWNERS.update(before)


class Elsewhere(NumpyBackend):
    """NumPy arrays of a type of their own, on as many devices as one likes."""

    family = "elsewhere"
    scalar_types = ()

    def __init__(self, ordinal: int = 0) -> None:
        super().__init__()
        self.name = f"elsewhere:{ordinal}" if ordinal else "elsewhere"
        self.array_type = Far
        self.ordinal = ordinal

    def owns(self, x):
        return isinstance(x, Far) and x.ordinal == self.ordinal


class Far:
    """An array that only says where it is."""

    def __init__(self, ordinal: int = 0) -> None:
        self.ordinal = ordinal


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The outcome of ``code`` in a new process."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


# --- names -----------------------------------------------------------------------


def test_importing_backends_imports_no_array_library():
    done = python(
        "import sys, backends, backends.host\n"
        "assert not backends.host.is_array([]) and not backends.host.is_scalar(1.0)\n"
        "print({'numpy', 'scipy', 'cupy', 'ml_dtypes'} & set(sys.modules))"
    )

    assert done.stdout.strip() == "set()", done.stderr


def test_a_name_always_gives_the_same_backend():
    assert get_backend("cpu") is get_backend("cpu")
    assert get_backend("cpu") is get_backend("cpu:0")
    assert get_backend("cpu").name == "cpu"


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(BackendError, match=r"unknown backend 'tpu'; known: auto, cpu, cuda"):
        set_backend("tpu")


@pytest.mark.parametrize("name", ["cpu:x", "cpu:", ":1", "", "cpu:-1"])
def test_a_malformed_name_is_an_unknown_one(name):
    with pytest.raises(BackendError, match=f"unknown backend '{name}'; known: auto"):
        get_backend(name)


def test_a_backend_without_numbered_devices_says_so():
    with pytest.raises(BackendError, match=r"'cpu:1': 'cpu' has no numbered devices"):
        get_backend("cpu:1")


@pytest.mark.parametrize("name", [0, None, np])
def test_a_backend_is_selected_by_name_only(name):
    with pytest.raises(TypeError, match=r"a backend is selected by name, such as 'cpu', got"):
        set_backend(name)


def test_available_backends_are_those_that_load():
    assert {"cpu", "strict"} <= set(available_backends())
    assert ("cuda" in available_backends()) == (not why_no_cuda())


# --- registering -----------------------------------------------------------------


def test_a_callable_can_be_registered():
    register_backend("elsewhere", Elsewhere)

    assert get_backend("elsewhere").name == "elsewhere"
    assert get_backend("elsewhere:2").name == "elsewhere:2"
    assert get_backend("elsewhere:2").ordinal == 2


def test_a_registered_module_is_imported_when_it_is_first_selected(monkeypatch):
    register_backend("late", "a_module_of_tests", "Elsewhere")
    module = types.ModuleType("a_module_of_tests")
    module.Elsewhere = Elsewhere
    monkeypatch.setitem(sys.modules, "a_module_of_tests", module)

    assert isinstance(get_backend("late"), Elsewhere)


def test_a_name_may_be_registered_again_until_its_backend_is_in_use():
    register_backend("elsewhere", dict)
    register_backend("elsewhere", Elsewhere)
    get_backend("elsewhere:1")

    with pytest.raises(BackendError, match=r"'elsewhere' is in use and cannot be replaced"):
        register_backend("elsewhere", Elsewhere)


@pytest.mark.parametrize(
    ("source", "attribute", "message"),
    [
        ("no_such_module", "Backend", "'broken' is not available: No module named 'no_such_mo"),
        ("math", "Backend", "'broken' is not available: module 'math' has no attribute 'Ba"),
        (dict, None, "'broken': its factory gave dict, not a backends.Backend"),
    ],
)
def test_a_backend_that_does_not_load_says_why(source, attribute, message):
    register_backend("broken", source, attribute)

    with pytest.raises(BackendError, match=message):
        get_backend("broken")
    assert "broken" not in available_backends()


def test_a_module_needs_the_name_of_what_it_has():
    with pytest.raises(TypeError, match=r"'mine' needs a callable, or a module and the name"):
        register_backend("mine", "my_module")


@pytest.mark.parametrize("name", ["auto", "", "a:1", "a b"])
def test_a_name_that_could_not_be_selected_is_refused(name):
    with pytest.raises(BackendError, match=f"register_backend: '{name}' cannot be the name"):
        register_backend(name, Elsewhere)


def test_other_distributions_declare_backends_as_entry_points(monkeypatch):
    entry = metadata.EntryPoint("further", f"{__name__}:Elsewhere", registry.ENTRY_POINTS)
    asked = []

    def entry_points(group):
        asked.append(group)
        return [entry]

    monkeypatch.setattr(metadata, "entry_points", entry_points)

    assert get_backend("further").family == "elsewhere"
    assert "further" in available_backends()
    assert set(asked) == {"dlcore.backends"}


def test_threads_that_load_a_backend_together_get_one():
    made = []
    barrier = threading.Barrier(8)

    def factory():
        made.append(Elsewhere())
        return made[-1]

    register_backend("elsewhere", factory)

    def load(_):
        barrier.wait()
        return get_backend("elsewhere")

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(load, range(8)))

    assert found == set(made)
    assert len(made) == 1


# --- selecting -------------------------------------------------------------------


def test_the_cpu_is_selected_at_first():
    assert python("import backends; print(backends.get_backend().name)").stdout.strip() == "cpu"


def test_set_backend_holds_for_every_thread():
    set_backend("strict")

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(get_backend).result().name == "strict"
    assert current().name == "strict"


def test_use_backend_holds_inside_its_block_and_context_only():
    with use_backend("strict") as chosen:
        assert chosen is get_backend() is get_backend("strict")
        with use_backend("cpu"):
            assert current().name == "cpu"
        assert current().name == "strict"
        assert copy_context().run(current).name == "strict"
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(current).result().name == "cpu"
    assert current().name == "cpu"


def test_use_backend_ends_when_its_block_raises():
    with pytest.raises(ZeroDivisionError), use_backend("strict"):
        raise ZeroDivisionError

    assert current().name == "cpu"


def test_set_backend_inside_use_backend_is_refused():
    with (
        use_backend("strict"),
        pytest.raises(BackendError, match=r"set_backend\('cpu'\) has no effect inside use_backend"),
    ):
        set_backend("cpu")


def test_a_backend_that_fails_leaves_the_selection_as_it_was():
    with pytest.raises(BackendError):
        set_backend("tpu")

    assert current().name == "cpu"


def test_the_environment_selects_when_a_backend_is_first_needed():
    code = (
        "import backends\n"
        "backends.register_backend('strict', 'tests.strict_backend', 'StrictBackend')\n"
        "print(backends.current().name)\n"
        "import os; os.environ['DLCORE_BACKEND'] = 'cpu'\n"
        "print(backends.current().name)"
    )

    assert python(code, DLCORE_BACKEND="strict").stdout.split() == ["strict", "strict"]


def test_set_backend_goes_before_the_environment():
    code = "import backends; backends.set_backend('cpu'); print(backends.current().name)"

    assert python(code, DLCORE_BACKEND="no such").stdout.split() == ["cpu"]


def test_an_error_about_the_environment_names_the_variable():
    done = python("import backends; backends.current()", DLCORE_BACKEND="tpu")

    assert "environment variable DLCORE_BACKEND=tpu: unknown backend 'tpu'" in done.stderr


def test_auto_is_cuda_where_it_works_else_cpu_with_one_line_in_the_log(caplog):
    register_backend("cuda", "no_such_module", "Backend")
    caplog.set_level(logging.INFO, "dlcore")

    set_backend("auto")

    assert current().name == "cpu"
    line, = caplog.messages
    assert line == ("backend 'auto' is 'cpu': backend 'cuda' is not available: "
                    "No module named 'no_such_module'")

    register_backend("cuda", Elsewhere)
    set_backend("auto")

    assert current().name == "elsewhere"


# --- ownership -------------------------------------------------------------------


def test_the_type_of_an_array_tells_its_backend():
    cpu, strict = get_backend("cpu"), get_backend("strict")

    assert OWNERS[np.ndarray] is cpu
    assert OWNERS[np.float32] is cpu
    assert OWNERS[strict.array_type] is strict


def test_backend_of_is_the_one_owner():
    x = get_backend("strict").zeros((2,))

    assert backend_of(x).name == "strict"
    assert backend_of(1.0, x, x, True).name == "strict"
    assert backend_of(np.zeros(2)).name == "cpu"
    assert backend_of(np.float32(1)).name == "cpu"


def test_an_array_has_an_owner_before_anything_was_selected():
    code = "import numpy, backends; print(backends.backend_of(numpy.zeros(2)).name)"

    assert python(code).stdout.strip() == "cpu"


def test_an_array_of_cupy_has_an_owner_though_cuda_was_never_selected():
    array = type("ndarray", (Far,), {"__module__": "cupy", "dtype": "float32"})(3)
    array.device = types.SimpleNamespace(id=3)
    register_backend("cuda", Elsewhere)

    assert backend_of(array) is get_backend("cuda:3")


def test_a_subclass_of_an_array_has_the_owner_of_its_base():
    assert backend_of(np.ma.array([1.0])).name == "cpu"


def test_mixing_backends_names_both_and_the_fix():
    x, y = get_backend("strict").zeros((2,)), np.zeros(2)

    with pytest.raises(BackendError, match=r"on strict and cpu in one operation; .*Tensor\.to\("):
        backend_of(x, y)


@pytest.mark.parametrize(
    ("given", "kinds"), [((1.0, [2]), "float, list"), ((), "nothing"), (("text",), "str")]
)
def test_where_there_is_no_array_there_is_no_owner(given, kinds):
    with pytest.raises(TypeError, match=f"no array among what was given: {kinds}"):
        backend_of(*given)


def test_a_second_device_of_one_library_is_told_by_the_array():
    register_backend("elsewhere", Elsewhere)
    first = get_backend("elsewhere")
    assert OWNERS[Far] is first

    second = get_backend("elsewhere:1")

    assert Far not in OWNERS
    assert backend_of(Far(0)) is first
    assert backend_of(Far(1)) is second
    with pytest.raises(BackendError, match=r"arrays on elsewhere and elsewhere:1 in one operation"):
        backend_of(Far(0), Far(1))


def test_the_public_names_are_there():
    assert all(hasattr(backends, name) for name in backends.__all__)
