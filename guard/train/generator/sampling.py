"""A model sampled on prompts and judged, group by group on disk, so that a run that was killed asks nothing twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from guard.errors import ConfigError, DataError, OutputError
from guard.locked_lines import lock_alone, whole_lines, write_lines
from guard.schema import Generator
from guard.train.generator.judging import TrainingJudge
from guard.train.generator.pairs import Sampled

__all__ = ["SampleSettings", "sample", "sample_seed"]


@dataclass(frozen=True)
class SampleSettings:
    """How often a model is asked.

    Parameters
    ----------
    answers : int
        A prompt, at least 2.
    group : int
        Prompts between two writes.
    seed : int
    """

    answers: int = 8
    group: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        if self.answers < 2 or self.group < 1:
            raise ConfigError(
                f"{self.answers} answers a prompt in groups of {self.group}: give 2 or more, and 1 or more"
            )


def sample_seed(seed: int, prompt: str, number: int) -> int:
    """Return the seed of an answer in [0, 2**31), whatever else is asked."""
    content = f"{seed}\0{number}\0{prompt}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(content).digest()[:4], "big") >> 1


def sample(
    generator: Generator[str],
    prompts: Sequence[str],
    judge: TrainingJudge,
    settings: SampleSettings,
    *,
    file: Path | None = None,
    identity: str = "",
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> list[Sampled]:
    """Ask a model several times for each prompt and judge what it says.

    Parameters
    ----------
    generator : Generator
        What it says is a function of prompt and seed; how it decodes is its own.
    prompts : sequence of str
        Those that come twice are asked once.
    judge : TrainingJudge
    settings : SampleSettings
    file : pathlib.Path, optional
        JSON Lines that grow as it goes; a run that was killed goes on behind its last whole line.
    identity : str
        Of everything that the answers depend on besides: the weights as they are, and how they decode.
    tell : callable
        Gets the prompts done and their number.

    Returns
    -------
    list of Sampled
        In the order of the prompts.

    Raises
    ------
    DataError
        No prompt, or a file of another run.
    GeneratorError, FilterError
        As generator and judge raise them.
    OutputError
        The file cannot be written.
    """
    distinct = list(dict.fromkeys(prompts))
    if not distinct:
        raise DataError("no prompt to sample the model on: give texts of four words or more")
    groups = [distinct[at : at + settings.group] for at in range(0, len(distinct), settings.group)]
    if file is None:
        return [one for group in groups for one in _asked(generator, group, judge, settings)]
    head = {"identity": _identity(generator, distinct, judge, settings, identity)}
    return list(_kept(file, head, groups, lambda group: _asked(generator, group, judge, settings), tell))


def _asked(
    generator: Generator[str], prompts: Sequence[str], judge: TrainingJudge, settings: SampleSettings
) -> list[Sampled]:
    n = settings.answers
    rows = [(prompt, sample_seed(settings.seed, prompt, number)) for prompt in prompts for number in range(n)]
    answers = list(generator.generate([prompt for prompt, _ in rows], seed=[seed for _, seed in rows]))
    scores = judge.scores(answers).tolist()
    return [
        Sampled(prompt, tuple(answers[at * n : (at + 1) * n]), tuple(scores[at * n : (at + 1) * n]))
        for at, prompt in enumerate(prompts)
    ]


def _identity(
    generator: Generator[str], prompts: Sequence[str], judge: TrainingJudge, settings: SampleSettings, identity: str
) -> str:
    parts = [generator.name, judge.name, asdict(settings), identity, list(prompts)]
    return hashlib.sha256(json.dumps(parts).encode("ascii")).hexdigest()


def _kept(
    file: Path,
    head: dict[str, str],
    groups: Sequence[Sequence[str]],
    ask: Callable[[Sequence[str]], list[Sampled]],
    tell: Callable[[int, int], None],
) -> Iterator[Sampled]:
    """Yield what the file holds, then what is asked now, which is on disk before it is yielded."""
    total, done = sum(len(group) for group in groups), 0
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        stream = file.open("a+b")
    except OSError as error:
        raise OutputError(f"cannot write {file} ({error.strerror}): name another folder") from error
    with stream:
        lock_alone(stream, file, way_out="name another folder")
        lines = whole_lines(stream)
        known = _read(file, lines, head)
        stream.truncate(sum(len(line) for line in lines))
        if not lines:
            write_lines(stream, [head])
        for group in groups:
            found = [known[prompt] for prompt in group if prompt in known]
            if len(found) < len(group):
                found = ask(group)
                write_lines(stream, [asdict(one) for one in found])
            done += len(group)
            tell(done, total)
            yield from found


def _read(file: Path, lines: Sequence[bytes], head: dict[str, str]) -> dict[str, Sampled]:
    try:
        parsed = [json.loads(line) for line in lines]
        if parsed and parsed[0] != head:
            raise DataError(f"{file} is of another model, other prompts or other settings: delete it to sample anew")
        rows = [(one["prompt"], one["answers"], one["scores"]) for one in parsed[1:]]
        return {prompt: Sampled(prompt, tuple(answers), tuple(scores)) for prompt, answers, scores in rows}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} is damaged ({error}): delete it to sample anew") from error
