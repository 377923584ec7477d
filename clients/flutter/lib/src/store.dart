import 'dart:convert';
import 'dart:io';

/// Where events wait, and what is known of the person, while the app is not running.
///
/// The client calls one method at a time, and goes on in memory when one throws.
abstract interface class QueueStore {
  /// Gives the events that wait, each a JSON text, the oldest first.
  Future<List<String>> loadEvents();

  /// Adds events behind the others.
  Future<void> appendEvents(List<String> events);

  /// Puts these events in place of all.
  Future<void> replaceEvents(List<String> events);

  /// Gives what was saved last; an empty map when nothing was.
  Future<Map<String, Object?>> loadState();

  /// Puts these values in place of what was saved.
  Future<void> saveState(Map<String, Object?> state);
}

/// Keeps events in a directory that the app names: two files, one of them a line an event.
class FileStore implements QueueStore {
  FileStore(String directory) : _directory = Directory(directory);

  final Directory _directory;

  File get _events => File('${_directory.path}/events.ndjson');
  File get _state => File('${_directory.path}/state.json');

  @override
  Future<List<String>> loadEvents() async {
    final file = _events;
    if (!await file.exists()) {
      return [];
    }
    // The app may have been killed within a character.
    final text = utf8.decode(await file.readAsBytes(), allowMalformed: true);
    return [
      for (final line in const LineSplitter().convert(text))
        if (line.isNotEmpty) line,
    ];
  }

  @override
  Future<void> appendEvents(List<String> events) async {
    await _directory.create(recursive: true);
    // A line that was cut off must not swallow the next one: each begins on a line of its own.
    await _events.writeAsString('\n${events.join('\n')}\n', mode: FileMode.append, flush: true);
  }

  @override
  Future<void> replaceEvents(List<String> events) =>
      _replace(_events, events.isEmpty ? '' : '${events.join('\n')}\n');

  @override
  Future<Map<String, Object?>> loadState() async {
    final file = _state;
    if (!await file.exists()) {
      return {};
    }
    try {
      final found = jsonDecode(await file.readAsString());
      return found is Map<String, Object?> ? found : {};
    } on FormatException {
      return {};
    }
  }

  @override
  Future<void> saveState(Map<String, Object?> state) => _replace(_state, jsonEncode(state));

  /// Writes beside the file and renames: a reader sees the old text or the new one.
  Future<void> _replace(File file, String text) async {
    await _directory.create(recursive: true);
    final draft = File('${file.path}.new');
    await draft.writeAsString(text, flush: true);
    await draft.rename(file.path);
  }
}

/// Keeps nothing beyond the app: for tests, and for apps that must not store.
class MemoryStore implements QueueStore {
  List<String> _events = [];
  Map<String, Object?> _state = {};

  @override
  Future<List<String>> loadEvents() async => [..._events];

  @override
  Future<void> appendEvents(List<String> events) async => _events.addAll(events);

  @override
  Future<void> replaceEvents(List<String> events) async => _events = [...events];

  @override
  Future<Map<String, Object?>> loadState() async => {..._state};

  @override
  Future<void> saveState(Map<String, Object?> state) async => _state = {...state};
}
