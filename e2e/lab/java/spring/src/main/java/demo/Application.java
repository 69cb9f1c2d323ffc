package demo;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.cloud.client.serviceregistry.Registration;
import org.springframework.cloud.client.serviceregistry.ServiceRegistry;
import org.springframework.context.ConfigurableApplicationContext;

/**
 * A Spring Cloud application, configured by Spring's own properties.
 *
 * <p>Prints "APPLICATION READY" once it is registered. SIGTERM ends it gracefully: it leaves the registry first. Commands on standard
 * input, each answered with "DID command":
 *
 * <pre>
 * status WORD     sets the status of its instance, as the actuator's endpoint serviceregistry does
 * </pre>
 */
@SpringBootApplication
public class Application {
    public static void main(String[] args) throws IOException, InterruptedException {
        ConfigurableApplicationContext context = SpringApplication.run(Application.class, args);
        System.out.println("APPLICATION READY");
        obey(context);
        Thread.currentThread().join();
    }

    @SuppressWarnings("unchecked")
    private static void obey(ConfigurableApplicationContext context) throws IOException {
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in));
        for (String line = commands.readLine(); line != null; line = commands.readLine()) {
            String[] words = line.split(" ");
            if (words[0].equals("status")) {
                context.getBean(ServiceRegistry.class).setStatus(context.getBean(Registration.class), words[1]);
            }
            System.out.println("DID " + line);
        }
    }
}
