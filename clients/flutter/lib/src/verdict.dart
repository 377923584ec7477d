import 'dart:convert';

import 'failure.dart';
import 'transport.dart';

/// What an answer means for the events of a request, by their place in it.
class Verdict {
  Verdict({this.failed = const {}, this.again = const {}, this.halve = false});

  /// Refused or not wanted: not sent again.
  final Map<int, MillraceFailure> failed;

  /// To be sent again.
  final Set<int> again;

  /// The request was too large, and is sent in halves.
  final bool halve;
}

/// Reads the server's answer to a request with so many events.
Verdict judge(Answer answer, int events) {
  final all = {for (var index = 0; index < events; index++) index};
  final status = answer.status;
  if (status >= 500 || status == 408 || status == 425 || status == 429) {
    return Verdict(again: all);
  }
  if (status == 413 && events > 1) {
    return Verdict(halve: true);
  }
  if (status == 204) {
    const failure = MillraceFailure('not_collected', 'the server collects nothing at present');
    return Verdict(failed: {for (final index in all) index: failure});
  }
  final problem = _readObject(answer.body);
  final results = problem['results'];
  if (results is List<Object?> && (status < 300 || status == 422)) {
    return _judgeEach(results, events);
  }
  if (status < 300) {
    return Verdict();
  }
  final failure = MillraceFailure(
    '${problem['code'] ?? 'http_$status'}',
    'the server answered $status: ${problem['detail'] ?? ''}',
    byServer: true,
  );
  return Verdict(failed: {for (final index in all) index: failure});
}

Verdict _judgeEach(List<Object?> results, int events) {
  final failed = <int, MillraceFailure>{};
  final again = <int>{};
  for (final result in results) {
    if (result is! Map<String, Object?>) {
      continue;
    }
    final index = result['index'];
    if (index is! int || index < 0 || index >= events) {
      continue;
    }
    final reason = '${result['reason'] ?? 'rejected'}';
    switch (result['status']) {
      case 'rejected':
        failed[index] = MillraceFailure(reason, '${result['detail'] ?? reason}', byServer: true);
      case 'retry':
        again.add(index);
    }
  }
  return Verdict(failed: failed, again: again);
}

Map<String, Object?> _readObject(String body) {
  try {
    final found = jsonDecode(body);
    return found is Map<String, Object?> ? found : {};
  } on FormatException {
    return {};
  }
}
