"""Files of the user's own: what is read is what was written, and what is wrong has a place."""

import csv
from io import BytesIO

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import dlcore as dl
from dlcore import data
from dlcore.data import files, read_csv, read_npy, read_npz

NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=32)
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n\ufeff"), min_size=1, max_size=5).map(
    str.strip).filter(lambda name: name and not files._is_number(name))
GOOD = "x,y,kind\n1,2.5,b\n-3e2,4,a\n5,6,b\n"


@pytest.fixture
def table(tmp_path):
    """Writes a text into a file and gives its path."""
    def write(text, **how):
        path = tmp_path / "own.csv"
        path.write_text(text, **{"encoding": "utf-8", "newline": ""} | how)
        return path

    return write


# --- tables -------------------------------------------------------------------------------------------


@given(data=st.data(), delimiter=st.sampled_from(",;\t|"), ending=st.sampled_from(["\n", "\r\n"]))
def test_what_is_written_as_a_table_is_read(tmp_path_factory, data, delimiter, ending):
    columns = data.draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    assume(len(columns) > 1 or not set(";\t|,") & set(columns[0]))  # it would look like several
    rows = data.draw(st.lists(st.lists(NUMBERS, min_size=len(columns), max_size=len(columns)), min_size=1,
                              max_size=4))
    path = tmp_path_factory.mktemp("table") / "own.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator=ending)
        writer.writerows([columns, *rows])

    found = read_csv(path, delimiter=delimiter)

    assert found.columns == tuple(columns)
    assert_array_equal(found.inputs, np.array(rows, np.float32))
    assert found.targets is None


def test_targets_are_numbers_to_be_learnt(table):
    path = table("a,b,c,d\n1,2,3,4\n5,6,7,8\n")

    one, two = read_csv(path, "c"), read_csv(path, ["d", 0])

    assert (one.columns, one.inputs.tolist(), one.targets.tolist()) == (
        ("a", "b", "d"), [[1, 2, 4], [5, 6, 8]], [[3], [7]])
    assert (two.columns, two.targets.tolist()) == (("b", "c"), [[4, 1], [8, 5]])
    assert one.targets.dtype == np.float32
    assert one.source == "own.csv"


@pytest.mark.parametrize(("cells", "classes", "codes"), [
    ("b a b", ("a", "b"), [1, 0, 1]), ("10 9 10", ("9", "10"), [1, 0, 1]),
    ("1 -2 x", ("-2", "1", "x"), [1, 0, 2]),
    ("0.5 1.5 0.5", ("0.5", "1.5"), [0, 1, 0])])
def test_labels_are_the_places_of_classes_in_order(table, cells, classes, codes):
    path = table("x,kind\n" + "".join(f"{i}, {cell} \n" for i, cell in enumerate(cells.split())))

    found = read_csv(path, labels="kind")

    assert (found.classes, found.targets.tolist(), found.targets.dtype) == (classes, codes, np.int64)
    assert found.inputs.tolist() == [[0], [1], [2]]


def test_columns_choose_the_inputs_in_their_order(table):
    path = table(GOOD)

    found = read_csv(path, columns=["y", "x"])

    assert (found.columns, found.inputs.tolist()) == (("y", "x"), [[2.5, 1], [4, -300], [6, 5]])


def test_a_table_without_names_is_read_by_places(table):
    path = table("1,2\n3,4\n")

    found = read_csv(path, 1, header=False)

    assert (found.columns, found.inputs.tolist(), found.targets.tolist()) == (("0",), [[1], [3]], [[2], [4]])


@pytest.mark.parametrize("text", ['x,y\n"1",2\n', "\ufeffx,y\n1,2\n", "x,y\n\n1,2\n\n", "x,y\r\n1,2",
                                  " x , y \n 1 , 2 \n"])
def test_what_spreadsheets_write_is_read(table, text):
    found = read_csv(table(text))

    assert (found.columns, found.inputs.tolist()) == (("x", "y"), [[1, 2]])


def test_large_numbers_that_cannot_be_added_are_read(table):
    before = dl.get_default_dtype()
    dl.set_default_dtype("float64")
    try:
        assert read_csv(table("x,y\n1e308,1e308\n")).inputs.tolist() == [[1e308, 1e308]]
    finally:
        dl.set_default_dtype(before)


def test_a_table_goes_through_a_loader(table, backend):
    x, y = next(iter(data.DataLoader(read_csv(table(GOOD), labels="kind"), 3)))

    assert (x.tolist(), y.tolist(), x.backend) == ([[1, 2.5], [-300, 4], [5, 6]], [1, 0, 1], backend.name)


@pytest.mark.parametrize(
    ("text", "how", "message"),
    [
        ("x,y\n1,2\n3,\n", {}, r"line 3 of own.csv, column 'y': the value is missing \(''\); leave out"),
        ("x,y\n1,2\nNaN,4\n", {}, r"line 3 of own.csv, column 'x': the value is missing \('NaN'\)"),
        ("x,y\n1,2\n3,?\n", {}, r"column 'y': the value is missing \('\?'\)"),
        ('x,y\n"a\nb",2\n', {"columns": ["y"], "labels": "z"}, "own.csv has no column 'z'; it has x, y"),
        ("x,y\n1,Paris\n", {}, "line 2 of own.csv, column 'y': 'Paris' is no finite number; leave the"),
        ("x,y\n1,inf\n", {}, "column 'y': 'inf' is no finite number"),
        ("x,y\n1,1.5,2\n", {}, "line 2 of own.csv has 3 cells, line 1 has 2"),
        ("x,y\n1,2\n3\n", {}, "line 3 of own.csv has 1 cells, line 1 has 2"),
        ("x,k\n1,a\n2, \n", {"labels": "k"}, "line 3 of own.csv, column 'k': the value is missing"),
        ("", {}, "own.csv is empty"),
        ("x,y\n", {}, "own.csv has no rows"),
        ("x\n1\n", {"targets": "x"}, "own.csv has no columns left to be inputs"),
        ("1,2\n3,4\n", {}, r"line 1 of own.csv holds numbers and no names: \['1', '2'\]; pass header=False"),
        ("x;y\n1;2\n", {}, "line 1 of own.csv has no ',', but ';'; pass delimiter=';'"),
        ("x\ty\n1\t2\n", {}, r"pass delimiter='\\t'"),
        (GOOD, {"targets": "z"}, "own.csv has no column 'z'; it has x, y, kind"),
        (GOOD, {"columns": [3]}, "own.csv has no column 3"),
        (GOOD, {"columns": ["x"], "labels": -1}, "own.csv has no column -1"),
        (GOOD, {"targets": "x", "labels": "kind"}, "targets are numbers and labels are classes"),
        (",x\n0,1\n", {}, "column 0 of own.csv has no name, as pandas' index has none; say which columns="),
        ("x,x\n0,1\n", {"targets": "x"}, "has several columns 'x'; say the place of one"),
        ('x,y\n"1,2\n', {}, "line 2 of own.csv: unexpected end of data"),
    ],
)
def test_a_mistake_in_a_table_has_a_place_and_a_remedy(table, text, how, message):
    with pytest.raises(ValueError, match=message):
        read_csv(table(text), **how)


def test_a_text_in_another_encoding_is_named(table):
    with pytest.raises(ValueError, match=r"own.csv is no text in UTF-8: .*can't decode byte 0xe4"):
        read_csv(table("zäh,y\n1,2\n", encoding="latin-1"))


def test_a_file_that_is_not_there_is_named(tmp_path):
    for read in (read_csv, read_npy, read_npz):
        with pytest.raises(FileNotFoundError, match="gone"):
            read(tmp_path / "gone")


# --- arrays -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32", "int32", "uint8", "bool", ">f4"])
def test_an_array_is_read_as_it_was_written(tmp_path, dtype):
    x = np.arange(6).reshape(2, 3).astype(dtype)
    np.save(tmp_path / "own.npy", x)

    found = read_npy(tmp_path / "own.npy")

    assert_array_equal(found, x)
    assert found.dtype == np.dtype(dtype).newbyteorder("=")


def test_a_large_array_stays_in_its_file(tmp_path, monkeypatch, backend):
    x = np.arange(40.0).reshape(20, 2)
    np.save(tmp_path / "own.npy", x)
    small = read_npy(tmp_path / "own.npy")
    monkeypatch.setattr(files, "MAPPED_FROM", x.nbytes)

    mapped = read_npy(tmp_path / "own.npy")

    assert small.flags.writeable
    assert not mapped.flags.writeable
    assert isinstance(mapped.base, np.memmap)
    batches = [x.tolist() for x, in data.DataLoader(data.ArrayDataset(mapped), 8, shuffle=True)]
    assert batches == [x.tolist() for x, in data.DataLoader(data.ArrayDataset(small), 8, shuffle=True)]


def test_arrays_of_an_archive_are_the_parts_of_a_dataset(tmp_path):
    x, y = np.ones((3, 2)), np.arange(3)
    np.savez(tmp_path / "own.npz", y=y, x=x, z=np.zeros(9))
    np.savez_compressed(tmp_path / "two.npz", x=x, y=y)

    chosen, whole = read_npz(tmp_path / "own.npz", "x", "y"), read_npz(tmp_path / "two.npz")

    for dataset in (chosen, whole):
        assert_array_equal(dataset.arrays[0], x)
        assert_array_equal(dataset.arrays[1], y)


def cut(path, size):
    path.write_bytes(path.read_bytes()[:size])


@pytest.mark.parametrize("mapped_from", [1, 2**30])
@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda p: np.save(p, np.array([None]), allow_pickle=True), ValueError, "reading those can run any code"),
    (lambda p: p.write_text("x,y\n1,2\n"), ValueError, "read_npy: own.npy: it is no file of NumPy's"),
    (lambda p: p.write_text(""), ValueError, "read_npy: own.npy: No data left in file"),
    (lambda p: (np.save(p, np.ones(9)), cut(p, 150)), ValueError, "read_npy: own.npy: "),
    (lambda p: (np.save(p, np.ones(9)), cut(p, 20)), ValueError, "read_npy: own.npy: EOF"),
    (lambda p: np.save(p, np.array(["a"])), TypeError, "a tensor holds numbers, not strings"),
    (lambda p: p.write_bytes(archive()), ValueError, "own.npy holds several arrays; read_npz reads them")])
def test_what_is_no_array_is_refused(tmp_path, monkeypatch, mapped_from, make, error, message):
    monkeypatch.setattr(files, "MAPPED_FROM", mapped_from)
    path = tmp_path / "own.npy"
    make(path)

    with pytest.raises(error, match=message):
        read_npy(path)


def archive(**arrays):
    np.savez(file := BytesIO(), **{"a": np.ones(2)} | arrays)
    return file.getvalue()


@pytest.mark.parametrize(("content", "names", "message"), [
    (archive(), ["b"], "read_npz: own.npz: it has no array 'b'; it has a"),
    (archive()[:90], [], "read_npz: own.npz: File is not a zip file"),
    (archive(b=np.array([None])), [], "holds Python objects; reading those can run any code"),
    (archive(b=np.ones(3)), [], r"needs arrays of one length along the first axis, got \(2,\) and \(3,\)")])
def test_what_is_no_dataset_is_refused(tmp_path, content, names, message):
    path = tmp_path / "own.npz"
    path.write_bytes(content)

    with pytest.raises(ValueError, match=message) as caught:
        read_npz(path, *names)

    if "one length" in message:
        assert caught.value.__notes__ == [
            "read_npz: these are a, b of own.npz; say which you want, read_npz(path, 'x', 'y')"]


def test_a_single_array_is_no_archive(tmp_path):
    np.save(tmp_path / "own.npy", np.ones(3))

    with pytest.raises(ValueError, match=r"read_npz: own.npy: it holds a single array; read_npy reads it"):
        read_npz(tmp_path / "own.npy")
