"""What is no tensor where one belongs gets an error that says so and names the operation."""

import contextlib

import pytest

import dlcore as dl
from dlcore.nn import functional

PUBLIC = [(dl.ops, name) for name in dl.ops.__all__] + [(functional, name) for name in functional.__all__]
OTHERS = [(), (1,), (1, 1), ([0], [0]), ([0], [0], [0])]  # further arguments, as many as some function takes


@pytest.mark.parametrize("wrong", [[1.0, 2.0], 3.0, "x", None], ids=repr)
@pytest.mark.parametrize(("module", "name"), PUBLIC, ids=[name for _, name in PUBLIC])
def test_no_operation_answers_a_wrong_kind_with_an_attribute_error(module, name, wrong):
    for others in OTHERS:
        with contextlib.suppress(TypeError, ValueError, IndexError):
            getattr(module, name)(wrong, *others)


@pytest.mark.parametrize("name", ["reshape", "sort", "squeeze", "take", "tile", "unstack"])
def test_a_list_without_a_tensor_is_told_to_become_one(name):
    arguments = {"reshape": [(2,)], "take": [[0], 0], "tile": [(2,)]}.get(name, [])

    with pytest.raises(TypeError, match=rf"{name}: needs a tensor, got list; make one with dl\.tensor"):
        getattr(dl, name)([1.0, 2.0], *arguments)
