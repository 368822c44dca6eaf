package zoo;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import zoo.Order.Example;
import zoo.Stack.Caller;

/** Calls as a busy gateway does, with a witness on one of its connections and one on a connection of its own. */
final class Mix {
  private static final int CONNECTIONS = 4;
  private static final int WORKERS = 32;
  private static final long PATIENCE_MS = 20_000;
  private static final int KEPT_FAULTS = 5;

  static class Tally {
    int calls;
    int wrong;
    int failed;
    int cancelled;
    int expired;
    long longestMs;
    final List<String> faults = new ArrayList<>();

    synchronized void take(Example asked, byte[] answer, long tookMs) {
      calls++;
      longestMs = Math.max(longestMs, tookMs);
      if (!Arrays.equals(answer, asked.responseBytes())) {
        wrong++;
        note("another answer than the contract's");
      }
    }

    synchronized void fail(Throwable error) {
      calls++;
      failed++;
      note(String.valueOf(error));
    }

    private void note(String fault) {
      if (faults.size() < KEPT_FAULTS) {
        faults.add(fault);
      }
    }
  }

  static final class Result {
    String version;
    final Tally busy = new Tally();
    final Tally same = new Tally();
    final Tally other = new Tally();
  }

  private final Stack stack;
  private final Order order;
  private final ScheduledExecutorService timers = Executors.newScheduledThreadPool(1);
  private final AtomicLong numbers = new AtomicLong();
  private final Result result = new Result();
  private long endNanos;

  Mix(Stack stack, Order order) {
    this.stack = stack;
    this.order = order;
  }

  Result run() throws Exception {
    result.version = stack.version();
    List<Caller> callers = new ArrayList<>();
    for (int at = 0; at < CONNECTIONS; at++) {
      callers.add(stack.dial(order.address, order.path));
    }
    Caller apart = stack.dial(order.otherAddress, order.path);
    endNanos = System.nanoTime() + (long) (order.seconds * 1e9);
    System.out.println("begun");
    List<Thread> threads = new ArrayList<>();
    threads.add(new Thread(() -> witness(callers.get(0), result.same)));
    threads.add(new Thread(() -> witness(apart, result.other)));
    for (int at = 0; at < WORKERS; at++) {
      Caller caller = callers.get(at % CONNECTIONS);
      threads.add(new Thread(() -> work(caller)));
    }
    threads.forEach(Thread::start);
    for (Thread thread : threads) {
      thread.join();
    }
    return result;
  }

  private boolean isOver() {
    return System.nanoTime() - endNanos > 0;
  }

  private void work(Caller caller) {
    while (!isOver()) {
      busyCall(caller, numbers.incrementAndGet());
    }
  }

  private void busyCall(Caller caller, long number) {
    boolean isCancelled = number % 3 == 0;
    boolean isExpired = number % 3 == 1;
    Example asked = number % 10 == 9 ? order.large : order.good;
    ThreadLocalRandom random = ThreadLocalRandom.current();
    long timeoutMs = isExpired ? random.nextInt(1, 6) : PATIENCE_MS;
    CompletableFuture<byte[]> call = caller.call(asked.requestBytes(), timeoutMs, number % 2 == 0);
    if (isCancelled) {
      timers.schedule(() -> call.cancel(true), random.nextInt(3_000), TimeUnit.MICROSECONDS);
    }
    try {
      result.busy.take(asked, call.get(), 0);
    } catch (CancellationException | ExecutionException | InterruptedException error) {
      Throwable cause = causeOf(error);
      if (isCancelled && (cause instanceof CancellationException || stack.isCancelled(cause))) {
        synchronized (result.busy) {
          result.busy.cancelled++;
        }
      } else if (isExpired && stack.isExpired(cause)) {
        synchronized (result.busy) {
          result.busy.expired++;
        }
      } else {
        result.busy.fail(cause);
      }
    }
  }

  /** A client that does nothing wrong: one call after the other, of a good key and of a revoked one. */
  private void witness(Caller caller, Tally tally) {
    for (int number = 0; !isOver(); number++) {
      Example asked = number % 2 == 0 ? order.good : order.revoked;
      long start = System.nanoTime();
      try {
        byte[] answer = caller.call(asked.requestBytes(), PATIENCE_MS, false).get();
        tally.take(asked, answer, (System.nanoTime() - start) / 1_000_000);
      } catch (CancellationException | ExecutionException | InterruptedException error) {
        tally.fail(causeOf(error));
      }
    }
  }

  private static Throwable causeOf(Exception error) {
    return error instanceof ExecutionException && error.getCause() != null ? error.getCause() : error;
  }
}
