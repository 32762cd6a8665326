"""The folder of a fine-tuning: its settings, what was measured once, its state, and what it leaves behind."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from evals.finetuning.card import CHECK_HEAD, card_text, check_rows
from evals.finetuning.checking import Checked
from evals.finetuning.page import page_of
from evals.finetuning.request import FinetuneRequest
from evals.finetuning.result import FinetuneResult, plain
from evals.report.finetuned import finetuned_markdown
from evals.report.finetuned_html import finetuned_html
from guard import cache
from guard.errors import ConfigError, DataError, OutputError
from guard.train.generator.saving import ADAPTER, MERGED, merged_model, require_free, write_beside, write_merged
from guard.train.generator.tuned import Tuned

__all__ = ["RunFolder", "read_options"]

_RUN, _RECORD, _WORK = "run.json", "finetune.json", "work"


def read_options(out: Path) -> dict[str, Any]:
    """Return what the user said when the run in `out` began.

    Raises
    ------
    ConfigError
        There is no run, or it has ended.
    """
    RunFolder.require(out, resume=True)
    try:
        found = json.loads((out / _RUN).read_text(encoding="utf-8"))["options"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{out / _RUN} is damaged: begin anew in another folder") from error
    return dict(found)


class RunFolder:
    """The folder of one run.

    Parameters
    ----------
    request : FinetuneRequest
    checked : Checked
    identity : str
        Of everything that the weights depend on.

    Raises
    ------
    DataError
        The folder is of a run with another model, other data or other settings.
    OutputError
        It cannot be written.
    """

    def __init__(self, request: FinetuneRequest, checked: Checked, *, identity: str) -> None:
        self.out, self.work = request.out, request.out / _WORK
        self.begin(request)
        mark = self.work / "identity"
        if mark.exists() and mark.read_text(encoding="utf-8") != identity:
            raise DataError(
                f"{self.out} is of a run with another model, other data or other settings: give what it was begun with,"
                " or begin anew in another folder"
            )
        self._write(mark, identity)
        lines = [dict(zip(CHECK_HEAD, row, strict=True)) for row in check_rows(checked.lines)]
        self._write(self.out / "check.json", json.dumps({"lines": lines, "kinds": checked.kinds}, indent=2) + "\n")

    @staticmethod
    def require(out: Path, *, resume: bool) -> None:
        """Refuse a folder that is taken, or of which there is nothing to go on with.

        Raises
        ------
        ConfigError
        """
        if not resume:
            try:
                require_free(out)
            except ConfigError as error:
                hint = ", or go on with --resume" if (out / _RUN).exists() else ""
                raise ConfigError(f"{error}{hint}") from error
        elif not (out / _RUN).exists():
            raise ConfigError(f"{out} holds no fine-tuning to go on with: name the folder of one with --out")
        elif (out / _RECORD).exists():
            raise ConfigError(f"the run in {out} has ended: its model is there")

    @classmethod
    def begin(cls, request: FinetuneRequest) -> None:
        """Write down what the user said; what a run was begun with stays."""
        file = request.out / _RUN
        if not file.exists():
            settings = plain({key: value for key, value in vars(request).items() if key != "options"})
            content = {"options": plain(request.options), "settings": settings}
            cls._write(file, json.dumps(content, ensure_ascii=False, indent=2) + "\n")

    def get(self, name: str) -> Any:
        """Return what was kept under a name; None where nothing was.

        Raises
        ------
        DataError
            It is damaged.
        """
        file = self.work / f"{name}.json"
        if not file.exists():
            return None
        try:
            return json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DataError(f"{file} is damaged: delete it, and it is made again") from error

    def put(self, name: str, value: Any) -> None:
        """Keep a value."""
        self._write(self.work / f"{name}.json", json.dumps(value))

    def step_of(self, state: Path) -> int:
        """Return the step of a state; 0 where there is none, or none that can be read."""
        file = state / "state.safetensors"
        unreadable = (OSError, SafetensorError, ValueError, KeyError, TypeError)
        with suppress(*unreadable), safe_open(file, framework="numpy") as opened:
            return int(json.loads((opened.metadata() or {})["progress"])["step"])
        return 0

    def finish(self, result: FinetuneResult, record: Mapping[str, Any], tuned: Tuned, tokenizer: Any) -> None:
        """Write the model, its card, the record and the report; the model is there whole or not at all."""
        adapter = tuned.method != "full"
        with _told(self.out), cache.staging(self.work) as staged:
            if adapter:
                tuned.wrapped.save_pretrained(str(staged / ADAPTER), safe_serialization=True)
            if tuned.method != "prompt":
                merged = merged_model(tuned) if adapter else tuned.model
                if not adapter:
                    merged.set_attn_implementation(tuned.attention)
                write_merged(merged, tokenizer, staged / MERGED, base=result.source.folder)
            for folder in sorted(staged.iterdir()):
                card = card_text(result, adapter=folder.name == ADAPTER)
                write_beside(folder, card, record, record_name=_RECORD)
                cache.place(folder, self.out / folder.name)
        page = page_of(result, self.out / "curves.csv")
        self._write(self.out / "report.html", finetuned_html(page))
        self._write(self.out / "report.md", finetuned_markdown(page))
        samples = [vars(one) for one in result.samples]
        self._write(self.out / "samples.json", json.dumps(samples, ensure_ascii=False, indent=2) + "\n")
        self._write(self.out / _RECORD, json.dumps(record, ensure_ascii=False, indent=2) + "\n")
        for rest in (self.work, self.out / "base"):
            shutil.rmtree(rest, ignore_errors=True)

    @staticmethod
    def _write(file: Path, content: str) -> None:
        with _told(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            scratch = file.with_name(f"{file.name}.tmp")
            scratch.write_text(content, encoding="utf-8")
            os.replace(scratch, file)


@contextmanager
def _told(place: Path) -> Iterator[None]:
    """Turn what the system refuses into one line."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputError(
            f"cannot write {place} ({reason}): make room; the last good state is kept, go on with --resume"
        ) from error
