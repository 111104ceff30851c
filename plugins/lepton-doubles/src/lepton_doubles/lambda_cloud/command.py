"""``lepton lambda double``: try everything without an account."""

from __future__ import annotations

from typing import Any

import click

from lepton_doubles.lambda_cloud.cloud import LambdaDouble, LambdaSettings
from lepton_sdk.testing.doubles import DoubleCommand, SSHMachines

__all__ = ["command"]


def _make(machines: SSHMachines, **options: Any) -> LambdaDouble:
    times = {name: options[name] for name in ("boot", "end", "pace", "launch_pace")}
    return LambdaDouble(machines, LambdaSettings(**times), options["key"])


def command() -> click.Group:
    """The command ``lepton lambda``."""
    return DoubleCommand(
        "lambda",
        "Lambda Cloud",
        _make,
        credentials=lambda **options: {"api_key": ("LAMBDA_API_KEY", options["key"])},
        example="lepton run --provider lambda --gpu A10:1 -- nvidia-smi",
        options=(
            click.Option(["--key"], default="double-key", help="The accepted API key."),
            click.Option(["--pace"], type=float, default=1.0, help="Seconds between two requests; 0 for no limit."),
            click.Option(["--launch-pace"], type=float, default=12.0, help="Seconds between two launches; 0 for no limit."),
            click.Option(["--end"], type=float, default=1.0, help="Seconds until a terminated machine is gone."),
        ),
        port=4010,
    ).group()
