import 'dart:convert';

import 'package:millrace/millrace.dart';
import 'package:shared_preferences/shared_preferences.dart';

/// Keeps events in shared_preferences, for apps that want no file of their own.
///
/// Each change writes all events again: fit for the queue's default bounds, not for larger ones.
class SharedPreferencesStore implements QueueStore {
  final SharedPreferencesAsync _preferences = SharedPreferencesAsync();

  static const String _events = 'millrace_events';
  static const String _state = 'millrace_state';

  @override
  Future<List<String>> loadEvents() async => await _preferences.getStringList(_events) ?? [];

  @override
  Future<void> appendEvents(List<String> events) async =>
      _preferences.setStringList(_events, [...await loadEvents(), ...events]);

  @override
  Future<void> replaceEvents(List<String> events) => _preferences.setStringList(_events, events);

  @override
  Future<Map<String, Object?>> loadState() async {
    final text = await _preferences.getString(_state);
    final found = text == null ? null : jsonDecode(text);
    return found is Map<String, Object?> ? found : {};
  }

  @override
  Future<void> saveState(Map<String, Object?> state) =>
      _preferences.setString(_state, jsonEncode(state));
}
