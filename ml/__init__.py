"""Numbers: frames and arrays in and out; no database, web or queue.

Nothing is imported here, so that `ml.serving` loads numpy and nothing heavier.
"""
