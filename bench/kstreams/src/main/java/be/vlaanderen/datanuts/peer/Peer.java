package be.vlaanderen.datanuts.peer;

import java.io.IOException;
import java.time.Duration;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.streams.AutoOffsetReset;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;

/** Routes the source topic with Kafka Streams and prints one line of JSON once the last record is committed. */
public final class Peer {
  private static final Duration PATIENCE = Duration.ofSeconds(30);
  private static final long LOOK_MILLIS = 5;

  private Peer() {}

  public static void main(String[] arguments) throws Exception {
    Job job = Job.of(arguments);
    Stopwatch stopwatch = new Stopwatch(job.records());
    KafkaStreams streams = new KafkaStreams(topology(job, stopwatch), settings(job));
    streams.setUncaughtExceptionHandler(
        error -> {
          stopwatch.last().completeExceptionally(error);
          return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
    try (Admin admin = Admin.create(job.clientProperties())) {
      streams.start();
      stopwatch.last().join();
      while (committed(admin, job) < job.records()) {
        if (!streams.state().isRunningOrRebalancing()) {
          throw new IllegalStateException("Kafka Streams ended before its last commit");
        }
        Thread.sleep(LOOK_MILLIS);
      }
      System.out.println(stopwatch.report());
    } finally {
      streams.close(PATIENCE);
    }
  }

  private static Topology topology(Job job, Stopwatch stopwatch) {
    return new Topology()
        .addSource(
            AutoOffsetReset.earliest(), "source", new ByteArrayDeserializer(), new ByteArrayDeserializer(), job.source())
        .addProcessor("routing", () -> new Routing(job, stopwatch), "source")
        .addSink(
            "outputs",
            (key, output, record) -> output.topic(),
            new ByteArraySerializer(),
            (String topic, Output output) -> output.value(),
            "routing");
  }

  private static Properties settings(Job job) throws IOException {
    Properties settings = new Properties();
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, job.application());
    settings.put(StreamsConfig.STATE_DIR_CONFIG, job.state().toString());
    settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, job.threads());
    settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, job.commitMillis());
    // There is no state to keep in memory before it is written.
    settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0L);
    // Streams' own defaults, on purpose. A producer sets a whole batch aside for each partition: of hundreds, each gets a
    // few KB between two commits, and a commit flushes whatever lingers. Batches of 64 KB with 128 MB for them and polls
    // of 5,000 records took no less CPU time. A reader schema of the needed fields only would save 0.3 µs a record of
    // more than 100.
    settings.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 16_384);
    settings.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), 100);
    settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 1_000);
    // As the router's producer.
    settings.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "none");
    settings.putAll(job.clientProperties());
    return settings;
  }

  /** Records below the committed positions of all partitions: the source topic begins at 0 and has no markers. */
  private static long committed(Admin admin, Job job) throws ExecutionException, InterruptedException {
    return admin.listConsumerGroupOffsets(job.application()).partitionsToOffsetAndMetadata().get().values().stream()
        .mapToLong(OffsetAndMetadata::offset)
        .sum();
  }
}
