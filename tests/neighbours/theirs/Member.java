import java.io.BufferedReader;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;

/**
 * A member of a group, by a recipe of somebody else's. It asks every millisecond whether it leads, and appends to its log what
 * tests/multiprocess/believer.c appends to its own, with a token and a lease of 0, and
 *
 *     S SESSION    the session that it has now, a number
 *
 * Its standard input takes one word a line: resign (and stand again, at the end of the queue), close.
 */
abstract class Member {
    protected final String hosts, path, value;
    protected final int timeoutMs;
    private final OutputStream log;

    Member(String[] arguments) throws IOException {
        hosts = arguments[1];
        path = arguments[2];
        value = arguments[3];
        log = new FileOutputStream(arguments[4], true);
        timeoutMs = Integer.parseInt(arguments[5]);
    }

    /** Whether it leads, as the recipe says. */
    abstract boolean believes();

    /** 0 while it has none. */
    abstract long session();

    /** Called by one thread, as are the next two. */
    abstract void stand() throws Exception;

    abstract void resign() throws Exception;

    abstract void close() throws Exception;

    /** In one write, so that neither a stop nor a kill tears a line. */
    private synchronized void note(String line) throws IOException {
        log.write((line + "\n").getBytes(StandardCharsets.US_ASCII));
    }

    void run() throws Exception {
        Thread asking = new Thread(this::ask);
        asking.setDaemon(true);
        asking.start();
        stand();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = in.readLine()) != null; ) {
            if (line.equals("resign")) {
                resign();
            } else if (line.equals("close")) {
                close();
                note("E " + System.nanoTime() + " 0");
                break;
            }
        }
        System.exit(0);
    }

    private void ask() {
        try {
            boolean believed = false;
            for (long known = 0; ; Thread.sleep(1)) {
                long session = session();
                if (session != known && session != 0) {
                    note("S " + session);
                    known = session;
                }
                long before = System.nanoTime();
                boolean believes = believes();
                long after = System.nanoTime();
                if (believes)
                    note("Y " + before + " " + after + " " + before + " 0 0");
                else if (believed)
                    note("N " + before + " " + after);
                believed = believes;
            }
        } catch (Exception e) {
            e.printStackTrace();
            System.exit(1);
        }
    }
}
