package zoo;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import okhttp3.Call;
import okhttp3.Callback;
import okhttp3.Dispatcher;
import okhttp3.MediaType;
import okhttp3.OkHttp;
import okhttp3.OkHttpClient;
import okhttp3.Protocol;
import okhttp3.Request;
import okhttp3.RequestBody;
import okhttp3.Response;

/** Connect's protocol by OkHttp over HTTP/2 in cleartext, with prior knowledge. */
final class OkHttpStack implements Stack {
  private static final MediaType PROTO = MediaType.get("application/proto");

  @Override
  public String version() {
    return OkHttp.VERSION;
  }

  @Override
  public Caller dial(String address, String path) {
    Dispatcher dispatcher = new Dispatcher();
    dispatcher.setMaxRequestsPerHost(64);
    OkHttpClient client =
        new OkHttpClient.Builder()
            .protocols(List.of(Protocol.H2_PRIOR_KNOWLEDGE))
            .readTimeout(20, TimeUnit.SECONDS)
            .dispatcher(dispatcher)
            .build();
    String url = "http://" + address + path;
    return (body, timeoutMs, compressed) -> {
      Request.Builder asked =
          new Request.Builder()
              .url(url)
              .header("connect-protocol-version", "1")
              .header("connect-timeout-ms", String.valueOf(timeoutMs))
              .post(RequestBody.create(Gzip.of(body, compressed), PROTO));
      if (compressed) {
        asked.header("content-encoding", "gzip");
      }
      Call call = client.newCall(asked.build());
      call.timeout().timeout(timeoutMs, TimeUnit.MILLISECONDS);
      CompletableFuture<byte[]> answer = new CompletableFuture<>();
      answer.whenComplete(
          (value, error) -> {
            if (answer.isCancelled()) {
              call.cancel();
            }
          });
      call.enqueue(
          new Callback() {
            @Override
            public void onFailure(Call failed, IOException error) {
              answer.completeExceptionally(error);
            }

            @Override
            public void onResponse(Call answered, Response response) {
              try (response) {
                if (response.code() == 504) {
                  answer.completeExceptionally(new InterruptedIOException("the server says so"));
                } else if (response.code() != 200) {
                  answer.completeExceptionally(new IllegalStateException("HTTP status " + response.code()));
                } else {
                  answer.complete(response.body().bytes());
                }
              } catch (IOException error) {
                answer.completeExceptionally(error);
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
    return error instanceof InterruptedIOException;
  }
}
