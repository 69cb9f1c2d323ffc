package transcript;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Runs the steps of a script, one a line on standard input: SESSION COMMAND ARGUMENT... Each is answered on standard output by any
 * number of lines and one that is a dot.
 */
public final class Main {
    private Main() {}

    public static void main(String[] args) throws Exception {
        Map<String, Session> sessions = new HashMap<>();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            List<String> words = Arrays.asList(line.trim().split("\\s+"));
            String name = words.get(0);
            String command = words.get(1);
            List<String> rest = words.subList(2, words.size());
            if (command.equals("connect")) {
                sessions.put(name, new Session(rest));
            } else {
                sessions.get(name).step(command, rest).forEach(System.out::println);
            }
            System.out.println(".");
            System.out.flush();
        }
        sessions.values().forEach(Session::close);
    }
}
