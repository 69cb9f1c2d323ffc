package demo;

/** Another interface with the same methods. */
public interface UnlistedService extends GreetingService {}
