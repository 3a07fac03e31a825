"""A small text, and texts as numbers: each character is the number of its place in an alphabet."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from backends import host
from dlcore.data.datasets import Examples


class Text:
    """Characters, and the numbers that stand for them.

    Args:
        characters: the text itself.
        source: where it comes from.
        license: under which terms.

    Attributes:
        alphabet: the different characters in order; a character's number is its place here.

        >>> hamlet = Text("to be or not to be")
        >>> "".join(hamlet.alphabet), hamlet.encode("tone").tolist()
        (' benort', [6, 4, 3, 2])
    """

    def __init__(self, characters: str, source: str = "", license: str = "") -> None:
        self.characters, self.source, self.license = characters, source, license
        self.alphabet = tuple(sorted(set(characters)))
        self._numbers = {character: i for i, character in enumerate(self.alphabet)}

    def __len__(self) -> int:
        return len(self.characters)

    def __str__(self) -> str:
        return self.characters

    def __repr__(self) -> str:
        return (f"Text: {len(self)} characters, {len(self.alphabet)} different ones; begins "
                f"{self.characters[:20]!r}")

    def encode(self, characters: str) -> Any:
        """The numbers of ``characters``, an int64 NumPy array.

        Raises:
            ValueError: a character that is not in the text.
        """
        if unknown := sorted(set(characters) - self._numbers.keys()):
            raise ValueError(f"Text.encode: {unknown[0]!r} is not in the text, whose characters are "
                             f"{''.join(self.alphabet)!r}")
        return host.array([self._numbers[character] for character in characters], "int64")

    def decode(self, numbers: Iterable[Any]) -> str:
        """The characters for ``numbers``: a tensor, an array or a list, in one dimension.

        Raises:
            ValueError: a number for which there is no character.
        """
        found = [int(n) for n in (numbers.tolist() if hasattr(numbers, "tolist") else numbers)]
        if strange := [n for n in found if not 0 <= n < len(self.alphabet)]:
            raise ValueError(f"Text.decode: there is no character {strange[0]}; the alphabet has "
                             f"{len(self.alphabet)}, from 0")
        return "".join([self.alphabet[n] for n in found])

    def windows(self, length: int, stride: int | None = None) -> Examples:
        """Pieces of the text, each with what comes next at every place, to learn to foretell it.

        Inputs and targets are (n, length), int64; ``targets[:, i]`` is the character after ``inputs[:, i]``.

        Args:
            length: of a piece.
            stride: how far one piece begins after the last; ``length`` if None, so that they do not overlap.

        Raises:
            ValueError: ``length`` or ``stride`` is below 1, or the text is too short.

            >>> pieces = Text("abcdefg").windows(3)
            >>> pieces.inputs.tolist(), pieces.targets.tolist()
            ([[0, 1, 2], [3, 4, 5]], [[1, 2, 3], [4, 5, 6]])
        """
        stride = length if stride is None else stride
        if length < 1 or stride < 1 or len(self) <= length:
            raise ValueError(f"Text.windows: length and stride must be at least 1 and the text longer than "
                             f"length; got length {length}, stride {stride} and {len(self)} characters")
        numbers = self.encode(self.characters)
        starts = host.array(range(0, len(self) - length, stride), "int64")
        places = starts[:, None] + host.array(range(length), "int64")
        return Examples(numbers[places], numbers[places + 1], (), self.alphabet, self.source, self.license)


def text() -> Text:
    """37 of Shakespeare's sonnets, 22680 characters: a small text to learn to write by.

    They are in the spelling of nineteenth-century editions, one line of verse a line, with an empty line
    between two sonnets; in the public domain.

        >>> text()
        Text: 22680 characters, 59 different ones; begins 'From fairest creatur'
    """
    return Text(Path(__file__).with_name("sonnets.txt").read_text("utf-8"),
                "W. Shakespeare (1609), Sonnets: 1-3, 5, 7, 8, 11, 12, 14, 15, 17-19, 22, 23, 25, 27, 29, "
                "30, 33, 55, 60, 64, 65, 71, 73, 94, 97, 98, 104, 106, 109, 116, 129, 130, 138 and 147",
                "public domain")
