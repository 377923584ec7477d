import 'dart:async';
import 'dart:convert';
import 'dart:io';

/// What the server said.
class Answer {
  const Answer(this.status, this.body, {this.retryAfter});

  final int status;
  final String body;
  final String? retryAfter;
}

/// How a request gets to the server. Throws an [Exception] when no answer comes.
abstract interface class Transport {
  Future<Answer> post(Uri url, Map<String, String> headers, List<int> body, Duration timeout);
}

/// The transport of dart:io. It keeps its connections.
class HttpTransport implements Transport {
  final HttpClient _client = HttpClient();

  @override
  Future<Answer> post(
    Uri url,
    Map<String, String> headers,
    List<int> body,
    Duration timeout,
  ) async {
    _client.connectionTimeout = timeout;
    return _post(url, headers, body).timeout(timeout);
  }

  Future<Answer> _post(Uri url, Map<String, String> headers, List<int> body) async {
    final request = await _client.postUrl(url);
    request.followRedirects = false;
    headers.forEach(request.headers.set);
    request.contentLength = body.length;
    request.add(body);
    final response = await request.close();
    final text = await response.transform(const Utf8Decoder(allowMalformed: true)).join();
    return Answer(
      response.statusCode,
      text,
      retryAfter: response.headers.value(HttpHeaders.retryAfterHeader),
    );
  }
}
