package zoo;

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpTimeoutException;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;

/** Connect's protocol by the JDK's own client, which asks for HTTP/2 by `Upgrade: h2c` with its first requests. */
final class JdkStack implements Stack {
  @Override
  public String version() {
    return Runtime.version().toString();
  }

  @Override
  public Caller dial(String address, String path) {
    HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_2).build();
    URI uri = URI.create("http://" + address + path);
    return (request, timeoutMs, compressed) -> {
      HttpRequest.Builder asked =
          HttpRequest.newBuilder(uri)
              .timeout(Duration.ofMillis(timeoutMs))
              .header("content-type", "application/proto")
              .header("connect-protocol-version", "1")
              .header("connect-timeout-ms", String.valueOf(timeoutMs))
              .POST(HttpRequest.BodyPublishers.ofByteArray(Gzip.of(request, compressed)));
      if (compressed) {
        asked.header("content-encoding", "gzip");
      }
      CompletableFuture<HttpResponse<byte[]>> sent =
          client.sendAsync(asked.build(), HttpResponse.BodyHandlers.ofByteArray());
      CompletableFuture<byte[]> answer =
          sent.thenApply(
              response -> {
                if (response.statusCode() == 504) {
                  throw new CompletionException(new HttpTimeoutException("the server says so"));
                }
                if (response.statusCode() != 200) {
                  throw new IllegalStateException("HTTP status " + response.statusCode());
                }
                return response.body();
              });
      answer.whenComplete(
          (value, error) -> {
            if (answer.isCancelled()) {
              sent.cancel(true);
            }
          });
      return answer;
    };
  }

  @Override
  public boolean isCancelled(Throwable error) {
    return false;
  }

  @Override
  public boolean isExpired(Throwable error) {
    return error instanceof HttpTimeoutException;
  }
}
