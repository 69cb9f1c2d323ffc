package demo;

import java.util.Arrays;
import java.util.Collections;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.apache.dubbo.rpc.RpcContext;

/**
 * A series of calls of one service. Settings: count (0: until it is stopped), interval (ms between the calls of a thread), threads,
 * method (greet, echo, fail, note), size (of echo), attachments (k=v,k2=v2), tag, share (the part of the calls that carry the tag, 1 by
 * default) and seed (of the choice).
 *
 * <p>Prints for each call "CALL ID START MICROSECONDS by PROVIDER" or "CALL ID START MICROSECONDS err EXCEPTION: MESSAGE", START in
 * milliseconds since the epoch, with " tagged" behind ID when it carried the tag; and at last "DONE ID ok=N bad=N p50us=N p99us=N
 * by={provider=calls, …}".
 */
final class Calls implements Runnable {
    private final String id;
    private final Settings settings;
    private final GreetingService service;
    private final Map<String, Integer> by = Collections.synchronizedMap(new TreeMap<>());
    private final ConcurrentLinkedQueue<Long> latencies = new ConcurrentLinkedQueue<>();
    private final Random random;
    private volatile boolean stopped;
    private int started;
    private int bad;

    Calls(String id, Settings settings, GreetingService service) {
        this.id = id;
        this.settings = settings;
        this.service = service;
        this.random = new Random(settings.number("seed", 1));
    }

    void stop() {
        stopped = true;
    }

    boolean allGood() {
        return bad == 0;
    }

    @Override
    public void run() {
        Thread[] threads = new Thread[settings.number("threads", 1)];
        for (int i = 0; i < threads.length; i++) {
            threads[i] = new Thread(this::callUntilDone, "caller-" + id + "-" + i);
            threads[i].start();
        }
        try {
            for (Thread thread : threads) {
                thread.join();
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        long[] sorted = latencies.stream().mapToLong(Long::longValue).toArray();
        Arrays.sort(sorted);
        System.out.println("DONE " + id + " ok=" + (sorted.length - bad) + " bad=" + bad + " p50us=" + at(sorted, 0.5)
            + " p99us=" + at(sorted, 0.99) + " by=" + by);
    }

    private static long at(long[] sorted, double quantile) {
        return sorted.length == 0 ? 0 : sorted[(int) (sorted.length * quantile)];
    }

    private void callUntilDone() {
        int interval = settings.number("interval", 0);
        for (int i = next(); i >= 0; i = next()) {
            call(i);
            if (interval > 0) {
                try {
                    Thread.sleep(interval);
                } catch (InterruptedException e) {
                    return;
                }
            }
        }
    }

    /** Returns the number of the next call, or -1 when there is none. */
    private synchronized int next() {
        int count = settings.number("count", 1);
        return stopped || count > 0 && started >= count ? -1 : started++;
    }

    private void call(int i) {
        boolean tagged = !settings.text("tag", "").isEmpty() && chosen();
        String line = "CALL " + id + (tagged ? " tagged" : "") + " " + System.currentTimeMillis() + " ";
        long start = System.nanoTime();
        String result;
        try {
            String name = once(i, tagged);
            by.merge(name, 1, Integer::sum);
            result = " by " + name;
        } catch (RuntimeException e) {
            result = " err " + e.getClass().getName() + ": " + String.valueOf(e.getMessage()).split("\n")[0];
            synchronized (this) {
                bad++;
            }
        }
        long micros = (System.nanoTime() - start) / 1000;
        latencies.add(micros);
        System.out.println(line + micros + result);
    }

    private synchronized boolean chosen() {
        return random.nextDouble() < Double.parseDouble(settings.text("share", "1"));
    }

    /** Makes one call and returns the name of the provider that answered, where the method tells it. */
    private String once(int i, boolean tagged) {
        // getContext is the one spelling that Dubbo 2.7 and 3 share.
        settings.map("attachments").forEach((key, value) -> RpcContext.getContext().setAttachment(key, value));
        if (tagged) {
            RpcContext.getContext().setAttachment("dubbo.tag", settings.text("tag", ""));
        }
        switch (settings.text("method", "greet")) {
            case "echo":
                return "echo " + service.echo("x".repeat(settings.number("size", 1))).length();
            case "fail":
                return "fail " + service.fail(1);
            case "note":
                service.note("n" + i);
                return "note";
            default:
                return service.greet("n" + i).replaceAll(".* from ", "");
        }
    }
}
