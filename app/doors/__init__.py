"""One module per dialect that clients speak; each ends in canonical events."""
