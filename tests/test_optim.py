"""Optimizers: PyTorch's updates, arrays that nobody else sees, state that can be saved and moved."""

import gc
import math

import numpy as np
import pytest
from hypothesis import given
from numpy.testing import assert_allclose, assert_array_equal

import dlcore as dl
from dlcore import optim
from dlcore.testing.strategies import SEEDS
from tests.strategies import fewer

OPTIMIZERS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.5, "nesterov": True}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.2}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.2, "nesterov": True}),
    ("Adam", {}),
    ("Adam", {"lr": 0.1, "betas": (0.8, 0.99), "eps": 1e-3}),
    ("Adam", {"lr": 0.1, "betas": (0.0, 0.0)}),
    ("Adam", {"lr": 0.1, "weight_decay": 0.2}),
    ("AdamW", {"lr": 0.1}),
    ("AdamW", {"lr": 0.1, "weight_decay": 0.5}),
]
SHAPES = [(3, 2), (4,), ()]

every = pytest.mark.parametrize(("name", "options"), OPTIMIZERS)


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed", exc_type=ImportError)


def leaves(arrays, dtype=None):
    return [dl.tensor(a, dtype=dtype, requires_grad=True) for a in arrays]


def loss_of(params):
    """Something with a gradient that changes as the parameters do."""
    return sum((p * p * p).sum() + p.sum() for p in params)


def run(optimizer, params, steps):
    """The values of ``params`` after each of some steps."""
    seen = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(params).backward()
        optimizer.step()
        seen.append([np.array(p.detach().numpy()) for p in params])
    return seen


def drawn(seed):
    random = np.random.default_rng(seed)
    return [random.standard_normal(shape) for shape in SHAPES]


# --- the updates -----------------------------------------------------------------------------------


@fewer(2)
@every
@given(seed=SEEDS)
def test_the_first_updates_equal_pytorchs(name, options, torch, backend, seed):
    ours = leaves(drawn(seed))
    theirs = [torch.tensor(a, requires_grad=True) for a in drawn(seed)]

    found = run(getattr(optim, name)(ours, **options), ours, 4)

    expected = run(getattr(torch.optim, name)(theirs, **options), theirs, 4)
    for step, reference in zip(found, expected, strict=True):
        for x, y in zip(step, reference, strict=True):
            assert_allclose(x, y, rtol=1e-12, atol=1e-12)


@every
def test_groups_have_their_own_settings_as_pytorchs_have(name, options, torch, backend):
    ours, theirs = leaves(drawn(0)), [torch.tensor(a, requires_grad=True) for a in drawn(0)]

    def groups(params):
        return [{"params": params[:2], "lr": 0.01}, {"params": [params[2]], "weight_decay": 0.3}]

    found = run(getattr(optim, name)(groups(ours), **options), ours, 3)

    expected = run(getattr(torch.optim, name)(groups(theirs), **options), theirs, 3)
    for x, y in zip(found[-1], expected[-1], strict=True):
        assert_allclose(x, y, rtol=1e-12, atol=1e-12)


@every
def test_a_parameter_without_gradient_is_left_alone(name, options, backend):
    used, unused = leaves([[1.0], [2.0]])
    optimizer = getattr(optim, name)([unused, used], **options)
    array = unused.array

    loss_of([used]).backward()
    optimizer.step()

    assert unused.array is array
    assert optimizer.state[0] == {}
    assert used.item() != 1.0


def test_a_parameter_that_joins_later_counts_its_own_steps(torch, backend):
    ours, theirs = leaves(drawn(1)), [torch.tensor(a, requires_grad=True) for a in drawn(1)]
    pairs = [(optim.Adam(ours, lr=0.1), ours), (torch.optim.Adam(theirs, lr=0.1), theirs)]

    for optimizer, params in pairs:
        for count in (1, 1, 3):
            optimizer.zero_grad()
            loss_of(params[:count]).backward()
            optimizer.step()

    for x, y in zip(ours, theirs, strict=True):
        assert_allclose(x.numpy(), y.detach().numpy(), rtol=1e-12)


def test_a_rate_can_be_changed_between_steps(backend):
    p, = leaves([[1.0]])
    optimizer = optim.SGD([p], lr=1.0)
    p.grad = dl.tensor([1.0])
    optimizer.step()

    optimizer.param_groups[0]["lr"] = np.float64(0.25)
    optimizer.step()

    assert p.tolist() == [-0.25]
    assert p.dtype == dl.float32  # one of NumPy's numbers must not lift it


@every
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_parameters_keep_their_dtype_and_backend(name, options, dtype, backend):
    params = leaves(drawn(0), dtype)

    run(getattr(optim, name)(params, **options), params, 2)

    assert {(p.dtype, p.backend) for p in params} == {(dl.tensor([0.0], dtype).dtype, backend.name)}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_epsilon_does_not_vanish_in_half_precision(name, dtype):
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
    p = dl.tensor([1.0, 1.0], dtype=dtype, requires_grad=True)
    optimizer = getattr(optim, name)([p], lr=0.125, weight_decay=0.0)

    p.grad = dl.tensor([0.0, 1e-4], dtype=dtype)  # 0 / sqrt(0); and a square below the least number
    optimizer.step()

    assert (p.dtype, p.tolist()) == (dtype, [1.0, 0.875])


def test_what_half_precision_parameters_remember_is_in_float32():
    p = dl.tensor([1.0], dtype="float16", requires_grad=True)
    optimizer = optim.SGD([p], lr=1.0, momentum=0.5)

    p.grad = dl.tensor([2.0], dtype="float16")
    optimizer.step()

    assert (p.dtype, p.item()) == (dl.float16, -1.0)
    assert optimizer.state_dict()["state"][0]["velocity"].dtype == dl.float32


# --- who may see which array -----------------------------------------------------------------------


@every
def test_no_array_that_anybody_holds_is_written_to(name, options, backend):
    params = leaves(drawn(0))
    optimizer = getattr(optim, name)(params, **options)
    held = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = loss_of(params)
        held += [(x, np.array(x.numpy())) for x in (*(p.detach() for p in params), loss)]
        loss.backward()
        held += [(p.grad, np.array(p.grad.numpy())) for p in params]
        optimizer.step()

    for tensor, values in held:
        assert_array_equal(tensor.numpy(), values)


def test_nothing_is_recorded(backend):
    params = leaves(drawn(0))

    run(optim.SGD(params, lr=0.1, momentum=0.9), params, 2)

    assert all(p.node.primitive is None for p in params)


def test_a_history_made_before_a_step_still_has_its_gradient(backend):
    p, = leaves([[3.0]])
    loss = (p * p).sum()
    p.grad = dl.tensor([1.0])

    optim.SGD([p], lr=1.0).step()
    p.grad = None
    loss.backward()

    assert p.grad.tolist() == [6.0]


def test_steps_leave_no_reference_cycle():
    gc.collect()
    gc.disable()
    try:
        params = leaves(drawn(0))
        run(optim.Adam(params), params, 3)
        del params
        assert gc.collect() == 0
    finally:
        gc.enable()


# --- saving and loading ----------------------------------------------------------------------------


@every
def test_training_goes_on_from_a_state_bit_for_bit(name, options, backend):
    make = getattr(optim, name)
    straight, resumed = leaves(drawn(0)), leaves(drawn(0))
    optimizer = make(straight, **options)
    run(optimizer, straight, 2)
    state, values = optimizer.state_dict(), [p.data for p in straight]
    run(optimizer, straight, 2)  # what was saved must not change

    fresh = make(resumed, **options)
    fresh.load_state_dict(state)
    for p, x in zip(resumed, values, strict=True):
        p.data = x
    run(fresh, resumed, 2)

    for p, q in zip(straight, resumed, strict=True):
        assert_array_equal(p.numpy(), q.numpy())


def test_a_state_has_the_settings_and_plain_values():
    params = leaves(drawn(0))
    optimizer = optim.Adam([{"params": params[:2], "lr": 0.5}, {"params": params[2:]}])
    run(optimizer, params, 1)

    state = optimizer.state_dict()
    fresh = optim.Adam([{"params": params[:2]}, {"params": params[2:]}])
    fresh.load_state_dict(state)

    assert [group["lr"] for group in fresh.param_groups] == [0.5, 1e-3]
    assert [group["count"] for group in state["groups"]] == [2, 1]
    assert {type(v) for one in state["state"] for v in one.values()} == {dl.Tensor, int}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (lambda: leaves([[1.0]]), r"Adam: the state is of groups of \[2\] parameters, these are of \[1\]"),
        (lambda: leaves([[1.0, 2.0], [1.0]]), r"parameters do not fit the state: 0 is \(2,\), the state has"),
    ],
)
def test_a_state_of_other_parameters_is_refused(params, message):
    given = leaves([[1.0], [1.0]])
    optimizer = optim.Adam(given)
    run(optimizer, given, 1)

    other = optim.Adam(params())
    with pytest.raises(ValueError, match=message):
        other.load_state_dict(optimizer.state_dict())
    assert all(one == {} for one in other.state)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"lr": 0.1}, r"Adam: this is no state of an optimizer; it comes from state_dict\(\)"),
        (optim.SGD(leaves([[1.0]]), lr=0.1).state_dict(), "Adam: the state is one of SGD"),
    ],
)
def test_what_is_no_state_of_this_optimizer_is_refused(state, message):
    with pytest.raises(ValueError, match=message):
        optim.Adam(leaves([[1.0]])).load_state_dict(state)


# --- clipping --------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [0.5, 1e3])
def test_clipping_by_norm_equals_pytorchs(torch, backend, limit):
    ours, theirs = leaves(drawn(0)), [torch.tensor(a, requires_grad=True) for a in drawn(0)]
    for params in (ours, theirs):
        loss_of(params).backward()

    norm = optim.clip_grad_norm(ours, limit)

    expected = torch.nn.utils.clip_grad_norm_(theirs, limit)
    assert (norm.shape, norm.item()) == ((), pytest.approx(expected.item(), rel=1e-12))
    for p, q in zip(ours, theirs, strict=True):
        assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-6)  # PyTorch adds 1e-6 to the norm
    after = math.sqrt(sum((p.grad.numpy() ** 2).sum() for p in ours))
    assert after <= limit * (1 + 1e-12)


def test_clipping_replaces_gradients_and_keeps_their_dtypes(backend):
    p, q = dl.tensor([1.0], "float32", requires_grad=True), dl.tensor([1.0], "float64", requires_grad=True)
    p.grad, q.grad = dl.tensor([3.0], "float32"), dl.tensor([4.0], "float64")
    before = p.grad

    optim.clip_grad_norm([p, q], 1.0)

    assert before.tolist() == [3.0]
    assert (p.grad.dtype, q.grad.dtype) == (dl.float32, dl.float64)
    assert_allclose([p.grad.item(), q.grad.item()], [0.6, 0.8], rtol=1e-7)


def test_gradients_of_zero_stay_zero_when_clipped(backend):
    p, = leaves([[1.0, 2.0]])
    p.grad = dl.zeros(2)

    assert optim.clip_grad_norm(p, 1.0).item() == 0.0
    assert p.grad.tolist() == [0.0, 0.0]


def test_clipping_by_value_holds_every_element(backend):
    p, unused = leaves([[1.0, 2.0, 3.0], [1.0]])
    p.grad = dl.tensor([-5.0, 0.5, 5.0])

    optim.clip_grad_value([p, unused], 1.0)

    assert p.grad.tolist() == [-1.0, 0.5, 1.0]
    assert unused.grad is None


# --- mistakes --------------------------------------------------------------------------------------


def leaf():
    return dl.tensor([1.0, 2.0], requires_grad=True)


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (ValueError, lambda: optim.SGD([], lr=0.1), "SGD: there are no parameters to optimize"),
        (ValueError, lambda: optim.Adam([{"params": []}]), "Adam: there are no parameters"),
        (TypeError, lambda: optim.SGD(leaf(), lr=0.1), r"params must be a list of tensors; write \[tensor\]"),
        (TypeError, lambda: optim.SGD([1.0], lr=0.1), "SGD: parameter 0 is a float, not a tensor"),
        (ValueError, lambda: optim.SGD([leaf(), dl.ones(3)], lr=0.1),
         r"SGD: parameter 1 of shape \(3,\) requires no gradient; make it with requires_grad=True"),
        (ValueError, lambda: optim.SGD([leaf() * 2], lr=0.1),
         r"SGD: parameter 0 of shape \(2,\) was computed by multiply; only leaves can be optimized"),
        (ValueError, lambda: optim.SGD([leaf()] * 2, lr=0.1), "SGD: a parameter is given twice"),
        (ValueError, lambda: optim.SGD([leaf()], lr=-0.1), "lr must be finite and not negative, got -0.1"),
        (ValueError, lambda: optim.SGD([leaf()], lr=math.nan), "lr must be finite and not negative, got nan"),
        (TypeError, lambda: optim.SGD([leaf()], lr="fast"), "SGD: lr must be a number, got 'fast'"),
        (ValueError, lambda: optim.SGD([leaf()], lr=0.1, momentum=1.0),
         "SGD: momentum must be at least 0 and less than 1, got 1.0"),
        (ValueError, lambda: optim.SGD([leaf()], lr=0.1, nesterov=True), "nesterov needs a momentum"),
        (ValueError, lambda: optim.Adam([leaf()], betas=(0.9, 1.0)), "betas must be at least 0 and less"),
        (ValueError, lambda: optim.Adam([leaf()], betas=(0.9,)), "Adam: betas must be two numbers"),
        (ValueError, lambda: optim.AdamW([leaf()], eps=-1.0), "AdamW: eps must be finite and not negative"),
        (ValueError, lambda: optim.SGD([{"params": [leaf()], "rate": 1.0}], lr=0.1),
         r"SGD: unknown settings \['rate'\]; known: \['lr', 'momentum', 'nesterov', 'weight_decay'\]"),
        (ValueError, lambda: optim.SGD([{"lr": 1.0}], lr=0.1), r"SGD: a group needs 'params', got \['lr'\]"),
        (TypeError, lambda: optim.SGD([{"params": [leaf()]}, leaf()], lr=0.1), "and tensors cannot be mixed"),
        (ValueError, lambda: optim.clip_grad_norm([leaf()], 1.0), "no parameter has a gradient"),
        (ValueError, lambda: optim.clip_grad_norm([leaf()], 0.0), "max_norm must be positive, got 0"),
        (ValueError, lambda: optim.clip_grad_value([leaf()], -1.0), "clip_grad_value: clip_value must be"),
    ],
)
def test_a_mistake_is_named(error, call, message, backend):
    with pytest.raises(error, match=message):
        call()


def test_an_optimizer_prints_its_settings():
    assert repr(optim.SGD([leaf()], lr=0.1)) == (
        "SGD(1 parameters, lr=0.1, momentum=0.0, nesterov=False, weight_decay=0.0)")
