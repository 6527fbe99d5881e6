package be.vlaanderen.datanuts.peer;

import java.nio.charset.StandardCharsets;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.header.internals.RecordHeaders;

/** One agreement: its topic, its keys, and what is the same in all its deliveries. */
final class Outlet {
  final String id;
  final String topic;
  final KeyedHash subjects;
  final KeyedHash deliveries;
  final KeyedHash pseudonyms;
  private final Header[] constants;

  Outlet(int number, String topic) {
    id = "meting-" + number;
    this.topic = topic;
    subjects = new KeyedHash("subject " + id);
    deliveries = new KeyedHash("delivery " + id);
    pseudonyms = new KeyedHash("pseudonym " + id);
    constants =
        new Header[] {
          header("ce_specversion", "1.0"),
          header("ce_source", "/agreements/" + id),
          header("ce_type", "be.vlaanderen.datanuts.persoon.v1"),
          header("ce_agreementversion", "1"),
          header("content-type", "application/avro"),
          header("ce_pseudonymepoch", "1"),
        };
  }

  /** CloudEvents attributes and trace context of one delivery; the delivery's id is its trace id. */
  RecordHeaders headers(Header kind, byte[] deliveryId, byte[] time) {
    byte[] hex = KeyedHash.hex(deliveryId);
    RecordHeaders headers = new RecordHeaders(constants);
    headers.add(kind);
    headers.add(new RecordHeader("ce_id", hex));
    headers.add(new RecordHeader("ce_time", time));
    headers.add(new RecordHeader("traceparent", traceparent(hex)));
    return headers;
  }

  private static byte[] traceparent(byte[] hex) {
    byte[] text = new byte[55];
    text[0] = '0';
    text[1] = '0';
    text[2] = '-';
    System.arraycopy(hex, 0, text, 3, 32);
    text[35] = '-';
    System.arraycopy(hex, 0, text, 36, 16);
    text[52] = '-';
    text[53] = '0';
    text[54] = '1';
    return text;
  }

  private static Header header(String name, String value) {
    return new RecordHeader(name, value.getBytes(StandardCharsets.UTF_8));
  }
}
