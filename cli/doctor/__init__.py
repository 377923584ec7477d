"""`./millrace doctor`: look at everything a Millrace stands on, and say what to do."""

from cli.doctor.command import doctor

__all__ = ["doctor"]
