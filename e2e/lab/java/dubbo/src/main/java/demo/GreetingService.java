package demo;

/** The service that every provider offers and every consumer calls. */
public interface GreetingService {
    /** Answers with a greeting that ends in "from NAME", NAME being that of the provider. */
    String greet(String name);

    /** Answers with its argument; for payloads of any size. */
    String echo(String text);

    /** Throws a business exception when code is positive. */
    int fail(int code);

    /** Answers with nothing; the provider prints "NOTED text". */
    void note(String text);
}
