"""From what a client sends to the rows that are stored: checks, ids and times. No web, no queue."""
