"""The page ``docs/operations.md``: everything that is declared, by subject, read off the registry."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Any, NamedTuple

from dlcore import fft, linalg, ops
from dlcore.core import OPERATIONS, PRIMITIVES, Binary, Primitive, Unary, broadcast_shapes
from dlcore.nn import functional
from dlcore.pages.shapes import shapes
from dlcore.pages.sources import formula, sentence
from dlcore.samples import Domain, Sample
from dlcore.testing.fingerprint import Place, Sources

CONVENTIONS = Path(__file__).parents[2] / "docs" / "subgradients.md"

HEAD = """\
# Operations

This page is written by `python -m dlcore operations`, from the registry that the tests run over.
Change a declaration, not this page.

{count}

**Call**: what users write.
What has no public name is internal: the others are made of it.

**Computes**: the first line of the docstring, and of a primitive the expression that it evaluates.
`xp` is the backend.

**Derivative**: the rule that pulls a cotangent (`d` or `g`) back to each argument, as it is written.
`out` is the result.
`...` stands for what takes more than a line, and is told where the family is declared.

**Kind**: *elementwise* and *linear* primitives have one rule that serves as both derivatives, *bilinear* ones
have one for each operand, *general* ones have both.
A *flat* one has none: its result changes only in jumps, as a boolean or an index does.
A *composition* is made of primitives, and has its derivatives from them.

**Shapes**: how the tests call it, a letter for each size that is open, and the shapes of the results; `()`
has no axes.
`?` stands for booleans, `~` for complex numbers and `#n` for indices below n.

**Drawn from**: where the tests draw the arguments: a range, without the kinks and jumps that are named.
Where equal elements would be a tie they are distinct.

**Reads**: what the rules read; of all else a history keeps only shape and dtype.

**Convention**: where [the derivative where there is none](subgradients.md) speaks of it.
"""
COLUMNS = ["call", "kind", "computes", "derivative", "shapes", "drawn from", "reads", "convention"]


class Entry(NamedTuple):
    """Something that is declared: a primitive, a composition, or a function that is neither."""

    name: str
    subject: Any
    place: Place | None

    @property
    def key(self) -> str:
        """Its name in the ledger: of a composition with parentheses, because primitives may share it."""
        return f"{self.name}()" if kind_of(self.subject) == "composition" else self.name


def entries(sources: Sources) -> list[Entry]:
    """Everything that is declared, and every public function, in order of the names."""
    found: dict[tuple[str, str], Any] = {}
    for name, function in public().items():
        if name not in PRIMITIVES and name not in OPERATIONS:
            found[name, "function"] = function
    found |= {(name, "primitive"): p for name, p in PRIMITIVES.items()}
    found |= {(name, "operation"): o for name, o in OPERATIONS.items()}
    return [Entry(name, subject, sources.place_of(subject)) for (name, _), subject in sorted(
        found.items(), key=lambda item: item[0])]


def by_family(every: Sequence[Entry], sources: Sources) -> dict[str, list[Entry]]:
    """Entries by the subject of the file that declares them."""
    found: dict[str, list[Entry]] = {}
    for entry in every:
        found.setdefault(family(entry, sources), []).append(entry)
    return dict(sorted(found.items()))


def family(entry: Entry, sources: Sources) -> str:
    """The title of the file that declares an entry: the start of its docstring."""
    module = None if entry.place is None else sources.module(entry.place.module)
    if module is None or not module.docstring:
        return "Elsewhere"
    return re.split(r"[:.]\s|[:.]$", module.docstring.partition("\n")[0].replace("``", "`"))[0]


def operations() -> str:
    """The page of all operations, as Markdown."""
    sources = Sources()
    every, said = entries(sources), conventions()
    kinds = [kind_of(e.subject) for e in every]
    composed, other = kinds.count("composition"), kinds.count("function")
    count = (f"{len(every)} operations and functions: {len(every) - composed - other} primitives, {composed} "
             f"compositions to which the laws are applied as to those, and {other} functions beside.")
    lines = [HEAD.format(count=count)]
    for title, members in by_family(every, sources).items():
        lines += [f"## {title}", "", *table(COLUMNS, [_line(e, said) for e in members]), ""]
    return "\n".join(lines).rstrip()


def _line(entry: Entry, said: Mapping[str, list[str]]) -> list[str]:
    name, subject = entry.name, entry.subject
    primitive = isinstance(subject, Primitive)
    return [call_of(name, subject), kind_of(subject), computes(name, subject),
            derivative(subject) if primitive else "", shapes(subject) if hasattr(subject, "samples") else "",
            drawn(getattr(subject, "samples", ())),
            reads(subject) if primitive else "", ", ".join(said.get(name, []))]


def table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table."""
    lines = [heading, ["---"] * len(heading), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


# --- what is told of one operation -------------------------------------------------------------------


NAMESPACES: dict[str, Any] = {"dl": ops, "dl.linalg": linalg, "dl.fft": fft, "F": functional}
"""Where users find operations; of a name that stands in several, the first is meant."""


NEW = ("fftfreq", "rfftfreq")
"""What makes tensors out of none, as ``arange`` does, and is no operation."""


def public() -> dict[str, Callable[..., Any]]:
    """Every public operation by its name."""
    return {name: getattr(space, name) for space in reversed(NAMESPACES.values()) for name in space.__all__
            if name not in NEW}


def written_name(name: str) -> str:
    """What users write, ``dl.exp`` or ``F.relu``; the bare name of what is internal."""
    return next((f"{written}.{name}" for written, space in NAMESPACES.items() if name in space.__all__), name)


def call_of(name: str, subject: Any) -> str:
    """How users call it: by its public name, if it has one, with the arguments of that."""
    if (found := public().get(name)) is None:
        return f"internal `{name}{parameters(getattr(subject, 'function', subject))}`"
    return f"`{written_name(name)}{parameters(found)}`"


def parameters(function: Callable[..., Any]) -> Signature:
    """The parameters of a function or a primitive, without annotations."""
    if isinstance(function, Primitive):
        own = list(signature(function.forward).parameters.values())[1:]  # the first one is the backend
    else:
        own = list(signature(function).parameters.values())
    return Signature([p.replace(annotation=Parameter.empty) for p in own])


def kind_of(p: Any) -> str:
    """The family of a primitive, read off what it has become."""
    if not isinstance(p, Primitive):
        return "composition" if getattr(p, "name", None) in OPERATIONS else "function"
    if not p.differentiable:
        return "flat"
    if p.shape is broadcast_shapes:
        return "elementwise"
    if type(p) is Binary and "out" not in p.reads:
        return "bilinear"
    return "linear" if type(p) is Unary and not p.reads else "general"


def computes(name: str, subject: Any) -> str:
    """What users read of it, and what a primitive evaluates."""
    function = public().get(name, getattr(subject, "function", subject))
    words = "" if isinstance(function, Primitive) else sentence(function)
    if not isinstance(subject, Primitive):
        return words
    text = formula(subject.forward)
    return " ".join(filter(None, [words, "" if words and text == "..." else f"`{text}`"]))


def derivative(p: Primitive) -> str:
    """The rule for each argument."""
    names = list(signature(p.forward).parameters)[1:]
    first = list(zip(names, p.vjp, strict=False)) if p.differentiable else []
    told = [f"{n}: `{formula(rule, i)}`" for i, (n, rule) in enumerate(first) if rule is not None]
    return told[0].partition(": ")[2] if len(first) == 1 and told else "; ".join(told)


def reads(p: Primitive) -> str:
    """What the rules of a primitive read."""
    return ", ".join(f"`{name}`" for name in p.reads) if p.differentiable else ""


def drawn(samples: Sequence[Sample]) -> str:
    """Where the arguments of samples are drawn from, each way once."""
    return "; ".join(dict.fromkeys(", ".join(dict.fromkeys(_drawn(s))) for s in samples))


def _drawn(sample: Sample) -> Iterator[str]:
    for spec, (kind, _, domain) in zip(sample.shapes, sample.arguments(), strict=True):
        yield {"": range_of(domain), "~": f"~ {range_of(domain)}", "?": "?"}.get(kind) or spec.split()[0]


def range_of(domain: Domain) -> str:
    """A domain in a few characters."""
    but = " beside a dominant diagonal" if domain.matrix else ""
    but += f" but {', '.join(f'{x:g}' for x in domain.avoid)}" if domain.avoid else ""
    return f"{domain.low:g}..{domain.high:g}{but}{' distinct' if domain.distinct else ''}"


def conventions(page: Path = CONVENTIONS) -> dict[str, list[str]]:
    """Links to the sections of the page on subgradients, by the operations that they name."""
    found: dict[str, list[str]] = {}
    if not page.exists():  # an installed package has no pages
        return found
    for section in re.split(r"^(?=##+ )", page.read_text("utf-8"), flags=re.MULTILINE)[1:]:
        heading = section.partition("\n")[0].lstrip("# ")
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        title = heading.partition(":")[0].replace("`", "")
        for name in {"".join(pair) for pair in re.findall(r"(?:\bdl|\bF)\.(\w+)|`(\w+)`", section)}:
            found.setdefault(name, []).append(f"[{title}](subgradients.md#{anchor})")
    return found
