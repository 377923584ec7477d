/// What became of the events since the app started, at one moment.
class MillraceStats {
  const MillraceStats({
    required this.queued,
    required this.sent,
    required this.rejected,
    required this.dropped,
  });

  /// Waiting, or on their way.
  final int queued;

  /// Confirmed by the server.
  final int sent;

  /// Refused by the server, by reason.
  final Map<String, int> rejected;

  /// Let go by the client, by reason.
  final Map<String, int> dropped;
}
