"""A small transformer learns to write like Shakespeare, one character after the other.

It reads 64 characters of the sonnets and foretells at each place the next one; it may look back but not
ahead.  Afterwards its own foretelling is its text: it draws a character, reads it, and draws the next.
"""

import math

from common import arguments

import dlcore as dl
from dlcore import data, nn, optim, train, viz
from dlcore.nn import functional as F

CONTEXT = 64  # how many characters it sees


class Writer(nn.Module):
    """Scores of the next character after each of up to ``CONTEXT`` characters."""

    def __init__(self, characters: int, width: int = 64, heads: int = 4, layers: int = 2) -> None:
        self.characters = nn.Embedding(characters, width)
        self.places = nn.Embedding(CONTEXT, width)
        for table in (self.characters, self.places):
            nn.init.normal_(table.weight, std=0.1)  # small beside what the layers will add to it
        layer = nn.TransformerEncoderLayer(width, heads, 4 * width, dropout=0.0, batch_first=True,
                                           norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width))
        self.scores = nn.Linear(width, characters)

    def forward(self, text: dl.Tensor) -> dl.Tensor:
        """Of numbers (n, places) the scores (n, characters, places), classes second as in PyTorch."""
        x = self.characters(text) + self.places(dl.arange(text.shape[1]))
        return dl.swapaxes(self.scores(self.encoder(x, is_causal=True)), 1, 2)


def written(model: Writer, text: data.Text, begin: str, length: int, temperature: float = 0.7) -> str:
    """``begin`` and what the model writes after it; of a low ``temperature`` it takes fewer risks."""
    model.eval()
    numbers = text.encode(begin).tolist()
    with dl.no_grad():
        while len(numbers) < length:
            scores = model(dl.tensor([numbers[-CONTEXT:]]))[0, :, -1]
            bounds = dl.cumsum(F.softmax(scores / temperature, axis=0), axis=0)
            numbers.append(min(dl.sum(bounds < dl.random.uniform(())).item(), len(text.alphabet) - 1))
    return text.decode(numbers)


def main() -> None:
    """Let it write, teach it, and let it write again."""
    given = arguments(__doc__, epochs=(6, "passes over the sonnets"))
    text = data.text()
    print(repr(text))
    pieces = text.windows(CONTEXT, stride=16)
    loader = data.DataLoader(pieces, batch_size=16, shuffle=True, seed=given.seed)

    model = Writer(len(text.alphabet))
    print(f"\nbefore it has learnt anything:\n{written(model, text, 'Shall I compare', 120)}")

    rate = optim.schedules.one_cycle(8e-3, given.epochs * len(loader))
    trainer = train.Trainer(model, nn.CrossEntropyLoss(), optim.AdamW(model.parameters(), lr=rate),
                            callbacks=[train.ClipGradNorm(1.0)])
    history = trainer.fit(loader, given.epochs)
    bits = [loss / math.log(2) for loss in history["loss"]]
    print(f"\nbits per character: {bits[0]:.2f} in the first epoch, {bits[-1]:.2f} in the last; "
          f"of {len(text.alphabet)} equally likely ones {math.log2(len(text.alphabet)):.2f}")
    print(f"\nafterwards:\n{written(model, text, 'Shall I compare', 400)}")

    viz.loss_curve(bits, given.out / "text_transformer.png", ylabel="bits per character", xlabel="epoch",
                   title="how surprising the next character is")
    print(f"\npicture in {given.out}: text_transformer.png")


if __name__ == "__main__":
    main()
