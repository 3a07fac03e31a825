"""Programs: a traced function computes, bit for bit, what it computes eagerly, and says when it cannot."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import dlcore as dl
from dlcore import trees
from dlcore.core import PRIMITIVES
from dlcore.testing.calls import outputs
from dlcore.testing.strategies import calls
from dlcore.tracing import Symbol, trace
from tests.strategies import SUBJECTS, fewer

# Their parameters hold indices or labels that are looked at before anything is computed.
TRACEABLE = [name for name, s in SUBJECTS.items() if getattr(s, "shape", True) is not None]
SMOOTH = [name for name in TRACEABLE if getattr(SUBJECTS[name], "differentiable", True)]


def variable(data, dtype=None):
    return dl.tensor(data, dtype, requires_grad=True)


def assert_same(found, expected):
    for a, b in zip(trees.leaves(found), trees.leaves(expected), strict=True):
        if isinstance(b, dl.Tensor):
            assert (a.shape, a.dtype, a.backend) == (b.shape, b.dtype, b.backend)
            assert_array_equal(a.numpy(), b.numpy())
        else:
            assert a == b


def assert_traced_as_eager(f, *args):
    assert_same(trace(f, *args)(*args), f(*args))


# --- the law: traced is eager ---------------------------------------------------------------------


@pytest.mark.parametrize("name", TRACEABLE)
@fewer(6)
@given(data=st.data())
def test_every_operation_computes_the_same_bits_traced(name, backend, data):
    call = data.draw(calls(SUBJECTS[name]))

    assert_traced_as_eager(lambda *args: outputs(call(*args)), *call.tensors())


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("order", [1, 2])
@fewer(6)
@given(data=st.data())
def test_every_operation_has_the_same_derivatives_traced(name, order, data):
    call = data.draw(calls(SUBJECTS[name]))
    args = call.tensors()
    points = [args[i] for i in call.floats]
    if not points:
        return

    def total(*xs):
        results = [y for y in outputs(call.of_floats(args)(*xs)) if y.dtype.kind in ("float", "complex")]
        return sum(dl.sum(size(y)) * (i + 1.0) for i, y in enumerate(results))

    def size(y):
        return dl.real(y * dl.conj(y))

    which = tuple(range(len(points)))
    slopes = dl.grad(total, which)
    curvature = dl.grad(lambda *xs: sum(dl.sum(size(g)) for g in slopes(*xs)), which)
    assert_traced_as_eager(slopes if order == 1 else curvature, *points)


@given(seed=st.integers(0, 2**32 - 1))
def test_random_expressions_compute_the_same_bits_traced(seed, backend):
    steps = [lambda a, b: a * b, lambda a, b: a - 2.0 * b, lambda a, b: dl.tanh(a) @ b, dl.maximum,
             lambda a, b: dl.concat([a, b])[1:-2], lambda a, b: dl.where(a > b, a, 0.5),
             lambda a, b: a.T + b.sum(0)]

    def f(x, w):
        rng = np.random.default_rng(seed)
        values = [x, w]
        for _ in range(6):
            a, b = (values[i] for i in rng.integers(0, len(values), 2))
            values.append(steps[rng.integers(0, len(steps))](a, b))
        return dl.sum(sum(values[2:], values[0]))

    rng = np.random.default_rng(seed)
    x, w = (dl.tensor(rng.uniform(-1, 1, (3, 3))) for _ in range(2))
    assert_traced_as_eager(f, x, w)
    assert_traced_as_eager(dl.grad(f, (0, 1)), x, w)


@pytest.mark.parametrize("derived", [
    dl.grad, dl.value_and_grad, dl.jacobian, dl.hessian, lambda f: dl.grad(lambda x: dl.sum(dl.grad(f)(x))),
    lambda f: lambda x: dl.jvp(f, [x], [x]), lambda f: lambda x: dl.hvp(f, x, x),
    lambda f: lambda x: dl.vjp(f, x)[0], lambda f: lambda x: dl.vjp(f, x)[1](dl.tensor(1.0))])
def test_transforms_work_inside_a_traced_function(derived, backend):
    w = variable([3.0, 4.0])

    assert_traced_as_eager(derived(lambda x: dl.sum(w * x * x * dl.exp(x))), dl.tensor([1.0, 2.0]))


@pytest.mark.parametrize("dtypes", [
    ("int64", "float32"), ("float32", "float64"), ("bool", "int8"), ("int32", "int32")])
@pytest.mark.parametrize("f", [
    lambda a, b: a + b, lambda a, b: a / b, lambda a, b: a * 2.5 + b, lambda a, b: a**b,
    lambda a, b: dl.mean(a) + b, lambda a, b: a > b, lambda a, b: 2 - b])
def test_dtypes_promote_the_same_way_traced(f, dtypes):
    assert_traced_as_eager(f, *(dl.ones(2, d) for d in dtypes))


# --- what a program is ----------------------------------------------------------------------------


def test_a_function_runs_once_and_a_program_any_number_of_times(backend):
    runs = []

    def f(x):
        runs.append(type(x))
        return x * x

    program = trace(f, dl.tensor([1.0, 2.0]))
    found = [program(dl.tensor(data)).tolist() for data in ([1.0, 2.0], [3.0, 4.0])]

    assert found == [[1.0, 4.0], [9.0, 16.0]]
    assert runs == [Symbol]


def test_captured_parameters_are_read_afresh_at_each_run(backend):
    w = variable([3.0, 4.0])
    program = trace(dl.grad(lambda x: dl.sum(w * x * x)), dl.tensor([1.0, 2.0]))

    before = program(dl.tensor([1.0, 2.0]))
    w.data = w.data * 0.0

    assert before.tolist() == [6.0, 16.0]
    assert program(dl.tensor([1.0, 2.0])).tolist() == [0.0, 0.0]


def test_a_captured_tensor_is_one_input_however_often_it_is_used(backend):
    w = variable([3.0, 4.0])

    program = trace(lambda x: w * x + w, dl.tensor([1.0, 2.0]))

    assert len(program) == 4  # x, w, their product, the sum
    assert len(program.captured) == 1


def test_arguments_and_results_are_trees_of_anything(backend):
    w, x = variable([3.0, 4.0]), dl.tensor([1.0, 2.0])
    f = lambda p, q: {"sum": [p["x"] + q[0][0], (w, p["x"])], "none": None, "count": 3, "zero": 0,
                      "name": "f", "top": dl.topk(q[0][0], 1)}

    assert_traced_as_eager(f, {"x": x}, [(x, None)])


def test_arguments_in_dicts_are_matched_by_key(backend):
    x, y = dl.tensor(1.0), dl.tensor(2.0)

    program = trace(lambda p: p["a"] - p["b"], {"a": x, "b": y})

    assert program({"b": y, "a": x}).item() == -1.0


def test_a_function_of_nothing_or_of_constants_is_a_program_too(backend):
    w = variable([3.0, 4.0])

    assert trace(lambda: w * w)().tolist() == [9.0, 16.0]
    assert trace(lambda: 3)() == 3
    assert trace(lambda x: w, w)(w).tolist() == [3.0, 4.0]
    assert not trace(lambda x: x * w, w)(w).requires_grad


def test_a_program_lets_go_of_what_it_needs_no_more(backend):
    program = trace(lambda x: dl.exp(dl.exp(dl.exp(x))), dl.tensor([0.0]))

    assert program._done_after == [[], [0], [1], [2]]


def test_lists_arrays_and_numbers_beside_a_symbol_are_what_they_are_beside_a_tensor():
    x = dl.tensor([1.0, 2.0])

    for f in (lambda x: [1.0, 2.0] - x, lambda x: np.array([1.0, 2.0]) * x, lambda x: x * np.float64(2.0),
              lambda x: 2 - x, lambda x: x[np.array([1, 0, 1])], lambda x: x[[0, -1]], lambda x: x * len(x),
              sum, lambda x: x.at[0].set(5.0), lambda x: dl.clip(x, 1.5, None)):
        assert_traced_as_eager(f, x)


def test_indices_may_be_arguments(backend):
    program = trace(lambda x, i: x[i], dl.tensor([1.0, 2.0, 3.0]), dl.tensor([0, 1]))

    assert program(dl.tensor([1.0, 2.0, 3.0]), dl.tensor([2, 2])).tolist() == [3.0, 3.0]


def test_steps_run_where_their_arguments_are():
    with dl.use_backend("strict"):
        y = dl.tensor([3.0, 4.0])

    assert_traced_as_eager(lambda x, y: (x * x, y + y), dl.tensor([1.0, 2.0]), y)


# --- what it refuses ------------------------------------------------------------------------------


@pytest.mark.parametrize("other", [
    lambda: dl.zeros(3), lambda: dl.zeros(2, "float64"), lambda: dl.zeros((2, 1))])
def test_arguments_of_another_signature_are_refused(other, backend):
    program = trace(lambda x: x * x, dl.zeros(2))

    with pytest.raises(ValueError, match=r"traced with float32\(2,\) on \w+, called with float.*; trace it"):
        program(other())


def test_arguments_on_another_backend_or_in_another_form_are_refused():
    x = dl.zeros(2)
    program = trace(lambda x: x["x"], {"x": x})

    with dl.use_backend("strict"), pytest.raises(ValueError, match=r"on cpu, called with .* on strict"):
        program({"x": dl.zeros(2)})
    for args in ((x,), ({"y": x},), ({"x": [x]},), (), ({"x": x}, x)):
        with pytest.raises(ValueError, match="nested in another way"):
            program(*args)
    with pytest.raises(TypeError, match=r"program: the arguments must be tensors, got float; .*dl.tensor"):
        program({"x": 1.0})
    with pytest.raises(TypeError, match="trace: the arguments must be tensors, got ndarray"):
        trace(lambda x: x, np.ones(2))


@pytest.mark.parametrize("use", [
    bool, float, int, lambda x: [1][x], lambda x: x.item(), lambda x: x.numpy(), lambda x: x.tolist(),
    lambda x: 1 if x > 0 else 2, lambda x: max(x, x * 2.0), lambda x: x == 1.0 or x])
def test_a_symbol_has_no_value_until_the_program_runs(use):
    with pytest.raises(TypeError, match=r"<symbol \w+ (float32|bool)\(\)> has no value until the program"):
        trace(use, dl.tensor(1.0))


def test_a_branch_is_refused_with_the_way_out():
    with pytest.raises(TypeError, match=r"use dl.where instead of a branch"):
        trace(lambda x: x if x > 0 else -x, dl.tensor(1.0))


def test_a_symbol_is_neither_an_array_nor_written_to():
    def assigned(x):
        x[0] = 1.0

    for use, message in ((np.asarray, "does not turn into a NumPy array"), (assigned, r"x.at\[i\].set"),
                         (lambda x: 1.0 in x, "'in' has no meaning")):
        with pytest.raises(TypeError, match=message):
            trace(use, dl.tensor([1.0]))


@pytest.mark.parametrize("name", [n for n, p in PRIMITIVES.items() if p.shape is None])
@fewer(6)
@given(data=st.data())
def test_a_shape_that_depends_on_values_cannot_be_traced(name, data):
    call = data.draw(calls(PRIMITIVES[name]))

    with pytest.raises(TypeError, match=f"{name}: the shape of the result depends on values, so it cannot"):
        trace(call, *call.tensors())


def test_a_mask_cannot_be_traced():
    with pytest.raises(TypeError, match="depends on values, so it cannot be traced"):
        trace(lambda x: x[x > 0], dl.tensor([1.0]))


@pytest.mark.parametrize("f", [
    lambda x: x + dl.zeros(3), lambda x: x @ dl.zeros((3, 3)), lambda x: x[5], lambda x: x[0, 0],
    lambda x: x.reshape(3), lambda x: dl.concat([x, dl.zeros((2, 2))]), lambda x: dl.sum(x, axis=1),
    lambda x: x["a"], lambda x: x + None, lambda x: x + "a", lambda x: dl.take(x, [0.5]), lambda x: x.mT,
    lambda x: dl.where(x > 0, dl.zeros(3), x), dl.grad(lambda x: x), lambda x: dl.broadcast_to(x, (3,))])
def test_errors_are_those_of_the_eager_run(f):
    x = dl.tensor([1.0, 2.0])
    with pytest.raises((ValueError, TypeError, IndexError)) as eager:
        f(x)

    with pytest.raises(eager.type) as traced:
        trace(f, x)

    assert str(traced.value) == str(eager.value)


def test_two_backends_in_one_operation_are_refused_when_it_is_written_down():
    with dl.use_backend("strict"):
        y = dl.tensor([3.0, 4.0])

    with pytest.raises(dl.BackendError, match=r"add: arrays on cpu and strict in one operation; .*Tensor.to"):
        trace(lambda x: x + y, dl.tensor([1.0, 2.0]))


def test_a_symbol_must_not_outlive_its_trace():
    leaked = []
    trace(lambda x: leaked.append(x) or x, dl.zeros(2))

    for f in (lambda x: x + leaked[0], lambda x: leaked[0]):
        with pytest.raises(ValueError, match="a symbol must not outlive the function that is traced"):
            trace(f, dl.zeros(2))


def test_a_symbol_prints_what_it_is():
    found = []
    trace(lambda x: found.extend([repr(x), repr(x * 2.0), repr(x > 0)]) or x, dl.zeros((2, 1)))

    assert found == ["<symbol input float32(2, 1)>", "<symbol multiply float32(2, 1)>",
                     "<symbol greater bool(2, 1)>"]


def test_a_choice_between_two_numbers_is_traced_as_it_is_computed(backend):
    f = lambda x: (dl.where(x > 0, 2.0, 0.5), dl.where(x > 0, 1, 0))
    x = dl.tensor([-1.0, 1.0], dtype="float64")

    found = trace(f, x)(x)

    assert [y.tolist() for y in found] == [[0.5, 2.0], [0, 1]]
    assert [y.dtype for y in found] == [y.dtype for y in f(x)] == ["float32", "int64"]
