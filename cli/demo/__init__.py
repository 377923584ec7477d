"""`./millrace demo`: a shop's events, from HTTP to recommendations, with proof."""

from cli.demo.command import demo

__all__ = ["demo"]
