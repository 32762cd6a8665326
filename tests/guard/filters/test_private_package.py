from __future__ import annotations

import importlib
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from guard.filters.private_package import PrivatePackage

FILES = {
    "__init__.py": "from .light import Light\nfrom .heavy import Heavy as Weight\n"
    "from .broken import Broken\nRAN = []\n",
    "light.py": "import json\nclass Light:\n    def late(self):\n"
    "        from PACKAGE.inner import Twig\n        return Twig\n",
    "heavy.py": "class Heavy: pass\n",
    "broken.py": "from PACKAGE import RAN\nclass Broken: pass\n",
    "inner/__init__.py": "from .leaf import Leaf\nfrom .twig import Twig\nfrom ..light import Light as Bright\n",
    "inner/leaf.py": "from PACKAGE import Light\nimport PACKAGE.light\nassert PACKAGE.light.Light is Light\n"
    "class Leaf(Light): pass\n",
    "inner/twig.py": "from . import leaf\nfrom .. import inner\nclass Twig: leaf, inner = leaf, inner\n",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[str]:
    """Write a package of a name that no other test uses."""
    name = re.sub(r"\W", "_", f"private_{request.node.name}")
    for path, text in FILES.items():
        file = tmp_path / name / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace("PACKAGE", name), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield name
    for module in [module for module in sys.modules if module.partition(".")[0] == name]:
        del sys.modules[module]


def loaded(private: PrivatePackage, package: str) -> set[str]:
    return {name.removeprefix(f"{package}.") for name in private._modules if name != package}


def test_a_name_brings_its_own_module_and_no_other(package: str) -> None:
    private = PrivatePackage(package)
    leaf = private.get(f"{package}.inner", "Leaf")
    assert isinstance(leaf, type)
    assert leaf.__mro__[1] is private.get(package, "Light")
    assert loaded(private, package) == {"inner", "inner.leaf", "light"}


def test_a_name_may_be_another_in_its_module(package: str) -> None:
    private = PrivatePackage(package)
    assert getattr(private.get(package, "Weight"), "__name__", "") == "Heavy"
    assert private.get(f"{package}.inner", "Bright") is private.get(package, "Light")


def test_an_import_inside_a_function_is_private_too(package: str) -> None:
    private = PrivatePackage(package)
    light = private.get(package, "Light")
    assert callable(light)
    assert light().late() is private.get(f"{package}.inner", "Twig")


def test_modules_are_imported_from_packages(package: str) -> None:
    private = PrivatePackage(package)
    twig = private.get(f"{package}.inner", "Twig")
    assert twig.leaf.Leaf is private.get(f"{package}.inner", "Leaf")  # type: ignore[attr-defined]
    assert twig.inner.Twig is twig  # type: ignore[attr-defined]


def test_whoever_imports_the_package_finds_it_whole(package: str, tmp_path: Path) -> None:
    (tmp_path / package / "broken.py").write_text("class Broken: pass\n", encoding="utf-8")
    private = PrivatePackage(package)
    light = private.get(package, "Light")
    assert not any(name.startswith(package) for name in sys.modules)
    whole = importlib.import_module(package)
    assert whole.RAN == []
    assert whole.Light is not light
    assert private.get(package, "Light") is light


@pytest.mark.parametrize("name", ["Broken", "Nothing", "RAN", "__wrapped__"])
def test_what_cannot_be_had_alone_is_an_import_error(package: str, name: str) -> None:
    private = PrivatePackage(package)
    for _ in range(2):
        with pytest.raises(ImportError, match=f"cannot have '{name}'"):
            private.get(package, name)
    assert private.get(package, "Light")


def test_a_package_that_is_not_there_is_an_import_error() -> None:
    with pytest.raises(ImportError, match="no module 'no_such_package'"):
        PrivatePackage("no_such_package").get("no_such_package", "Name")


def test_threads_get_the_same_classes(package: str) -> None:
    private = PrivatePackage(package)
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(private.get(f"{package}.inner", "Twig"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(map(id, found))) == 1
