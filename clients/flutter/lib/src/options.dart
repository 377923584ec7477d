import 'consent.dart';
import 'failure.dart';

/// Changes an event before it is queued; null leaves it out.
typedef BeforeSend = Map<String, Object?>? Function(Map<String, Object?> event);

/// What a client is made with.
class MillraceOptions {
  const MillraceOptions({
    required this.host,
    this.writeKey,
    this.path = '/mr/in',
    this.consent = Consent.granted,
    this.source,
    this.deviceType = 'mobile',
    this.context = const {},
    this.beforeSend,
    this.onFailure,
    this.flushAt = 10,
    this.flushEvery = const Duration(seconds: 5),
    this.batchEvents = 100,
    this.batchBytes = 256 * 1024,
    this.maxEvents = 1000,
    this.maxBytes = 1024 * 1024,
    this.maxEventBytes = 2048,
    this.maxAge = const Duration(days: 7),
    this.sessionIdle = const Duration(minutes: 30),
    this.gzipFrom = 1024,
    this.timeout = const Duration(seconds: 15),
    this.retryBase = const Duration(seconds: 1),
    this.retryCap = const Duration(minutes: 5),
    this.retryAfterCap = const Duration(hours: 1),
  });

  /// Where Millrace is, such as https://events.example.com.
  final String host;

  /// The write key; null where the installation asks for none.
  final String? writeKey;

  /// The path of the door.
  final String path;

  /// The state until the person chooses; a choice is kept from then on.
  final Consent consent;

  /// Where events come from; the operating system by default (android, ios, …).
  final String? source;

  final String? deviceType;

  /// Context of every event, under what the event itself has.
  final Map<String, Object?> context;

  final BeforeSend? beforeSend;
  final OnFailure? onFailure;

  /// Events that are sent at once.
  final int flushAt;

  /// The longest wait of an event before it is sent.
  final Duration flushEvery;

  /// Events and bytes of JSON of one request.
  final int batchEvents;
  final int batchBytes;

  /// Events and bytes of JSON that the queue holds. The newest is dropped when it is full.
  final int maxEvents;
  final int maxBytes;

  /// Bytes of JSON one event may have: the server's ANALYTICS_MAX_EVENT_SIZE.
  final int maxEventBytes;

  /// Age at which an event is given up.
  final Duration maxAge;

  /// Idle time that ends a session.
  final Duration sessionIdle;

  /// Bytes from which a request is packed with gzip.
  final int gzipFrom;

  final Duration timeout;

  /// The first pause is up to this long; each next one up to twice as long, up to [retryCap].
  final Duration retryBase;
  final Duration retryCap;

  /// The longest pause a server may ask for with Retry-After.
  final Duration retryAfterCap;

  /// The address events are posted to.
  Uri get url {
    final base = host.endsWith('/') ? host.substring(0, host.length - 1) : host;
    return Uri.parse(path.startsWith('/') ? '$base$path' : '$base/$path');
  }
}
