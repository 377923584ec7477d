/// Sends events to Millrace, each exactly once, from a queue that survives the app.
library;

export 'src/client.dart' show Millrace;
export 'src/consent.dart' show Consent;
export 'src/failure.dart' show MillraceFailure, OnFailure;
export 'src/lifecycle.dart' show MillraceLifecycle;
export 'src/options.dart' show BeforeSend, MillraceOptions;
export 'src/shop.dart' show Line, ShopEvents;
export 'src/stats.dart' show MillraceStats;
export 'src/store.dart' show FileStore, MemoryStore, QueueStore;
export 'src/transport.dart' show Answer, HttpTransport, Transport;
