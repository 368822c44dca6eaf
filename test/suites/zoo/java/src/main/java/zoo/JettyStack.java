package zoo;

import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.eclipse.jetty.client.BufferingResponseListener;
import org.eclipse.jetty.client.BytesRequestContent;
import org.eclipse.jetty.client.HttpClient;
import org.eclipse.jetty.client.Request;
import org.eclipse.jetty.client.Result;
import org.eclipse.jetty.http2.client.HTTP2Client;
import org.eclipse.jetty.http2.client.transport.HttpClientTransportOverHTTP2;
import org.eclipse.jetty.util.Jetty;

/** Connect's protocol by Jetty's client over HTTP/2 in cleartext, with prior knowledge. */
final class JettyStack implements Stack {
  @Override
  public String version() {
    return Jetty.VERSION;
  }

  @Override
  public Caller dial(String address, String path) throws Exception {
    HttpClient client = new HttpClient(new HttpClientTransportOverHTTP2(new HTTP2Client()));
    client.setMaxConnectionsPerDestination(1);
    client.start();
    String url = "http://" + address + path;
    return (body, timeoutMs, compressed) -> {
      Request asked =
          client
              .POST(url)
              .timeout(timeoutMs, TimeUnit.MILLISECONDS)
              .headers(
                  fields -> {
                    fields.put("connect-protocol-version", "1");
                    fields.put("connect-timeout-ms", String.valueOf(timeoutMs));
                    if (compressed) {
                      fields.put("content-encoding", "gzip");
                    }
                  })
              .body(new BytesRequestContent("application/proto", Gzip.of(body, compressed)));
      CompletableFuture<byte[]> answer = new CompletableFuture<>();
      answer.whenComplete(
          (value, error) -> {
            if (answer.isCancelled()) {
              asked.abort(new CancellationException());
            }
          });
      asked.send(
          new BufferingResponseListener() {
            @Override
            public void onComplete(Result result) {
              if (result.isFailed()) {
                answer.completeExceptionally(result.getFailure());
              } else if (result.getResponse().getStatus() == 504) {
                answer.completeExceptionally(new TimeoutException("the server says so"));
              } else if (result.getResponse().getStatus() != 200) {
                answer.completeExceptionally(
                    new IllegalStateException("HTTP status " + result.getResponse().getStatus()));
              } else {
                answer.complete(getContent());
              }
            }
          });
      return answer;
    };
  }

  @Override
  public boolean isCancelled(Throwable error) {
    return error instanceof CancellationException;
  }

  @Override
  public boolean isExpired(Throwable error) {
    return error instanceof TimeoutException;
  }
}
