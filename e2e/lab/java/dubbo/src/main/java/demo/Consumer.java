package demo;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;
import org.apache.dubbo.config.ReferenceConfig;
import org.apache.dubbo.config.bootstrap.DubboBootstrap;
import org.apache.dubbo.rpc.RpcContext;

/**
 * A consumer of GreetingService. Settings (each -Dlab.KEY=VALUE): registry, root, username, password, application, or url
 * (dubbo://HOST:PORT, direct); group, version, tag, serialization, prefer-serialization, timeout (ms), retries, connections, count,
 * interval (ms), method (greet, echo, fail), size (of echo), attachments (k=v,k2=v2).
 *
 * <p>Prints a line for each failed call and at last "DONE ok=N bad=N p50us=N p99us=N by={provider=calls, …}"; exits with 1 when a
 * call failed.
 */
public final class Consumer {
    private Consumer() {}

    public static void main(String[] args) throws Exception {
        ReferenceConfig<GreetingService> reference = new ReferenceConfig<>();
        reference.setInterface(GreetingService.class);
        reference.setTimeout(Settings.number("timeout", 3000));
        reference.setRetries(Settings.number("retries", 0));
        Settings.with("url", reference::setUrl);
        Settings.with("group", reference::setGroup);
        Settings.with("version", reference::setVersion);
        Settings.with("connections", n -> reference.setConnections(Integer.parseInt(n)));
        Map<String, String> parameters = new LinkedHashMap<>();
        Settings.with("serialization", name -> parameters.put("serialization", name));
        Settings.with("prefer-serialization", names -> parameters.put("prefer.serialization", names));
        if (!parameters.isEmpty()) {
            reference.setParameters(parameters);
        }
        DubboBootstrap.getInstance()
            .application(Settings.application("greeting-consumer"))
            .registry(Settings.registry())
            .reference(reference)
            .start();
        System.exit(call(reference.get()) ? 0 : 1);
    }

    private static boolean call(GreetingService service) throws InterruptedException {
        int count = Settings.number("count", 1);
        int interval = Settings.number("interval", 0);
        long[] latencies = new long[count];
        Map<String, Integer> by = new TreeMap<>();
        int bad = 0;
        for (int i = 0; i < count; i++) {
            long start = System.nanoTime();
            try {
                by.merge(once(service, i), 1, Integer::sum);
            } catch (RuntimeException e) {
                bad++;
                System.out.println("ERR " + e.getClass().getName() + ": " + String.valueOf(e.getMessage()).split("\n")[0]);
            }
            latencies[i] = (System.nanoTime() - start) / 1000;
            if (interval > 0 && i < count - 1) {
                Thread.sleep(interval);
            }
        }
        Arrays.sort(latencies);
        System.out.println("DONE ok=" + (count - bad) + " bad=" + bad + " p50us=" + latencies[count / 2]
            + " p99us=" + latencies[(int) (count * 0.99)] + " by=" + by);
        return bad == 0;
    }

    /** Makes one call and returns the name of the provider that answered, where the method tells it. */
    private static String once(GreetingService service, int i) {
        // getContext is the one spelling that Dubbo 2.7 and 3 share.
        Settings.map("attachments").forEach((key, value) -> RpcContext.getContext().setAttachment(key, value));
        Settings.with("tag", tag -> RpcContext.getContext().setAttachment("dubbo.tag", tag));
        switch (Settings.text("method", "greet")) {
            case "echo":
                return "echo " + service.echo("x".repeat(Settings.number("size", 1))).length();
            case "fail":
                return "fail " + service.fail(1);
            default:
                return service.greet("n" + i).replaceAll(".* from ", "");
        }
    }
}
