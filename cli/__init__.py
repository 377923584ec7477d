"""The command door: the same functions by hand."""
