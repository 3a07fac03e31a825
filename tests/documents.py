"""A pytest plugin that runs the code of Markdown pages and the examples of docstrings.

``pytest -p tests.documents README.md docs dlcore`` runs every ```python fence, those of one page
in one namespace and in order, and every ``>>>``.  A page marks a block that needs a device with

    <!-- skip: next if(no_cuda, reason=no_cuda) -->
"""

import doctest
from pathlib import Path

from sybil import Sybil
from sybil.parsers.doctest import DocTestParser
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

import backends
from tests.devices import why_no_cuda

ROOT = str(Path(__file__).parent.parent)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def before(namespace):
    namespace["no_cuda"] = why_no_cuda()


def after(namespace):
    backends.set_backend("cpu")  # a page may have left another one selected


pages = Sybil(
    [PythonCodeBlockParser(doctest_optionflags=FLAGS), SkipParser()],
    pattern="*.md",
    path=ROOT,
    setup=before,
    teardown=after,
)
docstrings = Sybil([DocTestParser(FLAGS)], pattern="*.py", path=ROOT, teardown=after)

pytest_collect_file = (pages + docstrings).pytest()
