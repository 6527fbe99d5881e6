package be.vlaanderen.datanuts.peer;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.util.Utf8;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.processor.api.RecordMetadata;

/**
 * The router's job on one record: decode, match, project, deliver once per agreement, and leave a receipt.
 *
 * <p>It decodes here and not in a deserializer: Streams deserializes a partition's next record before the present one is
 * processed, so that only here one GenericRecord can serve all of them.
 */
final class Routing implements Processor<byte[], byte[], byte[], Output> {
  private final Job job;
  private final Stopwatch stopwatch;
  private final Map<Utf8, List<Outlet>> outlets = new HashMap<>();
  private final GenericDatumReader<GenericRecord> reader;
  private final Projection projection;
  private final Framed framed;
  private final Receipts receipts;
  private final KeyedHash subjects = new KeyedHash("ledger");
  private final int insz;
  private final int residence;
  private final int pseudonym;
  private final byte[] source;
  private ProcessorContext<byte[], Output> context;
  private BinaryDecoder decoder;
  private GenericRecord person;
  private long second = -1;
  private byte[] time;

  Routing(Job job, Stopwatch stopwatch) {
    this.job = job;
    this.stopwatch = stopwatch;
    for (int number = 0; number < job.agreements(); number++) {
      Utf8 nis = new Utf8(Integer.toString(job.firstNis() + number));
      outlets.computeIfAbsent(nis, unused -> new ArrayList<>()).add(new Outlet(number, job.deliveryTopic(number)));
    }
    reader = new GenericDatumReader<>(job.person());
    projection = new Projection(job.person(), job.egress());
    framed = new Framed(job.egress(), job.egressId());
    receipts = new Receipts(job.receipt(), job.receiptId());
    insz = job.person().getField("insz").pos();
    residence = job.person().getField("verblijfplaats").pos();
    pseudonym = job.egress().getField("pseudoniem").pos();
    source = job.source().getBytes(StandardCharsets.UTF_8);
  }

  @Override
  public void init(ProcessorContext<byte[], Output> given) {
    context = given;
  }

  @Override
  public void process(Record<byte[], byte[]> record) {
    stopwatch.next();
    person = decode(record.value());
    List<Outlet> matching = outlets.get(municipality());
    if (matching == null) {
      return;
    }
    RecordMetadata at = context.recordMetadata().orElseThrow();
    long now = context.currentSystemTimeMs();
    Header kind = record.headers().lastHeader("ce_kind");
    String kindName = new String(kind.value(), StandardCharsets.US_ASCII);
    byte[] coordinates = coordinates(at);
    for (Outlet outlet : matching) {
      byte[] deliveryId = outlet.deliveries.of(coordinates);
      byte[] key = KeyedHash.hex(outlet.subjects.of(record.key()));
      RecordHeaders headers = outlet.headers(kind, deliveryId, time(now));
      context.forward(new Record<>(key, new Output(outlet.topic, cut(outlet)), now, headers));
      receipts.released(outlet, kindName, deliveryId);
    }
    byte[] subject = subjects.of(record.key());
    byte[] receipt = receipts.write(at, now, subject, record.headers());
    context.forward(new Record<>(KeyedHash.hex(subject), new Output(job.receipts(), receipt), now));
  }

  private GenericRecord decode(byte[] value) {
    decoder = DecoderFactory.get().binaryDecoder(value, Framed.HEADER, value.length - Framed.HEADER, decoder);
    try {
      return reader.read(person, decoder);
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  private Object municipality() {
    GenericRecord place = (GenericRecord) person.get(residence);
    return place == null ? null : ((GenericRecord) place.get("gemeente")).get("nis");
  }

  private byte[] cut(Outlet outlet) {
    byte[] identifier = person.get(insz).toString().getBytes(StandardCharsets.US_ASCII);
    GenericRecord released = projection.of(person);
    released.put(pseudonym, new Utf8(KeyedHash.hex(outlet.pseudonyms.of(identifier))));
    return framed.write(released);
  }

  private byte[] coordinates(RecordMetadata at) {
    return ByteBuffer.allocate(Integer.BYTES + Long.BYTES + source.length)
        .putInt(at.partition())
        .putLong(at.offset())
        .put(source)
        .array();
  }

  /** CloudEvents time in whole seconds; formatted once per second. */
  private byte[] time(long now) {
    if (now / 1000 != second) {
      second = now / 1000;
      time = Instant.ofEpochSecond(second).toString().getBytes(StandardCharsets.US_ASCII);
    }
    return time;
  }
}
