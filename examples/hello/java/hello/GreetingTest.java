package hello;

public final class GreetingTest {
  private GreetingTest() {}

  public static void main(String[] args) {
    check(Greeting.of("Ada").equals("Hello, Ada!"), "greets by name");
    boolean refused = false;
    try {
      Greeting.of("");
    } catch (IllegalArgumentException expected) {
      refused = true;
    }
    check(refused, "refuses an empty name");
  }

  private static void check(boolean holds, String what) {
    System.out.println((holds ? "ok   " : "FAIL ") + what);
    if (!holds) System.exit(1);
  }
}
