"""Measure Millrace against a yardstick in the same run, so that the ratio means something anywhere."""
