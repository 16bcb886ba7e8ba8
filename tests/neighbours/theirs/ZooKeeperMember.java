import java.util.Collections;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.recipes.leader.LeaderElectionSupport;
import org.apache.zookeeper.recipes.lock.WriteLock;

/**
 * The recipes that ZooKeeper itself brings, and a seed's. None of them survives its session: whoever uses them makes everything anew
 * when the session has expired, as here.
 */
abstract class ZooKeeperMember extends Member {
    protected volatile ZooKeeper zooKeeper;

    ZooKeeperMember(String[] arguments) throws Exception {
        super(arguments);
    }

    abstract void join() throws Exception;

    abstract void leave() throws Exception;

    /** The session has expired; what the recipe says does not hold any more. */
    abstract void forget();

    @Override
    long session() {
        ZooKeeper now = zooKeeper;
        return now == null ? 0 : now.getSessionId();
    }

    @Override
    synchronized void stand() throws Exception {
        BlockingQueue<WatchedEvent> connected = new LinkedBlockingQueue<>();
        zooKeeper = new ZooKeeper(hosts, timeoutMs, event -> {
            if (event.getState() == Watcher.Event.KeeperState.SyncConnected)
                connected.add(event);
            else if (event.getState() == Watcher.Event.KeeperState.Expired)
                expired();
        });
        connected.take();
        join();
    }

    /** Not in the thread of the session that is gone: a recipe may be waiting there. */
    private void expired() {
        forget();
        new Thread(() -> {
            try {
                stand();
            } catch (Exception e) {
                e.printStackTrace();
                System.exit(1);
            }
        }).start();
    }

    @Override
    synchronized void resign() throws Exception {
        leave();
        join();
    }

    @Override
    synchronized void close() throws Exception {
        leave();
        zooKeeper.close();
    }

    static class Support extends ZooKeeperMember {
        private volatile boolean elected;
        private LeaderElectionSupport support;

        Support(String[] arguments) throws Exception {
            super(arguments);
        }

        @Override
        void join() {
            LeaderElectionSupport mine = new LeaderElectionSupport();
            mine.setZooKeeper(zooKeeper);
            mine.setRootNodeName(path);
            mine.setHostName(value);
            mine.addListener(event -> {
                if (event == LeaderElectionSupport.EventType.ELECTED_COMPLETE)
                    elected = true;
                else if (event == LeaderElectionSupport.EventType.FAILED)
                    new Thread(() -> beginAgain(mine)).start();
            });
            support = mine;
            mine.start();
        }

        /**
         * It gives up for ever, with its znode in place, if another znode goes between its listing and its reading the others'. Whoever
         * uses it has to begin again.
         */
        private void beginAgain(LeaderElectionSupport failed) {
            System.err.println("GAVE UP");
            synchronized (this) {
                if (support != failed)
                    return;
                leave();
                join();
            }
        }

        @Override
        void leave() {
            elected = false;
            support.stop();
        }

        @Override
        void forget() {
            elected = false;
        }

        @Override
        boolean believes() {
            return elected;
        }
    }

    static class Lock extends ZooKeeperMember {
        private volatile WriteLock lock;

        Lock(String[] arguments) throws Exception {
            super(arguments);
        }

        @Override
        void join() throws Exception {
            lock = new WriteLock(zooKeeper, path, ZooDefs.Ids.OPEN_ACL_UNSAFE);
            lock.lock();
        }

        @Override
        void leave() {
            WriteLock mine = lock;
            lock = null;
            mine.unlock();
        }

        @Override
        void forget() {
            lock = null;
        }

        @Override
        boolean believes() {
            WriteLock mine = lock;
            return mine != null && mine.isOwner();
        }
    }

    /**
     * The Worker of seed 002, its `register`, `watchPrevious` and `process` in its own words; the path and the value are parameters.
     * It has no way to leave but to end, and nothing that hears of the end of its session: it is made anew here.
     */
    static class Worker extends ZooKeeperMember implements Watcher {
        private String znode;
        private volatile boolean leader;

        Worker(String[] arguments) throws Exception {
            super(arguments);
        }

        @Override
        void join() throws Exception {
            znode = zooKeeper.create(path + "/w-", value.getBytes(), ZooDefs.Ids.OPEN_ACL_UNSAFE,
                CreateMode.EPHEMERAL_SEQUENTIAL);
            znode = znode.replace(path + "/", "");
            String node = watchPrevious();
            if (node.equals(znode))
                leader = true;
        }

        private String watchPrevious() throws InterruptedException, KeeperException {
            List<String> works = zooKeeper.getChildren(path, this);
            Collections.sort(works);
            int i = 0;
            for (String work : works) {
                if (znode.equals(work)) {
                    if (i > 0) {
                        return works.get(i - 1);
                    }
                    return works.get(0);
                }
            }
            return "";
        }

        @Override
        public void process(WatchedEvent event) {
            String node = "";
            try {
                node = this.watchPrevious();
            } catch (InterruptedException e) {
            } catch (KeeperException e) {
            }
            if (node.equals(znode))
                leader = true;
        }

        @Override
        synchronized void resign() throws Exception {
            leave();
            stand();
        }

        @Override
        void leave() throws Exception {
            leader = false;
            zooKeeper.close();
        }

        @Override
        void forget() {
            leader = false;
        }

        @Override
        boolean believes() {
            return leader;
        }
    }

    private static Member make(String[] arguments) throws Exception {
        switch (arguments[0]) {
        case "LeaderElectionSupport":
            return new Support(arguments);
        case "WriteLock":
            return new Lock(arguments);
        default:
            return new Worker(arguments);
        }
    }

    public static void main(String[] arguments) throws Exception {
        make(arguments).run();
    }
}
