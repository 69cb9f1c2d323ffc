package demo;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.lang.reflect.Constructor;
import java.lang.reflect.Method;
import java.util.Map;
import org.apache.dubbo.config.ProtocolConfig;
import org.apache.dubbo.config.RegistryConfig;
import org.apache.dubbo.config.ServiceConfig;
import org.apache.dubbo.config.bootstrap.DubboBootstrap;
import org.apache.dubbo.qos.command.impl.Offline;

/**
 * A provider of GreetingService. Settings (each -Dlab.KEY=VALUE): registry, root, simplified, username, password, application, port,
 * host, protocol, serialization, prefer-serialization, name, interface, group, version, tag, weight, parameters (k=v,k2=v2).
 *
 * <p>Prints "PROVIDER READY" once it is registered. SIGTERM ends it gracefully: it leaves the registry first. Commands on standard
 * input, each answered with "DID command":
 *
 * <pre>
 * export key=value ...    offers one more service on the same port; settings that are not named are those of the first
 * offline                 leaves the registry, and goes on serving
 * </pre>
 */
public final class Provider implements GreetingService, UnlistedService {
    private final String name;

    private Provider(String name) {
        this.name = name;
    }

    @Override
    public String greet(String who) {
        return "hello " + who + " from " + name;
    }

    @Override
    public String echo(String text) {
        return text;
    }

    @Override
    public int fail(int code) {
        if (code > 0) {
            throw new IllegalStateException("business exception " + code);
        }
        return code;
    }

    @Override
    public void note(String text) {
        System.out.println("NOTED " + text);
    }

    public static void main(String[] args) throws Exception {
        Settings settings = Settings.ofSystem();
        int port = settings.number("port", 20880);
        ProtocolConfig protocol = new ProtocolConfig(settings.text("protocol", "dubbo"), port);
        settings.use("host", protocol::setHost);
        settings.use("serialization", protocol::setSerialization);
        RegistryConfig registry = settings.registry();
        DubboBootstrap.getInstance()
            .application(settings.application("greeting-provider"))
            .registry(registry)
            .protocol(protocol)
            .service(service(settings))
            .start();
        System.out.println("PROVIDER READY port=" + port);
        obey(settings, protocol, registry);
        Thread.currentThread().join();
    }

    private static ServiceConfig<GreetingService> service(Settings settings) {
        ServiceConfig<GreetingService> service = new ServiceConfig<>();
        service.setInterface(settings.service());
        service.setRef(new Provider(settings.text("name", "provider-" + settings.number("port", 20880))));
        settings.use("group", service::setGroup);
        settings.use("version", service::setVersion);
        settings.use("tag", service::setTag);
        settings.use("weight", weight -> service.setWeight(Integer.parseInt(weight)));
        Map<String, String> parameters = settings.map("parameters");
        settings.use("prefer-serialization", names -> parameters.put("prefer.serialization", names));
        if (!parameters.isEmpty()) {
            service.setParameters(parameters);
        }
        return service;
    }

    private static void obey(Settings settings, ProtocolConfig protocol, RegistryConfig registry) throws Exception {
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in));
        for (String line = commands.readLine(); line != null; line = commands.readLine()) {
            String[] words = line.split(" ");
            switch (words[0]) {
                case "export":
                    ServiceConfig<GreetingService> more = service(settings.with(words, 1));
                    more.setProtocol(protocol);
                    more.setRegistry(registry);
                    more.export();
                    break;
                case "offline":
                    offline();
                    break;
                default:
                    throw new IOException("unknown command: " + line);
            }
            System.out.println("DID " + line);
        }
    }

    /** Does what the command "offline" of Dubbo's QoS does; its class is made differently in Dubbo 2.7 and 3, and its base has moved. */
    private static void offline() throws Exception {
        Constructor<?> constructor = Offline.class.getConstructors()[0];
        Class<?>[] parameters = constructor.getParameterTypes();
        Object command = parameters.length == 0
            ? constructor.newInstance()
            : constructor.newInstance(parameters[0].getMethod("defaultModel").invoke(null));
        for (Method method : Offline.class.getMethods()) {
            if (method.getName().equals("execute")) {
                method.invoke(command, null, new String[0]);
                return;
            }
        }
        throw new NoSuchMethodException("execute");
    }
}
