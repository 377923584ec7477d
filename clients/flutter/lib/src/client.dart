import 'dart:async';
import 'dart:convert';
import 'dart:io';

import 'backoff.dart';
import 'consent.dart';
import 'failure.dart';
import 'ids.dart';
import 'options.dart';
import 'person.dart';
import 'queue.dart';
import 'stats.dart';
import 'store.dart';
import 'transport.dart';
import 'verdict.dart';

const String _version = '0.1.0';

/// Sends events to Millrace. No method throws, and none waits for the network but [flush].
///
/// An event is in the store before it is sent, and leaves it only when the server has confirmed or
/// refused it. It keeps its id, so that one that is sent twice is counted once.
class Millrace {
  Millrace._(this.options, this._queue, this._person, this._transport);

  /// Makes a client and reads what earlier runs of the app left.
  static Future<Millrace> start(
    MillraceOptions options, {
    required QueueStore store,
    Transport? transport,
  }) async {
    final queue = EventQueue(store, maxEvents: options.maxEvents, maxBytes: options.maxBytes);
    final person =
        Person(store, sessionIdle: options.sessionIdle, consent: options.consent);
    final client = Millrace._(options, queue, person, transport ?? HttpTransport());
    await person.load();
    await queue.load();
    if (person.consent == Consent.denied) {
      queue.clear();
    }
    client._plan(options.flushEvery);
    return client;
  }

  final MillraceOptions options;
  final EventQueue _queue;
  final Person _person;
  final Transport _transport;

  Timer? _timer;
  Future<bool>? _sending;
  int _attempts = 0;
  DateTime? _notBefore;
  int _batchEvents = 0;
  int _sent = 0;
  int _failures = 0;
  final Map<String, int> _rejected = {};
  final Map<String, int> _dropped = {};

  String get anonymousId => _person.anonymousId;
  Consent get consent => _person.consent;

  MillraceStats get stats => MillraceStats(
        queued: _queue.length,
        sent: _sent,
        rejected: Map.unmodifiable(_rejected),
        dropped: Map.unmodifiable(_dropped),
      );

  /// Queues an event; gives its id, null when it was not queued.
  ///
  /// [fields] are those of the contract, such as `product_id`, `items`, `value` or `excluded`. An
  /// event with a `message_id` is named by it, and gets no time that would differ when the same
  /// thing is told again.
  String? track(
    String eventType, {
    Map<String, Object?>? properties,
    Map<String, Object?> fields = const {},
  }) {
    if (_person.consent == Consent.denied) {
      return null;
    }
    final now = DateTime.now();
    var event = _make(eventType, properties, fields, now);
    try {
      final change = options.beforeSend;
      if (change != null) {
        final changed = change(event);
        if (changed == null) {
          _count(_dropped, 'before_send');
          return null;
        }
        event = changed;
      }
      final json = jsonEncode(event, toEncodable: _plain);
      final id = '${event['event_id'] ?? event['message_id']}';
      return _enqueue(QueuedEvent(id, json, now)) ? id : null;
      // Values and callbacks of the app may throw anything, errors too.
    } on Object catch (error) {
      _report(MillraceFailure('invalid', 'the event cannot be sent: $error'), event);
      return null;
    }
  }

  /// Says who the person is; later events carry the id, after a restart of the app too.
  String? identify(String userId, {Map<String, Object?>? traits}) {
    if (_person.consent == Consent.denied) {
      return null;
    }
    _person.identify(userId);
    return track('identify', properties: traits);
  }

  /// Tells that a screen was seen.
  String? screen(String name, {Map<String, Object?>? properties}) =>
      track('page_view', properties: {'name': name, ...?properties});

  /// Forgets the person, as at a logout: a new anonymous id and a new session.
  void reset() => _person.reset();

  /// Keeps what the person chose. Events that waited for it are sent, or forgotten.
  void setConsent(Consent consent) {
    _person.choose(consent);
    switch (consent) {
      case Consent.granted:
        _queue.keepAll();
        _plan(Duration.zero);
      case Consent.denied:
        _timer?.cancel();
        _timer = null;
        _queue.clear();
      case Consent.pending:
        break;
    }
  }

  /// Sends what waits; tells whether all of it was delivered.
  ///
  /// A pause that the server asked for is kept; another one is cut short.
  Future<bool> flush() => _sending ??= _flush().whenComplete(_end);

  /// Completes when the store has all that was tracked.
  Future<void> get stored => _queue.written;

  Map<String, Object?> _make(
    String eventType,
    Map<String, Object?>? properties,
    Map<String, Object?> fields,
    DateTime now,
  ) {
    final context = {...options.context, ...?_asMap(fields['context'])};
    final isNamed = fields['message_id'] != null;
    final event = <String, Object?>{
      'event_type': eventType,
      'user_id': _person.userId,
      'anonymous_id': _person.anonymousId,
      'session_id': _person.touchSession(now),
      'source': options.source ?? Platform.operatingSystem,
      'device_type': options.deviceType,
      if (!isNamed) 'event_id': uuid7(now),
      if (!isNamed) 'occurred_at': now.toUtc().toIso8601String(),
      ...fields,
      if (properties != null && properties.isNotEmpty) 'properties': properties,
      if (context.isNotEmpty) 'context': context,
    };
    return event..removeWhere((_, value) => value == null);
  }

  bool _enqueue(QueuedEvent event) {
    if (event.bytes > options.maxEventBytes) {
      final detail = 'an event may have ${options.maxEventBytes} bytes, got ${event.bytes}';
      _report(MillraceFailure('too_large', detail), event.fields);
      return false;
    }
    if (!_queue.add(event, keep: _person.consent == Consent.granted)) {
      final detail = '${_queue.length} events are waiting already';
      _report(MillraceFailure('queue_full', detail), event.fields);
      return false;
    }
    _plan(_queue.length >= options.flushAt ? Duration.zero : options.flushEvery);
    return true;
  }

  /// Plans for what was tracked while the last request was under way.
  void _end() {
    _sending = null;
    final planned = _timer;
    if (planned == null || !planned.isActive) {
      _plan(options.flushEvery);
    }
  }

  /// Sends after a while, unless that is planned sooner or the server asked to wait longer.
  void _plan(Duration wait) {
    if (_person.consent != Consent.granted || _queue.isEmpty || _sending != null) {
      return;
    }
    final planned = _timer;
    final isUrgent = wait == Duration.zero && _attempts == 0;
    if (planned != null && planned.isActive && !isUrgent) {
      return;
    }
    planned?.cancel();
    _timer = Timer(wait, () => unawaited(flush()));
  }

  Future<bool> _flush() async {
    _timer?.cancel();
    var isDelivered = true;
    while (_person.consent == Consent.granted) {
      for (final event in _queue.removeBefore(DateTime.now().subtract(options.maxAge))) {
        _report(const MillraceFailure('gave_up', 'the event is too old'), event.fields);
        isDelivered = false;
      }
      if (_queue.isEmpty) {
        return isDelivered;
      }
      final notBefore = _notBefore;
      if (notBefore != null && DateTime.now().isBefore(notBefore)) {
        _timer = Timer(notBefore.difference(DateTime.now()), () => unawaited(flush()));
        return false;
      }
      final failures = _failures;
      if (!await _sendOnce()) {
        return false;
      }
      isDelivered = isDelivered && failures == _failures;
    }
    return false;
  }

  /// Makes one request; false when the rest must wait.
  Future<bool> _sendOnce() async {
    final batch = _queue.batch(
      maxEvents: _batchEvents > 0 ? _batchEvents : options.batchEvents,
      maxBytes: options.batchBytes,
    );
    // An event is in the store before it is sent: an app that is killed sends it again.
    await _queue.written;
    final Answer answer;
    try {
      answer = await _post(batch);
    } on Exception {
      _pause(null);
      return false;
    }
    final verdict = judge(answer, batch.length);
    if (verdict.halve) {
      _batchEvents = (batch.length / 2).ceil();
      return true;
    }
    _batchEvents = 0;
    _settle(batch, verdict);
    if (verdict.again.isEmpty) {
      _attempts = 0;
      _notBefore = null;
      return true;
    }
    _pause(readRetryAfter(answer.retryAfter, cap: options.retryAfterCap));
    return false;
  }

  Future<Answer> _post(List<QueuedEvent> batch) {
    final sentAt = jsonEncode(DateTime.now().toUtc().toIso8601String());
    final events = batch.map((event) => event.json).join(',');
    List<int> body = utf8.encode('{"sent_at":$sentAt,"events":[$events]}');
    final isPacked = body.length >= options.gzipFrom;
    if (isPacked) {
      body = gzip.encode(body);
    }
    final key = options.writeKey;
    final headers = <String, String>{
      'Content-Type': 'application/json',
      'User-Agent': 'millrace-flutter/$_version',
      if (key != null) 'X-Write-Key': key,
      if (isPacked) 'Content-Encoding': 'gzip',
    };
    return _transport.post(options.url, headers, body, options.timeout);
  }

  /// Counts what is final, and takes it out of queue and store.
  void _settle(List<QueuedEvent> batch, Verdict verdict) {
    final settled = <String>{};
    for (final (index, event) in batch.indexed) {
      if (verdict.again.contains(index)) {
        continue;
      }
      settled.add(event.id);
      final failure = verdict.failed[index];
      if (failure == null) {
        _sent++;
      } else {
        _report(failure, event.fields);
      }
    }
    _queue.remove(settled);
  }

  void _pause(Duration? asked) {
    _attempts++;
    final wait = nextWait(
      _attempts,
      asked: asked,
      base: options.retryBase,
      cap: options.retryCap,
    );
    _notBefore = asked == null ? null : DateTime.now().add(wait);
    _timer?.cancel();
    _timer = Timer(wait, () => unawaited(flush()));
  }

  void _report(MillraceFailure failure, Map<String, Object?> event) {
    _failures++;
    _count(failure.byServer ? _rejected : _dropped, failure.reason);
    try {
      options.onFailure?.call(failure, event);
      // The app's own code may throw anything.
    } on Object {
      return;
    }
  }

  void _count(Map<String, int> counts, String reason) =>
      counts.update(reason, (count) => count + 1, ifAbsent: () => 1);
}

Map<String, Object?>? _asMap(Object? value) => value is Map<String, Object?> ? value : null;

/// Gives what JSON can hold for a value that it cannot.
Object? _plain(Object? value) => switch (value) {
      final DateTime moment => moment.toUtc().toIso8601String(),
      final Duration length => length.inMilliseconds,
      final Uri address => '$address',
      final BigInt number => '$number',
      final Enum choice => choice.name,
      final Iterable<Object?> values => values.toList(),
      _ => throw UnsupportedError('a ${value.runtimeType} cannot be written as JSON'),
    };
