package be.vlaanderen.datanuts.peer;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.util.Locale;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicLong;

/** From the first record to the last commit: wall clock, and CPU time of this process in that span. */
final class Stopwatch {
  private final OperatingSystemMXBean system = ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class);
  private final long records;
  private final AtomicLong seen = new AtomicLong();
  private final CompletableFuture<Void> last = new CompletableFuture<>();
  private volatile long began;
  private volatile long cpuBegan;
  private volatile long half;

  Stopwatch(long records) {
    this.records = records;
  }

  /** Count one record, before any work on it. */
  void next() {
    long number = seen.incrementAndGet();
    if (number == 1) {
      cpuBegan = system.getProcessCpuTime();
      began = System.nanoTime();
    } else if (number == records / 2) {
      half = System.nanoTime();
    } else if (number == records) {
      last.complete(null);
    }
  }

  /** Done with the last record, or failed. */
  CompletableFuture<Void> last() {
    return last;
  }

  /** One JSON object; call it right after the last commit. The second half tells what a warm machine does. */
  String report() {
    long ended = System.nanoTime();
    double wall = (ended - began) / 1e9;
    double cpu = (system.getProcessCpuTime() - cpuBegan) / 1e9;
    double later = (records - records / 2) / ((ended - half) / 1e9);
    return String.format(
        Locale.ROOT,
        "{\"records\":%d,\"wall_s\":%.3f,\"cpu_s\":%.3f,\"cpu_whole_s\":%.3f,\"records_per_s\":%.0f,"
            + "\"second_half_per_s\":%.0f}",
        records, wall, cpu, system.getProcessCpuTime() / 1e9, records / wall, later);
  }
}
