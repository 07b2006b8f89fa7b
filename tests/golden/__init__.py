"""Bytes that must not change."""
