package demo;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Consumer;
import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.RegistryConfig;

/** What provider and consumer share: settings are JVM system properties that start with "lab.". */
final class Settings {
    private Settings() {}

    static String text(String key, String otherwise) {
        String value = System.getProperty("lab." + key, "");
        return value.isEmpty() ? otherwise : value;
    }

    static int number(String key, int otherwise) {
        return Integer.parseInt(text(key, Integer.toString(otherwise)));
    }

    static boolean flag(String key) {
        return Boolean.parseBoolean(text(key, "false"));
    }

    /** Hands the setting to use, if there is one. */
    static void with(String key, Consumer<String> use) {
        String value = text(key, "");
        if (!value.isEmpty()) {
            use.accept(value);
        }
    }

    /** Reads "k=v,k2=v2". */
    static Map<String, String> map(String key) {
        Map<String, String> result = new LinkedHashMap<>();
        with(key, list -> {
            for (String pair : list.split(",")) {
                String[] parts = pair.split("=", 2);
                result.put(parts[0], parts[1]);
            }
        });
        return result;
    }

    static ApplicationConfig application(String otherwise) {
        ApplicationConfig application = new ApplicationConfig(text("application", otherwise));
        application.setQosEnable(false);
        return application;
    }

    /** Returns the registry of the setting "registry" (HOST:PORT of ZooKeeper), or none at all. */
    static RegistryConfig registry() {
        String address = text("registry", "");
        if (address.isEmpty()) {
            return new RegistryConfig("N/A");
        }
        RegistryConfig registry = new RegistryConfig("zookeeper://" + address);
        registry.setTimeout(10_000);
        with("root", registry::setGroup); // Dubbo calls the root znode a group.
        if (flag("simplified")) {
            registry.setSimplified(true);
        }
        with("username", registry::setUsername);
        with("password", registry::setPassword);
        return registry;
    }
}
