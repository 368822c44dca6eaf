package zoo;

import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.internal.GrpcUtil;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/** grpc-java over netty. */
final class GrpcStack implements Stack {
  private static final MethodDescriptor.Marshaller<byte[]> BYTES =
      new MethodDescriptor.Marshaller<>() {
        @Override
        public InputStream stream(byte[] value) {
          return new ByteArrayInputStream(value);
        }

        @Override
        public byte[] parse(InputStream stream) {
          try {
            return stream.readAllBytes();
          } catch (IOException error) {
            throw new UncheckedIOException(error);
          }
        }
      };

  @Override
  public String version() {
    return GrpcUtil.IMPLEMENTATION_VERSION;
  }

  @Override
  public Caller dial(String address, String path) {
    ManagedChannel channel =
        NettyChannelBuilder.forTarget(address)
            .usePlaintext()
            .disableRetry()
            .keepAliveTime(10, TimeUnit.SECONDS)
            .build();
    MethodDescriptor<byte[], byte[]> method =
        MethodDescriptor.newBuilder(BYTES, BYTES)
            .setType(MethodDescriptor.MethodType.UNARY)
            .setFullMethodName(path.substring(1))
            .build();
    return (request, timeoutMs, compressed) -> {
      CallOptions options =
          CallOptions.DEFAULT.withWaitForReady().withDeadlineAfter(timeoutMs, TimeUnit.MILLISECONDS);
      ClientCall<byte[], byte[]> call =
          channel.newCall(method, compressed ? options.withCompression("gzip") : options);
      CompletableFuture<byte[]> answer = new CompletableFuture<>();
      answer.whenComplete(
          (value, error) -> {
            if (answer.isCancelled()) {
              call.cancel("no longer wanted", null);
            }
          });
      call.start(
          new ClientCall.Listener<>() {
            private byte[] message;

            @Override
            public void onMessage(byte[] bytes) {
              message = bytes;
            }

            @Override
            public void onClose(Status status, Metadata trailers) {
              if (status.isOk()) {
                answer.complete(message);
              } else {
                answer.completeExceptionally(status.asRuntimeException());
              }
            }
          },
          new Metadata());
      call.sendMessage(request);
      call.halfClose();
      call.request(2);
      return answer;
    };
  }

  @Override
  public boolean isCancelled(Throwable error) {
    return codeOf(error) == Status.Code.CANCELLED;
  }

  @Override
  public boolean isExpired(Throwable error) {
    return codeOf(error) == Status.Code.DEADLINE_EXCEEDED;
  }

  private static Status.Code codeOf(Throwable error) {
    return error instanceof StatusRuntimeException refused ? refused.getStatus().getCode() : Status.Code.UNKNOWN;
  }
}
