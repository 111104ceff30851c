"""``lepton crusoe double``: try everything without an account."""

from __future__ import annotations

import secrets
from typing import Any

import click

from lepton_doubles.crusoe_cloud.cloud import CrusoeDouble
from lepton_doubles.crusoe_cloud.parts import CrusoeSettings
from lepton_sdk.testing.doubles import DoubleCommand, SSHMachines

__all__ = ["command"]

_PROJECT = "00000000-0000-4000-8000-000000000001"


def _new_secret() -> str:
    # HMAC pads a key with zeros, so a key that ends in a zero would equal the key without it.
    return secrets.token_urlsafe(23)[:-1] + "gE"


def _make(machines: SSHMachines, **options: Any) -> CrusoeDouble:
    settings = CrusoeSettings(options["boot"], options["ending"])
    keys = {options["access_key_id"]: options["secret_key"]}
    return CrusoeDouble(machines, settings, project=options["project"], keys=keys)


def _credentials(**options: Any) -> dict[str, tuple[str, str]]:
    names = {"access_key_id": "access_key_id", "secret_key": "secret_key", "project_id": "project"}
    return {name: (f"CRUSOE_{name.upper()}", options[option]) for name, option in names.items()}


def command() -> click.Group:
    """The command ``lepton crusoe``."""
    return DoubleCommand(
        "crusoe",
        "Crusoe Cloud",
        _make,
        credentials=_credentials,
        example="lepton run --provider crusoe --gpu L40S:1 -- nvidia-smi",
        options=(
            click.Option(["--project"], default=_PROJECT, show_default=True, help="Id of its one project."),
            click.Option(["--access-key-id"], default="double", show_default=True, help="The key's public half."),
            click.Option(["--secret-key"], default=_new_secret, help="Its secret half; random by default."),
            click.Option(["--ending"], type=float, default=1.0, show_default=True, help="Seconds until a machine is gone."),
        ),
        port=8911,
        ssh_port=2201,
        watchdog=True,
    ).group()
