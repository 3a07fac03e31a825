"""Nested dicts, lists and tuples: taken apart and put together again, whatever they hold."""

from collections import OrderedDict, defaultdict
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcore import trees


class Pair(NamedTuple):
    first: Any
    second: Any


TREES = st.recursive(
    st.integers() | st.text(max_size=2) | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple)
    | st.dictionaries(st.text(max_size=2), inner, max_size=3) | st.builds(Pair, inner, inner), max_leaves=8)


@given(tree=TREES)
def test_a_tree_rebuilt_from_its_own_leaves_is_the_same(tree):
    again = trees.rebuilt(tree, trees.leaves(tree))

    assert again == tree
    assert type(again) is type(tree)


@given(tree=TREES)
def test_a_rebuilt_tree_holds_exactly_the_new_leaves_in_order(tree):
    names = [f"leaf {i}" for i in range(len(trees.leaves(tree)))]

    assert trees.leaves(trees.rebuilt(tree, names)) == names


@given(tree=TREES)
def test_none_holds_nothing(tree):
    assert None not in trees.leaves(tree)
    assert trees.leaves([None, tree, (None, {})]) == trees.leaves(tree)


@given(tree=TREES)
def test_mapping_composes(tree):
    words = trees.mapped(str, tree)

    assert trees.mapped(len, words) == trees.mapped(lambda x: len(str(x)), tree)


@given(tree=TREES)
def test_mapping_over_several_trees_pairs_their_leaves(tree):
    pairs = []

    trees.mapped(lambda x, y: pairs.append((x, y)), tree, trees.mapped(repr, tree))

    assert pairs == [(x, repr(x)) for x in trees.leaves(tree)]


@given(tree=TREES, other=TREES)
def test_structure_is_the_same_exactly_if_the_trees_agree_but_for_their_leaves(tree, other):
    blank = lambda t: trees.mapped(lambda x: 0, t)

    assert trees.same_structure(tree, blank(tree))
    assert trees.same_structure(tree, other) == trees.same_structure(other, tree)
    if blank(tree) == blank(other):
        assert trees.same_structure(tree, other)


@pytest.mark.parametrize(("a", "b"), [
    ([1], [1, 2]), ({"a": 1}, {"b": 1}), ([1], 1), ({"a": 1}, [1]), (None, 1), ([None], [1]), ([[1]], [1]),
    ((), 1)])
def test_these_differ_in_structure(a, b):
    assert not trees.same_structure(a, b)
    assert not trees.same_structure(b, a)


def test_the_order_of_keys_does_not_matter_for_the_structure():
    assert trees.same_structure({"a": 1, "b": 2}, {"b": 3, "a": 4})


def test_kinds_of_containers_and_the_order_of_keys_are_kept():
    tree = OrderedDict(b=Pair(1, [2]), a=(3,))

    again = trees.rebuilt(tree, "xyz")

    assert again == OrderedDict(b=Pair("x", ["y"]), a=("z",))
    assert type(again["b"]) is Pair
    assert list(again) == ["b", "a"]
    assert trees.rebuilt(defaultdict(list, a=1), [2])["new"] == []


def test_leaves_are_paired_by_key_and_not_by_the_order_of_keys():
    tree, other = {"w": 1, "b": [2, {"x": 3, "y": 4}]}, {"b": [20, {"y": 40, "x": 30}], "w": 10}

    assert trees.leaves_as(tree, other) == [10, 20, 30, 40]
    assert trees.mapped(lambda a, b: b / a, tree, other) == {"w": 10, "b": [10, {"x": 10, "y": 10}]}


@pytest.mark.parametrize("other", [[1], [1, [2]], (1, None), {"a": 1, "b": 2}, 1])
def test_trees_of_other_structure_cannot_be_mapped_together(other):
    with pytest.raises(ValueError, match="trees are nested in different ways"):
        trees.mapped(lambda x, y: x, [1, 2], other)
