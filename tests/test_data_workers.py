"""Workers: the same batches from any number of threads, in order, and no thread that stays."""

import gc
import signal
import subprocess
import sys
import threading
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dlcore as dl
from dlcore.data import ArrayDataset, DataLoader
from tests.strategies import fewer

ROOT = Path(__file__).parent.parent
HOW = st.fixed_dictionaries(dict.fromkeys(["shuffle", "replacement", "drop_last"], st.booleans()))
WAYS = [{}, {"prefetch": 2}, {"workers": 1}, {"workers": 3, "prefetch": 1}]


class Noisy:
    """Examples that say which they are, with a number that is drawn for each."""

    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        return index, dl.random.uniform((2,)), np.float64(index) / 2


class Watched:
    """Counts what is made, and calls a function for each example."""

    def __init__(self, n, call=lambda index: None):
        self.n, self.call, self.made = n, call, []

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        self.call(index)
        self.made.append(index)
        return index


def read(loader):
    return [tuple(part.tolist() for part in batch) for batch in loader]


def threads():
    return [t.name for t in threading.enumerate() if t.name.startswith("dlcore-loader")]


@pytest.fixture(autouse=True)
def no_thread_stays():
    yield
    assert threads() == []


# --- the same batches -----------------------------------------------------------------------------------


@fewer(2)
@given(n=st.integers(0, 9), size=st.integers(1, 4), seed=st.integers(0, 9), how=HOW,
       workers=st.integers(1, 3), prefetch=st.none() | st.integers(1, 3))
def test_batches_are_the_same_for_any_number_of_workers(backend, n, size, seed, how, workers, prefetch):
    alone = DataLoader(Noisy(n), size, seed=seed, **how)
    together = DataLoader(Noisy(n), size, seed=seed, workers=workers, prefetch=prefetch, **how)

    assert [read(together) for _ in range(2)] == [read(alone) for _ in range(2)]


@pytest.mark.parametrize("way", WAYS)
def test_rows_of_arrays_are_the_same_too(way, backend):
    data = ArrayDataset(np.arange(14.0).reshape(7, 2), dl.arange(7))

    found = read(DataLoader(data, 2, shuffle=True, **way))

    assert found == read(DataLoader(data, 2, shuffle=True))


@pytest.mark.parametrize("way", WAYS)
def test_rows_may_be_drawn_for_too(way, backend):
    class NoisyRows(Noisy):
        def rows(self, places):
            found = np.arange(self.n)[places]
            return found, dl.random.uniform((len(found),))

    dl.random.seed(3)
    state = dl.random.default_generator.state

    first, second = (read(DataLoader(NoisyRows(7), 2, shuffle=True, **how)) for how in ({}, way))

    assert first == second
    assert len({x for _, xs in first for x in xs}) == 7
    assert dl.random.default_generator.state == state


@pytest.mark.parametrize("way", WAYS)
def test_batches_are_tensors_on_the_selected_backend(way, backend):
    for batch in DataLoader(Noisy(5), 2, **way):
        assert [part.backend for part in batch] == [backend.name] * 3
        assert [part.dtype for part in batch] == [dl.int64, dl.float32, dl.float64]


def test_what_is_drawn_depends_on_seed_epoch_and_place_alone():
    def drawn(seed=0, **how):
        loader = DataLoader(Noisy(6), 2, seed=seed, **how)
        return [[x for _, xs, _ in read(loader) for x in xs] for _ in range(2)]

    first, second = drawn()
    dl.random.seed(5)
    state = dl.random.default_generator.state

    assert drawn() == [first, second]
    assert dl.random.default_generator.state == state
    assert len({tuple(x) for x in [*first, *second, *drawn(seed=1)[0]]}) == 18
    copies = drawn(replacement=True)[0]  # an example that comes twice is drawn for twice
    assert len({tuple(x) for x in copies}) == 6


# --- the threads ----------------------------------------------------------------------------------------


def test_workers_work_at_the_same_time():
    meeting = threading.Barrier(3)
    loader = DataLoader(Watched(6, lambda index: meeting.wait(10)), 1, workers=3)

    assert read(loader) == [([i],) for i in range(6)]  # alone, each would have waited in vain


@pytest.mark.parametrize(("workers", "prefetch", "begun"), [(0, None, 1), (0, 3, 4), (2, 1, 2), (1, None, 3)])
def test_no_more_is_begun_than_what_was_asked_for(workers, prefetch, begun):
    data = Watched(20)
    batches = iter(DataLoader(data, 2, workers=workers, prefetch=prefetch))

    for i in range(3):
        next(batches)
        assert len(data.made) <= 2 * (i + begun)
    batches.close()


def test_batches_are_moved_ahead_and_by_the_thread_that_asked(monkeypatch):
    with dl.use_backend("strict") as strict:
        moved, real = [], strict.from_host

        def from_host(x, *dtype):
            moved.append(threading.current_thread())
            return real(x, *dtype)

        monkeypatch.setattr(strict, "from_host", from_host)
        next(batches := iter(DataLoader(Watched(20), 2, prefetch=2)))
        assert len(moved) == 3
        batches.close()
        list(DataLoader(Watched(20), 2, workers=3))

    assert len(moved) == 13
    assert set(moved) == {threading.main_thread()}


@pytest.mark.parametrize("way", WAYS)
def test_a_loader_stands_at_what_it_gave_and_not_at_what_it_prepared(way):
    loader = DataLoader(Noisy(11), 2, shuffle=True, **way)
    batches = iter(loader)
    head = read(islice(batches, 2))
    state = loader.state_dict()
    resumed = DataLoader(Noisy(11), 2, shuffle=True, **way)
    resumed.load_state_dict(state)

    assert (state["epoch"], state["position"]) == (0, 2)
    tail = read(resumed)
    assert tail == read(batches)
    assert head + tail == read(DataLoader(Noisy(11), 2, shuffle=True))


# --- how it ends ----------------------------------------------------------------------------------------


def fails(index):
    if index == 5:
        raise OSError("the disk is full")


@pytest.mark.parametrize("way", WAYS)
def test_what_fails_is_raised_in_its_turn_and_names_the_example(way):
    loader = DataLoader(Watched(12, fails), 2, **way)
    batches = iter(loader)

    assert read(islice(batches, 2)) == [([0, 1],), ([2, 3],)]
    with pytest.raises(OSError, match="the disk is full") as caught:
        next(batches)

    assert caught.value.__notes__ == ["DataLoader: this is example 5 of the dataset, in batch 2 of epoch 0"]
    assert caught.traceback[-1].name == "fails"
    assert loader.state_dict()["position"] == 2
    assert threads() == []


@pytest.mark.parametrize("way", WAYS)
def test_a_loop_that_is_left_leaves_no_thread(way):
    loader = DataLoader(Watched(50), 2, **way)

    for _ in loader:
        break
    assert threads() == []

    held = iter(loader)
    next(held)
    del held
    gc.collect()
    assert threads() == []
    assert len(read(loader)) == 25


@pytest.mark.parametrize("way", WAYS)
def test_ctrl_c_in_the_loop_ends_the_threads(way):
    data = Watched(1000)

    def loop():
        for _ in DataLoader(data, 10, **way):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        loop()

    assert threads() == []
    assert len(data.made) <= 10 * 8


def test_ctrl_c_while_a_batch_is_waited_for_ends_the_threads_after_the_example_at_hand():
    def slow(index):
        if index == 600:  # the loop has its first batch and waits for the second
            interrupt.set()
            pressed.wait(10)
        if index > 600:
            time.sleep(0.002)

    interrupt, pressed = threading.Event(), threading.Event()

    def press():
        interrupt.wait(10)
        time.sleep(0.1)  # a signal in the moment in which a wait begins is noticed after it only
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        pressed.set()

    thread = threading.Thread(target=press)
    thread.start()
    data = Watched(1000, slow)

    with pytest.raises(KeyboardInterrupt):
        list(DataLoader(data, 500, workers=1))

    thread.join()
    assert len(data.made) < 1000
    assert threads() == []


def test_a_worker_may_be_the_one_that_ends_the_iteration():
    idle, held, raised = threading.Event(), [], []

    def end(index):
        if index == 2:
            idle.wait(10)
            try:
                held.pop().close()  # as the garbage collector would, if it ran here
            except RuntimeError as error:
                raised.append(error)

    held.append(iter(DataLoader(Watched(9, end), 1, workers=1)))
    next(held[0])
    idle.set()
    deadline = time.monotonic() + 10
    while threads() and time.monotonic() < deadline:
        time.sleep(0.01)

    assert (held, raised, threads()) == ([], [], [])


def test_a_script_that_ends_in_the_middle_of_an_epoch_ends():
    script = ("from tests.test_data_workers import Watched, DataLoader\n"
              "held = iter(DataLoader(Watched(10**6), 100, workers=2))\n"
              "print(next(held)[0].shape)\n")

    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True,
                          check=False, timeout=60)

    assert (done.returncode, done.stdout, done.stderr) == (0, "(100,)\n", "")


@pytest.mark.parametrize(("how", "message"), [
    ({"workers": -1}, "workers and prefetch must not be negative"),
    ({"prefetch": -1}, "workers and prefetch must not be negative, .* got workers=0 and prefetch=-1"),
    ({"workers": 2, "prefetch": 0}, "workers need a prefetch of at least 1; got workers=2 and prefetch=0")])
def test_what_makes_no_sense_is_refused(how, message):
    with pytest.raises(ValueError, match=message):
        DataLoader(Watched(3), 1, **how)
