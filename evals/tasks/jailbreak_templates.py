"""Jailbreak templates as the tasks take them: those of :mod:`guard.attacks.prompts`, as lines of a run's data."""

from __future__ import annotations

from collections.abc import Iterable

from evals.datasets import Prompt
from guard.attacks.prompts import templates
from guard.attacks.prompts.templates import WILD, Template, shipped_templates

__all__ = ["WILD", "Template", "as_prompt", "shipped_templates", "wild_templates"]


def as_prompt(template: Template) -> Prompt:
    """Return a template as a line of the run's data, by which its digest changes."""
    return Prompt(f"template/{template.id}", template.text, template.kind, True)


def wild_templates(prompts: Iterable[Prompt]) -> list[Template]:
    """Return the prompts seen in the wild that say where the request goes, as templates.

    Parameters
    ----------
    prompts : iterable of Prompt
        As :func:`evals.datasets.jailbreaks` reads them.
    """
    return templates.wild_templates((prompt.id, prompt.text) for prompt in prompts)
