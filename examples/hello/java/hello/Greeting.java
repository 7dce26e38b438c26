package hello;

/** The same greeting for the JVM. */
public final class Greeting {
  private Greeting() {}

  public static String of(String name) {
    if (name == null || name.isEmpty()) throw new IllegalArgumentException("a name is needed");
    return "Hello, " + name + "!";
  }

  public static void main(String[] names) {
    for (String name : names.length == 0 ? new String[] {"world"} : names) System.out.println(of(name));
  }
}
