package testbed;

import java.util.HashMap;
import java.util.Map;
import java.util.TreeSet;

/** A job's arguments, {@code --name value}. One that nothing asks for is an error: a misspelt test must not pass. */
final class Arguments {
    private final Map<String, String> given = new HashMap<>();
    private final TreeSet<String> unused = new TreeSet<>();

    Arguments(String[] args) {
        for (int i = 0; i < args.length; i += 2) {
            if (!args[i].startsWith("--") || i + 1 == args.length) {
                throw new IllegalArgumentException("expected --name value, found " + args[i]);
            }
            given.put(args[i].substring(2), args[i + 1]);
        }
        unused.addAll(given.keySet());
    }

    String text(String name, String otherwise) {
        unused.remove(name);
        return given.getOrDefault(name, otherwise);
    }

    String text(String name) {
        String value = text(name, null);
        if (value == null) {
            throw new IllegalArgumentException("--" + name + " is missing");
        }
        return value;
    }

    int number(String name, int otherwise) {
        return Integer.parseInt(text(name, Integer.toString(otherwise)));
    }

    double real(String name, double otherwise) {
        return Double.parseDouble(text(name, Double.toString(otherwise)));
    }

    boolean flag(String name, boolean otherwise) {
        return Boolean.parseBoolean(text(name, Boolean.toString(otherwise)));
    }

    /** To be called once everything was asked for. */
    void done() {
        if (!unused.isEmpty()) {
            throw new IllegalArgumentException("unknown arguments: " + unused);
        }
    }
}
