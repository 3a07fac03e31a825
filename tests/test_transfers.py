"""Copies between host and device: they are seen, told by the user's line, and can be forbidden."""

import logging
import re
import threading
from pathlib import Path

import numpy as np
import pytest

import backends
import dlcore as dl
from dlcore import nn
from dlcore.testing.calls import called, letters, outputs
from tests import backend_laws, fake_cupy
from tests.strategies import SUBJECTS, TRANSFERRING
from tests.training import Training

HERE = Path(__file__).name


@pytest.fixture(params=["strict", *backend_laws.on_every_backend.args[1][2:]])
def device(request):
    """A backend whose memory is not the host's, selected for the duration of the test."""
    with backends.use_backend(request.param) as chosen:
        yield chosen


def only(meter):
    """The one place that was counted, and what."""
    ((place, total),) = meter.places.items()
    return place, total


# --- a training step ---------------------------------------------------------------


def test_a_training_step_copies_nothing_and_waits_for_nothing(device):
    training = Training()
    training.step()

    with dl.transfer_meter() as meter:
        for _ in range(3):
            loss = training.step()
        assert meter.places == {}
        loss.item()

    assert (meter.to_device.times, meter.to_host, meter.waits) == (0, (1, 4), 1)


def test_a_training_step_passes_where_transfers_are_forbidden(device):
    training = Training()

    with dl.transfer_guard("disallow"):
        loss = training.step()

    assert np.isfinite(loss.item())


@fake_cupy.needs_compiler
def test_what_the_meter_does_not_see_does_not_pass_the_stand_in_either():
    with backends.use_backend("fakecuda"):
        training = Training()
        training.step()
        fake_cupy.traffic.clear()

        training.step()
        assert fake_cupy.traffic == {}

        dl.synchronize()  # reads what kernels have reported, which otherwise rides on the next copy
        fake_cupy.traffic.clear()
        with dl.transfer_meter() as meter:
            dl.ones(3).numpy()
            dl.tensor([1.0])
    assert fake_cupy.traffic == {"to_host": meter.to_host.times, "to_device": meter.to_device.times}


@pytest.mark.parametrize("name", [name for name in SUBJECTS if name not in TRANSFERRING])
def test_no_operation_copies_or_waits_once_it_is_warm(device, name):
    for sample in SUBJECTS[name].samples:
        call = called(SUBJECTS[name], sample, dict.fromkeys(letters(sample), 2), seed=0)
        tensors = call.tensors(requires_grad=True)

        def run(call=call, tensors=tensors):
            for out in outputs(call(*tensors)):
                if out.requires_grad:
                    out.backward(dl.ones_like(out), retain_graph=True)

        run()
        fake_cupy.traffic.clear()
        with dl.transfer_meter() as meter:
            run()

        assert str(meter) == "no transfers"
        assert fake_cupy.traffic == {}  # nor any that no meter sees


# --- what counts -------------------------------------------------------------------

READINGS = {
    "Tensor.numpy": lambda x: x.numpy(),
    "Tensor.item": lambda x: x.item(),
    "Tensor.tolist": lambda x: x.tolist(),
    "Tensor.__float__": float,
    "Tensor.__bool__": bool,
    "Tensor.__repr__": repr,
    "Tensor.to": lambda x: x.to("cpu"),
}
MAKINGS = {
    "tensor": lambda x: dl.tensor([1, 2]),
    "cross_entropy": lambda x: nn.functional.cross_entropy(dl.ones((2, 3)), [0, 1]),
    "Operators.__getitem__": lambda x: x[[0, 0]],
}


@pytest.mark.parametrize(("operation", "read"), READINGS.items())
def test_a_reading_is_a_copy_to_the_host_by_its_line(device, operation, read):
    x = dl.full((1,), 2.0, "float64")

    with dl.transfer_meter() as meter:
        read(x)

    place, total = only(meter)
    line = read.__code__.co_firstlineno if hasattr(read, "__code__") else None
    assert (place.kind, place.operation) == ("to_host", operation)
    assert re.search(rf"{HERE}:{line or '[0-9]+'}$", place.line)
    assert total == (1, 8)


@pytest.mark.parametrize(("operation", "make"), MAKINGS.items())
def test_data_of_the_host_is_a_copy_to_the_device_by_its_line(device, operation, make):
    x = dl.ones((1,))

    with dl.transfer_meter() as meter:
        make(x)

    place, total = only(meter)
    assert (place.kind, place.operation, total) == ("to_device", operation, (1, 16))
    assert place.line.endswith(f"{HERE}:{make.__code__.co_firstlineno}")


@pytest.mark.parametrize(
    "compute",
    [
        lambda x: x + 2.0 * x - 1,
        lambda x: dl.where(x > 2, 0.0, x),
        lambda x: dl.pow(2.0, x),
        dl.nan_to_num,
        lambda x: dl.zeros(3) + dl.arange(3) + dl.full((3,), 1.5) + dl.linspace(0, 1, 3),
        lambda x: dl.random.normal((3,)),
        lambda x: x[0, None, ..., 1:],
        lambda x: x.at[0].set(x[1]),
        lambda x: x.at[0].set(1.5).at[1].add(2),
        dl.grad(lambda v: dl.sum(dl.logsumexp(v, axis=0))),
    ],
)
def test_computing_with_numbers_of_python_copies_nothing(device, compute):
    x = dl.ones((2, 3))

    with dl.transfer_meter() as meter:
        compute(x)

    assert str(meter) == "no transfers"


@pytest.mark.parametrize(
    "layer",
    [
        lambda x: nn.functional.interpolate(x, scale_factor=1.5, mode="bilinear"),
        nn.AdaptiveAvgPool2d(3),
    ],
)
def test_the_taps_of_a_layer_are_copied_once(device, layer):
    slope = dl.grad(lambda v: dl.sum(layer(v) ** 2))
    x = dl.random.normal((1, 2, 5, 7))
    slope(x)

    with dl.transfer_meter() as meter:
        slope(x)

    assert str(meter) == "no transfers"


def test_a_mask_waits_for_the_shape_of_its_result(device):
    x = dl.ones((3,))
    mask = x > 0

    with dl.transfer_meter() as meter:
        x[mask]

    assert (meter.waits, meter.to_host.times, only(meter)[0].kind) == (1, 0, "wait")


def test_the_backend_waits_for_a_mask_by_its_own_index(device):
    x = device.ones((3,))

    with dl.transfer_meter() as meter:
        device.getitem(x, (x > 0,))
        device.nonzero(x)

    assert meter.waits == 2


def test_waiting_on_purpose_counts_and_is_never_forbidden(device):
    with dl.transfer_meter() as meter, dl.transfer_guard("disallow"):
        dl.synchronize()

    assert (meter.waits, meter.to_host.times) == (1, 0)


def test_meters_inside_each_other_all_count(device):
    x = dl.ones((2,))

    with dl.transfer_meter() as outer:
        with dl.transfer_meter() as inner:
            x.numpy()
        x.numpy()

    assert (inner.to_host, outer.to_host) == ((1, 8), (2, 16))
    assert re.fullmatch(rf" +1 +8 B  to_host \S+{HERE}:\d+ Tensor.numpy", str(inner))


def test_the_cpu_has_no_transfers():
    with dl.transfer_meter() as meter, dl.transfer_guard("disallow"):
        x = dl.tensor([1.0, 2.0])
        assert x[x > 1].tolist() == [2.0]
        dl.synchronize()

    assert str(meter) == "no transfers"


# --- what is forbidden -------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "deed", "remedy"),
    [
        (dl.Tensor.numpy, r"Tensor\.numpy: copies 8 bytes from DEVICE to the host at",
         "keep it on the device and read it after the guarded block"),
        (lambda x: dl.tensor([1, 2]), "tensor: copies 16 bytes from the host to DEVICE at",
         "make it on the device, or copy it before the guarded block"),
        (lambda x: x[x > 0], "waits until DEVICE knows how many elements are true at",
         r"use dl\.where or a product with the mask"),
    ],
)  # fmt: skip
def test_what_is_forbidden_says_what_where_and_what_to_do(device, act, deed, remedy):
    where = rf"{deed.replace('DEVICE', device.name)} \S*{HERE}:\d+, inside transfer_guard\('disallow'\); "
    x = dl.ones((2,))

    with (
        dl.transfer_guard("disallow"),
        pytest.raises(dl.DeviceTransferError, match=rf"{where}{remedy}.* dl\.transfer_guard\('allow'\)$"),
    ):
        act(x)


@pytest.mark.parametrize("act", [*READINGS.values(), *MAKINGS.values()])
def test_everything_that_is_asked_for_is_forbidden_unless_allowed_inside(device, act):
    x = dl.ones((1,))

    with dl.transfer_guard("disallow"):
        with pytest.raises(dl.DeviceTransferError):
            act(x)
        with dl.transfer_guard("allow"):
            act(x)
        with dl.transfer_meter() as meter, pytest.raises(dl.DeviceTransferError):
            act(x)

    assert str(meter) == "no transfers"  # what is refused does not happen
    act(x)


def test_logged_transfers_happen_and_are_told(device, caplog):
    with caplog.at_level(logging.WARNING, "dlcore.transfers"), dl.transfer_guard("log"):
        assert dl.ones((2,)).tolist() == [1.0, 1.0]

    (message,) = caplog.messages
    told = rf"Tensor.tolist: copies 8 bytes from {device.name} to the host at .*{HERE}:\d+$"
    assert re.match(told, message)


def test_another_mode_is_an_error():
    with pytest.raises(ValueError, match="the mode is 'allow', 'log' or 'disallow', got 'forbid'"), \
            dl.transfer_guard("forbid"):
        pass


def test_a_guard_also_decorates_a_function(device):
    @dl.transfer_guard("disallow")
    def read(x):
        return x.item()

    with pytest.raises(dl.DeviceTransferError, match="Tensor\\.item"):
        read(dl.ones(()))


def test_a_guard_holds_in_its_own_thread_only(device):
    x, found = dl.ones(()), []

    with dl.transfer_guard("disallow"):
        thread = threading.Thread(target=lambda: found.append(x.item()))
        thread.start()
        thread.join()

    assert found == [1.0]


# --- data of the host is looked at before it goes to a device ----------------------------------------


@pytest.mark.parametrize(("pick", "match"), [
    (lambda x: x[[0, 3]], "getitem: index 3 is out of bounds for axis 0 with size 3"),
    (lambda x: x[np.array([-4])], "getitem: index -4 is out of bounds for axis 0 with size 3"),
    (lambda x: x[..., None, [4]], "getitem: index 4 is out of bounds for axis 1 with size 4"),
    (lambda x: x.at[[0, 3]].set(0.0), "getitem: index 3 is out of bounds for axis 0 with size 3"),
    (lambda x: dl.take(x, [12]), "take: index 12 is out of bounds for axis 0 with size 12"),
    (lambda x: dl.take_along_axis(x, [[0], [1], [4]], 1),
     "take_along_axis: index 4 is out of bounds for axis 1 with size 4"),
])
def test_a_wrong_index_of_the_host_is_refused_at_once(device, pick, match):
    x = dl.zeros((3, 4))

    with pytest.raises(IndexError, match=match):
        pick(x)
