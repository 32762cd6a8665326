"""The folder of a hardening on its way: what was made once is read again when a run that was killed starts anew."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from guard.errors import DataError, OutputError

__all__ = ["WorkFolder"]


class WorkFolder:
    """Results by name, as JSON, of one set of settings.

    Parameters
    ----------
    folder : pathlib.Path
    identity : str
        Of everything that the results depend on.

    Attributes
    ----------
    spent : dict of str to dict
        Seconds of the clock and of the processor that each result took, whenever it was made.

    Raises
    ------
    DataError
        The folder is of a run with other settings.
    OutputError
        It cannot be made.
    """

    def __init__(self, folder: Path, *, identity: str) -> None:
        self.folder, self.spent = folder, dict[str, dict[str, float]]()
        mark = folder / "identity"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not mark.exists():
                self._write(mark, identity)
            found = mark.read_text(encoding="utf-8")
        except OSError as error:
            raise OutputError(f"cannot write {folder} ({error.strerror}): name another folder with --out") from error
        if found != identity:
            raise DataError(
                f"{folder} is of a run with another model, other data or other settings, which was not ended: give its"
                " settings to go on with it, or delete it"
            )

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """Return what `make` returned the first time, as JSON gives it back.

        Raises
        ------
        DataError
            What was kept is damaged.
        """
        file = self.folder / f"{name}.json"
        if not file.exists():
            wall, cpu = time.monotonic(), time.process_time()
            made = {"value": make(), "wall_s": time.monotonic() - wall, "cpu_s": time.process_time() - cpu}
            self._write(file, json.dumps(made))
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            self.spent[name] = {"wall_s": found["wall_s"], "cpu_s": found["cpu_s"]}
            return found["value"]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{file} is damaged: delete it, and it is made again") from error

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @staticmethod
    def _write(file: Path, content: str) -> None:
        scratch = file.with_suffix(".tmp")
        scratch.write_text(content, encoding="utf-8")
        os.replace(scratch, file)
