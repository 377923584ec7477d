import 'dart:convert';

import 'store.dart';

/// One event as it is sent.
class QueuedEvent {
  QueuedEvent(this.id, this.json, this.trackedAt) : bytes = utf8.encode(json).length;

  /// Reads a stored event; null for what is none, such as a line that was cut off.
  static QueuedEvent? read(String json) {
    try {
      final event = jsonDecode(json);
      if (event is! Map<String, Object?>) {
        return null;
      }
      final id = event['event_id'] ?? event['message_id'];
      final time = DateTime.tryParse('${event['occurred_at']}');
      return id is String ? QueuedEvent(id, json, time ?? DateTime.now()) : null;
    } on FormatException {
      return null;
    }
  }

  final String id;
  final String json;
  final DateTime trackedAt;
  final int bytes;

  Map<String, Object?> get fields => jsonDecode(json) as Map<String, Object?>;
}

/// The events that wait, in memory and in a store that follows; bounded in events and bytes.
class EventQueue {
  EventQueue(this._store, {required this.maxEvents, required this.maxBytes});

  final QueueStore _store;
  final int maxEvents;
  final int maxBytes;

  final List<QueuedEvent> _events = [];
  int _bytes = 0;
  Future<void> _written = Future.value();

  int get length => _events.length;
  bool get isEmpty => _events.isEmpty;

  /// Completes when the store has what was changed until now.
  Future<void> get written => _written;

  /// Reads what earlier runs of the app left.
  Future<void> load() async {
    List<String> stored;
    try {
      stored = await _store.loadEvents();
    } on Exception {
      stored = [];
    }
    final known = {for (final event in _events) event.id};
    final found = [
      for (final json in stored)
        if (QueuedEvent.read(json) case final event? when known.add(event.id)) event,
    ];
    _events.insertAll(0, found);
    _bytes = _events.fold(0, (sum, event) => sum + event.bytes);
  }

  /// Appends an event; false when there is no room.
  bool add(QueuedEvent event, {required bool keep}) {
    if (_events.length >= maxEvents || _bytes + event.bytes > maxBytes) {
      return false;
    }
    _events.add(event);
    _bytes += event.bytes;
    if (keep) {
      _write(() => _store.appendEvents([event.json]));
    }
    return true;
  }

  /// Gives the oldest events that fit into one request, one at least.
  List<QueuedEvent> batch({required int maxEvents, required int maxBytes}) {
    final batch = <QueuedEvent>[];
    var size = 0;
    for (final event in _events.take(maxEvents)) {
      size += event.bytes + 1;
      if (batch.isNotEmpty && size > maxBytes) {
        break;
      }
      batch.add(event);
    }
    return batch;
  }

  /// Takes away the events that were tracked before a moment, and gives them.
  List<QueuedEvent> removeBefore(DateTime moment) {
    final old = [
      for (final event in _events)
        if (event.trackedAt.isBefore(moment)) event,
    ];
    remove({for (final event in old) event.id});
    return old;
  }

  /// Takes away events whose fate is known.
  void remove(Set<String> ids) {
    if (ids.isEmpty) {
      return;
    }
    _events.removeWhere((event) => ids.contains(event.id));
    _bytes = _events.fold(0, (sum, event) => sum + event.bytes);
    keepAll();
  }

  /// Writes all events to the store.
  void keepAll() {
    final texts = [for (final event in _events) event.json];
    _write(() => _store.replaceEvents(texts));
  }

  /// Forgets all events.
  void clear() {
    _events.clear();
    _bytes = 0;
    keepAll();
  }

  /// Changes the store after the changes before, and goes on in memory when it fails.
  void _write(Future<void> Function() change) {
    _written = _written.then((_) => change()).catchError((Object _) {});
  }
}
