"""Layers for images: names, layouts and values are PyTorch's, and running statistics are kept."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import dlcore as dl
from dlcore import nn

LAYERS = {  # the layer, its arguments, and the shape of what goes in
    "Conv1d": ((4, 6, 3), {"stride": 2, "padding": 1}, (2, 4, 7)),
    "Conv2d": ((4, 6, (3, 2)), {"groups": 2, "dilation": 2, "bias": False}, (2, 4, 7, 6)),
    "Conv3d": ((2, 3, 3), {"padding": "same"}, (2, 2, 3, 4, 3)),
    "ConvTranspose1d": ((4, 6, 3), {"stride": 2, "output_padding": 1}, (2, 4, 5)),
    "ConvTranspose2d": ((4, 6, 3), {"groups": 2, "padding": 1, "dilation": 2}, (2, 4, 5, 3)),
    "ConvTranspose3d": ((2, 3, 2), {}, (2, 2, 2, 3, 2)),
    "MaxPool1d": ((3,), {"padding": 1}, (2, 3, 8)),
    "MaxPool2d": ((2,), {"ceil_mode": True}, (2, 3, 5, 5)),
    "MaxPool3d": ((2, 1), {}, (2, 3, 3, 4, 3)),
    "AvgPool1d": ((3,), {"padding": 1}, (2, 3, 8)),
    "AvgPool2d": ((3, 2, 1), {"count_include_pad": False}, (2, 3, 5, 5)),
    "AvgPool3d": ((2,), {}, (2, 3, 4, 4, 4)),
    "AdaptiveAvgPool1d": ((3,), {}, (2, 3, 8)),
    "AdaptiveAvgPool2d": (((3, None),), {}, (2, 3, 5, 4)),
    "AdaptiveAvgPool3d": ((2,), {}, (2, 3, 5, 4, 3)),
    "BatchNorm1d": ((3,), {}, (4, 3)),
    "BatchNorm2d": ((3,), {"momentum": None}, (4, 3, 2, 5)),
    "BatchNorm3d": ((3,), {"affine": False, "track_running_stats": False}, (4, 3, 2, 2, 2)),
    "GroupNorm": ((2, 4), {"eps": 0.1}, (3, 4, 5)),
    "InstanceNorm1d": ((3,), {}, (2, 3, 5)),
    "InstanceNorm2d": ((3,), {"affine": True}, (2, 3, 5, 4)),
    "InstanceNorm3d": ((3,), {}, (2, 3, 2, 4, 2)),
}
layers = pytest.mark.parametrize(("name", "how"), LAYERS.items(), ids=LAYERS)


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed", exc_type=ImportError)


@layers
def test_a_layer_of_images_is_pytorchs_with_its_state(torch, name, how, backend):
    positional, named, shape = how
    ours, theirs = getattr(nn, name)(*positional, **named), getattr(torch.nn, name)(*positional, **named)
    drawn = {n: tuple(x.shape) for n, x in ours.state_dict().items()}
    ours.load_state_dict({n: x.numpy() for n, x in theirs.state_dict().items()})
    xs = [np.random.default_rng(i).standard_normal(shape, dtype=np.float32) for i in range(3)]

    trained = [(ours(dl.tensor(x)), theirs(torch.tensor(x))) for x in xs]
    ours.eval(), theirs.eval()
    evaluated = [(ours(dl.tensor(x)), theirs(torch.tensor(x))) for x in xs[:1]]

    assert drawn == {n: tuple(x.shape) for n, x in theirs.state_dict().items()}
    for y, z in trained + evaluated:
        assert_allclose(y.numpy(), z.numpy(force=True), rtol=1e-4, atol=1e-5)  # float32
    for n, x in theirs.state_dict().items():
        assert_allclose(ours.state_dict()[n].numpy(), x.numpy(), rtol=1e-5, atol=1e-6)
        assert str(ours.state_dict()[n].dtype) == str(x.dtype).removeprefix("torch.")


@pytest.mark.parametrize("name", ["Conv2d", "ConvTranspose2d"])
def test_filters_are_drawn_as_pytorch_draws_them(torch, name):
    ours, theirs = getattr(nn, name)(20, 30, 5), getattr(torch.nn, name)(20, 30, 5)

    for x, y in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert_allclose(np.abs(x.numpy()).max(), np.abs(y.numpy(force=True)).max(), rtol=0.1)
    assert_allclose(ours.weight.numpy().std(), theirs.weight.numpy(force=True).std(), rtol=0.05)


def test_running_statistics_are_buffers_without_history(backend):
    layer = nn.BatchNorm1d(2)
    before = layer.running_mean.numpy().copy()
    kept = layer.running_mean
    x = dl.tensor([[1.0, 2.0], [3.0, 6.0]], requires_grad=True)

    layer(x).sum().backward()

    assert_array_equal(kept.numpy(), before)
    assert dict(layer.named_buffers()).keys() == {"running_mean", "running_var", "num_batches_tracked"}
    assert not layer.running_mean.requires_grad
    assert_allclose(layer.running_mean.numpy(), [0.2, 0.4], rtol=1e-6)
    assert layer.num_batches_tracked.item() == 1


ERRORS = {
    "groups": (lambda: nn.Conv2d(3, 4, 1, groups=2),
               "Conv2d: 3 channels in and 4 out cannot be divided into 2 groups"),
    "kernel_size": (lambda: nn.Conv1d(3, 4, (1, 2)), "Conv1d: kernel_size must be a whole number"),
    "norm groups": (lambda: nn.GroupNorm(2, 3), "GroupNorm: 3 channels cannot be divided into 2 groups"),
    "axes": (lambda: nn.BatchNorm2d(3)(dl.ones((2, 3))),
             r"BatchNorm2d: x must have 4 axes, it has shape \(2, 3\)"),
}  # fmt: skip


@pytest.mark.parametrize(("call", "message"), ERRORS.values(), ids=ERRORS)
def test_layers_of_images_refuse_what_does_not_fit(call, message):
    with pytest.raises(ValueError, match=message):
        call()
