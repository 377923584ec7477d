"""From the words of other systems to events of ours: pure functions, one module a dialect."""
