"""Two networks learn to draw points as on two moons: a Wasserstein GAN, held by a gradient penalty.

The critic gives marks, high ones to real points and low ones to made ones; the generator makes points that
get high marks.  The difference of marks is a distance between the two only if the critic is nowhere steeper
than 1, so a slope that is not 1 is punished.  That puts a gradient into the loss, and its own gradient is
of second order.

Source: Gulrajani et al. (2017), "Improved training of Wasserstein GANs", algorithm 1.
"""

from common import arguments
from matplotlib.figure import Figure

import dlcore as dl
from dlcore import data, nn, optim
from dlcore.viz import PALETTE

WEIGHT = 0.1  # of the penalty; 10 in the paper, whose pictures are farther apart than these points
CRITIC_STEPS = 5  # for each step of the generator
BATCH = 64


def network(outputs: int, width: int = 64) -> nn.Sequential:
    """Two numbers in; out come a point or a mark."""
    return nn.Sequential(nn.Linear(2, width), nn.LeakyReLU(), nn.Linear(width, width), nn.LeakyReLU(),
                         nn.Linear(width, outputs))


def noise(n: int) -> dl.Tensor:
    """What the generator makes points of."""
    return dl.random.uniform((n, 2), -1.0, 1.0)


def penalty(critic: nn.Module, real: dl.Tensor, made: dl.Tensor) -> dl.Tensor:
    """How far the critic's slopes are from 1, at a place between each real and made point."""
    share = dl.random.uniform((len(real), 1))
    between = share * real + (1 - share) * made
    slopes = dl.grad(lambda x: dl.sum(critic(x)))(between)  # a mark depends on its own point only
    return dl.mean((dl.linalg.vector_norm(slopes, axis=1) - 1) ** 2)


def learn(generator: nn.Module, critic: nn.Module, real: dl.Tensor, steps: int) -> None:
    """Let the two learn from each other."""
    cosine = optim.schedules.cosine
    makes = optim.Adam(generator.parameters(), cosine(5e-3, steps), betas=(0.5, 0.9))
    marks = optim.Adam(critic.parameters(), cosine(5e-3, steps * CRITIC_STEPS), betas=(0.5, 0.9))
    for _ in range(steps):
        for _ in range(CRITIC_STEPS):
            some = real[dl.random.integers(0, len(real), BATCH)]
            made = generator(noise(BATCH)).detach()
            marks.zero_grad()
            distance = dl.mean(critic(some)) - dl.mean(critic(made))
            (WEIGHT * penalty(critic, some, made) - distance).backward()
            marks.step()
        makes.zero_grad()
        (-dl.mean(critic(generator(noise(BATCH))))).backward()
        makes.step()


def apart(x: dl.Tensor, y: dl.Tensor) -> float:
    """How far it is, on average, from a point of ``x`` to the nearest of ``y``."""
    return dl.mean(dl.min(dl.linalg.vector_norm(x[:, None] - y[None], axis=2), axis=1)).item()


def picture(real: dl.Tensor, before: dl.Tensor, after: dl.Tensor) -> Figure:
    """Made points among real ones, before and after."""
    figure = Figure(figsize=(9, 2.8), layout="constrained")
    for axes, made, title in zip(figure.subplots(1, 2, sharex=True, sharey=True), (before, after),
                                 ("before", "after"), strict=True):
        axes.plot(*real.T.tolist(), ".", color="#b8c2cc", markersize=4, label="real")
        axes.plot(*made.T.tolist(), ".", color=PALETTE[1], markersize=4, label="made")
        axes.set(title=title, aspect="equal")
        axes.legend(loc="upper right")
    return figure


def main() -> None:
    """Let them learn, and compare."""
    given = arguments(__doc__, steps=(1200, "steps of the generator"))
    real, _ = data.moons(1000, noise=0.05, seed=given.seed).tensors()
    generator, critic = network(2), network(1)
    start = noise(500)
    before = generator(start).detach()

    learn(generator, critic, real, given.steps)

    after = generator(start).detach()
    for name, made in (("before", before), ("after", after)):
        print(f"{name:6}: a made point is {apart(made, real):.3f} from the nearest real one, "
              f"a real one {apart(real, made):.3f} from the nearest made one")
    picture(real, before, after).savefig(given.out / "gradient_penalty.png", dpi=80)
    print(f"\npicture in {given.out}: gradient_penalty.png")


if __name__ == "__main__":
    main()
