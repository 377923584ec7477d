/// Why an event was not delivered.
class MillraceFailure {
  const MillraceFailure(this.reason, this.detail, {this.byServer = false});

  /// A code for programs, such as `queue_full` or `too_large`.
  final String reason;

  /// A text for people.
  final String detail;

  /// Whether the server refused the event; otherwise the client let go of it.
  final bool byServer;

  @override
  String toString() => '$reason: $detail';
}

/// Called for each event that is not delivered. What it throws is caught.
typedef OnFailure = void Function(MillraceFailure failure, Map<String, Object?> event);
