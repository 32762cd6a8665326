"""The layers as data: which room may import which, what stays light, and how large a file or function may grow."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import guard

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted([*ROOT.glob("guard/**/*.py"), *ROOT.glob("evals/**/*.py"), ROOT / "cli.py"])
FILES = [path for path in FILES if path.exists()]
MODULES = {str(path.relative_to(ROOT))[:-3].replace("/", ".").removesuffix(".__init__"): path for path in FILES}

MOST_LINES_A_FILE = 400
MOST_LINES_A_FUNCTION = 60

# What each room of the runtime may import besides itself. A room that is not listed may import `FOUNDATION` only.
FOUNDATION = {"guard.errors", "guard.schema", "guard.canonical", "guard.confusables", "guard.codepoints"}
FOUNDATION |= {"guard.assets", "guard.cache", "guard.catalogue", "guard.wheels", "guard.views", "guard.segments"}
FOUNDATION |= {"guard.freed_memory", "guard.locked_lines", "guard.numerics", "guard.offsets", "guard.unseen"}
POLICY = {"guard.policy", "guard.policy_file", "guard.policy_values", "guard.certificate"}
JUDGE = {*POLICY, "guard.scoring", "guard.release", "guard.batcher"}
REQUEST = {*JUDGE, "guard.judge", "guard.audit_log", "guard.vault", "guard.request"}
ROOMS = {
    "guard.filters": set(),
    "guard.generators": set(),
    "guard.policy_values": set(),
    "guard.certificate": {"guard.policy_values"},
    "guard.policy_file": {"guard.policy_values", "guard.certificate"},
    "guard.policy": POLICY,
    "guard.audit_log": set(),
    "guard.scoring": set(),
    "guard.batcher": set(),
    "guard.vault": set(),
    "guard.steer": {"guard.generators", "guard.judge", *JUDGE},
    "guard.release": POLICY,
    "guard.judge": JUDGE,
    "guard.request": REQUEST,
    "guard.drawing": {*REQUEST, "guard.generators.callable"},
    "guard.streamed_request": {*REQUEST, "guard.drawing", "guard.stream"},
    "guard.stream": {*JUDGE, "guard.judge"},
    "guard.guard": {*REQUEST, "guard.drawing", "guard.stream", "guard.streamed_request"},
    "guard.calibrate": {"guard.certificate"},
    "guard.calibrated_policy": {*POLICY, "guard.calibrate"},
    "guard.assembled": {"guard.filters", "guard.generators", "guard.guard", "guard.steer", *REQUEST},
    "guard.wrappers": {"guard.guard", "guard.stream", "guard.drawing", *REQUEST},
    "guard.attacks.prompts": {"guard.attacks.causal_lm", "guard.attacks.suffixes", "guard.generators", "guard.guard"},
    "guard.attacks": {"guard.filters", "guard.generators"},
    "guard.train": {"guard.filters", "guard.generators"},
    "guard.explain": {"guard.filters", "guard.generators"},
    "guard.harden": {"guard.attacks", "guard.filters", "guard.generators", "guard.train"},
}

# Siblings inside a room that others of the room are built from: shared parts, not peers.
SHARED_PARTS = {
    "guard.filters": {
        *(
            "attribution",
            "bert",
            "checkpoint",
            "differentiable",
            "embedded_classifier",
            "encoder_model",
            "encoder_text",
            "encoder_weights",
            "grams",
            "guard_prompts",
            "guard_template",
            "heads",
            "private_package",
            "row_file",
            "label_columns",
            "path_gradient",
            "pii_recognizers",
            "slip_reading",
        ),
        *("pii_rules", "verdict_tokens", "window_memo", "windows"),
    },
    "guard.generators": {
        *("batching", "decoding_loop", "detokenizing", "gguf", "gguf_tokenizer", "loading", "seeding"),
        "continuous",
        *("endpoint_costs", "endpoint_link", "endpoint_requests", "endpoint_retries", "failures"),
    },
    "guard.attacks": {
        *("causal_lm", "example_run", "goals", "journal", "readings", "schema", "space", "whitebox", "words"),
    },
    "guard.attacks.constraints": set(),
    "guard.attacks.prompts": {"campaign", "encodings", "journal", "schema", "wordings"},
    "guard.attacks.search": {"compass", "population", "ranking"},
    "guard.attacks.transformations": {"swapping", "wordnet_files"},
    "guard.explain.generation": {"erasure", "framing", "path", "prompt_words", "white_box"},
    "guard.wrappers": {"answers", "channel", "chunks", "leaves", "messages", "tool_arguments"},
    "guard.train": None,  # steps of one pipeline
    "guard.explain.filters": {"embedded", "parts", "presence", "quadrature"},
}

# The tables from names, as people write them, to what a room offers: they may import all of it.
TABLES = {"guard.attacks.recipes", "guard.filters.table", "guard.generators.source", "guard.generators.table"}
TABLES |= {"guard.attacks.neural_recipes", "guard.attacks.prompts.table", "guard.explain.filters.table"}

HEAVY = {"torch", "transformers", "sklearn", "pandas", "detoxify", "scipy"}
LIGHT = [
    *("guard", "guard.audit_log", "guard.canonical", "guard.codepoints", "guard.confusables", "guard.errors"),
    *("guard.filters.callable", "guard.filters.lexical", "guard.guard", "guard.judge", "guard.policy"),
    *("guard.schema", "guard.scoring", "guard.segments", "guard.stream", "guard.vault", "guard.views"),
    *("guard.policy_file", "guard.policy_values", "guard.certificate", "guard.calibrated_policy", "guard.unseen"),
    *("guard.numerics", "guard.offsets", "guard.filters.grams", "guard.filters.ngram", "guard.filters.cascade"),
    "guard.batcher",
    *("guard.explain.generation.answers", "guard.explain.generation.counterfactual"),
    *("guard.attacks.engine", "guard.attacks.recipes", "guard.attacks.schema", "guard.attacks.words"),
    *("guard.attacks.prompts.adaptive", "guard.attacks.prompts.table", "guard.attacks.prompts.targets"),
    *("guard.filters.pii", "guard.filters.pii_rules", "guard.filters.secrets", "guard.filters.domain"),
]


def _imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, inside functions and for type checking too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in MODULES else node.module


def _inside(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


def _room(module: str) -> str:
    return next((room for room in ROOMS if _inside(module, room)), module)


@pytest.mark.parametrize("module", [module for module in MODULES if _inside(module, "guard")])
def test_guard_never_imports_the_measurement(module: str) -> None:
    assert [name for name in _imports(MODULES[module]) if name.split(".")[0] in ("evals", "cli")] == []


@pytest.mark.parametrize("module", [module for module in MODULES if _inside(module, "evals")])
def test_evals_never_imports_the_command_line(module: str) -> None:
    assert [name for name in _imports(MODULES[module]) if name == "cli"] == []


@pytest.mark.parametrize("module", [module for module in MODULES if _inside(module, "guard") and module != "guard"])
def test_rooms_import_only_what_lies_below(module: str) -> None:
    room = _room(module)
    allowed = FOUNDATION | ROOMS.get(room, set()) | {room}
    wrong = [
        name
        for name in _imports(MODULES[module])
        if _inside(name, "guard") and not any(_inside(name, below) for below in allowed)
    ]
    assert wrong == []


@pytest.mark.parametrize("module", [m for m in MODULES if m.rpartition(".")[0] in SHARED_PARTS and m not in TABLES])
def test_siblings_do_not_import_each_other_sideways(module: str) -> None:
    room = module.rpartition(".")[0]
    parts = SHARED_PARTS[room]
    siblings = {name for name in _imports(MODULES[module]) if name.startswith(f"{room}.")}
    assert parts is None or {name.removeprefix(f"{room}.") for name in siblings} <= parts


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_module_takes_a_name_through_its_own_door(module: str) -> None:
    root = module.split(".")[0]
    nodes = [
        n for n in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))) if isinstance(n, ast.ImportFrom)
    ]
    names = [alias.name for node in nodes if node.module == root for alias in node.names]
    assert [name for name in names if f"{root}.{name}" not in MODULES] == []


@pytest.mark.parametrize("module", [module for module in LIGHT if module in MODULES])
def test_light_module_imports_nothing_heavy(module: str) -> None:
    program = f"import sys, {module}; print(*sorted({HEAVY!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_LINES_A_FILE
    functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
    assert [f"{f.name}: {_code_lines(f)}" for f in functions if _code_lines(f) > MOST_LINES_A_FUNCTION] == []


def _code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring."""
    first = function.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    docstring = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
    return (function.end_lineno or 0) - function.lineno + 1 - docstring


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_is_named_for_nothing(path: Path) -> None:
    assert path.stem not in {"utils", "base", "helper", "helpers", "manager", "common", "misc"}


@pytest.mark.parametrize("name", guard.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(guard, name) is not None


def test_the_door_is_sorted_and_refuses_what_it_does_not_have() -> None:
    assert sorted(guard.__all__) == guard.__all__
    assert set(guard.__all__) <= set(dir(guard))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        guard.nothing  # noqa: B018


def test_what_ships_is_small() -> None:
    kinds = ("*.safetensors", "*.npz", "*.gz", "*.json", "*.jsonl", "*.csv", "*.toml")
    files = [path for room in ("guard", "evals") for kind in kinds for path in (ROOT / room).rglob(kind)]
    assert len(files) > 10
    assert sum(path.stat().st_size for path in files) < 25_000_000
