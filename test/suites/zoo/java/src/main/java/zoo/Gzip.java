package zoo;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.zip.GZIPOutputStream;

final class Gzip {
  static byte[] of(byte[] plain, boolean wanted) {
    if (!wanted) {
      return plain;
    }
    ByteArrayOutputStream compressed = new ByteArrayOutputStream();
    try (GZIPOutputStream stream = new GZIPOutputStream(compressed)) {
      stream.write(plain);
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
    return compressed.toByteArray();
  }
}
