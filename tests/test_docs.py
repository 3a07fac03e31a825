"""The pages: what they show of the code is what the code shows, and their links lead somewhere.

That their code blocks run is ``nox -s docs``.  To write pictures, tables and what is told of CUDA anew::

    python -m tests.test_docs
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from dlcore import nn
from dlcore.pages import evidence

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md")])
PICTURES = {"adaptive_linear_unit.svg": ROOT / "README.md", "two_branches.svg": DOCS / "graph.md"}
AGAIN = "python -m tests.test_docs"

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
MACHINE = re.compile(r"/(?:home|root|Users|tmp|work)/|\b[A-Z]:\\")


def drawn(page: Path) -> str:
    """The picture that the lines on a page draw, which are the last fence that calls ``draw``."""
    lines = [code for _, code in FENCE.findall(page.read_text("utf-8")) if "picture = " in code][-1]
    names: dict[str, object] = {}
    exec("import dlcore as dl\nimport dlcore.graph as g\n" + lines, names)  # noqa: S102  our own pages
    return str(names["picture"])


def operations() -> str:
    """The page of operations, from a process in which nothing was declared but what dlcore has."""
    command = [sys.executable, "-X", "utf8", "-m", "dlcore", "operations"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=True, encoding="utf-8").stdout


def prose(page: Path) -> str:
    """A page without its code."""
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", page.read_text("utf-8")))


def anchors(page: Path) -> set[str]:
    """The names under which the headings of a page can be linked to, as GitHub makes them."""
    headings = HEADING.findall(FENCE.sub("", page.read_text("utf-8")))
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def broken(page: Path) -> list[str]:
    """The links of a page to files or headings that do not exist."""
    found = []
    for link in LINK.findall(prose(page)):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if "://" in link:
            continue
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(link)
    return found


def written_anew() -> None:
    """Write what the tests below compare."""
    (DOCS / "operations.md").write_text(operations(), "utf-8")
    evidence.rewrite()
    for picture, page in PICTURES.items():
        (DOCS / picture).write_text(drawn(page), "utf-8")


@pytest.mark.parametrize("picture", PICTURES)
def test_a_picture_is_what_the_lines_beside_it_draw(picture):
    assert (DOCS / picture).read_text("utf-8") == drawn(PICTURES[picture]), f"run {AGAIN}"


def test_the_page_of_operations_is_what_the_registry_says():
    assert (DOCS / "operations.md").read_text("utf-8") == operations(), f"run {AGAIN}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings_that_exist(page):
    assert broken(page) == []


def test_a_broken_link_is_noticed(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A b\n[1](gone.md) [2](page.md#a-b) [3](#a-c) [4](https://example.org/x)\n", "utf-8")

    assert broken(page) == ["gone.md", "#a-c"]


def test_the_index_names_every_page():
    index = (DOCS / "index.md").read_text("utf-8")

    assert [p.name for p in DOCS.glob("*.md") if p.name != "index.md" and f"]({p.name})" not in index] == []


def test_the_page_of_layers_names_every_module_and_every_way_to_begin():
    page = (DOCS / "nn.md").read_text("utf-8")
    named = [*nn.__all__, *nn.init.__all__]

    assert [n for n in named if f"`{n}`" not in page and f"nn.{n}" not in page] == ["calculate_gain"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_names_a_place_on_somebody_s_machine(page):
    assert MACHINE.findall(page.read_text("utf-8")) == []


if __name__ == "__main__":
    written_anew()
