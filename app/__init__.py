"""The HTTP door: Flask."""
