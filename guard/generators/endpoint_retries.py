"""When an endpoint is asked again, and when not before: faults, waits between tries, and a pace of our own."""

from __future__ import annotations

import email.utils
import math
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass

from guard.errors import ConfigError
from guard.generators.failures import FailureKind, GenerationFailure

__all__ = ["Fault", "Limits", "Pace", "Trial", "fault_of_status", "retry_after", "wait_before"]

_MOST_WAIT_S = 30.0
_JITTER = 0.5
_FATAL = {401: "the key", 402: "to go on without payment", 403: "the key"}
_QUOTA = ("insufficient_quota", "billing_hard_limit_reached")
_FILTERED = ("content_filter", "content_policy_violation")
_TOO_LONG = ("context length", "context_length", "context window", "too long", "too many tokens")
_AGAIN = {408, 409, 425}


@dataclass(frozen=True)
class Limits:
    """How hard an endpoint is pressed, and how long it is waited for.

    Parameters
    ----------
    concurrency : int
        Requests under way at once.
    tries : int
        Requests for one output, refusals for the rate (429) not counted: those are bounded by `deadline_s`.
    timeout_s : float
        From the start of a request to the last byte of its answer, so that one that drips cannot hold up the run.
    connect_s : float
        For the connection alone.
    deadline_s : float
        For one output, all tries and waits together, from its first request on.
    requests_per_minute, tokens_per_minute : float or None
        A pace of our own; None keeps none. Tokens are estimated before a request and corrected after it.
    backoff_s : float
        The wait before the first retry; it doubles each time up to 30 s, and is cut by a random share of up to a half.
    give_up_after : int
        So many outputs in a row that cannot be had end the run.

    Raises
    ------
    ConfigError
        A number that means nothing.
    """

    concurrency: int = 8
    tries: int = 6
    timeout_s: float = 120.0
    connect_s: float = 10.0
    deadline_s: float = 600.0
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    backoff_s: float = 0.5
    give_up_after: int = 10

    def __post_init__(self) -> None:
        """Refuse what no run could mean."""
        counts = (self.concurrency, self.tries, self.give_up_after)
        times = (self.timeout_s, self.connect_s, self.deadline_s, self.backoff_s)
        paces = (self.requests_per_minute, self.tokens_per_minute)
        given = [*times, *(pace for pace in paces if pace is not None)]
        if min(counts) < 1 or not all(0 < one < math.inf for one in given):
            raise ConfigError(f"{self}: counts are at least 1, times and paces above 0")


class Fault(Exception):  # noqa: N818  # one request that failed, not an error of the program
    """A request that brought no output.

    Parameters
    ----------
    kind : FailureKind
    reason : str
        One line.
    again : bool
        Whether another try may help.
    after_s : float or None
        Not before so many seconds, as the endpoint says.
    fatal : bool
        Whether no request can succeed.
    """

    def __init__(
        self,
        kind: FailureKind,
        reason: str,
        *,
        again: bool = True,
        after_s: float | None = None,
        fatal: bool = False,
    ) -> None:
        super().__init__(reason)
        self.kind, self.reason, self.again, self.after_s, self.fatal = kind, reason, again, after_s, fatal


def fault_of_status(status: int, *, code: str, said: str, after_s: float | None) -> Fault:
    """Return what an HTTP status other than success means for the row and for the run.

    Parameters
    ----------
    status : int
    code : str
        The endpoint's own code of the error, or an empty string.
    said : str
        Its message, in one line.
    after_s : float or None
        What its Retry-After says.
    """
    # What is said about a key may hold parts of it.
    reason = f"it answered {status}" + (f" ({said})" if said and status != 401 else "")
    if status in _FATAL:
        return Fault("rejected", f"the endpoint refused {_FATAL[status]}: {reason}", again=False, fatal=True)
    if status == 404:
        return Fault("rejected", f"the endpoint has no such model or path: {reason}", again=False, fatal=True)
    if code in _QUOTA:
        return Fault("rate_limit", f"the quota is used up: {reason}", again=False, fatal=True)
    if code in _FILTERED:
        return Fault("content_filter", f"the endpoint's own content filter stopped the prompt: {reason}", again=False)
    if status == 429:
        return Fault("rate_limit", reason, after_s=after_s)
    if status >= 500 or status in _AGAIN:
        return Fault("server", reason, after_s=after_s)
    if status == 413 or any(words in f"{code} {said}".lower() for words in _TOO_LONG):
        return Fault("too_long", reason, again=False)
    return Fault("rejected", reason, again=False)


def retry_after(headers: Mapping[str, str], *, now: float | None = None) -> float | None:
    """Return how many seconds an endpoint asks to be left alone.

    Parameters
    ----------
    headers : mapping of str to str
        ``retry-after`` in seconds or as a date (RFC 9110, section 10.2.3), or ``retry-after-ms``.
    now : float, optional
        Seconds since the epoch; for dates.

    Returns
    -------
    float or None
        0 or more; None where it says nothing, or nothing that can be read.
    """
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) / scale
        except ValueError:
            continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    try:
        date = email.utils.parsedate_to_datetime(headers.get("retry-after", ""))
        return max(0.0, date.timestamp() - (time.time() if now is None else now))
    except (ValueError, OverflowError):
        return None


def wait_before(attempt: int, *, backoff_s: float, after_s: float | None) -> float:
    """Return the seconds to wait after the failed try number `attempt`, from 1.

    The endpoint's own word is the least; on top of it comes a part of the backoff, so that those who were refused
    together do not come back together. The random part is a matter of time only and touches no figure.
    """
    backoff = min(_MOST_WAIT_S, backoff_s * 2.0 ** min(attempt - 1, 30))
    jittered = backoff * (1 - _JITTER * random.random())  # noqa: S311  # no secret
    return jittered if after_s is None else after_s + jittered * _JITTER


class Trial:
    """Keeps to the limits for one output: how often it was asked for, how long it took, and why it failed.

    Parameters
    ----------
    limits : Limits
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._attempts = self._counted = 0
        self._started: float | None = None
        self._allowed_s = 0.0
        self._fault: Fault | None = None

    def begin(self, now: float) -> float:
        """Begin a try; return how long it may take, in seconds, which is 0 where there is no time left for it.

        The clock starts with the first try: waiting for one's own pace is no fault of the endpoint.
        """
        self._started = now if self._started is None else self._started
        left_s = self._limits.deadline_s - (now - self._started)
        self._attempts += left_s > 0
        self._allowed_s = max(0.0, min(self._limits.timeout_s, left_s))
        return self._allowed_s

    def wait_after(self, fault: Fault, now: float) -> float | None:
        """Return how long to wait before the next try, in seconds; None where there is to be none."""
        limits = self._limits
        is_cut = fault.kind == "timeout" and self._allowed_s < limits.timeout_s  # by the deadline: it says nothing new
        self._fault = self._fault if is_cut and self._fault is not None else fault
        self._counted += fault.kind != "rate_limit"
        wait_s = wait_before(self._attempts, backoff_s=limits.backoff_s, after_s=fault.after_s)
        is_late = self._spent_s(now) + wait_s >= limits.deadline_s
        return None if not fault.again or is_late or self._counted >= limits.tries else wait_s

    def failure(self, now: float) -> GenerationFailure:
        """Return what stands in the place of the output."""
        fault = self._fault or Fault("timeout", "there was no time to ask")
        tried = f" ({self._attempts} tries in {self._spent_s(now):.0f} s)" if self._attempts > 1 else ""
        return GenerationFailure(fault.kind, fault.reason + tried, self._attempts)

    def _spent_s(self, now: float) -> float:
        return now - (now if self._started is None else self._started)


class Pace:
    """Spreads a quantity evenly over time.

    Parameters
    ----------
    per_minute : float

    Notes
    -----
    Each reservation moves the earliest start of the next one by its own share of a minute. So the starts within any
    60 s never add up to more than the limit and one reservation, without the burst that a bucket of tokens lets pass.
    """

    def __init__(self, per_minute: float) -> None:
        self._s_each = 60.0 / per_minute
        self._free_at = -math.inf

    def reserve(self, amount: float, *, now: float) -> float:
        """Take a place in the queue; return how long it is until the start, in seconds."""
        start = max(now, self._free_at)
        self._free_at = start + amount * self._s_each
        return start - now

    def correct(self, difference: float) -> None:
        """Book what was used beyond the reservation, or give back what was not."""
        self._free_at += difference * self._s_each
