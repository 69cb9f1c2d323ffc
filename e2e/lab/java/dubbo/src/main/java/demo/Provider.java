package demo;

import java.util.Map;
import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.ProtocolConfig;
import org.apache.dubbo.config.ServiceConfig;
import org.apache.dubbo.config.bootstrap.DubboBootstrap;

/**
 * A provider of GreetingService. Settings (each -Dlab.KEY=VALUE): registry, root, simplified, username, password, application, port,
 * host, protocol, serialization, prefer-serialization, name, group, version, tag, weight, parameters (k=v,k2=v2).
 *
 * <p>Prints "PROVIDER READY" once it is registered. SIGTERM ends it gracefully: it leaves the registry first.
 */
public final class Provider implements GreetingService {
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

    public static void main(String[] args) throws InterruptedException {
        int port = Settings.number("port", 20880);
        ProtocolConfig protocol = new ProtocolConfig(Settings.text("protocol", "dubbo"), port);
        Settings.with("host", protocol::setHost);
        Settings.with("serialization", protocol::setSerialization);

        ServiceConfig<GreetingService> service = new ServiceConfig<>();
        service.setInterface(GreetingService.class);
        service.setRef(new Provider(Settings.text("name", "provider-" + port)));
        Settings.with("group", service::setGroup);
        Settings.with("version", service::setVersion);
        Settings.with("tag", service::setTag);
        Settings.with("weight", weight -> service.setWeight(Integer.parseInt(weight)));
        Map<String, String> parameters = Settings.map("parameters");
        Settings.with("prefer-serialization", names -> parameters.put("prefer.serialization", names));
        if (!parameters.isEmpty()) {
            service.setParameters(parameters);
        }

        ApplicationConfig application = Settings.application("greeting-provider");
        DubboBootstrap.getInstance()
            .application(application)
            .registry(Settings.registry())
            .protocol(protocol)
            .service(service)
            .start();
        System.out.println("PROVIDER READY port=" + port);
        Thread.currentThread().join();
    }
}
