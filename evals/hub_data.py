"""Files of a data set on the hub, at one commit; tables only, so that nothing of the data set is ever run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from evals.rows import FORMATS
from guard.errors import AssetError, ConfigError, DataError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

__all__ = ["HubName", "hub_table", "split_files"]

_NAME = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^:\s]+))?(?::(?P<split>[\w./-]+))?", re.ASCII)
_CONVERTED = "refs/convert/parquet"
"""Branch to which the hub converts what it can read."""

_TOKENS = re.compile(r"[/._-]")
_SPLITS = frozenset({"train", "test", "validation", "valid", "val", "dev"})
_BEST_FIRST = ("parquet", "jsonl", "csv")


@dataclass(frozen=True)
class HubName:
    """What a user names on the hub.

    Parameters
    ----------
    repo : str
        ``ORGANISATION/NAME``.
    revision : str or None
        A branch, tag or commit; None for the main branch.
    split : str or None
        A part of the names of its files, ``CONFIGURATION/SPLIT`` where there are several configurations.
    """

    repo: str
    revision: str | None = None
    split: str | None = None

    @classmethod
    def parse(cls, text: str) -> HubName:
        """Read ``ORGANISATION/NAME[@REVISION][:SPLIT]``.

        Raises
        ------
        ConfigError
            It is not of this form.
        """
        found = _NAME.fullmatch(text)
        if found is None:
            raise ConfigError(
                f"hub:{text[:80]} is no data set: give hub:ORGANISATION/NAME, perhaps with @REVISION or :SPLIT"
            )
        return cls(**found.groupdict())


def hub_table(text: str, *, endpoint: str | None = None, cache: Path | None = None) -> list[Path]:
    """Fetch the files of one split of a data set, or take them from the cache of the hub's library.

    Parameters
    ----------
    text : str
        As :meth:`HubName.parse` reads it.
    endpoint : str, optional
        Another hub than the public one; the library also reads ``HF_ENDPOINT``.
    cache : pathlib.Path, optional

    Returns
    -------
    list of pathlib.Path
        CSV, JSON Lines or Parquet, in the order of their names.

    Raises
    ------
    ConfigError
        The name has another form.
    DataError
        There is no such data set or split, it has no tables, or several splits and none was named.
    AssetError
        The hub cannot be reached.
    """
    from huggingface_hub import HfApi, hf_hub_download

    name = HubName.parse(text)
    api = HfApi(endpoint=endpoint)
    for revision in [name.revision] if name.revision else [None, _CONVERTED]:
        commit, files = _listed(api, name, revision)
        if any(_format(file) for file in files):
            chosen = split_files(files, name)
            with _explained(name):
                fetch = partial(hf_hub_download, name.repo, repo_type="dataset", revision=commit, endpoint=endpoint)
                return [Path(fetch(filename=file, cache_dir=cache)) for file in chosen]
    raise DataError(
        f"hub:{name.repo} has no CSV, JSON Lines or Parquet: a data set that is made by a script of its own is not run;"
        " convert it, and give the file"
    )


def split_files(files: Sequence[str], name: HubName) -> list[str]:
    """Choose the files of the split, in one format.

    Parameters
    ----------
    files : sequence of str
        Of the data set.
    name : HubName

    Raises
    ------
    DataError
        None of them is of the split, or no split was named and there are several.
    """
    tables = sorted(file for file in files if _format(file))
    splits = sorted({token for file in tables for token in _TOKENS.split(file)} & _SPLITS)
    if name.split is None and len(splits) > 1:
        raise DataError(f"hub:{name.repo} has the splits {', '.join(splits)}: name one, as hub:{name.repo}:{splits[0]}")
    wanted = _TOKENS.split(name.split) if name.split else []
    chosen = [file for file in tables if _holds(_TOKENS.split(file), wanted)]
    if not chosen:
        known = ", ".join(splits) or ", ".join(tables[:8])
        raise DataError(f"hub:{name.repo} has no split {name.split!r}; it has {known}: name another")
    best = min((_format(file) for file in chosen), key=lambda known: _BEST_FIRST.index(str(known)))
    return [file for file in chosen if _format(file) == best]


def _holds(tokens: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether the wanted tokens stand among the others in their order."""
    rest = iter(tokens)
    return all(token in rest for token in wanted)


def _format(file: str) -> str | None:
    return next((known for suffix, known in FORMATS.items() if file.lower().endswith(suffix)), None)


def _listed(api: HfApi, name: HubName, revision: str | None) -> tuple[str, list[str]]:
    """Return the commit of a revision and its files; none of the hub's own branch where that is not there."""
    from huggingface_hub.errors import RevisionNotFoundError

    try:
        with _explained(name):
            info = api.dataset_info(name.repo, revision=revision)
    except DataError as error:
        if revision == _CONVERTED and isinstance(error.__cause__, RevisionNotFoundError):
            return "", []
        raise
    return info.sha or "", [one.rfilename for one in info.siblings or []]


@contextmanager
def _explained(name: HubName) -> Iterator[None]:
    """Say in one line what came of asking the hub."""
    from huggingface_hub import errors

    try:
        yield
    except errors.RevisionNotFoundError as error:
        raise DataError(f"hub:{name.repo} has no revision {name.revision!r}: name a branch, tag or commit") from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise DataError(
            f"hub:{name.repo} is not there, or not open to you: check the name, and HF_TOKEN if it is private"
        ) from error
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        raise AssetError(f"hub:{name.repo} cannot be had ({reason}): fetch it, and give the file") from error
