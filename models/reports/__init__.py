"""The figures of the reports, from aggregates where these are current and from events where not."""
