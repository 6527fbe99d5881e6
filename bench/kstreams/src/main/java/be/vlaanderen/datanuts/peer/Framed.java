package be.vlaanderen.datanuts.peer;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.EncoderFactory;

/** Writes records of one schema in the Confluent wire format: 0, schema id, Avro. All that can be is used again. */
final class Framed {
  static final int HEADER = 5;

  private final byte[] header;
  private final GenericDatumWriter<GenericRecord> writer;
  private final ByteArrayOutputStream bytes = new ByteArrayOutputStream(512);
  private BinaryEncoder encoder;

  Framed(Schema schema, int id) {
    header = ByteBuffer.allocate(HEADER).put((byte) 0).putInt(id).array();
    writer = new GenericDatumWriter<>(schema);
  }

  byte[] write(GenericRecord value) {
    bytes.reset();
    bytes.writeBytes(header);
    encoder = EncoderFactory.get().binaryEncoder(bytes, encoder);
    try {
      writer.write(value, encoder);
      encoder.flush();
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
    return bytes.toByteArray();
  }
}
