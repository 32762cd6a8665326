"""The guard around a generator: input filters, generation of what passed, output filters, action, record."""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from guard.audit_log import AuditLog, Decision
from guard.errors import AssayError, ConfigError, GeneratorError
from guard.judge import Judge, Judgement
from guard.policy import Policy
from guard.schema import Action, Filter, Generator, Response, Stage, Verdict

__all__ = ["Guard"]

_TIMEOUT_S = 30.0
_REGENERATIONS = 2


@dataclass
class _Request:
    """One prompt on its way through the guard."""

    prompt: str
    asked: str  # the prompt as the generator gets it
    verdict: Verdict
    seed: int
    briefs: list[str | None]  # one a verdict: its error without the words of exceptions
    drawn: list[Verdict] = field(default_factory=list)
    output: str | None = None
    released: str | None = None
    error: str | None = None
    error_brief: str | None = None

    @property
    def action(self) -> Action:
        return max(self.verdict.action, self.drawn[-1].action if self.drawn else Action.ALLOW)


class Guard:
    """Wraps a text generator so that no text passes unjudged.

    Parameters
    ----------
    generator : Generator, callable or None
        A function from one prompt to one output will do. None for a guard that only checks.
    policy : Policy
    inputs, outputs : sequence of Filter
        What judges prompts and what judges outputs. They are given canonical text. Where several provide the same
        category, the highest score counts.
    audit_log : AuditLog or None
        Gets exactly one record a request, before its text is returned.
    filter_timeout_s : float or None
        How long one filter may take over a batch, repeats included, before it counts as hung, in seconds. None
        takes the policy's, or else 30. It grows with the size: that long for each started 100,000 characters. Texts
        over 4,000 characters are judged one by one, each with a limit of its own: to bound the time of a request,
        bound the length of its text.

    Raises
    ------
    ConfigError
        When there is no filter at all, one names a category twice, the timeout is impossible, or the policy has a
        threshold on a category that no filter provides.

    Notes
    -----
    What an action does: ALLOW and REVIEW pass. REDACT puts ``[category]`` in place of the spans that a Locator
    finds, and the result is judged again; without spans, or where something still fires, it blocks. REGENERATE
    draws again with another seed, twice at most, then blocks; a prompt is blocked at once. BLOCK gives the
    policy's message. Whatever a filter fails to score gets the policy's ``on_error``, or the action that the other
    filters ask for where that is stricter.

    Examples
    --------
    >>> from guard.filters.callable import CallableFilter
    >>> rude = CallableFilter(lambda text: float("darn" in text), categories=["rude"])
    >>> policy = Policy("polite", {("output", "rude"): (0.5, Action.BLOCK)}, message="No.")
    >>> guard = Guard(lambda prompt: prompt + ", darn it", policy, inputs=[], outputs=[rude])
    >>> guard.generate(["Hello"])[0].text
    'No.'
    """

    def __init__(
        self,
        generator: Generator[str] | Callable[[str], str] | None,
        policy: Policy,
        *,
        inputs: Sequence[Filter[str]],
        outputs: Sequence[Filter[str]],
        audit_log: AuditLog | None = None,
        filter_timeout_s: float | None = None,
    ) -> None:
        timeout_s = policy.filter_timeout_s if filter_timeout_s is None else filter_timeout_s
        timeout_s = _TIMEOUT_S if timeout_s is None else timeout_s
        self._judge = Judge(policy, {"input": inputs, "output": outputs}, timeout_s=timeout_s)
        self._generator = _as_generator(generator)
        self._audit_log = audit_log
        self._policy_name = f"{policy.name}@{policy.digest[:12]}"

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self._judge.policy

    def generate(self, prompts: Sequence[str], *, seed: int | Sequence[int] = 0) -> list[Response]:
        """Generate one guarded output for each prompt.

        Parameters
        ----------
        prompts : sequence of str
        seed : int or sequence of int
            One for all prompts, or one a prompt.

        Returns
        -------
        list of Response
            In the order of the prompts.

        Raises
        ------
        GeneratorError
            When the generator fails, or gives back something other than one text a prompt. Every request of the
            batch is then in the audit log with the error, and nothing is returned.
        OutputError
            When the audit log cannot be written; nothing is returned.
        ConfigError
            When the guard has no generator, or the seeds do not match the prompts.
        """
        generator = self._generator
        if generator is None:
            raise ConfigError("this guard has no generator: give it one, or use check")
        prompts = _texts(prompts, "prompts")
        seeds = _seeds(seed, len(prompts))
        requests = self._admitted(prompts, seeds)
        try:
            self._draw(generator, [request for request in requests if request.action != Action.BLOCK])
        except BaseException as error:
            for request in requests:
                request.error, request.released = f"generation failed: {error}", None
                request.error_brief = f"generation failed: {type(error.__cause__ or error).__name__}"
            raise
        finally:
            self._record([self._decision(request, generator.name) for request in requests])
        return [self._response(request) for request in requests]

    def check(self, texts: Sequence[str], *, stage: Stage) -> list[Verdict]:
        """Judge texts without generating anything.

        Parameters
        ----------
        texts : sequence of str
        stage : {"input", "output"}
            Whose filters and thresholds to use.

        Returns
        -------
        list of Verdict
            In the order of the texts. A REDACT or REGENERATE is stated, not carried out.

        Raises
        ------
        ConfigError
            When there is no such stage, or the guard has no filter for it: nothing would be judged.
        OutputError
            When the audit log cannot be written.
        """
        if stage not in ("input", "output"):
            raise ConfigError(f"unknown stage {stage!r}: expected 'input' or 'output'")
        if not self._judge.has_filters(stage):
            raise ConfigError(f"this guard has no {stage} filters, so nothing would be judged: give it some")
        judged = self._judge.judge(_texts(texts, "texts"), stage)
        self._record([self._checked(one) for one in judged])
        return [one.verdict for one in judged]

    def _admitted(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[_Request]:
        """Judge the prompts; what is blocked gets its answer here."""
        requests = []
        for prompt, seed, judged in zip(prompts, seeds, self._judge.enforce(prompts, "input"), strict=True):
            verdict = judged.verdict
            if verdict.action == Action.REGENERATE:  # nobody can draw a prompt again
                verdict = replace(verdict, action=Action.BLOCK)
            request = _Request(prompt, judged.text, verdict, seed, [judged.brief])
            if verdict.action == Action.BLOCK:
                request.released = self.policy.message
            requests.append(request)
        return requests

    def _draw(self, generator: Generator[str], requests: Sequence[_Request]) -> None:
        """Generate for the requests and judge what comes, drawing again where the policy says so."""
        first_seeds = {id(request): request.seed for request in requests}
        pending = list(requests)
        for attempt in range(_REGENERATIONS + 1):
            if attempt:
                for request in pending:
                    request.seed = _derived_seed(first_seeds[id(request)], attempt)
            self._draw_once(generator, pending)
            pending = [request for request in pending if request.action == Action.REGENERATE]
        for request in pending:
            request.drawn[-1] = replace(request.drawn[-1], action=Action.BLOCK)
            request.released = self.policy.message

    def _draw_once(self, generator: Generator[str], requests: Sequence[_Request]) -> None:
        outputs = _outputs(generator, requests)
        for request, output, judged in zip(requests, outputs, self._judge.enforce(outputs, "output"), strict=True):
            request.output = output
            request.drawn.append(judged.verdict)
            request.briefs.append(judged.brief)
            request.released = self.policy.message if judged.verdict.action == Action.BLOCK else judged.text

    def _decision(self, request: _Request, generator_name: str) -> Decision:
        return Decision(
            kind="generate",
            policy=self._policy_name,
            filters=self._judge.names,
            action=request.action,
            verdicts=(request.verdict, *request.drawn),
            prompt=request.prompt,
            output=request.output,
            released=request.released,
            generator=generator_name,
            seed=request.seed,
            error=request.error,
            error_brief=request.error_brief,
            verdict_briefs=tuple(request.briefs),
        )

    def _checked(self, judged: Judgement) -> Decision:
        verdict, text = judged.verdict, judged.text
        return Decision(
            kind="check",
            policy=self._policy_name,
            filters=self._judge.names,
            action=verdict.action,
            verdicts=(verdict,),
            prompt=text if verdict.stage == "input" else None,
            output=text if verdict.stage == "output" else None,
            verdict_briefs=(judged.brief,),
        )

    def _record(self, decisions: Sequence[Decision]) -> None:
        if self._audit_log is not None and decisions:
            self._audit_log.extend(decisions)

    def _response(self, request: _Request) -> Response:
        released = self.policy.message if request.released is None else request.released
        drawn = request.drawn[-1] if request.drawn else None
        return Response(released, request.verdict, drawn, request.output, request.action)


def _as_generator(generator: Generator[str] | Callable[[str], str] | None) -> Generator[str] | None:
    if generator is None or isinstance(generator, Generator):
        return generator
    if not callable(generator):
        raise ConfigError(f"{generator!r} is no generator: give an object with name and generate, or a function")
    from guard.generators.callable import CallableGenerator

    return CallableGenerator(generator)


def _outputs(generator: Generator[str], requests: Sequence[_Request]) -> list[str]:
    """One text a request, or a GeneratorError."""
    if not requests:
        return []
    try:
        outputs = list(generator.generate([r.asked for r in requests], seed=[r.seed for r in requests]))
    except AssayError:
        raise
    except Exception as error:
        raise GeneratorError(f"generator {generator.name} raised {type(error).__name__}: {error}") from error
    if len(outputs) != len(requests) or not all(isinstance(output, str) for output in outputs):
        kinds = sorted({type(output).__name__ for output in outputs})
        found = f"{len(outputs)} outputs ({', '.join(kinds) or 'nothing'})"
        raise GeneratorError(
            f"generator {generator.name} gave {found} for {len(requests)} prompts, expected a str each"
        )
    return outputs


def _texts(texts: Sequence[str], what: str) -> list[str]:
    if isinstance(texts, str):
        raise TypeError(f"{what} is one str: give a list of them")
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"{what}[{place}] is {type(text).__name__}: expected str")
    return list(texts)


def _seeds(seed: int | Sequence[int], n_prompts: int) -> list[int]:
    if not isinstance(seed, Sequence):
        return [operator.index(seed)] * n_prompts
    if len(seed) != n_prompts:
        raise ConfigError(f"{len(seed)} seeds for {n_prompts} prompts: give one for all, or one a prompt")
    return [operator.index(one) for one in seed]


def _derived_seed(seed: int, attempt: int) -> int:
    """Another seed in [0, 2**31), a function of the first and of how often was drawn."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{attempt}".encode()).digest()[:4], "big") >> 1
