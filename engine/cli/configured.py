"""``--config``, for the commands that are configured."""

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from engine.config import Config, Override, load_config

F = TypeVar("F", bound=Callable[..., Any])  # Any: click passes options by name


def config_option(command: F) -> F:
    """``--config FILE``."""
    return click.option(
        "--config", "config_file", metavar="FILE", envvar="PLIMSOLL_CONFIG", help="TOML file. [env: PLIMSOLL_CONFIG]"
    )(command)


def configured(config_file: str | None, *flags: tuple[str, str, object]) -> Config:
    """The configuration with flags over it, each as (flag, dotted setting, value); None: not given."""
    overrides = tuple(
        Override(tuple(setting.split(".")), value, flag) for flag, setting, value in flags if value is not None
    )
    return load_config(config_file, os.environ, overrides)
