"""The guard around a generator: input filters, generation of what passed, output filters, action, record."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from dataclasses import replace

from guard.audit_log import AuditLog, Decision
from guard.drawing import SharedGenerator, admit, as_generator, draw, notices, wording_of
from guard.errors import ConfigError, OutputError
from guard.judge import Judge, Judgement
from guard.policy import Policy
from guard.request import Origin
from guard.schema import Action, Filter, Generator, Response, Stage, Verdict
from guard.stream import AsyncGuardedStream, Ended, GuardedStream, Rewrite, Screen
from guard.streamed_request import StreamedRequest, in_threads
from guard.vault import Vault

__all__ = ["Guard"]

_TIMEOUT_S = 30.0


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
        Gets exactly one record a request, before its text is returned; of a stream, before its last piece is.
    filter_timeout_s : float or None
        How long one filter may take over a batch, repeats included, before it counts as hung, in seconds. None
        takes the policy's, or else 30. It grows with the size: that long for each started 100,000 characters. Texts
        over 4,000 characters are judged one by one, each with a limit of its own: to bound the time of a request,
        bound the length of its text.
    on_review : callable or None
        Gets the record of every request whose action is REVIEW, before its text is returned: the way to the people
        who review. Where it raises, the text is not returned.

    Raises
    ------
    ConfigError
        When there is no filter at all, one names a category twice, the timeout is impossible, or the policy has a
        threshold on a category that no filter provides.

    Notes
    -----
    What an action does: ALLOW and REVIEW pass. REDACT puts ``[category]`` in place of the spans that a Locator
    finds, or a vault's placeholder in a prompt, and the result is judged again; without spans, or where something
    still fires, it blocks. REGENERATE draws again with another seed and the policy's note, as often as the policy says,
    then blocks; a prompt, or a text that streams, is blocked at once. BLOCK gives the policy's message. Whatever a
    filter fails to score gets the policy's ``on_error``, or the action that the other filters ask for where that is
    stricter.

    A guard may be used by many threads and tasks at once. What they ask at the same moment is scored together.

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
        on_review: Callable[[Decision], None] | None = None,
    ) -> None:
        timeout_s = policy.filter_timeout_s if filter_timeout_s is None else filter_timeout_s
        timeout_s = _TIMEOUT_S if timeout_s is None else timeout_s
        self._judge = Judge(policy, {"input": inputs, "output": outputs}, timeout_s=timeout_s)
        self._generator = as_generator(generator)
        self._audit_log, self._on_review = audit_log, on_review
        self._origin = Origin(f"{policy.name}@{policy.digest[:12]}", self._judge.names)

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self._judge.policy

    def generate(
        self, prompts: Sequence[str], *, seed: int | Sequence[int] = 0, vault: Vault | None = None
    ) -> list[Response]:
        """Generate one guarded output for each prompt.

        Parameters
        ----------
        prompts : sequence of str
        seed : int or sequence of int
            One for all prompts, or one a prompt.
        vault : Vault or None
            Of the conversation: what is redacted in the prompts is kept in it, and restored in the outputs.

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
        generator = self._asked_generator()
        prompts = _texts(prompts, "prompts")
        seeds = _seeds(seed, len(prompts))
        requests = admit(self._judge, prompts, seeds, vault)
        try:
            passed = [request for request in requests if request.action != Action.BLOCK]
            draw(generator, self._judge, passed, vault)
        except BaseException as error:
            for request in requests:
                request.fail(error)
            raise
        finally:
            origin = replace(self._origin, generator=generator.name)
            self._record([request.decision("generate", origin) for request in requests])
        responses = [request.response(self.policy.message) for request in requests]
        return responses if vault is None else [replace(r, text=vault.restore(r.text)) for r in responses]

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
        self._check_stage(stage)
        judged = self._judge.judge(_texts(texts, "texts"), stage)
        self._record([self._checked(one, one.text, one.text) for one in judged])
        return [one.verdict for one in judged]

    def apply(self, texts: Sequence[str], *, stage: Stage, vault: Vault | None = None) -> list[Judgement]:
        """Judge texts and redact where the policy says so, without generating anything.

        Parameters
        ----------
        texts : sequence of str
        stage : {"input", "output"}
        vault : Vault or None
            Of the conversation: gives the placeholders and keeps what is redacted.

        Returns
        -------
        list of Judgement
            In the order of the texts. Where the action of a verdict is BLOCK or REGENERATE, the text is not to be used.

        Raises
        ------
        ConfigError
            When there is no such stage, or the guard has no filter for it.
        OutputError
            When the audit log cannot be written.
        """
        self._check_stage(stage)
        texts = _texts(texts, "texts")
        judged = self._judge.enforce(texts, stage, wording=wording_of(vault, stage))
        self._record([self._checked(one, text, one.text) for one, text in zip(judged, texts, strict=True)])
        return judged

    def stream(self, prompt: str, *, seed: int = 0, vault: Vault | None = None) -> GuardedStream:
        """Generate one output and give it out piece by piece, each piece once it is judged.

        Parameters
        ----------
        prompt : str
        seed : int
        vault : Vault or None
            As for :meth:`generate`.

        Returns
        -------
        GuardedStream
            An iterator of released text. Nothing runs before its first step, which judges the prompt. A generator that
            cannot stream is run whole first.

        Raises
        ------
        ConfigError
            When the guard has no generator.
        GeneratorError
            While iterating: when the generator fails. What was given out before had passed.
        OutputError
            While iterating: when the record cannot be written; the last piece is then not given out.
        """
        request = self._streamed(prompt, seed, vault)
        return GuardedStream(
            request.chunks,
            Screen(self._judge, wording=wording_of(vault, "output")),
            on_end=lambda ended: self._end(request, ended),
            rewrite=_restorer(vault),
        )

    def screen(self, chunks: Iterable[str]) -> GuardedStream:
        """Guard text that comes in chunks from elsewhere.

        Parameters
        ----------
        chunks : iterable of str
            Read as the result is read.

        Returns
        -------
        GuardedStream
            An iterator of released text.
        """
        return GuardedStream(lambda _stream: chunks, self.open_screen(), on_end=self.close_screen)

    def open_screen(self, *, vault: Vault | None = None) -> Screen:
        """Return what judges one text that the caller pushes in himself; tell :meth:`close_screen` how it ended.

        For texts that come interleaved, such as the choices of one streaming answer; otherwise use :meth:`screen`.
        """
        self._check_stage("output")
        return Screen(self._judge, wording=wording_of(vault, "output"))

    def close_screen(self, ended: Ended) -> str:
        """Make the record of a text that was pushed in; return the notice that follows it.

        Raises
        ------
        OutputError
            When the audit log cannot be written.
        """
        verdict = ended.screen.verdict()
        said = notices(self.policy, [verdict]) if ended.how == "finished" else ""
        judged = Judgement(verdict, ended.screen.text, ended.screen.brief())
        self._record([self._checked(judged, judged.text, ended.screen.released + said)])
        return said

    async def agenerate(
        self, prompts: Sequence[str], *, seed: int | Sequence[int] = 0, vault: Vault | None = None
    ) -> list[Response]:
        """Do as :meth:`generate`, without blocking the event loop."""
        return await asyncio.to_thread(self.generate, prompts, seed=seed, vault=vault)

    async def acheck(self, texts: Sequence[str], *, stage: Stage) -> list[Verdict]:
        """Do as :meth:`check`, without blocking the event loop."""
        return await asyncio.to_thread(self.check, texts, stage=stage)

    async def aapply(self, texts: Sequence[str], *, stage: Stage, vault: Vault | None = None) -> list[Judgement]:
        """Do as :meth:`apply`, without blocking the event loop."""
        return await asyncio.to_thread(self.apply, texts, stage=stage, vault=vault)

    def astream(self, prompt: str, *, seed: int = 0, vault: Vault | None = None) -> AsyncGuardedStream:
        """Do as :meth:`stream`, for ``async for``; generator and filters run in threads."""
        request = self._streamed(prompt, seed, vault)
        return AsyncGuardedStream(
            lambda stream: in_threads(request.chunks(stream)),
            Screen(self._judge, wording=wording_of(vault, "output")),
            on_end=lambda ended: self._end(request, ended),
            rewrite=_restorer(vault),
        )

    def ascreen(self, chunks: AsyncIterable[str]) -> AsyncGuardedStream:
        """Do as :meth:`screen`, for text that comes asynchronously."""
        return AsyncGuardedStream(lambda _stream: chunks, self.open_screen(), on_end=self.close_screen)

    def _asked_generator(self) -> SharedGenerator:
        if self._generator is None:
            raise ConfigError("this guard has no generator: give it one, or use check")
        return self._generator

    def _check_stage(self, stage: Stage) -> None:
        if stage not in ("input", "output"):
            raise ConfigError(f"unknown stage {stage!r}: expected 'input' or 'output'")
        if not self._judge.has_filters(stage):
            raise ConfigError(f"this guard has no {stage} filters, so nothing would be judged: give it some")

    def _streamed(self, prompt: str, seed: int, vault: Vault | None) -> StreamedRequest:
        generator = self._asked_generator()
        origin = replace(self._origin, generator=generator.name)
        [prompt], [seed] = _texts([prompt], "prompts"), _seeds(seed, 1)
        return StreamedRequest(self._judge, generator, origin, prompt, seed, vault)

    def _end(self, request: StreamedRequest, ended: Ended) -> str:
        decision, said = request.end(ended)
        self._record([decision] if decision is not None else [])
        return said

    def _checked(self, judged: Judgement, text: str, released: str) -> Decision:
        verdict = judged.verdict
        return Decision(
            kind="check",
            policy=self._origin.policy,
            filters=self._origin.filters,
            action=verdict.action,
            verdicts=(verdict,),
            prompt=text if verdict.stage == "input" else None,
            output=text if verdict.stage == "output" else None,
            released=released if released != text else None,
            verdict_briefs=(judged.brief,),
        )

    def _record(self, decisions: Sequence[Decision]) -> None:
        if self._audit_log is not None and decisions:
            self._audit_log.extend(decisions)
        if self._on_review is None:
            return
        for decision in decisions:
            if decision.action == Action.REVIEW:
                _hand_over(self._on_review, decision)


def _hand_over(on_review: Callable[[Decision], None], decision: Decision) -> None:
    try:
        on_review(decision)
    except Exception as error:
        raise OutputError(f"the request could not be handed to review: {type(error).__name__}: {error}") from error


def _restorer(vault: Vault | None) -> Rewrite | None:
    return None if vault is None else vault.restorer()


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
