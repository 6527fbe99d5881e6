package be.vlaanderen.datanuts.peer;

import java.io.IOException;
import java.io.Reader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import org.apache.avro.Schema;

/**
 * What to do, as {@code --name value} pairs on the command line. How Kafka is reached, credentials included, stands in
 * the properties file {@code --client}; any setting of Kafka Streams in it wins over this program's own.
 */
record Job(
    Path client,
    Path state,
    String application,
    String source,
    String deliveries,
    String receipts,
    Schema person,
    Schema egress,
    int egressId,
    Schema receipt,
    int receiptId,
    int agreements,
    int firstNis,
    long records,
    int threads,
    long commitMillis) {

  static Job of(String[] arguments) throws IOException {
    Map<String, String> given = new HashMap<>();
    for (int index = 0; index + 1 < arguments.length; index += 2) {
      given.put(arguments[index], arguments[index + 1]);
    }
    return new Job(
        Path.of(required(given, "--client")),
        Path.of(required(given, "--state")),
        required(given, "--application"),
        required(given, "--source"),
        required(given, "--deliveries"),
        required(given, "--receipts"),
        schema(given, "--person"),
        schema(given, "--egress"),
        Integer.parseInt(required(given, "--egress-id")),
        schema(given, "--receipt"),
        Integer.parseInt(required(given, "--receipt-id")),
        Integer.parseInt(required(given, "--agreements")),
        Integer.parseInt(required(given, "--first-nis")),
        Long.parseLong(required(given, "--records")),
        Integer.parseInt(given.getOrDefault("--threads", "1")),
        Long.parseLong(required(given, "--commit-ms")));
  }

  /** Topic of one agreement: the pattern with its number. */
  String deliveryTopic(int agreement) {
    return deliveries.replace("{}", Integer.toString(agreement));
  }

  Properties clientProperties() throws IOException {
    Properties properties = new Properties();
    try (Reader text = Files.newBufferedReader(client)) {
      properties.load(text);
    }
    return properties;
  }

  private static String required(Map<String, String> given, String name) {
    String value = given.get(name);
    if (value == null) {
      throw new IllegalArgumentException(name + " is missing");
    }
    return value;
  }

  private static Schema schema(Map<String, String> given, String name) throws IOException {
    return new Schema.Parser().parse(Files.readString(Path.of(required(given, name))));
  }
}
