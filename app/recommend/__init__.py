"""Recommendation lists: what is wished for, who asks, what the model and the shelves say to it."""
