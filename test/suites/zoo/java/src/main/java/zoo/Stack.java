package zoo;

import java.util.concurrent.CompletableFuture;

/** A client library. */
interface Stack {
  String version();

  /** Makes one connection, or what the library makes connections from. */
  Caller dial(String address, String path) throws Exception;

  boolean isCancelled(Throwable error);

  boolean isExpired(Throwable error);

  interface Caller {
    /** Cancelling the future cancels the call. */
    CompletableFuture<byte[]> call(byte[] request, long timeoutMs, boolean compressed);
  }
}
