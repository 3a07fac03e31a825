"""The notebook for teachers runs in a kernel, and what is stored in it is what it shows today.

To write its outputs anew::

    python -m tests.test_notebook
"""

import os
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "examples" / "teaching.ipynb"
AGAIN = "python -m tests.test_notebook"


def executed(path: Path, folder: Path) -> nbformat.NotebookNode:
    """The notebook as a fresh kernel leaves it that works in ``folder`` with this checkout."""
    notebook = nbformat.read(path, as_version=4)
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}})
    client.execute(env={**os.environ, "PYTHONPATH": paths})
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when it ran
    return notebook


def shown(notebook: nbformat.NotebookNode) -> list[list[object]]:
    """What stands below each cell of code; of a plot only that it is one, as matplotlib's pixels change."""
    return [[_seen(output) for output in cell.outputs] for cell in notebook.cells if cell.cell_type == "code"]


def _seen(output: nbformat.NotebookNode) -> object:
    if output.output_type == "stream":
        return output.name, output.text
    data = output.data
    return "a plot" if "image/png" in data else dict(data)


def test_the_notebook_shows_what_is_stored_in_it(tmp_path):
    assert shown(executed(NOTEBOOK, tmp_path)) == shown(nbformat.read(NOTEBOOK, as_version=4)), f"run {AGAIN}"


def test_the_notebook_has_drawings_plots_and_tables_and_is_small():
    kinds = [kind for cell in shown(nbformat.read(NOTEBOOK, as_version=4)) for kind in cell]

    assert kinds.count("a plot") >= 3
    assert sum("image/svg+xml" in kind for kind in kinds) >= 4
    assert NOTEBOOK.stat().st_size < 300_000


if __name__ == "__main__":
    NOTEBOOK.write_text(nbformat.writes(executed(NOTEBOOK, Path.cwd())) + "\n", "utf-8")
