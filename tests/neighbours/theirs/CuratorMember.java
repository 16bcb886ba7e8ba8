import java.nio.charset.StandardCharsets;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryForever;

/** Apache Curator's recipes, used as its documentation has them. */
abstract class CuratorMember extends Member {
    protected final CuratorFramework client;

    CuratorMember(String[] arguments) throws Exception {
        super(arguments);
        client = CuratorFrameworkFactory.builder()
            .connectString(hosts)
            .sessionTimeoutMs(timeoutMs)
            .connectionTimeoutMs(timeoutMs)
            .retryPolicy(new RetryForever(100))
            .defaultData(value.getBytes(StandardCharsets.US_ASCII))
            .build();
        client.start();
        client.blockUntilConnected();
    }

    @Override
    long session() {
        try {
            return client.getZookeeperClient().getZooKeeper().getSessionId();
        } catch (Exception e) {
            return 0;
        }
    }

    static class Latch extends CuratorMember {
        private volatile LeaderLatch latch;

        Latch(String[] arguments) throws Exception {
            super(arguments);
        }

        @Override
        void stand() throws Exception {
            latch = new LeaderLatch(client, path, value);
            latch.start();
        }

        @Override
        void resign() throws Exception {
            latch.close();
            stand();
        }

        @Override
        void close() throws Exception {
            latch.close();
            client.close();
        }

        @Override
        boolean believes() {
            LeaderLatch mine = latch;
            return mine != null && mine.hasLeadership();
        }
    }

    /** Leads until it is told to resign, or is interrupted. */
    static class Term {
        private boolean over;
        private volatile boolean leads;

        synchronized void begin() {
            over = false;
        }

        synchronized void serve() throws InterruptedException {
            leads = true;
            try {
                while (!over)
                    wait();
            } finally {
                leads = false;
            }
        }

        synchronized void end() {
            over = true;
            leads = false;
            notifyAll();
        }
    }

    /** The adapter of its documentation interrupts the leader when the connection is lost. */
    static class Selector extends CuratorMember {
        private final Term term = new Term();
        private LeaderSelector selector;

        Selector(String[] arguments) throws Exception {
            super(arguments);
        }

        @Override
        void stand() {
            selector = new LeaderSelector(client, path, new LeaderSelectorListenerAdapter() {
                @Override
                public void takeLeadership(CuratorFramework unused) throws Exception {
                    term.begin();
                    term.serve();
                }
            });
            selector.setId(value);
            selector.autoRequeue();
            selector.start();
        }

        @Override
        void resign() throws Exception {
            if (term.leads) {
                term.end();
            } else {
                selector.interruptLeadership();
                selector.close();
                stand();
            }
        }

        @Override
        void close() {
            selector.close();
            term.end();
            client.close();
        }

        @Override
        boolean believes() {
            return term.leads;
        }
    }

    /** With the listener that its documentation recommends: who holds it is interrupted when the connection is lost. */
    static class Mutex extends CuratorMember {
        private final Term term = new Term();
        private volatile boolean closing;
        private Thread holder;

        Mutex(String[] arguments) throws Exception {
            super(arguments);
        }

        @Override
        void stand() {
            client.getConnectionStateListenable().addListener((unused, state) -> {
                if (state == ConnectionState.SUSPENDED || state == ConnectionState.LOST)
                    term.end();
                // One that waited did not always stand again by itself when its session had expired.
                if (state == ConnectionState.LOST)
                    holder.interrupt();
            });
            holder = new Thread(this::hold);
            holder.start();
        }

        private void hold() {
            InterProcessMutex mutex = new InterProcessMutex(client, path);
            while (!closing) {
                // Curator leaves a thread interrupted that it has interrupted; and the connection may be lost from here on.
                Thread.interrupted();
                term.begin();
                try {
                    mutex.acquire();
                } catch (Exception e) {
                    continue; // interrupted, or its session has expired
                }
                try {
                    term.serve();
                } catch (InterruptedException e) {
                    // to leave
                } finally {
                    try {
                        mutex.release();
                    } catch (Exception e) {
                        // Its znode has gone with the session.
                    }
                }
            }
        }

        @Override
        void resign() {
            if (term.leads)
                term.end();
            else
                holder.interrupt();
        }

        @Override
        void close() throws Exception {
            closing = true;
            term.end();
            holder.interrupt();
            holder.join();
            client.close();
        }

        @Override
        boolean believes() {
            return term.leads;
        }
    }

    public static void main(String[] arguments) throws Exception {
        switch (arguments[0]) {
        case "LeaderLatch":
            new Latch(arguments).run();
            break;
        case "LeaderSelector":
            new Selector(arguments).run();
            break;
        default:
            new Mutex(arguments).run();
        }
    }
}
