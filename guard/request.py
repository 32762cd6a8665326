"""One request on its way through the guard, and the record of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Literal

from guard.audit_log import Decision
from guard.judge import Judgement
from guard.schema import Action, Response, Verdict

__all__ = ["Origin", "Request", "derived_seed"]


@dataclass(frozen=True)
class Origin:
    """What every record of a guard names.

    Parameters
    ----------
    policy : str
        ``<name>@<digest>``.
    filters : tuple of str
    generator : str or None
    """

    policy: str
    filters: tuple[str, ...]
    generator: str | None = None


@dataclass
class Request:
    """A prompt and everything that was decided about it so far.

    Parameters
    ----------
    prompt : str
    asked : str
        The prompt as the generator gets it, redacted where the policy says so.
    verdict : Verdict
        Of the prompt.
    seed : int
    briefs : list of (str or None)
        One a verdict: its error without the words of exceptions.
    """

    prompt: str
    asked: str
    verdict: Verdict
    seed: int
    briefs: list[str | None]
    drawn: list[Verdict] = field(default_factory=list)
    output: str | None = None
    released: str | None = None
    error: str | None = None
    error_brief: str | None = None

    @classmethod
    def admitted(cls, prompt: str, judged: Judgement, seed: int) -> Request:
        """Start with the judgement on the prompt; nobody can draw a prompt again, so that means to block."""
        verdict = judged.verdict
        if verdict.action == Action.REGENERATE:
            verdict = replace(verdict, action=Action.BLOCK)
        return cls(prompt, judged.text, verdict, seed, [judged.brief])

    @property
    def action(self) -> Action:
        """The stricter of the verdicts on the prompt and on the last output."""
        return max(self.verdict.action, self.drawn[-1].action if self.drawn else Action.ALLOW)

    def block(self) -> None:
        """Block the last output, whatever its verdict was."""
        self.drawn[-1] = replace(self.drawn[-1], action=Action.BLOCK)

    def fail(self, error: BaseException) -> None:
        """Note that nothing could be given back."""
        self.error, self.released = f"generation failed: {error}", None
        self.error_brief = f"generation failed: {type(error.__cause__ or error).__name__}"

    def response(self, message: str) -> Response:
        """Return what the caller gets; `message` where nothing was released."""
        released = message if self.released is None else self.released
        return Response(released, self.verdict, self.drawn[-1] if self.drawn else None, self.output, self.action)

    def decision(self, kind: Literal["generate", "stream"], origin: Origin) -> Decision:
        """Return the record of the request."""
        return Decision(
            kind=kind,
            policy=origin.policy,
            filters=origin.filters,
            action=self.action,
            verdicts=(self.verdict, *self.drawn),
            prompt=self.prompt,
            output=self.output,
            released=self.released,
            generator=origin.generator,
            seed=self.seed,
            error=self.error,
            error_brief=self.error_brief,
            verdict_briefs=tuple(self.briefs),
        )


def derived_seed(seed: int, attempt: int) -> int:
    """Return another seed in [0, 2**31), a function of the first and of how often was drawn."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{attempt}".encode()).digest()[:4], "big") >> 1
