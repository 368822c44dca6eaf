package zoo;

import java.util.Base64;

/** What the suite asks for: messages as bytes, and the bytes that answer them. */
final class Order {
  String address;
  String otherAddress;
  String path;
  double seconds;
  Example good;
  Example revoked;
  Example large;

  /** Both in Base64. */
  static final class Example {
    String request;
    String response;
    private byte[] requestBytes;
    private byte[] responseBytes;

    synchronized byte[] requestBytes() {
      return requestBytes = requestBytes == null ? Base64.getDecoder().decode(request) : requestBytes;
    }

    synchronized byte[] responseBytes() {
      return responseBytes = responseBytes == null ? Base64.getDecoder().decode(response) : responseBytes;
    }
  }
}
