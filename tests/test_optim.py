"""Optimizers: PyTorch's updates, arrays that nobody else sees, state that can be saved and moved."""

import gc
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import dlcore as dl
from dlcore import optim
from dlcore.testing.strategies import SEEDS
from tests.optimizing import OPTIMIZERS, drawn, leaves, loss_of, run
from tests.strategies import fewer

every = pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
PART, SMALL, RATE = st.floats(0.1, 0.95), st.floats(0.0, 1.0), st.floats(1e-4, 0.2)
SHARED = {"lr": RATE, "weight_decay": SMALL, "maximize": st.booleans()}
KIN = {**SHARED, "betas": st.tuples(PART, PART), "eps": st.floats(1e-10, 0.1)}
DRAWN = {  # which options to draw for which optimizer, and how
    "SGD": {**SHARED, "momentum": PART, "dampening": SMALL, "nesterov": st.booleans()},
    "Adam": {**KIN, "amsgrad": st.booleans()},
    "AdamW": {**KIN, "amsgrad": st.booleans()},
    "NAdam": {**KIN, "momentum_decay": SMALL, "decoupled_weight_decay": st.booleans()},
    "RAdam": {**KIN, "decoupled_weight_decay": st.booleans()},
    "RMSprop": {**SHARED, "alpha": PART, "eps": st.floats(1e-10, 0.1), "momentum": PART,
                "centered": st.booleans()},
    "Adagrad": {**SHARED, "lr_decay": SMALL, "initial_accumulator_value": SMALL,
                "eps": st.floats(1e-10, 0.1)},
    "Adadelta": {**SHARED, "rho": PART, "eps": st.floats(1e-6, 0.1)},
}

as_pytorch = pytest.mark.parametrize(("name", "options"), [o for o in OPTIMIZERS if o[0] != "Lion"])


@pytest.fixture
def torch():
    found = pytest.importorskip("torch", reason="PyTorch is not installed", exc_type=ImportError)
    before = found.get_default_dtype()
    found.set_default_dtype(found.float64)  # in which it keeps the numbers of NAdam
    yield found
    found.set_default_dtype(before)


# --- the updates -----------------------------------------------------------------------------------


@fewer(4)
@as_pytorch
@given(seed=SEEDS)
def test_the_first_updates_equal_pytorchs(name, options, torch, backend, seed):
    ours = leaves(drawn(seed))
    theirs = [torch.tensor(a, requires_grad=True) for a in drawn(seed)]

    steps = 7 if name == "RAdam" else 3  # which changes its ways after five

    found = run(getattr(optim, name)(ours, **options), ours, steps)

    expected = run(getattr(torch.optim, name)(theirs, **options), theirs, steps)
    for step, reference in zip(found, expected, strict=True):
        for x, y in zip(step, reference, strict=True):
            assert_allclose(x, y, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", DRAWN)
@given(data=st.data(), seed=SEEDS)
def test_drawn_options_do_what_pytorchs_do(name, torch, data, seed):
    options = data.draw(st.fixed_dictionaries({}, optional=DRAWN[name]))
    if options.get("nesterov"):
        options = {**options, "momentum": options.get("momentum") or 0.9, "dampening": 0.0}
    ours, theirs = leaves(drawn(seed)), [torch.tensor(a, requires_grad=True) for a in drawn(seed)]

    found = run(getattr(optim, name)(ours, **options), ours, 3)

    expected = run(getattr(torch.optim, name)(theirs, **options), theirs, 3)
    for step, reference in zip(found, expected, strict=True):
        for x, y in zip(step, reference, strict=True):
            assert_allclose(x, y, rtol=1e-12, atol=1e-12)


@as_pytorch
def test_groups_have_their_own_settings_as_pytorchs_have(name, options, torch, backend):
    ours, theirs = leaves(drawn(0)), [torch.tensor(a, requires_grad=True) for a in drawn(0)]

    def groups(params):
        return [{"params": params[:2], "lr": 0.01}, {"params": [params[2]], "weight_decay": 0.3}]

    found = run(getattr(optim, name)(groups(ours), **options), ours, 3)

    expected = run(getattr(torch.optim, name)(groups(theirs), **options), theirs, 3)
    for x, y in zip(found[-1], expected[-1], strict=True):
        assert_allclose(x, y, rtol=1e-12, atol=1e-12)


@pytest.mark.filterwarnings("ignore::dlcore.mistakes.UnreachedParameter")
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


def test_a_frozen_parameter_is_passed_over_until_it_is_thawed(backend):
    model = dl.nn.Sequential(dl.nn.Linear(2, 2), dl.nn.Linear(2, 1))
    model[0].requires_grad_(False)
    optimizer, before = optim.SGD(model.parameters(), lr=0.1), model[0].weight.array

    for thawed in (False, True):
        model[0].requires_grad_(thawed)
        optimizer.zero_grad()
        model(dl.ones((1, 2))).sum().backward()
        optimizer.step()
        assert (model[0].weight.array is not before) is thawed


@pytest.mark.filterwarnings("ignore::dlcore.mistakes.UnreachedParameter")
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
@pytest.mark.parametrize("name", ["Adam", "AdamW", "NAdam"])
def test_epsilon_does_not_vanish_in_half_precision(name, dtype):
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
    p = dl.tensor([1.0, 1.0], dtype=dtype, requires_grad=True)
    optimizer = getattr(optim, name)([p], lr=0.125, betas=(0.0, 0.9), weight_decay=0.0)

    p.grad = dl.tensor([0.0, 1e-4], dtype=dtype)  # 0 / sqrt(0); and a square below the least number
    optimizer.step()

    assert (p.dtype, p.tolist()) == (dtype, [1.0, 0.875])


@every
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves_move_as_float32_would_but_for_the_last_rounding(name, options, dtype):
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
    narrow = leaves(drawn(0), dtype)
    wide = leaves([p.detach().astype("float32").numpy() for p in narrow])
    pair = [getattr(optim, name)(params, **options) for params in (narrow, wide)]

    for p, q in zip(narrow, wide, strict=True):
        p.grad = dl.tensor(1e-3 * q.numpy(), dtype)
        q.grad = p.grad.astype("float32")
    for optimizer in pair:
        optimizer.step()

    for p, q, state in zip(narrow, wide, pair[0].state, strict=True):
        assert_array_equal(p.numpy(), q.detach().astype(dtype).numpy())
        assert {str(v.dtype) for v in state.values() if hasattr(v, "dtype")} <= {"float32"}


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


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_gradients_of_parts_add_up_to_that_of_the_whole_batch(name, backend):
    random = np.random.default_rng(0)
    x, y = dl.tensor(random.standard_normal((12, 3))), dl.tensor(random.standard_normal((12, 1)))
    whole, parts = dl.nn.Linear(3, 1).to(dl.float64), dl.nn.Linear(3, 1).to(dl.float64)
    parts.load_state_dict(whole.state_dict())
    optimizers = [getattr(optim, name)(model.parameters(), lr=0.1) for model in (whole, parts)]

    for _ in range(3):
        for optimizer in optimizers:
            optimizer.zero_grad()
        dl.mean((whole(x) - y) ** 2).backward()
        for i in range(0, 12, 4):
            (dl.mean((parts(x[i:i + 4]) - y[i:i + 4]) ** 2) / 3).backward()
        for optimizer in optimizers:
            optimizer.step()

    for p, q in zip(whole.parameters(), parts.parameters(), strict=True):
        assert_allclose(p.numpy(), q.numpy(), rtol=1e-9)


def test_a_group_can_join_later(backend):
    p, q = leaves([[1.0], [1.0]])
    optimizer = optim.SGD([p], lr=1.0)

    optimizer.add_param_group({"params": [q], "lr": 0.5})
    for x in (p, q):
        x.grad = dl.ones_like(x)
    optimizer.step()

    assert (p.item(), q.item()) == (0.0, 0.5)


def test_a_step_reads_nothing_from_the_device(backend, monkeypatch):
    monkeypatch.setattr(type(backend), "to_host", lambda self, x: pytest.fail("a value was read"))
    made = [getattr(optim, name)([p], **options) for (name, options), p in
            zip(OPTIMIZERS, leaves([[1.0]] * len(OPTIMIZERS)), strict=True)]
    for optimizer in made:
        p, = optimizer.param_groups[0]["params"]
        p.grad = dl.ones_like(p)
        optim.clip_grad_norm([p], 0.5)

        optimizer.step()


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


# --- mistakes --------------------------------------------------------------------------------------


def leaf():
    return dl.tensor([1.0, 2.0], requires_grad=True)


shared = leaf()


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
        (ValueError, lambda: optim.SGD([{"params": [shared]}, {"params": [leaf(), shared]}], lr=0.1),
         r"SGD: a parameter is given twice: the one of shape \(2,\) in group 0 and in group 1"),
        (TypeError, lambda: optim.SGD([dl.arange(3)], lr=0.1),
         r"SGD: parameter 0 of shape \(3,\) is int64, which has no derivatives; use a float dtype"),
        (TypeError, lambda: optim.Adam(dl.nn.Linear(2, 1)), r"got a Linear; write model.parameters\(\)"),
        (TypeError, lambda: optim.Adam(3), "params must be a list of tensors, got a int$"),
        (ValueError, lambda: optim.Adam([leaf()]).step(),
         r"Adam.step: none of the 1 parameters has a gradient; call backward\(\) first"),
        (ValueError, lambda: optim.SGD([leaf()], lr=lambda i: -1.0),
         "SGD: the schedule's lr at step 0 must be finite and not negative, got -1.0"),
        (ValueError, lambda: optim.SGD([leaf()], lr=0.1, nesterov=True, momentum=0.9, dampening=0.1),
         "and no dampening, got momentum=0.9, dampening=0.1"),
        (ValueError, lambda: optim.SGD([{"params": [leaf()], "nesterov": True}], lr=0.1), "nesterov needs"),
        (ValueError, lambda: optim.RMSprop([leaf()], alpha=1.0), "RMSprop: alpha must be at least 0"),
        (ValueError, lambda: optim.Adadelta([leaf()], rho=-0.1), "Adadelta: rho must be at least 0 and less"),
        (ValueError, lambda: optim.Lion([leaf()], betas=(1.5, 0.9)), "Lion: betas must be at least 0"),
        (ValueError, lambda: optim.Adam([leaf()], betas=0.9), "Adam: betas must be two numbers, got 0.9"),
        (ValueError, lambda: optim.Adam([shared]).add_param_group({"params": [shared]}), "is given twice"),
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
         r"SGD: unknown settings \['rate'\]; known: \['dampening', 'lr', 'maximize', "),
        (ValueError, lambda: optim.SGD([{"lr": 1.0}], lr=0.1), r"SGD: a group needs 'params', got \['lr'\]"),
        (TypeError, lambda: optim.SGD([{"params": [leaf()]}, leaf()], lr=0.1), "and tensors cannot be mixed"),
    ],
)
def test_a_mistake_is_named(error, call, message, backend):
    with pytest.raises(error, match=message):
        call()


def test_an_optimizer_prints_its_settings():
    assert repr(optim.SGD([leaf()], lr=0.1)) == (
        "SGD(1 parameters, lr=0.1, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, "
        "maximize=False)")
