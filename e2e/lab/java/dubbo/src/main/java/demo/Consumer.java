package demo;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.dubbo.config.ReferenceConfig;
import org.apache.dubbo.config.RegistryConfig;
import org.apache.dubbo.config.bootstrap.DubboBootstrap;

/**
 * A consumer of GreetingService. Settings (each -Dlab.KEY=VALUE): registry, root, username, password, application, or url
 * (PROTOCOL://HOST:PORT, direct); interface, group, version, serialization, prefer-serialization, timeout (ms), retries, connections,
 * heartbeat (ms), oneway (a method), parameters (k=v,k2=v2), and those of Calls.
 *
 * <p>Without the setting "console" it makes one series of calls, and exits with 1 when one failed. With it, it obeys commands on
 * standard input, and keeps its references from one to the next:
 *
 * <pre>
 * start ID key=value ...    starts a series of calls; settings that are not named are those of the program
 * stop ID                   ends it
 * </pre>
 */
public final class Consumer {
    private final Settings settings;
    private final RegistryConfig registry;
    private final Map<String, GreetingService> services = new HashMap<>();
    private final Map<String, Calls> series = new HashMap<>();

    private Consumer(Settings settings) {
        this.settings = settings;
        this.registry = settings.registry();
    }

    public static void main(String[] args) throws Exception {
        Consumer consumer = new Consumer(Settings.ofSystem());
        DubboBootstrap.getInstance()
            .application(consumer.settings.application("greeting-consumer"))
            .registry(consumer.registry)
            .start();
        if (!consumer.settings.flag("console")) {
            Calls calls = new Calls("0", consumer.settings, consumer.service(consumer.settings));
            calls.run();
            System.exit(calls.allGood() ? 0 : 1);
        }
        System.out.println("CONSUMER READY");
        consumer.obey();
    }

    private void obey() throws IOException {
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in));
        for (String line = commands.readLine(); line != null; line = commands.readLine()) {
            String[] words = line.split(" ");
            switch (words[0]) {
                case "start":
                    Settings all = settings.with(words, 2);
                    Calls calls = new Calls(words[1], all, service(all));
                    series.put(words[1], calls);
                    new Thread(calls, "calls-" + words[1]).start();
                    break;
                case "stop":
                    series.remove(words[1]).stop();
                    break;
                default:
                    throw new IOException("unknown command: " + line);
            }
        }
    }

    /** Returns the one reference of these settings. */
    private GreetingService service(Settings all) {
        ReferenceConfig<GreetingService> reference = new ReferenceConfig<>();
        reference.setRegistry(registry);
        reference.setInterface(all.service());
        reference.setCheck(false);
        reference.setTimeout(all.number("timeout", 3000));
        reference.setRetries(all.number("retries", 0));
        all.use("url", reference::setUrl);
        all.use("group", reference::setGroup);
        all.use("version", reference::setVersion);
        all.use("protocol", reference::setProtocol);
        all.use("connections", n -> reference.setConnections(Integer.parseInt(n)));
        Map<String, String> parameters = new LinkedHashMap<>(all.map("parameters"));
        all.use("serialization", name -> parameters.put("serialization", name));
        all.use("prefer-serialization", names -> parameters.put("prefer.serialization", names));
        all.use("heartbeat", period -> parameters.put("heartbeat", period));
        all.use("oneway", method -> parameters.put(method + ".return", "false"));
        reference.setParameters(parameters);
        String key = String.join(" ", all.service().getName(), all.text("url", ""), all.text("group", ""), all.text("version", ""),
            all.text("timeout", ""), all.text("retries", ""), all.text("connections", ""), parameters.toString());
        return services.computeIfAbsent(key, missing -> reference.get());
    }
}
