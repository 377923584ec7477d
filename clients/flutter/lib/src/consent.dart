/// What the person has said about being tracked.
enum Consent {
  /// Events are stored and sent.
  granted,

  /// Nothing is tracked, and nothing is kept.
  denied,

  /// The person has not chosen yet: events wait in memory only, and nothing is sent.
  pending,
}
