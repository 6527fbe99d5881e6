package be.vlaanderen.datanuts.peer;

import java.util.ArrayList;
import java.util.List;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;

/**
 * Copies the fields that the egress schema shares with the source's, by name and at every depth. Positions are looked
 * up once; the record that it fills is the same at every call.
 */
final class Projection {
  private record Copied(int from, int to, Projection within) {}

  private final GenericRecord filled;
  private final List<Copied> fields = new ArrayList<>();

  Projection(Schema source, Schema egress) {
    filled = new GenericData.Record(egress);
    for (Schema.Field field : egress.getFields()) {
      Schema.Field from = source.getField(field.name());
      if (from != null) {
        Schema inner = present(field.schema());
        boolean nested = inner.getType() == Schema.Type.RECORD;
        Projection within = nested ? new Projection(present(from.schema()), inner) : null;
        fields.add(new Copied(from.pos(), field.pos(), within));
      }
    }
  }

  GenericRecord of(GenericRecord source) {
    for (Copied field : fields) {
      Object value = source.get(field.from());
      boolean whole = field.within() == null || value == null;
      filled.put(field.to(), whole ? value : field.within().of((GenericRecord) value));
    }
    return filled;
  }

  /** The type of a value that is there: of a union with null, the other branch. */
  private static Schema present(Schema schema) {
    if (!schema.isUnion()) {
      return schema;
    }
    return schema.getTypes().stream().filter(type -> type.getType() != Schema.Type.NULL).findFirst().orElseThrow();
  }
}
