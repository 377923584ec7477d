import 'dart:io';
import 'dart:math';

final Random _random = Random();

/// Gives the pause after so many failed attempts, with full jitter.
///
/// What the server asked for is waited in full; a little more spreads apps that were all told the
/// same second.
Duration nextWait(
  int attempts, {
  required Duration? asked,
  required Duration base,
  required Duration cap,
}) {
  if (asked != null) {
    return asked + _upTo(base);
  }
  // The exponent is bounded: a shift by more would overflow.
  final longest = base * (1 << min(attempts, 20));
  return _upTo(longest < cap ? longest : cap);
}

/// Reads a Retry-After header, seconds or an HTTP date, as a pause up to [cap].
Duration? readRetryAfter(String? text, {required Duration cap, DateTime? now}) {
  if (text == null) {
    return null;
  }
  final Duration asked;
  final seconds = int.tryParse(text.trim());
  if (seconds != null) {
    asked = Duration(seconds: min(seconds, cap.inSeconds));
  } else {
    final DateTime moment;
    try {
      moment = HttpDate.parse(text);
    } on HttpException {
      return null;
    } on FormatException {
      return null;
    }
    asked = moment.difference(now ?? DateTime.now());
  }
  if (asked.isNegative) {
    return Duration.zero;
  }
  return asked < cap ? asked : cap;
}

Duration _upTo(Duration longest) => longest * _random.nextDouble();
