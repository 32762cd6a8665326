"""The command line: the environment of a run, the group, and its commands; nothing else lives here."""

from __future__ import annotations

import os
from importlib.metadata import version

import click

from evals.commands.assets import assets
from evals.commands.attack import attack
from evals.commands.audit import audit, report
from evals.commands.calibrate import calibrate
from evals.commands.compare import compare
from evals.commands.explain import explain
from evals.commands.finetune import finetune
from evals.commands.generate import generate
from evals.commands.harden import harden
from evals.commands.import_log import import_log
from evals.commands.plan import plan
from evals.commands.score import score
from evals.console import Commands

__all__ = ["main"]

# Before PyTorch is first loaded: the numeric mode in which a row does not depend on its batch
# (docs/design/determinism.md). A user's own setting stands.
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# What is wrong with a model is an error of ours, in one line; the rest is chatter between libraries.
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("assay"), prog_name="assay")
@click.pass_context
def main(context: click.Context) -> None:
    """Guard and audit generators.

    Exit codes: 0 pass, 1 fail, 2 usage or configuration error, 3 inconclusive (treat as not passed), 4 the tool
    failed.
    """
    if context.invoked_subcommand not in ("finetune", "harden"):
        # AMX tiles round a bfloat16 sum by the number of rows: fine for training, but no figure may depend on it.
        os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")
    if context.invoked_subcommand == "finetune":
        # Batches come in many shapes, and oneDNN keeps what it compiled for 1,024 of them: gigabytes.
        os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "200")


for command in (assets, attack, audit, calibrate, compare, explain, finetune, generate, harden, import_log, plan):
    main.add_command(command)
for command in (report, score):
    main.add_command(command)


if __name__ == "__main__":
    main()
