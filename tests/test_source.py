"""A run's identity covers the code behind its method: all that is reached, and what it means."""

import ast
import hashlib
import importlib
import inspect
import linecache
import sys
import textwrap
import zipfile
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from types import ModuleType

import pytest

from bench import method
from bench.method import REGISTRY, ConfiguredMethod, Method, PairMethod
from bench.plugins.registry import all_methods, built_in_methods, source_sha256
from bench.plugins.source import meaning_sha256, remember_loaded
from bench.plugins.syntax import LOOK_UP
from bench.running import identity, loop, pairs, scoring
from episodes.errors import UserError
from episodes.plugins import load_file

pytestmark = pytest.mark.usefixtures("plugins_forgotten")
NUMBERS = count()
METHODS = Path(__file__).parents[1] / "methods"
PACKAGE = {
    "__init__.py": "",
    "method.py": """
        '''A method.'''
        from torch import nn
        from .layers import Layer as L, scale

        class Mine(nn.Module):
            '''Its docstring.'''
            size = 3  # a comment

            def score(self, x):
                '''Another.'''
                return L(scale(x), self.size)
        """,
    "layers.py": """
        from . import constants
        import scratch.registry

        def scale(x):
            return x * constants.FACTOR

        class Layer:
            def __init__(self, x, size):
                self.x = x

        def unused(x):
            return x
        """,
    "constants.py": """
        FACTOR: float = 2.0
        OTHER = 1
        """,
    "registry.py": """
        TABLE = {}
        UNUSED = 3
        """,
    "unrelated.py": "NOTHING = 0",
}


def hash_of(folder: Path, files: Mapping[str, str], start: str = "method.Mine") -> str | None:
    """Write a package in a place of its own, import it anew, hash a class of it."""
    folder /= str(next(NUMBERS))
    for file, text in files.items():
        path = folder / "scratch" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    for name in [name for name in sys.modules if name.partition(".")[0] == "scratch"]:
        del sys.modules[name]
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    module, _, definition = start.rpartition(".")
    return meaning_sha256([vars(importlib.import_module(f"scratch.{module}"))[definition]])


def changed(file: str, old: str, new: str) -> dict[str, str]:
    assert old in PACKAGE[file]
    return PACKAGE | {file: PACKAGE[file].replace(old, new)}


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("method.py", "size = 3", "size = 4"),
        ("method.py", "from torch import nn", "from torch.nn import modules as nn"),
        ("method.py", "Layer as L, scale", "Layer as L, unused as scale"),
        ("layers.py", "x * constants", "x + constants"),
        ("layers.py", "self.x = x", "self.x = -x"),
        ("constants.py", "FACTOR: float = 2.0", "FACTOR: float = 3.0"),
        ("constants.py", "OTHER = 1", "OTHER = 1\nFACTOR += 1"),
        # What is done on import counts, wherever it stands.
        ("registry.py", "TABLE = {}", "TABLE = {}\nTABLE['x'] = 1"),
        ("registry.py", "TABLE = {}", "TABLE = {}\nprint(end='')"),
        ("registry.py", "TABLE = {}", "import torch\n_ = torch.tensor(0)"),
        ("__init__.py", "", "print(end='')"),
        # Names may be looked up while code runs: all files count.
        ("constants.py", "OTHER = 1", "OTHER = 1\nFACTOR = eval('2.0')"),
    ],
)
def test_every_change_of_meaning_is_another_identity(tmp_path: Path, file: str, old: str, new: str):
    new = new.replace("\n", "\n        ")
    assert hash_of(tmp_path, changed(file, old, new)) != hash_of(tmp_path, PACKAGE)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("method.py", "  # a comment", ""),
        ("method.py", "'''Its docstring.'''", "'''Said better.'''"),
        ("method.py", "'''Another.'''", ""),
        ("method.py", "L(scale(x), self.size)", "L(\n" + 24 * " " + "scale( x ), self.size,)"),
        ("layers.py", "def unused(x):\n            return x", ""),
        ("registry.py", "UNUSED = 3", "UNUSED = 4"),
        ("unrelated.py", "NOTHING = 0", "NOTHING = print"),
    ],
)
def test_what_does_not_change_the_meaning_leaves_the_identity(
    tmp_path: Path, file: str, old: str, new: str
):
    assert hash_of(tmp_path, changed(file, old, new)) == hash_of(tmp_path, PACKAGE)


def test_files_may_be_renamed_and_definitions_moved(tmp_path: Path):
    before = hash_of(tmp_path, PACKAGE)
    renamed = changed("layers.py", "import constants", "import numbers_ as constants")
    renamed["numbers_.py"] = renamed.pop("constants.py")
    assert hash_of(tmp_path, renamed) == before
    inside = "import scale\n        from .deep.more import Layer as L"
    moved = changed("method.py", "import Layer as L, scale", inside)
    class_text = (
        "class Layer:\n            def __init__(self, x, size):\n                self.x = x\n"
    )
    assert class_text in moved["layers.py"]
    moved["layers.py"] = moved["layers.py"].replace(class_text, "")
    moved |= {"deep/__init__.py": "", "deep/more.py": class_text.replace("\n        ", "\n")}
    assert hash_of(tmp_path, moved) == before


def test_two_definitions_that_change_places_are_another_identity(tmp_path: Path):
    """The definitions are the same ones, and each caller now has the other's."""
    files = {
        "__init__.py": "",
        "a.py": "K = 1\n\ndef f(x=0):\n    return K",
        "b.py": "K = 2\n\ndef f(x=0):\n    return K",
    }
    text = "from .{} import f\nfrom .{} import f as g\n\ndef start():\n    return f(g())"
    one, other = (
        hash_of(tmp_path, files | {"method.py": text.format(*names)}, "method.start")
        for names in ("ab", "ba")
    )
    assert one != other


@pytest.mark.parametrize(
    "text",
    [
        "from .names import *\n\ndef start():\n    return value",
        "import scratch.names as n\n\ndef start():\n    return n.value",
        "import scratch.names\n\ndef start():\n    return scratch.names.value",
        "def start():\n    from scratch import names\n    return names.value",
        "from . import names\n\ndef start():\n    return getattr(names, 'va' + 'lue')",
        "import importlib as i\n\ndef start():\n    return i.import_module('scratch.names').value",
        "from importlib import import_module as i\nn = i('scratch.names')\nstart = lambda: n",
        "from .again import value\n\ndef start():\n    return value",
        "if True:\n    from .names import value\n\ndef start():\n    return value",
    ],
)
def test_however_it_is_imported_it_counts(tmp_path: Path, text: str):
    files = {"__init__.py": "", "method.py": text, "again.py": "from .names import value"}
    one, other = (
        hash_of(tmp_path, files | {"names.py": f"value = {value}"}, "method.start")
        for value in (1, 2)
    )
    assert one is not None
    assert one != other


def test_a_registry_that_other_modules_fill_counts(tmp_path: Path):
    files = {
        "__init__.py": "",
        "method.py": "from . import conv\nfrom .table import TABLE\n\ndef start():\n"
        "    return TABLE['conv']()",
        "table.py": "TABLE = {}\n\ndef enter(f):\n    TABLE[f.__name__] = f\n    return f",
        "conv.py": "from .table import enter\n\n@enter\ndef conv():\n    return 1",
    }
    other = files | {"conv.py": files["conv.py"].replace("return 1", "return 2")}
    assert hash_of(tmp_path, files, "method.start") != hash_of(tmp_path, other, "method.start")


def test_modules_that_import_each_other_are_followed(tmp_path: Path):
    files = {
        "__init__.py": "",
        "method.py": "from .b import *\n\ndef start():\n    return absent + g()",
        "b.py": "from .method import *\n\ndef g():\n    return 1",
    }
    assert hash_of(tmp_path, files, "method.start") is not None


def test_source_that_changed_after_it_was_loaded_identifies_nothing(tmp_path: Path):
    assert hash_of(tmp_path, PACKAGE) is not None
    remember_loaded()
    module = sys.modules["scratch.method"]
    file = Path(str(module.__file__)).with_name("layers.py")
    file.write_text(file.read_text().replace("x *", "x +"))
    assert meaning_sha256([module.Mine]) is None


def test_a_module_that_changes_before_a_function_imports_it_identifies_nothing(tmp_path: Path):
    late = "def start():\n    from . import late\n    return late.K"
    files = {"__init__.py": "", "method.py": late, "late.py": "K = 1"}
    assert hash_of(tmp_path, files, "method.start") is not None
    start = sys.modules["scratch.method"].start
    (tmp_path / start.__code__.co_filename).with_name("late.py").write_text("K = 1.5")
    assert (start(), meaning_sha256([start])) == (1.5, None)


def test_nothing_in_methods_looks_names_up():
    """All files of `methods` would count for it, and a change of any make its rows anew."""
    for path in METHODS.rglob("*.py"):
        nodes = ast.walk(ast.parse(path.read_text()))
        names = {node.id for node in nodes if isinstance(node, ast.Name)}
        assert not LOOK_UP & names, path


def test_definitions_of_one_file_count_for_those_that_reach_them():
    """Methods that share a file share no more of it than they use."""
    known = built_in_methods()
    hashes = {name: source_sha256(known[name]) for name in ("chance", "single-frame", "otam")}
    assert None not in hashes.values()
    assert len(set(hashes.values())) == 3
    assert source_sha256(known["otam-hard"]) == hashes["otam"]


def cell(text: str) -> None:
    """Run a cell of a notebook, as IPython does."""
    file = f"<ipython-input-{next(NUMBERS)}>"
    text = textwrap.dedent(text)
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    exec(compile(text, file, "exec"), vars(sys.modules["__main__"]))  # noqa: S102


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    return module


MINE = """
    from bench.method import Method
    class Mine(Method):
        def score(self, state, query):
            return factor(query) * K
    """


def mine(notebook: ModuleType) -> str | None:
    return source_sha256(ConfiguredMethod("mine", notebook.Mine, Method.Settings()))


def test_a_method_of_a_notebook_is_identified_by_its_cells(notebook: ModuleType):
    def hashed(constant: str, function: str) -> str | None:
        cell(f"K = {constant}")
        cell(f"def factor(query):\n    return {function}")
        cell(MINE)
        return mine(notebook)

    first = hashed("2", "query + 1")
    assert first is not None
    assert hashed("2", "query + 1") == first
    assert hashed("3", "query + 1") != first
    assert hashed("2", "query + 2") != first


def test_a_method_whose_source_is_not_to_be_had_is_not_identified(notebook: ModuleType):
    cell("K = 2\ndef factor(query):\n    return query")
    cell(MINE)
    assert mine(notebook) is not None
    cell("K = object()")  # which no text stands for
    assert mine(notebook) is None
    cell("K = 2\ndef other(self, state, query):\n    return query\nMine.score = other")
    assert mine(notebook) is None
    exec(textwrap.dedent(MINE), vars(notebook))  # noqa: S102
    assert mine(notebook) is None


PLUGIN = """
from bench.method import Method, register
IMPORT

@register
class Beside(Method):
    name, revision, source, differs = "NAME", 1, "nobody", "nothing"
    needs, order_aware = "maps", False

    def adapt(self, support):
        return support.flatten(3).mean(dim=(2, 3))

    def score(self, state, query):
        return (state[:, None] + query.flatten(2).mean(dim=2)[:, :, None]) * K
"""


def plugin(folder: Path, name: str, line: str, k: int, package: bool = False) -> Path:
    """A method whose constant stands in a file beside it."""
    folder.mkdir()
    if package:
        (folder / "__init__.py").write_text("")
    library = line.partition("import")[0].strip(". ").removeprefix("from ").strip(". ")
    # Somebody's distribution may be installed into the same folder.
    for path, text in (
        (folder / f"{library.replace('.', '/')}.py", f"K = {k}"),
        (folder / "a.dist-info/RECORD", "a/"),
    ):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    file = folder / "method.py"
    file.write_text(PLUGIN.replace("IMPORT", line).replace("NAME", name))
    return file


@pytest.mark.parametrize(
    ("line", "package"),
    [
        ("from _lib_a import K", False),
        ("from ._lib_b import K", False),
        ("from _lib_ns.inner import K", False),
        ("from ._lib import K", True),
    ],
)
def test_files_beside_a_plugin_are_imported_and_count(tmp_path: Path, line: str, package: bool):
    hashes = set()
    for k in (1, 2, 1):
        file = plugin(tmp_path / f"folder{next(NUMBERS)}", "beside", line, k, package)
        hashes.add(source_sha256(all_methods([file])["beside"]))
        for module in [one for one in sys.modules if "_lib_a" in one or "_lib_ns" in one]:
            del sys.modules[module]
        sys.path.remove(str(file.parent.parent if package else file.parent))
        del REGISTRY["beside"]
    assert None not in hashes
    assert len(hashes) == 2


def test_a_file_beside_a_plugin_that_another_shadows_is_refused(tmp_path: Path):
    all_methods([plugin(tmp_path / "one", "one", "from _shared import K", 1)])
    other = plugin(tmp_path / "other", "other", "from _shared import K", 2)
    with pytest.raises(UserError, match=r"finds .*one/_shared.py, not .*other/_shared.py"):
        all_methods([other])
    with pytest.raises(UserError, match="`import random` finds"):
        all_methods([plugin(tmp_path / "more", "more", "from random import K", 3)])


def test_a_file_in_a_folder_that_a_plugin_adds_to_the_path_is_not_that_of_another(tmp_path: Path):
    """As where two plugins wrap two authors' code, and each has its utilities."""
    for number in ("1", "2"):
        authors = tmp_path / f"authors{number}"
        authors.mkdir()
        (authors / "_utilities.py").write_text(f"K = {number}\n")
        (authors / "_model.py").write_text("from _utilities import K\n")
        line = f"import sys\nsys.path.append({str(authors)!r})\nfrom _model import K as Y\nK = 1"
        file = plugin(tmp_path / f"wrapper{number}", f"wrapped{number}", "import K", 0)
        file.write_text(PLUGIN.replace("IMPORT", line).replace("NAME", f"wrapped{number}"))
        if number == "1":
            assert "wrapped1" in all_methods([file])
            continue
        sys.modules.pop("_model")  # the other has no file of this name
        for _ in range(2):  # not because its folder is not on the path yet
            with pytest.raises(UserError, match=r"finds .*authors1/_.*, not .*authors2/_"):
                all_methods([file])
        assert "wrapped2" not in REGISTRY


def test_a_plugin_may_add_a_folder_with_other_versions_of_what_is_installed(tmp_path: Path):
    """As that of the system's Python, behind the environment's own."""
    packages = tmp_path / "packages"
    packages.mkdir()
    for name, text in (("tabulate", ""), ("_only_there", "K = 1\n")):
        (packages / f"{name}.py").write_text(text)
    line = f"import sys\nsys.path.append({str(packages)!r})\nimport tabulate\nimport _only_there"
    all_methods([plugin(tmp_path / "plugin", "appends", line, 0)])
    assert "appends" in REGISTRY


@pytest.mark.parametrize("folder", ["plugin", "authors"])
def test_a_folder_that_was_there_before_a_plugin_puts_it_first_stays_last(
    folder: str, tmp_path: Path
):
    """As two files do that use one copy of authors' code, or one whose helpers lie beside it."""
    for name in ("plugin", "authors"):
        (tmp_path / name).mkdir()
    before = list(sys.path)
    for name in ("first", "second"):
        file = tmp_path / "plugin" / f"{name}.py"
        file.write_text(f"import sys\nsys.path.insert(0, {str(tmp_path / folder)!r})")
        load_file(file)
    added = {str(tmp_path / one) for one in ("plugin", folder)}
    assert (sys.path[: len(before)], {*sys.path[len(before) :]}) == (before, added)


def test_what_a_plugin_imports_later_is_not_another_module_than_when_it_was_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Its folders come last from then on: it ran with the installed module, without a word."""
    for folder in ("installed", "authors"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "_later.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path / "installed")
    line = f"import sys\nsys.path.insert(0, {str(tmp_path / 'authors')!r})\ndef f(): import _later"
    with pytest.raises(UserError, match=r"finds .*installed/_later.py, not .*authors/_later.py"):
        all_methods([plugin(tmp_path / "plugin", "late", line, 0)])


def test_a_library_is_no_source_of_the_users_wherever_it_is_installed(tmp_path: Path):
    """`pip install --target` takes a folder of any name; its code is covered by no hash."""
    hashes = []
    for number, text in enumerate(["K = 1", "K = 2", f"K = {' + '.join('1' * 600)}"]):
        folder = tmp_path / f"folder{number}"
        record = "_elsewhere/__init__.py,sha256=abc,5\n"
        files = {"_elsewhere/__init__.py": text, "_elsewhere-1.dist-info/RECORD": record}
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True)
            (folder / name).write_text(content)
        sys.modules.pop("_elsewhere", None)
        sys.path.insert(0, str(folder))
        mine = "from _elsewhere import K\n\ndef start():\n    return K"
        hashes.append(hash_of(tmp_path, {"__init__.py": "", "method.py": mine}, "method.start"))
    assert None not in hashes
    assert len(set(hashes)) == 1


def test_code_nested_too_deeply_is_not_identified(tmp_path: Path):
    deep = {"__init__.py": "", "method.py": f"def start():\n    return {' + '.join('1' * 600)}"}
    assert hash_of(tmp_path, deep, "method.start") is None


def test_what_lies_in_an_archive_or_finds_methods_by_name_is_not_identified(tmp_path: Path):
    finding = "from bench.method import REGISTRY\n\ndef start():\n    return REGISTRY['otam']"
    script = "\n\nif __name__ == '__main__':\n    start()"
    imported = (
        "def start():\n    return 0" + script + "\nelse:\n    start.one = load_method('otam')"
    )
    for text in (finding, finding + script, f"from bench import load_method\n\n{imported}"):
        assert hash_of(tmp_path, {"__init__.py": "", "method.py": text}, "method.start") is None
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("_archived.py", "def start():\n    return 1")
    sys.path.append(str(tmp_path / "archive.zip"))
    assert meaning_sha256([importlib.import_module("_archived").start]) is None


@pytest.mark.parametrize(
    ("above", "below", "beside"),
    [
        ("", "def main():\n    load_method('otam')\n\nif __name__ == '__main__':\n    main()", ""),
        ("import importlib as i\n\n", "", "load_method('otam')"),  # counts, but is not run
        ("from importlib import resources as i\n\n", "", "print 'of Python 2'"),
        ("from importlib.metadata import version as i\n\n", "", "print 'of Python 2'"),
    ],
)
def test_what_is_not_the_method_s_own_code_costs_no_identity(
    tmp_path: Path, above: str, below: str, beside: str
):
    first = "from bench import load_method\n"
    start = f"def start():\n    return {'i' if above else '0'}\n\n"
    files = {
        "__init__.py": "",
        "method.py": first + above + start + below,
        "beside.py": first + beside,
    }
    assert hash_of(tmp_path, files, "method.start") is not None


ARITHMETIC = {1: "331b9b7868ade724e236c9be30839a163299b3c61e0889d12b31e0e44caf030b"}
"""Revision of the harness -> hash of the functions between features and answers."""


def test_the_harness_has_another_revision_when_its_own_arithmetic_changes():
    """No method's hash covers these functions, though every answer has passed them.

    Where this fails: if an answer can change, raise `HARNESS` in `bench/running/identity.py`, so
    that no user's old rows are taken for new ones; then enter the hash here.
    """
    functions = (
        *(Method.encode, Method.adapt, PairMethod.adapt, PairMethod.score),
        *(method.apply, method.gather),
        *(scoring.score, scoring.adapted, scoring.pick, scoring.brought, loop.best_two),
        *(pairs.repay, pairs.compared, pairs.look_up),
    )
    meaning = hashlib.sha256()
    for function in functions:
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
        assert isinstance(tree, ast.FunctionDef)
        if ast.get_docstring(tree):
            del tree.body[0]
        meaning.update(ast.unparse(tree).encode())
    assert ARITHMETIC.get(identity.HARNESS) == meaning.hexdigest()
