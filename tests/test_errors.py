"""Errors are of the kinds that are promised, and name the operation, the values and the way out."""

import numpy as np
import pytest

import dlcore as dl
from dlcore.core import Primitive
from dlcore.history import HistoryError
from dlcore.testing.calls import called, letters
from tests.strategies import SUBJECTS

WRONG = {"text": "a", "None": None, "object": object(), "dict": {}, "function": len, "nan": float("nan"),
         "huge": 10**30, "list of text": [1.0, "x"], "ragged list": [[1.0], [1.0, 2.0]], "slice": slice(2),
         "array of text": np.array(["a"])}
WRONG_TENSORS = {"shape": (5, 7, 11), "nothing": (0,), "no axes": ()}


def calls_with_one_wrong_argument(subject):
    """The first sample of an operation, once for each argument and each way to get it wrong."""
    call = called(subject, subject.samples[0], dict.fromkeys(letters(subject.samples[0]), 2), seed=0)
    for position in range(len(call.args)):
        for what, wrong in [*WRONG.items(), *((w, dl.zeros(shape)) for w, shape in WRONG_TENSORS.items())]:
            args = call.tensors()
            args[position] = wrong
            yield f"argument {position}: {what}", call, args


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_wrong_argument_is_a_value_type_or_index_error_and_never_one_of_the_insides(name):
    for what, call, args in calls_with_one_wrong_argument(SUBJECTS[name]):
        try:
            with np.errstate(all="ignore"):  # nan has its warnings
                call(*args)
        except (ValueError, TypeError, IndexError) as error:
            named = str(error).startswith(name) or not isinstance(call.subject, Primitive)
            assert named, what
        except Exception as error:
            raise AssertionError(f"{name}, {what}: {error!r}") from error


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda x: x + dl.zeros(3), ValueError,
     r"add: shapes \(2,\) and \(3,\) do not broadcast: in axis -1 sizes 2 and 3 differ and none is 1"),
    (lambda x: x @ dl.zeros((3, 3)), ValueError, r"matmul: shapes \(2,\) and \(3, 3\) do not fit"),
    (lambda x: x.reshape(3), ValueError, r"reshape: cannot reshape \(2,\), 2 elements, to \(3,\)"),
    (lambda x: dl.sum(x, axis=1), ValueError, "sum: axis 1 is out of range for a 1-d tensor"),
    (lambda x: x[2], IndexError, r"getitem: index 2 is out of range for axis 0 of size 2, in shape \(2,\)"),
    (lambda x: x[0, 0], IndexError, r"getitem: 2 indices for shape \(2,\), which has 1 axes"),
    (lambda x: x["a"], TypeError, "getitem: 'a' is no index"),
    (lambda x: x[1.5], TypeError, "getitem: 1.5 is no index"),
    (lambda x: x + "a", TypeError, r"add: cannot compute with str; make it a tensor with dl.tensor\(...\)"),
    (lambda x: x.nothing, AttributeError, "nothing"),
    (dl.Tensor.backward, HistoryError, "no history"),
    (dl.grad(lambda x: x), ValueError, "must return a scalar"),
    (lambda x: dl.tensor([1, 2], requires_grad=True), TypeError, "requires_grad: int64"),
    (lambda x: dl.tensor([1, 2], "int65"), ValueError, "unknown dtype 'int65'"),
    (lambda x: x.to("tpu"), dl.BackendError, "unknown backend 'tpu'; known: "),
    (lambda x: len(x[0]), TypeError, "len"),
    (lambda x: dl.tensor([True]) * 10**30, ValueError, "multiply")])
def test_an_error_names_the_operation_the_values_and_the_way_out(call, error, message, backend):
    with pytest.raises(error, match=message):
        call(dl.tensor([1.0, 2.0]))


def test_a_list_that_is_no_constant_is_refused_in_the_name_of_the_operation():
    x = dl.tensor([1.0, 2.0])

    with pytest.raises(ValueError, match="add: ragged nested lists"):
        [[1.0], [1.0, 2.0]] + x  # noqa: RUF005  a tensor is no list
    with pytest.raises(TypeError, match="multiply: a tensor holds numbers, not a value of type str"):
        ["a", "b"] * x


def test_shapes_are_printed_as_tuples_of_python_numbers(backend):
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(4, 5\)") as caught:
        dl.zeros((np.int64(2), 3)) + dl.zeros((4, np.int64(5)))

    assert "int64" not in str(caught.value)


def test_the_error_of_the_library_is_kept_as_the_cause(backend):
    with pytest.raises(ValueError, match="do not broadcast") as caught:
        dl.zeros(2) * dl.zeros(3)

    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("create_graph", [False, True])
def test_an_error_in_a_pass_leaves_no_gradient_and_no_mode_behind(create_graph, backend):
    def fails(g, out, x):
        raise ValueError("on purpose")

    failing = Primitive("failing", lambda xp, x: x, lambda s: s, (fails,))
    x = dl.tensor([1.0, 2.0], requires_grad=True)

    with pytest.raises(ValueError, match="on purpose"):
        dl.sum(failing(x) + x).backward(create_graph=create_graph)

    assert x.grad is None
    assert (x * x).requires_grad
    dl.sum(x).backward()
    assert x.grad.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("transform", [dl.grad, dl.jacobian, dl.hessian, dl.value_and_grad])
def test_an_error_in_a_function_comes_through_a_transform_and_leaves_no_mode_behind(transform, backend):
    def fails(x):
        raise ZeroDivisionError("on purpose")

    with dl.no_grad():
        with pytest.raises(ZeroDivisionError, match="on purpose"):
            transform(fails)(dl.tensor(1.0))
        assert not (dl.tensor(1.0, requires_grad=True) * 2.0).requires_grad
