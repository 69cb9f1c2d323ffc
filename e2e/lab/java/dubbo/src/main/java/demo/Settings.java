package demo;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Consumer;
import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.RegistryConfig;

/** What provider and consumer are told: JVM system properties that start with "lab.", or "key=value" words of a command. */
final class Settings {
    private final Map<String, String> values;

    private Settings(Map<String, String> values) {
        this.values = values;
    }

    /** Reads the system properties. */
    static Settings ofSystem() {
        Map<String, String> values = new LinkedHashMap<>();
        System.getProperties().forEach((key, value) -> {
            if (key.toString().startsWith("lab.")) {
                values.put(key.toString().substring("lab.".length()), value.toString());
            }
        });
        return new Settings(values);
    }

    /** Reads the words of a command behind the first; they win over these settings. */
    Settings with(String[] words, int first) {
        Map<String, String> all = new LinkedHashMap<>(values);
        for (int i = first; i < words.length; i++) {
            String[] parts = words[i].split("=", 2);
            all.put(parts[0], parts[1]);
        }
        return new Settings(all);
    }

    String text(String key, String otherwise) {
        String value = values.getOrDefault(key, "");
        return value.isEmpty() ? otherwise : value;
    }

    int number(String key, int otherwise) {
        return Integer.parseInt(text(key, Integer.toString(otherwise)));
    }

    boolean flag(String key) {
        return Boolean.parseBoolean(text(key, "false"));
    }

    /** Hands the setting to use, if there is one. */
    void use(String key, Consumer<String> use) {
        String value = text(key, "");
        if (!value.isEmpty()) {
            use.accept(value);
        }
    }

    /** Reads "k=v,k2=v2". */
    Map<String, String> map(String key) {
        Map<String, String> result = new LinkedHashMap<>();
        use(key, list -> {
            for (String pair : list.split(",")) {
                String[] parts = pair.split("=", 2);
                result.put(parts[0], parts[1]);
            }
        });
        return result;
    }

    ApplicationConfig application(String otherwise) {
        ApplicationConfig application = new ApplicationConfig(text("application", otherwise));
        application.setQosEnable(false);
        return application;
    }

    /** Returns the registry of the setting "registry" (HOST:PORT of ZooKeeper), or none at all. */
    RegistryConfig registry() {
        String address = text("registry", "");
        if (address.isEmpty()) {
            return new RegistryConfig("N/A");
        }
        RegistryConfig registry = new RegistryConfig("zookeeper://" + address);
        registry.setTimeout(10_000);
        use("root", registry::setGroup); // Dubbo calls the root znode a group.
        if (flag("simplified")) {
            registry.setSimplified(true);
        }
        use("username", registry::setUsername);
        use("password", registry::setPassword);
        return registry;
    }

    /** Returns the interface of the setting "interface", GreetingService by default. */
    Class<? extends GreetingService> service() {
        try {
            return Class.forName(text("interface", GreetingService.class.getName())).asSubclass(GreetingService.class);
        } catch (ClassNotFoundException e) {
            throw new IllegalArgumentException(e);
        }
    }
}
