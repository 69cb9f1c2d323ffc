package transcript;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.api.CuratorWatcher;
import org.apache.curator.framework.api.transaction.CuratorOp;
import org.apache.curator.framework.api.transaction.CuratorTransactionResult;
import org.apache.curator.retry.RetryForever;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.OpResult;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.data.Stat;

/** One session of a Curator client, and the events that came to it. */
final class Session implements CuratorWatcher {
    private static final int PATIENCE_SECONDS = 20;

    private final CuratorFramework client;
    /** The id of the session until it expires. */
    private final long first;

    private final List<String> events = new ArrayList<>();

    /** Connects to ADDRESS [CREDENTIALS|- [SESSION TIMEOUT]]. */
    Session(List<String> args) throws Exception {
        CuratorFrameworkFactory.Builder builder = CuratorFrameworkFactory.builder()
                .connectString(args.get(0))
                .sessionTimeoutMs(args.size() > 2 ? Integer.parseInt(args.get(2)) : 10_000)
                .connectionTimeoutMs(PATIENCE_SECONDS * 1000)
                .retryPolicy(new RetryForever(100));
        if (args.size() > 1 && !args.get(1).equals("-")) {
            builder.authorization("digest", args.get(1).getBytes(UTF_8));
        }
        client = builder.build();
        client.start();
        awaitConnected();
        first = client.getZookeeperClient().getZooKeeper().getSessionId();
    }

    void close() {
        client.close();
    }

    /** Every watch of the session is this one, so that an event of the server is one event here. */
    @Override
    public synchronized void process(WatchedEvent event) {
        if (event.getType() != Watcher.Event.EventType.None) {
            events.add(event.getType() + " " + event.getPath());
            notifyAll();
        }
    }

    List<String> step(String command, List<String> args) throws Exception {
        try {
            return switch (command) {
                case "lost" -> awaitLost();
                case "wait" -> awaitConnected();
                case "close" -> {
                    client.close();
                    yield List.of();
                }
                case "events" -> drain(args.isEmpty() ? 0 : Integer.parseInt(args.get(0)));
                case "missed" -> drain(Integer.parseInt(args.get(0))).stream().sorted().toList();
                case "renewed" -> awaitRenewed();
                case "multi" -> multi(args);
                default -> List.of(("ok " + one(command, args)).trim());
            };
        } catch (KeeperException e) {
            return List.of("error: " + e.code());
        }
    }

    private String one(String command, List<String> args) throws Exception {
        String path = args.get(0);
        Stat stat = new Stat();
        switch (command) {
            case "sync":
                barrier(path);
                return "";
            case "create": {
                CreateMode mode = CreateMode.valueOf(args.get(1).toUpperCase(Locale.ROOT));
                var create = mode.isTTL() ? client.create().withTtl(3_600_000) : client.create();
                String made = create.storingStatIn(stat).withMode(mode).withACL(acl(args.get(2))).forPath(path, data(args.get(3)));
                return made + " " + status(stat);
            }
            case "delete":
                client.delete().withVersion(Integer.parseInt(args.get(1))).forPath(path);
                return "";
            case "set":
                return status(client.setData().withVersion(Integer.parseInt(args.get(2))).forPath(path, data(args.get(1))));
            case "getacl":
                return client.getACL().storingStatIn(stat).forPath(path).stream()
                        .map(a -> a.getPerms() + ":" + a.getId().getScheme() + ":" + a.getId().getId())
                        .toList() + " " + status(stat);
            case "setacl":
                return status(client.setACL().withVersion(Integer.parseInt(args.get(2))).withACL(acl(args.get(1))).forPath(path));
            case "addwatch":
                client.watchers().add().withMode(AddWatchMode.valueOf(args.get(1).toUpperCase(Locale.ROOT))).usingWatcher(this).forPath(path);
                return "";
            case "removewatch":
                client.watchers().remove(this).ofType(watcherType(args.get(1))).forPath(path);
                return "";
            default:
                return read(command, path, args.size() > 1);
        }
    }

    private String read(String command, String path, boolean watch) throws Exception {
        Stat stat = new Stat();
        switch (command) {
            case "get": {
                var get = client.getData().storingStatIn(stat);
                byte[] data = watch ? get.usingWatcher(this).forPath(path) : get.forPath(path);
                return '"' + new String(data, UTF_8) + "\" " + status(stat);
            }
            case "exists": {
                Stat found = watch ? client.checkExists().usingWatcher(this).forPath(path) : client.checkExists().forPath(path);
                return (found != null) + " " + status(found);
            }
            case "children": {
                var get = client.getChildren().storingStatIn(stat);
                List<String> names = new ArrayList<>(watch ? get.usingWatcher(this).forPath(path) : get.forPath(path));
                Collections.sort(names);
                return names + " " + status(stat);
            }
            default:
                throw new IllegalArgumentException(command);
        }
    }

    private List<String> multi(List<String> args) throws Exception {
        List<CuratorOp> ops = new ArrayList<>();
        for (String op : String.join(" ", args).split(" ; ")) {
            String[] words = op.trim().split("\\s+");
            ops.add(switch (words[0]) {
                case "create" -> client.transactionOp().create()
                        .withMode(CreateMode.valueOf(words[2].toUpperCase(Locale.ROOT))).withACL(acl(words[3])).forPath(words[1], data(words[4]));
                case "set" -> client.transactionOp().setData().withVersion(Integer.parseInt(words[3])).forPath(words[1], data(words[2]));
                case "delete" -> client.transactionOp().delete().withVersion(Integer.parseInt(words[2])).forPath(words[1]);
                case "check" -> client.transactionOp().check().withVersion(Integer.parseInt(words[2])).forPath(words[1]);
                default -> throw new IllegalArgumentException(op);
            });
        }
        List<String> out = new ArrayList<>();
        try {
            List<CuratorTransactionResult> results = client.transaction().forOperations(ops);
            out.add("ok");
            for (CuratorTransactionResult r : results) {
                out.add(("- " + r.getType() + " " + r.getResultPath() + " " + status(r.getResultStat())).trim());
            }
        } catch (KeeperException e) {
            out.add("error: " + e.code() + " " + e.getPath());
            if (e.getResults() != null) {
                e.getResults().forEach(r -> out.add("- " + describe(r)));
            }
        }
        return out;
    }

    private static String describe(OpResult result) {
        if (result instanceof OpResult.ErrorResult error) {
            return KeeperException.Code.get(error.getErr()).toString();
        }
        return result.getClass().getSimpleName();
    }

    private List<String> awaitLost() throws Exception {
        while (client.getZookeeperClient().isConnected()) {
            TimeUnit.MILLISECONDS.sleep(5);
        }
        return List.of();
    }

    private List<String> awaitRenewed() throws Exception {
        while (!client.getZookeeperClient().isConnected() || client.getZookeeperClient().getZooKeeper().getSessionId() == first) {
            TimeUnit.MILLISECONDS.sleep(5);
        }
        return List.of();
    }

    private List<String> awaitConnected() throws Exception {
        client.getZookeeperClient().blockUntilConnectedOrTimedOut();
        return List.of();
    }

    /** Returns the events that came, when there are enough, or not in time. Events of changes that were answered before come before the barrier. */
    private List<String> drain(int atLeast) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_SECONDS);
        synchronized (this) {
            while (events.size() < atLeast && System.nanoTime() < end) {
                TimeUnit.NANOSECONDS.timedWait(this, end - System.nanoTime());
            }
        }
        barrier("/");
        synchronized (this) {
            List<String> out = new ArrayList<>(events);
            events.clear();
            return out;
        }
    }

    /** Waits for a sync, whose callback comes behind the events that the client has received before it. */
    private void barrier(String path) throws Exception {
        CountDownLatch done = new CountDownLatch(1);
        client.getZookeeperClient().getZooKeeper().sync(path, (code, p, context) -> done.countDown(), null);
        if (!done.await(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
            throw new IllegalStateException("no answer to sync");
        }
    }

    private static Watcher.WatcherType watcherType(String name) {
        for (Watcher.WatcherType type : Watcher.WatcherType.values()) {
            if (type.name().equalsIgnoreCase(name)) {
                return type;
            }
        }
        throw new IllegalArgumentException(name);
    }

    private static List<ACL> acl(String name) {
        return switch (name) {
            case "open" -> ZooDefs.Ids.OPEN_ACL_UNSAFE;
            case "read" -> ZooDefs.Ids.READ_ACL_UNSAFE;
            case "mine" -> ZooDefs.Ids.CREATOR_ALL_ACL;
            case "bad" -> List.of(new ACL(ZooDefs.Perms.ALL, new Id("digest", "nohash")));
            case "empty" -> List.of();
            default -> throw new IllegalArgumentException(name);
        };
    }

    private static byte[] data(String word) {
        return word.equals("-") ? new byte[0] : word.getBytes(UTF_8);
    }

    private static String status(Stat s) {
        if (s == null) {
            return "";
        }
        return "czxid=" + s.getCzxid() + " mzxid=" + s.getMzxid() + " pzxid=" + s.getPzxid()
                + " version=" + s.getVersion() + " cversion=" + s.getCversion() + " aversion=" + s.getAversion()
                + " owner=" + s.getEphemeralOwner() + " length=" + s.getDataLength() + " children=" + s.getNumChildren();
    }
}
