import 'dart:async';

import 'package:flutter/widgets.dart';

import 'client.dart';

/// Sends what waits when the app leaves the screen, and when it comes back.
///
/// The system may end an app in the background at any time; what was not sent by then is in the
/// store, and is sent when the app starts again.
class MillraceLifecycle with WidgetsBindingObserver {
  MillraceLifecycle(this._client) {
    WidgetsBinding.instance.addObserver(this);
  }

  final Millrace _client;

  @override
  void didChangeAppLifecycleState(AppLifecycleState state) {
    switch (state) {
      case AppLifecycleState.resumed:
      case AppLifecycleState.paused:
      case AppLifecycleState.detached:
        unawaited(_client.flush());
      case AppLifecycleState.inactive:
      case AppLifecycleState.hidden:
        break;
    }
  }

  /// Listens no longer.
  void dispose() => WidgetsBinding.instance.removeObserver(this);
}
