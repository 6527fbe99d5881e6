package be.vlaanderen.datanuts.peer;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.streams.processor.api.RecordMetadata;

/** Writes receipts by the broker's own schema: coordinates, the subject's keyed hash, and one leaf per release. */
final class Receipts {
  private static final int TRACE_FROM = 3;
  private static final int TRACE_TO = 35;

  private final Framed framed;
  private final GenericRecord receipt;
  private final Schema digest;
  private final Schema leaf;
  private final Object released;
  private final Schema kinds;
  private final List<GenericRecord> leaves = new ArrayList<>();

  Receipts(Schema schema, int id) {
    framed = new Framed(schema, id);
    receipt = new GenericData.Record(schema);
    digest = schema.getField("subject").schema();
    leaf = schema.getField("decisions").schema().getElementType();
    released = new GenericData.EnumSymbol(leaf.getField("outcome").schema(), "release");
    kinds = leaf.getField("kind").schema();
    receipt.put("epoch", 0L);
    receipt.put("subjectsOffset", 0L);
    receipt.put("run", 0);
    receipt.put("decisions", leaves);
  }

  void released(Outlet outlet, String kind, byte[] deliveryId) {
    GenericRecord made = new GenericData.Record(leaf);
    made.put("agreement", outlet.id);
    made.put("version", 1);
    made.put("outcome", released);
    made.put("kind", new GenericData.EnumSymbol(kinds, kind));
    made.put("delivery", new GenericData.Fixed(digest, deliveryId));
    leaves.add(made);
  }

  /** The receipt with all leaves since the last one. */
  byte[] write(RecordMetadata at, long decidedAt, byte[] subject, Headers source) {
    byte[] trace = source.lastHeader("traceparent").value();
    String traceId = new String(trace, TRACE_FROM, TRACE_TO - TRACE_FROM, StandardCharsets.US_ASCII);
    receipt.put("topic", at.topic());
    receipt.put("lane", at.partition());
    receipt.put("decidedAt", decidedAt);
    receipt.put("offset", at.offset());
    receipt.put("subject", new GenericData.Fixed(digest, subject));
    receipt.put("trace", new GenericData.Fixed(digest, HexFormat.of().parseHex(traceId)));
    byte[] written = framed.write(receipt);
    leaves.clear();
    return written;
  }
}
