import io.trino.server.Server;

/** Trino's own start lies in a part that registries do not all carry; it is this call. */
final class Main {
    public static void main(String[] arguments) {
        new Server().start(arguments[0]);
    }
}
