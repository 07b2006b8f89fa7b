"""The HTTP door: events in, views, health, metrics, and the notifications for consumers in other processes."""

from projections.api.app import create_app
from projections.api.keys import new_key
from projections.api.options import ApiKey, ApiOptions, Limits, OptionsError, Scope
from projections.api.server import ListenError, listen, serve

__all__ = [
    "ApiKey",
    "ApiOptions",
    "Limits",
    "ListenError",
    "OptionsError",
    "Scope",
    "create_app",
    "listen",
    "new_key",
    "serve",
]
