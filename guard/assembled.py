"""From names to a guard: the policy, its filters, and the model that it guards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from guard.audit_log import AuditLog
from guard.filters.table import DEFAULT_FILTERS, load_stages
from guard.guard import Guard
from guard.judge import Judge
from guard.policy import Policy
from guard.schema import Decoding, Filter, Generator

if TYPE_CHECKING:
    from guard.generators.transformers import TransformersGenerator
    from guard.steer import SteeredGenerator

__all__ = ["assemble_guard", "steered"]


def assemble_guard(
    model: str | Generator[str] | Callable[[str], str] | None = None,
    *,
    policy: str = "standard",
    filters: Sequence[str] = DEFAULT_FILTERS,
    device: str = "auto",
    dtype: str = "auto",
    batch_size: int | None = None,
    decoding: Decoding | None = None,
    audit_log: AuditLog | None = None,
    steer: bool = False,
) -> Guard:
    """Load what a guard is made of.

    Parameters
    ----------
    model : str, Generator, callable or None
        An asset, a local Transformers folder, a GGUF file or a hub id; or a generator, or a function from a prompt to
        an answer. None for a guard that only checks and screens, as the wrappers need it.
    policy : str
        A shipped policy or a TOML file.
    filters : sequence of str
        Names for :func:`guard.filters.table.load_filter`, for prompts and outputs alike.
    device : {"auto", "cpu", "cuda"}
    dtype : {"auto", "bfloat16", "float16", "float32"}
        Of the model.
    batch_size : int or None
        Rows that the model runs together; None picks by device.
    decoding : Decoding or None
    audit_log : AuditLog or None
        Stays the caller's to close.
    steer : bool
        Check every text while it is written, and take a row back to where it was clean; see :mod:`guard.steer`. Only
        for a model that is named.

    Returns
    -------
    Guard

    Raises
    ------
    ConfigError, DataError
        Something that was named is not there or makes no sense. What is cheap to check is checked first.
    AssetError
        An asset cannot be had.
    """
    rules = Policy.load(policy)
    inputs, outputs = load_stages(filters, device=device)
    given = None if isinstance(model, str) else model
    guard = Guard(given, rules, inputs=inputs, outputs=outputs, audit_log=audit_log)
    if not isinstance(model, str):
        return guard
    from guard.generators.source import resolve
    from guard.generators.transformers import TransformersGenerator

    source = resolve(model)
    generator = TransformersGenerator.load(
        source.folder, device=device, dtype=dtype, batch_size=batch_size, decoding=decoding, digest=source.digest
    )
    if steer:
        return Guard(steered(generator, rules, outputs), rules, inputs=inputs, outputs=outputs, audit_log=audit_log)
    return Guard(generator, rules, inputs=inputs, outputs=outputs, audit_log=audit_log)


def steered(generator: TransformersGenerator, policy: Policy, outputs: Sequence[Filter[str]]) -> SteeredGenerator:
    """Return a generator that keeps to a policy while it writes.

    Parameters
    ----------
    generator : TransformersGenerator
    policy : Policy
    outputs : sequence of Filter
        For outputs.
    """
    from guard.steer import JudgedCheck, SteeredGenerator

    timeout_s = 30.0 if policy.filter_timeout_s is None else policy.filter_timeout_s
    check = JudgedCheck(Judge(policy, {"output": outputs}, timeout_s=timeout_s))
    return SteeredGenerator(generator, check=check, check_every=32, check_timeout_s=None, name=check.name)
