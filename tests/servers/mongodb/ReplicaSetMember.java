import de.bwaldvogel.mongo.backend.Utils;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import de.bwaldvogel.mongo.bson.BsonTimestamp;
import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.exception.MongoServerError;
import io.netty.channel.Channel;
import java.util.ArrayList;
import java.util.List;

/**
 * The primary of a replica set of one member: a store of documents that also keeps a log, tells the time of the cluster, and opens change
 * streams over a database, as MongoDB's manual specifies them ("Change Streams", "Change Events", "Read Concern").
 *
 * <p>Commands are carried out one after the other, so the log has the changes in the order in which the documents have them. Beside
 * the server's own commands it knows {@code configureFailPoint} with {@code failCommand}, by which drivers are tested, and two some
 * for tests: {@code forget} throws the log away but for its end, {@code together} gives the changes from then on one time, as a
 * transaction does, or no longer, {@code sent} tells the events of the last batch that had any.
 */
final class ReplicaSetMember extends MemoryBackend {
    /** How long a batch is waited for at most; the thread serves other connections, too. */
    private static final long MOST_WAIT_MILLISECONDS = 40;

    private static final int STREAM_HISTORY_LOST = 286;
    private static final int CURSOR_NOT_FOUND = 43;

    private final String name;
    private final ChangeLog log = new ChangeLog(this);
    private final List<ChangeStream> streams = new ArrayList<>();
    private Document failPoint;
    private List<Document> sent = List.of();

    ReplicaSetMember(String name) {
        this.name = name;
        oplog = log;
    }

    @Override
    public Document handleCommand(Channel channel, String database, String command, Document query) {
        ChangeStream stream = null;
        synchronized (this) {
            failIfAsked(channel, command);
            if (command.equals("getMore")) {
                stream = find(((Number) query.get(command)).longValue());
            }
            if (stream == null) {
                Document answer = answer(channel, database, command, query);
                if (answer.containsKey("ok")) {
                    answer.put("operationTime", log.time());
                    answer.put("$clusterTime", new Document("clusterTime", log.time()));
                }
                return answer;
            }
        }
        return next(stream, query);
    }

    private Document answer(Channel channel, String database, String command, Document query) {
        checkReadConcern(query);
        switch (command) {
            case "hello":
            case "isMaster":
            case "ismaster":
                Document hello = super.handleCommand(channel, database, "ismaster", query);
                hello.put("isWritablePrimary", true);
                hello.put("secondary", false);
                hello.put("setName", name);
                return hello;
            case "aggregate":
                Document first = firstStage(query);
                return first.containsKey("$changeStream") ? open(database, query) : super.handleCommand(channel, database, command, query);
            case "renameCollection":
                Document renamed = super.handleCommand(channel, database, command, query);
                log.renamed((String) query.get(command), (String) query.get("to"));
                return renamed;
            case "dropDatabase":
                Document dropped = super.handleCommand(channel, database, command, query);
                log.databaseDropped(database);
                return dropped;
            case "configureFailPoint":
                failPoint = query.get("mode").equals("off") ? null : query;
                return done();
            case "forget":
                log.forget();
                return done();
            case "sent":
                return done().append("events", sent);
            case "together":
                log.together(Utils.isTrue(query.get(command)));
                return done();
            default:
                return super.handleCommand(channel, database, command, query);
        }
    }

    void sent(List<Document> events) {
        sent = events;
    }

    private static Document done() {
        Document answer = new Document();
        Utils.markOkay(answer);
        return answer;
    }

    private void failIfAsked(Channel channel, String command) {
        if (failPoint == null || !((List<?>) data().get("failCommands")).contains(command)) {
            return;
        }
        Document fault = data();
        if (failPoint.get("mode") instanceof Document mode && mode.get("skip") instanceof Number skip && skip.intValue() > 0) {
            mode.put("skip", skip.intValue() - 1);
            return;
        }
        Object times = failPoint.get("mode") instanceof Document mode ? mode.get("times") : null;
        if (times instanceof Number number) {
            ((Document) failPoint.get("mode")).put("times", number.intValue() - 1);
            failPoint = number.intValue() > 1 ? failPoint : null;
        }
        if (Utils.isTrue(fault.get("closeConnection"))) {
            channel.close();
        }
        int code = fault.get("errorCode") instanceof Number number ? number.intValue() : 0;
        throw new MongoServerError(code, "Code" + code, "a value that is secret: open-sesame");
    }

    private Document data() {
        return (Document) failPoint.get("data");
    }

    /** Nothing of later than now can be read, and what has happened is read at once. */
    private void checkReadConcern(Document query) {
        if (query.get("readConcern") instanceof Document concern
                && concern.get("afterClusterTime") instanceof BsonTimestamp time
                && time.compareTo(log.time()) > 0) {
            throw new MongoServerError(72, "InvalidOptions", "readConcern afterClusterTime value must not be greater than the current clusterTime");
        }
    }

    private static Document firstStage(Document query) {
        List<?> stages = (List<?>) query.get("pipeline");
        return stages.isEmpty() ? new Document() : (Document) stages.get(0);
    }

    private ChangeStream find(long number) {
        return streams.stream().filter(stream -> stream.number() == number).findFirst().orElse(null);
    }

    private Document open(String database, Document query) {
        if (!(query.get("aggregate") instanceof Number)) {
            throw new MongoServerError(73, "InvalidNamespace", "streams over a collection are not opened here");
        }
        List<Document> stages = new ArrayList<>();
        for (Object stage : (List<?>) query.get("pipeline")) {
            stages.add((Document) stage);
        }
        Document options = (Document) stages.remove(0).get("$changeStream");
        Object batch = ((Document) query.get("cursor")).get("batchSize");
        // Numbers far from those of other cursors.
        long number = (1L << 40) + streams.size();
        ChangeStream stream = new ChangeStream(number, database, options, stages, this, log);
        streams.add(stream);
        return stream.batch("firstBatch", batch instanceof Number size ? size.intValue() : 101);
    }

    private Document next(ChangeStream stream, Document query) {
        long wait = query.get("maxTimeMS") instanceof Number number ? number.longValue() : 1000;
        long end = System.nanoTime() + Math.min(wait, MOST_WAIT_MILLISECONDS) * 1_000_000;
        Object size = query.get("batchSize");
        while (true) {
            synchronized (this) {
                if (stream.isClosed()) {
                    throw new MongoServerError(CURSOR_NOT_FOUND, "CursorNotFound", "no such cursor");
                }
                if (stream.isForgotten()) {
                    throw new MongoServerError(STREAM_HISTORY_LOST, "ChangeStreamHistoryLost", "what comes next is no longer in the log");
                }
                if (stream.hasNext() || System.nanoTime() >= end) {
                    return stream.batch("nextBatch", size instanceof Number number ? number.intValue() : Integer.MAX_VALUE);
                }
            }
            try {
                Thread.sleep(2);
            } catch (InterruptedException error) {
                Thread.currentThread().interrupt();
                end = 0;
            }
        }
    }
}
