"""Drawing outputs from a generator for the requests that passed, again where the policy says so."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

from guard.batcher import Batcher
from guard.errors import AssayError, ConfigError, GeneratorError
from guard.freed_memory import FreedMemory
from guard.generators.callable import CallableGenerator
from guard.judge import Judge
from guard.policy import Policy
from guard.release import BARE, Wording
from guard.request import Request, derived_seed
from guard.schema import Action, Generator, Stage, Verdict
from guard.vault import Vault

__all__ = ["SharedGenerator", "admit", "as_generator", "chunks_of", "draw", "notices", "wording_of"]

_CALLERS_A_BATCH = 32
_Asked = tuple[list[str], list[int]]
"""Prompts and seeds of one caller."""


def as_generator(generator: Generator[str] | Callable[[str], str] | None) -> SharedGenerator | None:
    """Wrap a generator, or a function from one prompt to one output, for many threads; leave None as it is.

    Raises
    ------
    ConfigError
        When it is neither.
    """
    if generator is None:
        return None
    if isinstance(generator, Generator):
        return SharedGenerator(generator)
    if not callable(generator):
        raise ConfigError(f"{generator!r} is no generator: give an object with name and generate, or a function")
    return SharedGenerator(CallableGenerator(generator))


def admit(judge: Judge, prompts: Sequence[str], seeds: Sequence[int], vault: Vault | None) -> list[Request]:
    """Judge prompts; what is blocked gets its answer here.

    Parameters
    ----------
    judge : Judge
    prompts : sequence of str
    seeds : sequence of int
    vault : Vault or None
        Keeps what is redacted in them.

    Returns
    -------
    list of Request
    """
    found = judge.enforce(prompts, "input", wording=wording_of(vault, "input"))
    requests = [Request.admitted(*given) for given in zip(prompts, found, seeds, strict=True)]
    for request in requests:
        if request.action == Action.BLOCK:
            request.released = judge.policy.message
    return requests


def draw(generator: SharedGenerator, judge: Judge, requests: Sequence[Request], vault: Vault | None = None) -> None:
    """Generate for the requests and judge what comes, drawing again where the policy says so.

    An attempt after the first has a seed of its own, derived from the first one and the number of the attempt, and the
    policy's note with the categories that fired after its prompt.

    Raises
    ------
    GeneratorError
        When the generator fails or gives something other than one text a prompt.
    """
    firsts = [(request.seed, request.asked) for request in requests]
    pending = list(range(len(requests)))
    for attempt in range(judge.policy.regenerations + 1):
        for place in pending if attempt else ():
            seed, asked = firsts[place]
            requests[place].seed = derived_seed(seed, attempt)
            requests[place].asked = asked + _note(judge.policy, requests[place].drawn[-1])
        _draw_once(generator, judge, [requests[place] for place in pending], wording_of(vault, "output"))
        pending = [place for place in pending if requests[place].action == Action.REGENERATE]
        if not pending:
            break
    for place in pending:
        requests[place].block()
        requests[place].released = judge.policy.message
    for request in requests:
        if request.released is not None and request.action != Action.BLOCK:
            request.released += notices(judge.policy, [request.verdict, *request.drawn[-1:]])


def notices(policy: Policy, verdicts: Sequence[Verdict]) -> str:
    """Return what the policy wants said after a text on which these verdicts fell; empty where nothing."""
    wanted = [notice for verdict in verdicts for notice in policy.notices_for(verdict)]
    return "".join(f"\n\n{notice}" for notice in dict.fromkeys(wanted))


def wording_of(vault: Vault | None, stage: Stage) -> Wording:
    """Return how redacted text of a stage reads: with placeholders of the vault, or else the names of categories."""
    if vault is None:
        return BARE
    # A placeholder that a user typed may not name what the vault keeps; what a model writes it may name.
    plain = vault.escape if stage == "input" else BARE.plain
    return Wording(lambda category, value: vault.placeholder(category, value, stage=stage), plain)


def chunks_of(generator: SharedGenerator, prompt: str, seed: int) -> Iterator[str]:
    """Yield the output for a prompt in the pieces in which it comes; in one, where the generator cannot stream.

    Raises
    ------
    GeneratorError
        When the generator fails.
    """
    stream = getattr(generator.generator, "stream", None)
    if not callable(stream):
        yield from generator.outputs([prompt], [seed])
        return
    try:
        yield from stream(prompt, seed=seed)
    except AssayError:
        raise
    except Exception as error:
        raise GeneratorError(f"generator {generator.name} raised {type(error).__name__}: {error}") from error


def _note(policy: Policy, verdict: Verdict) -> str:
    """Return what the model is told about the attempt that was withheld. Category names only: no text goes in."""
    note = policy.note_for(verdict.triggered or ("it could not be checked",))
    return f"\n\n{note}" if note else ""


def _draw_once(generator: SharedGenerator, judge: Judge, requests: Sequence[Request], wording: Wording) -> None:
    outputs = generator.outputs([r.asked for r in requests], [r.seed for r in requests])
    found = judge.enforce(outputs, "output", wording=wording)
    for request, output, judged in zip(requests, outputs, found, strict=True):
        request.output = output
        request.drawn.append(judged.verdict)
        request.briefs.append(judged.brief)
        request.released = judge.policy.message if judged.verdict.action == Action.BLOCK else judged.text


class SharedGenerator:
    """Lets many threads share the calls of one generator, which is then never called twice at once.

    Parameters
    ----------
    generator : Generator
    """

    def __init__(self, generator: Generator[str]) -> None:
        self.generator, self.name = generator, str(generator.name)
        self._lock = threading.Lock()
        self._left_by_filters, self._left_by_generator = FreedMemory(), FreedMemory()
        self._calls: Batcher[_Asked, list[str] | BaseException] = Batcher(self._answer, max_items=_CALLERS_A_BATCH)

    def outputs(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[str]:
        """Return one text a prompt.

        Raises
        ------
        GeneratorError
            When the generator fails on these prompts, or gives something other than one text a prompt.
        """
        if not prompts:
            return []
        if self._lock.acquire(blocking=False):
            # Nobody else asks: on the caller's own thread, whose pool of arithmetic threads is there already.
            try:
                return self._outputs(list(prompts), list(seeds))
            finally:
                self._lock.release()
        found = self._calls.submit((list(prompts), list(seeds)))
        if isinstance(found, BaseException):
            raise found
        return found

    def _outputs(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[str]:
        """Generate, with the room that filters have left, and leave room for those that judge the outputs."""
        self._left_by_filters.hand_back()
        try:
            return _outputs(self.generator, prompts, seeds)
        finally:
            self._left_by_generator.hand_back()

    def _answer(self, asked: Sequence[_Asked]) -> list[list[str] | BaseException]:
        """Answer all callers in one call of the generator; where that fails, each alone, so that one costs no other."""
        try:
            prompts = [prompt for given, _ in asked for prompt in given]
            with self._lock:
                outputs = iter(self._outputs(prompts, [seed for _, given in asked for seed in given]))
            return [[next(outputs) for _ in given] for given, _ in asked]
        except BaseException as error:  # also what would end a thread: it belongs to the caller
            if len(asked) == 1:
                return [error]
            return [self._answer([one])[0] for one in asked]


def _outputs(generator: Generator[str], prompts: Sequence[str], seeds: Sequence[int]) -> list[str]:
    """One text a prompt, or a GeneratorError."""
    try:
        outputs = list(generator.generate(prompts, seed=seeds))
    except AssayError:
        raise
    except Exception as error:
        raise GeneratorError(f"generator {generator.name} raised {type(error).__name__}: {error}") from error
    if len(outputs) != len(prompts) or not all(isinstance(output, str) for output in outputs):
        kinds = sorted({type(output).__name__ for output in outputs})
        found = f"{len(outputs)} outputs ({', '.join(kinds) or 'nothing'})"
        raise GeneratorError(f"generator {generator.name} gave {found} for {len(prompts)} prompts, expected a str each")
    return outputs
