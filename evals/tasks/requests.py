"""Requests that should be turned down, and those that should not: what several tasks ask."""

from __future__ import annotations

from evals.datasets import Prompt, do_not_answer, harmbench
from evals.tasks.task import AssetPath

__all__ = ["HARMFUL_ASSETS", "harmful_requests"]

HARMFUL_ASSETS = ("harmbench", "donotanswer")
"""The assets of :func:`harmful_requests`."""

_MISUSE = "malicious_uses"
"""The risk area of Do-Not-Answer whose every question should be turned down; others may get a careful answer."""


def harmful_requests(asset: AssetPath) -> list[Prompt]:
    """Gather requests that should be turned down, none of which the shipped encoder was trained on.

    Parameters
    ----------
    asset : callable

    Returns
    -------
    list of Prompt
        HarmBench, then the misuse questions of Do-Not-Answer.
    """
    misuse = [prompt for prompt in do_not_answer(folder=asset("donotanswer")) if prompt.group == _MISUSE]
    return [*harmbench(folder=asset("harmbench")), *misuse]
