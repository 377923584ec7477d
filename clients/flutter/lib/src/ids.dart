import 'dart:math';

final Random _random = Random.secure();

/// Makes a UUIDv7 (RFC 9562): the time in milliseconds, then random bits.
String uuid7([DateTime? now]) {
  final head =
      (now ?? DateTime.now()).millisecondsSinceEpoch.toRadixString(16).padLeft(12, '0');
  final tail = StringBuffer();
  for (var index = 0; index < 18; index++) {
    tail.write(_random.nextInt(16).toRadixString(16));
  }
  final random = tail.toString();
  final variant = (8 + _random.nextInt(4)).toRadixString(16);
  return '${head.substring(0, 8)}-${head.substring(8)}-7${random.substring(0, 3)}'
      '-$variant${random.substring(3, 6)}-${random.substring(6)}';
}
