"""The map of the house: which module may import which.  Moving a file means editing it on purpose.

Every source file is parsed, none is imported.  Each check is also run on a few planted lines,
because a check that cannot fail protects nothing.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

# From the ground up.  A module imports only what stands on a line above its own; modules of one
# line do not know each other.
FLOORS = """
backends.cuda_kernels backends.determinism backends.dtypes backends.errors backends.exchange backends.memory
backends.numpy_quiet backends.philox backends.windows
backends.cuda_devices backends.cuda_probe backends.library backends.linalg backends.transfers
backends.base backends.cuda_uploads backends.cupy_linalg backends.numpy_linalg
backends.cupy_library backends.distributions backends.numpy_backend backends.registry
backends.cupy_backend backends.host
backends

dlcore.mistakes dlcore.samples dlcore.shaping dlcore.trees
dlcore.history
dlcore.nans
dlcore.core
dlcore.dispatch
dlcore.ops.arithmetic dlcore.ops.shapes
dlcore.ops.indexing dlcore.ops.products dlcore.ops.transcendental
dlcore.ops.complexes
dlcore.ops.contractions dlcore.ops.grouping dlcore.ops.joining dlcore.ops.ordering dlcore.ops.writing
dlcore.ops.resampling dlcore.ops.windows
dlcore.ops.convolution dlcore.ops.pooling
dlcore.ops.adaptive_pooling
dlcore.ops.interpolation
dlcore.ops.reductions dlcore.ops.special
dlcore.ops.activations dlcore.ops.cumulative dlcore.ops.fourier dlcore.ops.matrices
dlcore.ops.solving dlcore.ops.spectra
dlcore.ops.decompositions dlcore.ops.determinants
dlcore.ops.least_squares dlcore.ops.norms
dlcore.ops.attention dlcore.ops.losses dlcore.ops.normalization
dlcore.ops.cross_entropy
dlcore.ops
dlcore.linalg
dlcore.hooks dlcore.operators
dlcore.tensors
dlcore.creation dlcore.random dlcore.text
dlcore.fft
dlcore.transforms
dlcore.custom

dlcore.tracing
dlcore.graph.layout dlcore.graph.passes
dlcore.graph.nodes
dlcore.graph.drawing dlcore.graph.operations dlcore.graph.steps
dlcore.graph.graph
dlcore.graph

dlcore.nn.hooks
dlcore.nn.modules
dlcore.nn.containers dlcore.nn.functional dlcore.nn.init dlcore.nn.modes dlcore.nn.summary
dlcore.nn.activations dlcore.nn.images dlcore.nn.layers dlcore.nn.losses dlcore.nn.recurrent
dlcore.nn.attention
dlcore.nn
dlcore.testing.calls dlcore.testing.differences dlcore.testing.marks dlcore.testing.peers
dlcore.testing.vectors
dlcore.testing.diagnosis dlcore.testing.strategies
dlcore.testing.findings dlcore.testing.fingerprint
dlcore.testing.gradients
dlcore.testing.rows
dlcore.testing.records
dlcore.testing
dlcore.optim.clipping dlcore.optim.minimizing dlcore.optim.schedules
dlcore.optim.groups dlcore.optim.noticing
dlcore.optim.base
dlcore.optim.adam dlcore.optim.adaptive dlcore.optim.averaging dlcore.optim.momentum dlcore.optim.scaling
dlcore.optim
dlcore.checkpoint dlcore.data.collating dlcore.data.working
dlcore.data.datasets
dlcore.data.drawn dlcore.data.files dlcore.data.loading dlcore.data.splitting dlcore.data.tables
dlcore.data.texts dlcore.data.transforms
dlcore.data
dlcore.viz
dlcore.train.callbacks dlcore.train.metrics
dlcore.train.logs dlcore.train.running
dlcore.train.trainer
dlcore.train
dlcore
dlcore.pages
dlcore.pages.shapes dlcore.pages.sources
dlcore.pages.operations
dlcore.pages.evidence
dlcore.pages.ledger
dlcore.__main__
"""

ROOT = Path(__file__).parent.parent
FLOOR_OF = {m: n for n, line in enumerate(FLOORS.split("\n")) for m in line.split()}
OWN = {"backends", "dlcore"}
ARRAY_LIBRARIES = {"numpy", "cupy", "cupyx", "array_api_compat", "array_api_strict", "ml_dtypes"}
BY_NAME = ("import_module", "__import__")
REGISTRY = "backends.registry"  # brings in a backend by its name when it is first asked for
ROOF = "dlcore"  # names its late parts to the type checker; what stands on top gets round no floor
LONGEST = 400  # lines: a file fits a sitting


def module_of(path: Path) -> str:
    """The dotted name under which ``path`` is imported."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {
    module_of(path): path.read_text(encoding="utf-8")
    for folder in ("backends", "dlcore", "benchmarks", "examples", "tests")
    for path in sorted((ROOT / folder).rglob("*.py"))
}
HOUSE = {module: source for module, source in SOURCES.items() if module.split(".")[0] in OWN}


class Import(NamedTuple):
    """One name that a module asks for, and how: at its "top", "late", or by a "string"."""

    name: str
    line: int
    how: str

    @property
    def package(self) -> str:
        """The first part of the name."""
        return self.name.split(".")[0]

    @property
    def module(self) -> str:
        """The module that is imported; of ``from a import b``, b may be one or a name in a."""
        return self.name if self.name in FLOOR_OF else self.name.rpartition(".")[0] or self.name


def imports(source: str) -> Iterator[Import]:
    """Every import of ``source``, late ones and those by a written-out name included."""
    tree = ast.parse(source)
    top = set(map(id, tree.body))
    for node in ast.walk(tree):
        how = "top" if id(node) in top else "late"
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            names = [f"{base}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(BY_NAME):
            how = "string"
            names = [str(a.value) for a in node.args[:1] if isinstance(a, ast.Constant)]
        else:
            continue
        yield from (Import(name, node.lineno, how) for name in names)


def upward(module: str, source: str) -> list[str]:
    """Imports of the house that do not lead to a lower floor."""
    own = [i for i in imports(source) if i.package in OWN and i.how != "string"]
    floor = FLOOR_OF.get(module, 0)
    high = [i for i in own if FLOOR_OF.get(i.module, floor) >= floor]
    return [f"{module}:{i.line} imports {i.name}" for i in high]


def deferred(module: str, source: str) -> list[str]:
    """Imports of the house that are not statements at the top of their module."""
    ways = {REGISTRY: {"late"}, ROOF: {"string"}}.get(module, {"late", "string"})
    own = [i for i in imports(source) if i.package in OWN and i.how in ways]
    return [f"{module}:{i.line} defers {i.name}" for i in own]


def relative(module: str, source: str) -> list[str]:
    """Imports that start with a dot."""
    return [f"{module}:{i.line} imports {i.name}" for i in imports(source) if i.name[0] == "."]


def array_libraries(module: str, source: str) -> list[str]:
    """Imports of array libraries, late ones included."""
    found = [i for i in imports(source) if i.package in ARRAY_LIBRARIES]
    return [f"{module}:{i.line} imports {i.name}" for i in found]


def eager(module: str, source: str) -> list[str]:
    """Imports at the top of what comes neither with Python nor from the house."""
    known = OWN | sys.stdlib_module_names
    found = [i for i in imports(source) if i.how == "top" and i.package not in known]
    return [f"{module}:{i.line} imports {i.name}" for i in found]


def type_checking(module: str, source: str) -> list[str]:
    """Mentions of ``TYPE_CHECKING``, which hides an import from everyone but the type checker."""
    words = (ast.Name, ast.Attribute, ast.alias)
    lines = {
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, words) and ast.unparse(node).endswith("TYPE_CHECKING")
    }
    return [f"{module}:{line} TYPE_CHECKING" for line in sorted(lines)]


def late_bindings(module: str, source: str) -> list[str]:
    """Assignments to attributes of imported modules and classes; ``(last)`` if nothing follows."""
    tree = ast.parse(source)
    froms = [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
    imported = {a.asname or a.name for n in froms for a in n.names}
    found = []
    for node in ast.walk(tree):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "setattr":
            targets = [ast.Attribute(node.args[0], ast.unparse(node.args[1]))]
        for target in targets:
            if isinstance(target, ast.Attribute) and ast.unparse(target.value) in imported:
                last = " (last)" if node is tree.body[-1] else ""
                found.append(f"{module} sets {ast.unparse(target)}{last}")
    return found


def every(check, modules) -> list[str]:
    """What ``check`` finds in all of ``modules``."""
    return [complaint for module, source in modules.items() for complaint in check(module, source)]


def part(prefix: str) -> dict[str, str]:
    """The modules of one package."""
    return {m: s for m, s in SOURCES.items() if f"{m}.".startswith(f"{prefix}.")}


def test_the_map_and_the_tree_hold_the_same_modules():
    assert set(HOUSE) == set(FLOOR_OF)


def test_a_module_imports_only_from_lower_floors():
    assert every(upward, HOUSE) == []


def test_no_import_of_our_own_modules_is_deferred():
    assert every(deferred, HOUSE) == []


def test_no_import_is_hidden_behind_type_checking():
    found = every(type_checking, HOUSE)
    assert [f for f in found if not f.startswith(f"{ROOF}:")] == []


def test_no_import_is_relative():
    assert every(relative, SOURCES) == []


def test_dlcore_imports_no_array_library_not_even_late():
    assert every(array_libraries, part("dlcore")) == []


def test_dlcore_imports_optional_libraries_where_they_are_used():
    assert every(eager, part("dlcore")) == []


def test_the_only_late_binding_is_the_last_line_of_tensors():
    assert every(late_bindings, HOUSE) == ["dlcore.tensors sets core.Tensor (last)"]


def test_examples_and_benchmarks_import_no_backends():
    outside = part("examples") | part("benchmarks")

    assert [m for m, s in outside.items() if any(i.package == "backends" for i in imports(s))] == []


@pytest.mark.parametrize("module", SOURCES)
def test_a_file_fits_a_sitting(module):
    lines = SOURCES[module].count("\n")

    assert lines <= LONGEST


def test_the_engine_stays_under_four_hundred_lines():
    lines = SOURCES["dlcore.core"].count("\n")

    assert lines < 400


@pytest.mark.parametrize(
    ("check", "module", "source"),
    [
        (upward, "dlcore.core", "import dlcore as dl"),
        (upward, "dlcore.core", "from dlcore import core"),
        (upward, "dlcore.samples", "from dlcore.history import Node"),
        (upward, "dlcore.samples", "from dlcore import history"),
        (upward, "dlcore.core", "from dlcore.unknown import x"),
        (upward, "backends.base", "from dlcore.core import Value"),
        (upward, "backends.base", "from backends import get_backend"),
        (deferred, "dlcore.core", "def f():\n    from dlcore.history import Node"),
        (deferred, "dlcore.core", "try:\n    import backends\nexcept ImportError:\n    raise"),
        (deferred, "dlcore.core", "importlib.import_module('dlcore.graph')"),
        (deferred, "dlcore.core", "graph = __import__('dlcore.graph')"),
        (deferred, "backends.registry", "def f():\n    import backends.cupy_backend"),
        (relative, "dlcore.core", "from . import history"),
        (relative, "dlcore.core", "from .history import Node"),
        (array_libraries, "dlcore.core", "import numpy as np"),
        (array_libraries, "dlcore.core", "def f():\n    from cupy.cuda import Event"),
        (eager, "dlcore.core", "from tqdm import tqdm"),
        (type_checking, "dlcore.core", "from typing import TYPE_CHECKING"),
        (type_checking, "dlcore.core", "if typing.TYPE_CHECKING:\n    import dlcore"),
        (late_bindings, "dlcore.core", "from dlcore import history\nhistory.Node = None"),
        (late_bindings, "dlcore.core", "import dlcore.history\ndlcore.history.Node = None"),
        (late_bindings, "dlcore.core", "import dlcore.history as h\nsetattr(h, 'Node', None)"),
    ],
)
def test_each_check_notices_what_it_is_for(check, module, source):
    found = check(module, source)

    assert len(found) == 1


@pytest.mark.parametrize(
    ("check", "module", "source"),
    [
        (upward, "dlcore.core", "import backends\nfrom dlcore.history import Node"),
        (deferred, "dlcore.core", "from dlcore.history import Node\ndef f():\n    import tqdm"),
        (eager, "dlcore.core", "import math\nimport backends\ndef f():\n    import tqdm"),
        (deferred, "backends.registry", "import_module('backends.cupy_backend')"),
        (late_bindings, "dlcore.core", "import math\nclass A:\n    def f(self): self.x = math.pi"),
    ],
)
def test_each_check_leaves_what_is_allowed(check, module, source):
    assert check(module, source) == []
