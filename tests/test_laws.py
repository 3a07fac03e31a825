"""Laws about values: shapes, dtypes and agreement, for everything that is declared, on every backend."""

import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import backends
import dlcore as dl
from backends.dtypes import as_dtype, get_default_dtype, promote
from dlcore.core import PRIMITIVES, Primitive
from dlcore.ops.complexes import PARTS
from dlcore.samples import Operation, sample
from dlcore.testing.calls import outputs
from dlcore.testing.strategies import calls
from tests.strategies import SIZES_AND_NONE, SUBJECTS, fewer

# Dtypes are drawn and are no parameters: Hypothesis nests its settings at every parameter of a test, and a
# thousand of them in one process are too deep for Python.
every = pytest.mark.parametrize("name", SUBJECTS)
primitives = pytest.mark.parametrize("name", PRIMITIVES)
shaped = pytest.mark.parametrize("name", [n for n, p in PRIMITIVES.items() if p.shape is not None])


def predicted_shapes(call):
    """What the shape rule of a primitive says."""
    shapes = call.subject.shape(*(a.shape for a in call.args), **call.params)
    return list(shapes) if call.subject.outputs else [shapes]


def predicted_dtypes(primitive, dtypes, params, count):
    """What the declaration of a primitive says of its results, given the dtypes of its arguments."""
    which = range(len(dtypes)) if primitive.promotes is None else primitive.promotes
    joint = promote(*(dtypes[i] for i in which if i < len(dtypes)))
    if callable(primitive.result):
        found = primitive.result([joint if i in which else d for i, d in enumerate(dtypes)], **params)
        return list(found) if isinstance(found, tuple) else [found] * count
    if primitive.result == "same":
        return [joint] * count
    if primitive.result == "float":
        return [joint if joint.kind in ("float", "complex") else get_default_dtype()] * count
    return [as_dtype(primitive.result)] * count


def attempt(f, *args):
    """What ``f`` returns, and why it refuses."""
    try:
        return f(*args), ""
    except (TypeError, ValueError, IndexError) as error:
        return None, str(error)


@shaped
@fewer(2)
@given(data=st.data())
def test_the_shape_rule_predicts_the_shape(name, backend, data):
    call = data.draw(calls(SUBJECTS[name]))

    found = outputs(call(*call.tensors()))

    assert [y.shape for y in found] == predicted_shapes(call)


@shaped
@fewer(2)
@given(data=st.data())
def test_empty_arrays_give_the_predicted_shape_or_the_reason_why_not(name, backend, data):
    call = data.draw(calls(SUBJECTS[name], SIZES_AND_NONE))
    expected, reason = attempt(predicted_shapes, call)
    if reason:
        assert reason in attempt(call, *call.tensors())[1]
        return

    found = outputs(call(*call.tensors(requires_grad=True)))

    assert [y.shape for y in found] == expected
    for y in found:
        if y.requires_grad:
            y.backward(dl.ones(y.shape, dtype=y.dtype), retain_graph=True)


@every
@fewer(3)
@given(data=st.data())
def test_every_backend_computes_what_the_cpu_computes(name, backend, data):
    call = data.draw(calls(SUBJECTS[name]))
    here = outputs(call(*call.tensors()))

    with backends.use_backend("cpu"):
        there = outputs(call(*call.tensors()))

    for x, y in zip(here, there, strict=True):
        rounding = 1e-10 if backend.name == "cuda" else 1e-12  # a card has functions of its own
        assert_allclose(x.numpy(), y.numpy(), rtol=rounding, atol=rounding / 100)
        assert (x.dtype, x.backend, y.backend) == (y.dtype, backend.name, "cpu")


@every
@given(data=st.data(), dtype=st.sampled_from(["float16", "float32", "float64"]))
def test_gradients_have_the_dtype_of_their_values(name, backend, dtype, data):
    call = data.draw(calls(SUBJECTS[name]))
    if not backend.supports(dtype):
        return
    args = call.tensors(dtype, requires_grad=True)
    results = [y for y in outputs(call(*args)) if y.requires_grad]

    for y in results:
        y.backward(dl.ones(y.shape, y.dtype), retain_graph=True)

    given = [args[i] for i in call.floats if args[i].grad is not None]
    assert [x.grad.dtype for x in given] == [x.dtype for x in given]
    assert [x.grad.shape for x in given] == [x.shape for x in given]
    if not isinstance(call.subject, Primitive):
        whole = promote(as_dtype(dtype), as_dtype("complex64"))
        part = PARTS[whole] if any(x.dtype.kind == "complex" for x in args) else dtype
        assert {y.dtype for y in results} <= {part, whole}


def values_of(parameter, position, subject):
    """What the samples of a primitive or an operation give for one parameter; arrays count as one value."""
    for s in subject.samples:
        first = len(s.shapes) - len(s.names)
        given = position < first or parameter.name in s.names
        yield "an array" if given and parameter.name not in s.params else repr(
            s.params.get(parameter.name, parameter.default))


def declared_parameters(subject):
    """The parameters of a declaration, but for the backend and for those of any number."""
    function = subject.function if isinstance(subject, Operation) else subject.forward
    found = list(inspect.signature(function).parameters.values())[isinstance(subject, Primitive):]
    return [p for p in found if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def values_given(*subjects):
    """The values that the samples of all of ``subjects`` give for each parameter."""
    values = {}
    for subject in subjects:
        for position, parameter in enumerate(declared_parameters(subject)):
            values.setdefault(parameter.name, set()).update(values_of(parameter, position, subject))
    return values


def never_varied(values):
    return [name for name, seen in values.items() if len(seen) < 2 and "an array" not in seen]


@pytest.mark.parametrize("name", sorted({name.removesuffix("()") for name in SUBJECTS}))
def test_samples_give_every_parameter_an_array_or_more_than_one_value(name):
    values = values_given(*(SUBJECTS[key] for key in (name, f"{name}()") if key in SUBJECTS))

    assert never_varied(values) == []
    assert {"'mean'", "'sum'", "'none'"} <= values.get("reduction", {"'mean'", "'sum'", "'none'"})


def test_a_parameter_that_no_sample_varies_is_noticed():
    samples = [sample("a, scale: a", axis=0), sample("a", axis=1, eps=0.1)]

    def f(x, y=None, *, scale=None, axis=0, eps=0.1, reduction="mean"):
        return x

    assert never_varied(values_given(Operation("f", f, samples))) == ["y", "eps", "reduction"]


@primitives
@given(data=st.data(), dtype=st.sampled_from(["float16", "float32", "float64", "int32", "bool"]))
def test_a_result_has_the_dtype_that_is_declared(name, dtype, data):
    call = data.draw(calls(SUBJECTS[name]))
    if dtype in ("int32", "bool") and any(type(v) is float for v in call.params.values()):
        return  # such a parameter makes floats of integers, which is up to the public function
    args = call.tensors(dtype)
    result, reason = attempt(call, *args)
    if reason:  # a negative boolean, an integer to a negative power
        assert dtype in ("int32", "bool")
        assert reason.startswith(name)
        return

    found = outputs(result)
    assert [y.dtype for y in found] == predicted_dtypes(
        call.subject, [x.dtype for x in args], call.params, len(found)
    )


@pytest.mark.parametrize("name", [n for n, p in PRIMITIVES.items() if len(p.samples[0].shapes) == 2
                                  and not set("?#~") & set("".join(p.samples[0].shapes))])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_python_number_beside_a_tensor_leaves_its_dtype(name, dtype, backend):
    x = dl.tensor([0.5, 1.5], dtype=dtype, requires_grad=True)
    primitive = PRIMITIVES[name]
    if primitive.shape.__name__ != "broadcast_shapes":
        return

    results = [primitive(x, 0.75), primitive(0.75, x), primitive(x, 2), primitive(2, x)]

    for y in results:
        assert y.dtype == (dtype if primitive.result in ("same", "float") else primitive.result)
        if y.requires_grad:
            y.sum().backward()
            assert x.grad.dtype == dtype


@every
@fewer(3)
@given(data=st.data())
def test_arguments_are_never_written_to(name, data):
    call = data.draw(calls(SUBJECTS[name]))
    for a in call.args:
        a.flags.writeable = False
    args = [dl.Tensor(a) for a in call.args]
    before = [a.copy() for a in call.args]
    for i in call.floats:
        args[i].requires_grad = True

    for y in outputs(call(*args)):
        if y.requires_grad:
            g = dl.ones(y.shape, dtype=y.dtype)
            g.data.flags.writeable = False
            y.backward(g, create_graph=True)
            y.backward(g, retain_graph=True)

    for a, b in zip(call.args, before, strict=True):
        np.testing.assert_array_equal(a, b)


@every
@fewer(3)
@given(data=st.data())
def test_results_and_gradients_are_arrays_even_of_no_axes(name, backend, data):
    call = data.draw(calls(SUBJECTS[name], st.just(1)))
    args = call.tensors(requires_grad=True)

    results = outputs(call(*args))
    for y in results:
        if y.requires_grad:
            y.backward(dl.ones(y.shape, dtype=y.dtype), retain_graph=True)

    gradients = [args[i].grad for i in call.floats if args[i].grad is not None]
    assert {type(y.data) for y in results + gradients} == {backend.array_type}
