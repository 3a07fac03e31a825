"""The strategies draw what they promise, and serve a project that has nothing but dlcore."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dlcore as dl
from dlcore.samples import NONZERO, POSITIVE
from dlcore.testing.strategies import arrays, broadcastable, calls, shapes, tensors

ROOT = Path(__file__).parent.parent


@given(shape=shapes(1, 2, st.integers(2, 4)))
def test_shapes_have_as_many_axes_and_such_sizes_as_asked_for(shape):
    assert type(shape) is tuple
    assert 1 <= len(shape) <= 2
    assert set(shape) <= {2, 3, 4}


@given(both=broadcastable(3))
def test_broadcastable_shapes_broadcast(both):
    assert len(both) == 3
    np.broadcast_shapes(*both)


@given(data=st.data(), dtype=st.sampled_from(["float32", "float64", "complex64"]))
def test_arrays_have_the_shape_dtype_and_domain_asked_for(data, dtype):
    x = data.draw(arrays(st.just((2, 3)), POSITIVE, dtype))

    assert x.shape == (2, 3)
    assert x.dtype == dtype
    assert x.real.min() > 0.29
    assert x.imag.min() >= (0.29 if dtype == "complex64" else 0.0)


@given(x=arrays(3), call=calls("F.mse_loss"))
def test_sizes_may_be_one_number_and_operations_their_names(x, call):
    assert x.shape == (3,)
    assert call(*call.tensors()).size >= 1


def test_arrays_of_integers_are_refused():
    with pytest.raises(ValueError, match="arrays: dtype must be float or complex, got int64"):
        arrays((2,), dtype="int64")


@given(data=st.data())
def test_tensors_of_one_spec_agree_in_their_letters(backend, data):
    x, w, i = data.draw(tensors("n k, ~ k m, #n 2", NONZERO, dtype="float32", requires_grad=True))

    assert [x.dtype, w.dtype, i.dtype] == ["float32", "complex64", "int64"]
    assert x.shape[1] == w.shape[0]
    assert i.numpy().max() < x.shape[0]
    assert {x.backend, w.backend, i.backend} == {backend.name}
    assert x.requires_grad
    assert not i.requires_grad


@given(x=tensors("n k"))
def test_one_shape_is_one_tensor(x):
    assert x.ndim == 2


@given(call=calls(dl.core.PRIMITIVES["matmul"], st.just(2)))
def test_calls_take_the_sizes_given(call):
    assert call(*call.tensors()).size in {1, 2, 4, 8}


def python(folder, *args):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *args], cwd=folder, env=environment, capture_output=True,
                          text=True, check=False)


def test_the_example_of_the_page_runs_in_a_project_of_its_own(tmp_path):
    page = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(# test_swish\.py\n.*?)```", page, re.DOTALL)
    (tmp_path / "test_swish.py").write_text(example, encoding="utf-8")

    done = python(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_swish.py")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_without_hypothesis_the_error_names_what_to_install(tmp_path):
    code = ("import sys; sys.modules['hypothesis'] = None\n"
            "import dlcore\nimport dlcore.testing.strategies")

    done = python(tmp_path, "-c", code)

    last = done.stderr.splitlines()[-1]
    assert last == "ImportError: dlcore.testing.strategies needs Hypothesis: pip install 'dlcore[test]'"


@pytest.mark.parametrize(("library", "words"), [("torch", "torch_function needs PyTorch: pip install torch"),
                                                ("jax", "jax_function needs JAX: pip install jax")])
def test_without_a_peer_the_error_names_what_to_install(monkeypatch, library, words):
    monkeypatch.setitem(sys.modules, library, None)

    with pytest.raises(ImportError, match=words):
        getattr(dl.testing, f"{library}_function")(abs)
