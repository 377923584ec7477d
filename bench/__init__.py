"""Measure Millrace against a yardstick in the same run: only the ratio travels."""
