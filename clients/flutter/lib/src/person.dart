import 'consent.dart';
import 'ids.dart';
import 'store.dart';

/// Who uses the app, as far as it is known: ids, session and choice, kept in the store.
class Person {
  Person(this._store, {required this.sessionIdle, required Consent consent}) : _consent = consent;

  final QueueStore _store;
  final Duration sessionIdle;

  Consent _consent;
  String? _userId;
  String _anonymousId = uuid7();
  String _sessionId = uuid7();
  DateTime? _seenAt;
  Future<void> _written = Future.value();

  Consent get consent => _consent;
  String? get userId => _userId;
  String get anonymousId => _anonymousId;

  /// Reads what earlier runs of the app saved.
  Future<void> load() async {
    final Map<String, Object?> state;
    try {
      state = await _store.loadState();
    } on Exception {
      return;
    }
    for (final choice in Consent.values) {
      if (choice.name == state['consent']) {
        _consent = choice;
      }
    }
    if (state case {'anonymous_id': final String id}) {
      _anonymousId = id;
    }
    if (state case {'user_id': final String id}) {
      _userId = id;
    }
    if (state case {'session_id': final String id, 'seen_at': final int seenAt}) {
      _sessionId = id;
      _seenAt = DateTime.fromMillisecondsSinceEpoch(seenAt);
    }
  }

  /// Gives the session of an event that happens now; a new one after [sessionIdle].
  String touchSession(DateTime now) {
    final seenAt = _seenAt;
    if (seenAt != null && now.difference(seenAt).abs() >= sessionIdle) {
      _sessionId = uuid7(now);
    }
    // Written once a minute, not for each event.
    final isStale = seenAt == null || now.difference(seenAt).inMinutes.abs() >= 1;
    _seenAt = isStale ? now : seenAt;
    if (isStale) {
      _save();
    }
    return _sessionId;
  }

  /// Says who the person is from now on.
  void identify(String userId) {
    _userId = userId;
    _save();
  }

  /// Forgets the person: a new anonymous id and a new session.
  void reset() {
    _userId = null;
    _anonymousId = uuid7();
    _sessionId = uuid7();
    _seenAt = null;
    _save();
  }

  /// Keeps what the person chose. Who declines leaves nothing but that behind.
  void choose(Consent consent) {
    _consent = consent;
    if (consent == Consent.denied) {
      reset();
    } else {
      _save();
    }
  }

  void _save() {
    final state = <String, Object?>{
      if (_consent != Consent.pending) 'consent': _consent.name,
      if (_consent == Consent.granted) ...{
        'anonymous_id': _anonymousId,
        'user_id': _userId,
        'session_id': _sessionId,
        'seen_at': _seenAt?.millisecondsSinceEpoch,
      },
    };
    _written = _written.then((_) => _store.saveState(state)).catchError((Object _) {});
  }
}
