"""Modules of a package loaded for one user alone, without all that its ``__init__`` imports beside them."""

from __future__ import annotations

import ast
import builtins
import importlib.util
import threading
from collections.abc import Mapping, Sequence
from importlib.abc import InspectLoader
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

__all__ = ["PrivatePackage"]


class PrivatePackage:
    """A package of which a name brings the module that defines it, and what that one needs, and nothing else.

    Parameters
    ----------
    name : str
        Of an installed package, without a dot.

    Notes
    -----
    The ``__init__`` of the package, and of packages in it, is read and not run: a name in it is had from the module
    that its own ``from module import name`` names, so that nothing here depends on how a version lays its modules out.
    What the modules import from the package is private too; anything else they import in the ordinary way.
    ``sys.modules`` never holds a private module, so that whoever imports the package finds it whole, and what was
    loaded here is not what they get: classes of the two are different classes.
    """

    def __init__(self, name: str) -> None:
        self._tree = name
        self._modules: dict[str, ModuleType] = {}
        self._lock = threading.RLock()
        self._builtins = {**vars(builtins), "__import__": self._import}

    def get(self, module: str, name: str) -> object:
        """Return what a module, or a package, of this one calls by a name.

        Parameters
        ----------
        module : str
            Its full name.
        name : str

        Raises
        ------
        ImportError
            There is no such module or name, or a module cannot be loaded so.
        """
        with self._lock:
            try:
                found: object = getattr(self._load(module), name)
            except AttributeError as error:
                raise ImportError(f"cannot have {name!r} of {module!r} alone: {error}") from error
        return found

    def _load(self, name: str) -> ModuleType:
        if name in self._modules:
            return self._modules[name]
        spec, loader = self._find(name)
        module = importlib.util.module_from_spec(spec)
        self._modules[name] = module
        try:
            if spec.submodule_search_locations is None:
                module.__dict__["__builtins__"] = self._builtins  # where an import statement finds what it calls
                loader.exec_module(module)
            else:
                _make_lazy(module, self, _exports(loader.get_source(name) or "", name))
        except BaseException:
            del self._modules[name]
            raise
        return module

    def _find(self, name: str) -> tuple[ModuleSpec, InspectLoader]:
        outer = name.rpartition(".")[0]
        spec = PathFinder.find_spec(name, self._load(outer).__path__ if outer else None)
        if spec is None or not isinstance(spec.loader, InspectLoader):
            raise ImportError(f"there is no module {name!r} with a source to read")
        return spec, spec.loader

    def _import(
        self,
        name: str,
        scope: Mapping[str, object] | None = None,
        inner: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """Do what the import statement does, for statements in private modules."""
        package = str((scope or {}).get("__package__") or "")
        absolute = importlib.util.resolve_name("." * level + name, package) if level else name
        if absolute.partition(".")[0] != self._tree:
            return builtins.__import__(name, scope, inner, fromlist or (), level)
        with self._lock:
            module = self._load(absolute)
            return module if fromlist else self._load(absolute.partition(".")[0])


class _LazyPackage(ModuleType):
    """A package whose ``__init__`` has not run and will not."""

    def __getattr__(self, name: str) -> object:
        private, exports = self.__dict__.get("__private__"), self.__dict__.get("__exports__", {})
        if private is None or name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        try:
            value: object = private.get(*exports[name]) if name in exports else private._load(f"{self.__name__}.{name}")
        except ImportError as error:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}: {error}") from error
        return self.__dict__.setdefault(name, value)


def _make_lazy(module: ModuleType, private: PrivatePackage, exports: Mapping[str, tuple[str, str]]) -> None:
    module.__dict__.update(__private__=private, __exports__=exports)
    module.__class__ = _LazyPackage


def _exports(source: str, package: str) -> dict[str, tuple[str, str]]:
    """Return the names that an ``__init__`` takes from its own tree, each with its module and its name there."""
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom):
            module = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            if module.startswith(f"{package.partition('.')[0]}.") and module != package:
                found.update({alias.asname or alias.name: (module, alias.name) for alias in node.names})
    return found
