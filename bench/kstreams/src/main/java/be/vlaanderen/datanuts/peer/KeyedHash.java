package be.vlaanderen.datanuts.peer;

import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.Arrays;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/** HMAC-SHA-256 (RFC 2104) cut to 16 bytes under one key; not safe for use by several threads. */
final class KeyedHash {
  private static final int LENGTH = 16;
  private static final byte[] DIGITS = "0123456789abcdef".getBytes(StandardCharsets.US_ASCII);

  private final Mac mac;

  /** The key is made from {@code role}: a measurement has no secrets to keep. */
  KeyedHash(String role) {
    try {
      byte[] key = MessageDigest.getInstance("SHA-256").digest(role.getBytes(StandardCharsets.UTF_8));
      mac = Mac.getInstance("HmacSHA256");
      mac.init(new SecretKeySpec(key, "HmacSHA256"));
    } catch (GeneralSecurityException error) {
      throw new IllegalStateException(error);
    }
  }

  byte[] of(byte[] input) {
    return Arrays.copyOf(mac.doFinal(input), LENGTH);
  }

  /** ASCII, lower case. */
  static byte[] hex(byte[] bytes) {
    byte[] text = new byte[2 * bytes.length];
    for (int index = 0; index < bytes.length; index++) {
      text[2 * index] = DIGITS[(bytes[index] >> 4) & 0xF];
      text[2 * index + 1] = DIGITS[bytes[index] & 0xF];
    }
    return text;
  }
}
