"""Sending events over HTTP."""
