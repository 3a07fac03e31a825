"""Modules are trees of attributes; layers compute what PyTorch's compute."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import dlcore as dl
from dlcore import nn
from dlcore.nn import functional as F
from dlcore.testing.strategies import SEEDS
from tests.strategies import fewer


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed", exc_type=ImportError)


class Block(nn.Module):
    """Everything that a module can hold, without super().__init__()."""

    def __init__(self):
        self.first = nn.Linear(2, 3)
        self.scale = nn.Parameter(dl.ones(3))
        self.count = nn.Buffer(dl.tensor([0, 0]))
        self.more = [nn.Linear(3, 3), (nn.Linear(3, 1, bias=False),)]
        self.by_name = {"last": nn.Linear(1, 1)}
        self.constant = dl.tensor([1.0])
        self.name = "block"

    def forward(self, x):
        x = F.relu(self.first(x)) * self.scale
        return self.by_name["last"](self.more[1][0](self.more[0](x)))


NAMES = ["first.weight", "first.bias", "scale", "more.0.weight", "more.0.bias", "more.1.0.weight",
         "by_name.last.weight", "by_name.last.bias"]


def trees():
    """Nested lists and dicts of modules."""
    linear = st.builds(nn.Linear, *[st.integers(1, 3)] * 2, st.booleans())
    return st.recursive(
        linear,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
        | st.builds(lambda xs: nn.Sequential(*xs), st.lists(linear, max_size=3)),
        max_leaves=6,
    )


def holding(tree):
    module = nn.Module()
    module.tree = tree
    return module


# --- the tree --------------------------------------------------------------------------------------


def test_parameters_are_found_in_the_order_they_were_written(backend):
    assert [name for name, _ in Block().named_parameters()] == NAMES


def test_buffers_are_saved_but_not_trained(backend):
    block = Block()

    assert [name for name, _ in block.named_buffers()] == ["count"]
    assert set(block.state_dict()) == {*NAMES, "count"}
    assert not any(b.requires_grad for b in block.buffers())


def test_a_shared_parameter_counts_once_but_is_saved_under_each_of_its_names(backend):
    block = Block()
    block.again = block.first.weight

    assert [name for name, _ in block.named_parameters()] == NAMES
    assert "again" in block.state_dict()


def test_a_module_that_holds_what_holds_it_can_still_be_walked(backend):
    block = Block()
    block.first.owner, block.itself, block.more[1:] = block, block, [block.more]

    assert [n for n, _ in block.named_parameters()] == [n for n in NAMES if n != "more.1.0.weight"]
    assert "first: Linear" in repr(block)


def test_a_module_without_forward_says_what_is_missing():
    class Empty(nn.Module):
        pass

    with pytest.raises(NotImplementedError, match=r"Empty: define forward\(self, \.\.\.\)"):
        Empty()(1)


def test_training_reaches_every_module(backend):
    block = nn.Sequential(Block(), nn.Dropout())
    assert all(m.training for m in block.modules())

    assert block.eval() is block
    assert not any(m.training for m in block.modules())

    block.train()
    assert all(m.training for m in block.modules())


def test_gradients_reach_every_parameter_and_zero_grad_drops_them(backend):
    block = Block()

    (block(dl.ones((4, 2))) * 2.0).sum().backward()

    assert all(p.grad is not None for p in block.parameters())
    block.zero_grad()
    assert all(p.grad is None for p in block.parameters())


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])  # noqa: S301  our own
def test_a_copy_has_the_same_state_and_tensors_of_its_own(copied, backend):
    block = Block()

    twin = copied(block)

    assert [n for n, _ in twin.named_parameters()] == NAMES
    assert all(p.requires_grad for p in twin.parameters())
    for name, value in block.state_dict().items():
        assert_array_equal(twin.state_dict()[name].numpy(), value.numpy())
    assert not set(map(id, twin.parameters())) & set(map(id, block.parameters()))


# --- parameters and buffers ------------------------------------------------------------------------


def test_a_parameter_is_a_leaf_that_does_not_remember_where_it_came_from(backend):
    source = dl.tensor([1.0, 2.0], requires_grad=True) * 2.0

    p = nn.Parameter(source)

    assert (p.role, p.requires_grad, p.tolist()) == ("parameter", True, [2.0, 4.0])
    assert p.node.primitive is None
    assert not nn.Parameter([1.0], requires_grad=False).requires_grad


def test_a_parameter_of_integers_is_refused():
    with pytest.raises(TypeError, match="requires_grad: int64 has no derivatives; use a float dtype"):
        nn.Parameter([1, 2])


def test_assigning_to_a_buffer_keeps_its_role_and_drops_the_history(backend):
    block = Block()

    block.count = block.count + 1
    block.running = nn.Buffer(dl.zeros(3))
    block.running = block.running * 0.9 + block.scale * 0.1

    assert block.count.tolist() == [1, 1]
    assert not block.running.requires_grad
    assert [n for n, _ in block.named_buffers()] == ["count", "running"]


def test_assigning_a_plain_tensor_to_a_parameter_is_refused_with_the_way_out(backend):
    block = Block()

    with pytest.raises(TypeError, match=r"Block\.scale is a parameter, and an optimizer may hold it; write "
                                        r"module\.scale\.data = "):
        block.scale = block.scale - 0.1

    block.scale.data = (block.scale - 0.1).data
    block.scale = nn.Parameter(dl.zeros(3))
    assert "scale" in block.state_dict()


def test_a_misspelt_attribute_is_answered_with_the_near_one():
    with pytest.raises(AttributeError, match=r"^Linear has no attribute 'wieght'; did you mean 'weight'\?$"):
        nn.Linear(1, 1).wieght  # noqa: B018
    with pytest.raises(AttributeError, match=r"^Block has no attribute 'zzz'$"):
        Block().zzz  # noqa: B018
    assert not hasattr(Block(), "__array__")


# --- saving and loading ----------------------------------------------------------------------------


@fewer(2)
@given(tree=trees(), seed=SEEDS)
def test_a_state_dict_makes_a_module_of_the_same_structure_equal(tree, seed, backend):
    module, twin = holding(tree), holding(copy.deepcopy(tree))
    random = np.random.default_rng(seed)
    for p in module.parameters():
        p.data = dl.tensor(random.standard_normal(p.shape), dtype="float32").data
    identities = ids(twin.parameters())

    passed = twin.load_state_dict(module.state_dict())

    assert passed == ([], [])
    assert ids(twin.parameters()) == identities
    for name, value in module.state_dict().items():
        assert_array_equal(twin.state_dict()[name].numpy(), value.numpy())


def test_a_state_dict_stays_what_it_was_while_training_goes_on(backend):
    block = Block()
    before = block.state_dict()
    kept = {name: x.numpy().copy() for name, x in before.items()}
    optimizer = dl.optim.SGD(block.parameters(), lr=0.1, momentum=0.9)

    for _ in range(3):
        optimizer.zero_grad()
        block(dl.ones((4, 2))).sum().backward()
        optimizer.step()

    assert not any(x.requires_grad for x in before.values())
    for name, x in before.items():
        assert_array_equal(x.numpy(), kept[name])


def test_what_does_not_fit_is_listed_completely_and_nothing_is_loaded(backend):
    block = Block()
    kept = {name: x.numpy().copy() for name, x in block.state_dict().items()}
    state = {n: x + 1 for n, x in block.state_dict().items() if n not in {"scale", "first.bias"}}
    state |= {"more.0.bias": dl.ones(7), "count": dl.ones(2), "head": dl.ones(1), "tail": 1.0}

    with pytest.raises(ValueError, match="this state is not one of Block; nothing was loaded") as refused:
        block.load_state_dict(state)

    lines = str(refused.value).splitlines()[1:]
    assert lines == [  # in the order of the attributes
        "  missing: first.bias (3,), scale (3,)",
        "  unexpected: head, tail",
        "  misshapen: count is int64, the state has float32, more.0.bias is (3,), the state has (7,)",
    ]
    for name, x in block.state_dict().items():
        assert_array_equal(x.numpy(), kept[name])


def test_what_is_missing_or_too_much_may_be_passed_over(backend):
    block = Block()

    passed = block.load_state_dict({"scale": np.array([1.0, 2.0, 3.0]), "head": 1.0}, strict=False)

    assert block.scale.tolist() == [1.0, 2.0, 3.0]
    assert block.scale.dtype == dl.float32
    assert passed.unexpected_keys == ["head"]
    assert set(passed.missing_keys) == {*NAMES, "count"} - {"scale"}


def test_a_wrong_shape_is_never_passed_over(backend):
    with pytest.raises(ValueError, match=r"misshapen: scale is \(3,\), the state has \(1,\)"):
        Block().load_state_dict({"scale": dl.ones(1)}, strict=False)


def test_a_state_that_is_no_dict_is_refused():
    with pytest.raises(TypeError, match="load_state_dict: needs a dict from names to tensors, got a list"):
        Block().load_state_dict([1])


def test_names_and_layouts_are_pytorchs(torch, backend):
    ours = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    theirs = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    x = np.random.default_rng(0).standard_normal((5, 4), dtype=np.float32)

    ours.load_state_dict({name: t.numpy() for name, t in theirs.state_dict().items()})

    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert_allclose(ours(dl.tensor(x)).numpy(), theirs(torch.tensor(x)).detach().numpy(), rtol=1e-5)


# --- moving ----------------------------------------------------------------------------------------


def test_moving_keeps_every_tensor_the_same_object_and_drops_gradients(backend):
    with dl.use_backend("cpu"):
        block = Block()
    block(dl.ones((1, 2)).to("cpu")).sum().backward()
    tensors = [*block.parameters(), *block.buffers(), block.constant]

    assert block.to(backend.name) is block

    assert ids([*block.parameters(), *block.buffers(), block.constant]) == ids(tensors)
    assert {x.backend for x in tensors} == {backend.name}
    assert all(p.grad is None and p.requires_grad for p in block.parameters())
    block(dl.ones((1, 2))).sum().backward()
    assert {p.grad.backend for p in block.parameters()} == {backend.name}


def ids(xs):
    return [id(x) for x in xs]


def test_an_optimizer_stays_valid_when_its_module_moves(backend):
    with dl.use_backend("cpu"):
        layer = nn.Linear(2, 1)
        optimizer = dl.optim.Adam(layer.parameters(), lr=0.1)
        F.mse_loss(layer(dl.ones((1, 2))), dl.zeros((1, 1))).backward()
        optimizer.step()
    before = layer.weight.numpy().copy()

    layer.to(backend.name)
    F.mse_loss(layer(dl.ones((1, 2))), dl.zeros((1, 1))).backward()
    optimizer.step()

    assert layer.weight.backend == backend.name
    assert (layer.weight.numpy() != before).all()


def test_a_module_changes_its_float_dtype_but_no_integers(backend):
    block = Block().to(dl.float64)

    assert {p.dtype for p in block.parameters()} == {dl.float64}
    assert block.count.dtype == dl.int64
    assert block(dl.ones((1, 2), dtype="float64")).dtype == dl.float64
    with pytest.raises(ValueError, match="to: parameters need a float dtype, got int64"):
        block.to(dl.int64)


# --- printing --------------------------------------------------------------------------------------


def test_a_module_prints_shapes_counts_and_what_it_is_made_of():
    model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Dropout(0.2), nn.Linear(256, 10, bias=False))

    assert repr(model).splitlines() == [
        "Sequential(): 203,520 parameters",
        "  0: Linear(in_features=784, out_features=256, weight (256, 784), bias (256,)): 200,960 parameters",
        "  1: ReLU()",
        "  2: Dropout(p=0.2)",
        "  3: Linear(in_features=256, out_features=10, weight (10, 256)): 2,560 parameters",
    ]


def test_modules_inside_lists_and_dicts_are_printed_with_their_names():
    lines = repr(Block()).splitlines()

    assert lines[0] == "Block(scale (3,), count (2,), constant (1,), name='block'): 29 parameters"
    names = [line.split(":")[0] for line in lines[1:]]
    assert names == ["  first", "  more.0", "  more.1.0", "  by_name.last"]


# --- several in a row ------------------------------------------------------------------------------


def test_sequential_applies_its_layers_in_order_functions_too(backend):
    model = nn.Sequential(nn.Linear(2, 2), dl.tanh, nn.Flatten(0))
    x = dl.ones((3, 2))

    assert_array_equal(model(x).numpy(), dl.tanh(model[0](x)).reshape(-1).numpy())
    assert len(model) == 3
    assert [type(layer) for layer in model][::2] == [nn.Linear, nn.Flatten]


def test_a_module_list_numbers_its_modules_as_pytorch_does():
    module = nn.Module()
    module.layers = nn.ModuleList([nn.Linear(1, 1)]).append(nn.Linear(1, 2, bias=False))

    assert list(module.state_dict()) == ["layers.0.weight", "layers.0.bias", "layers.1.weight"]
