package zoo;

import com.google.gson.Gson;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Calls Authenticate as a busy gateway that is written in Java does, by the library that is named, and prints what came of it as one
 * line of JSON.
 */
public final class Main {
  public static void main(String[] args) throws Exception {
    Order order = new Gson().fromJson(Files.readString(Path.of(args[1])), Order.class);
    Stack stack =
        switch (args[0]) {
          case "grpc-java" -> new GrpcStack();
          case "jdk" -> new JdkStack();
          case "jetty" -> new JettyStack();
          case "okhttp" -> new OkHttpStack();
          default -> throw new IllegalArgumentException("no such library");
        };
    System.out.println(new Gson().toJson(new Mix(stack, order).run()));
    System.exit(0);
  }
}
