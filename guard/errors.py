"""Every error that Assay raises on purpose, in one tree.

The branch says what the caller would do next, and the command line maps it to an exit code::

    AssayError
    ├── UsageError            the user can mend it: the command exits 2
    │   ├── ConfigError       a policy, gate, suite or option says something impossible
    │   └── DataError         an input file is missing, empty or not what it claims to be
    ├── BlockedError          the policy stopped a request (guard.wrappers.answers, only where it is asked for)
    └── ToolError             the tool or the machine failed: the command exits 4
        ├── AssetError        an asset could not be fetched, verified or placed
        ├── FilterError       a filter raised, hung, or returned something that is not scores
        ├── GeneratorError    a generator could not be loaded or failed while generating
        └── OutputError       a result could not be written
"""

from __future__ import annotations

__all__ = [
    "AssayError",
    "AssetError",
    "ConfigError",
    "DataError",
    "FilterError",
    "GeneratorError",
    "OutputError",
    "ToolError",
    "UsageError",
]


class AssayError(Exception):
    """Root of the tree. The message is one line: what was given, the rule, the way out."""

    exit_code = 4


class UsageError(AssayError):
    """The user can mend it."""

    exit_code = 2


class ConfigError(UsageError):
    """A policy, gate, suite or option is contradictory or unknown."""


class DataError(UsageError):
    """An input file is missing, empty, or not what it claims to be."""


class ToolError(AssayError):
    """The tool or the machine failed, not the user."""


class AssetError(ToolError):
    """An asset could not be fetched, verified or placed."""


class FilterError(ToolError):
    """A filter raised, hung, or returned something that is not a valid score matrix."""


class GeneratorError(ToolError):
    """A generator could not be loaded or failed while generating."""


class OutputError(ToolError):
    """A result could not be written (no permission, no space)."""
