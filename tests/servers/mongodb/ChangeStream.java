import de.bwaldvogel.mongo.backend.Utils;
import de.bwaldvogel.mongo.backend.aggregation.Aggregation;
import de.bwaldvogel.mongo.bson.BsonTimestamp;
import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.exception.MongoServerError;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/** A change stream over one database. */
final class ChangeStream {
    private static final int INVALID_RESUME_TOKEN = 260;
    private static final int FATAL = 280;
    private static final int HISTORY_LOST = 286;

    private final long number;
    private final String database;
    private final boolean looksUp;
    private final List<Document> stages;
    private final ReplicaSetMember member;
    private final ChangeLog log;
    /** The number of the change that comes next. */
    private int next;
    /** Behind what was handed out. */
    private String token;
    private boolean isClosed;

    ChangeStream(long number, String database, Document options, List<Document> stages, ReplicaSetMember member, ChangeLog log) {
        this.number = number;
        this.database = database;
        this.looksUp = "updateLookup".equals(options.get("fullDocument"));
        this.stages = stages;
        this.member = member;
        this.log = log;
        BsonTimestamp start = (BsonTimestamp) options.get("startAtOperationTime");
        if (options.get("startAfter") instanceof Document after) {
            resume(after, true);
        } else if (options.get("resumeAfter") instanceof Document after) {
            resume(after, false);
        } else {
            begin(start != null ? start : log.next());
        }
    }

    long number() {
        return number;
    }

    boolean isClosed() {
        return isClosed;
    }

    boolean isForgotten() {
        return log.isForgotten(next);
    }

    /** A token without a change: behind everything before a time. */
    private static String mark(BsonTimestamp time) {
        return String.format("82%016X2B00", time.getValue());
    }

    private static String token(ChangeLog.Change change) {
        String kind = change.type().equals("invalidate") ? "02" : "01";
        return String.format("82%016X2B%s%08X", change.time().getValue(), kind, change.ordinal());
    }

    private void begin(BsonTimestamp time) {
        if (log.isForgotten(time)) {
            throw new MongoServerError(HISTORY_LOST, "ChangeStreamHistoryLost", "the log begins later");
        }
        next = log.end();
        while (!log.isForgotten(next - 1) && log.change(next - 1).time().compareTo(time) >= 0) {
            next--;
        }
        token = mark(time);
    }

    private void resume(Document after, boolean mayBeInvalidate) {
        if (!(after.get("_data") instanceof String data) || !data.matches("82[0-9A-F]{16}2B0[012]([0-9A-F]{8})?")) {
            throw new MongoServerError(INVALID_RESUME_TOKEN, "InvalidResumeToken", "not a token of this server");
        }
        if (data.startsWith("02", 20) && !mayBeInvalidate) {
            throw new MongoServerError(INVALID_RESUME_TOKEN, "InvalidResumeToken", "a stream is not resumed behind an invalidate event");
        }
        begin(new BsonTimestamp(Long.parseUnsignedLong(data.substring(2, 18), 16)));
        if (!data.endsWith("2B00")) {
            while (next < log.end() && !token(log.change(next)).equals(data)) {
                next++;
            }
            if (next == log.end()) {
                throw new MongoServerError(FATAL, "ChangeStreamFatalError", "the token is not in the log");
            }
            next++;
        }
        token = data;
    }

    /** Whether a change of the database waits. */
    boolean hasNext() {
        while (next < log.end() && !isOurs(log.change(next))) {
            next++;
        }
        return next < log.end();
    }

    private boolean isOurs(ChangeLog.Change change) {
        return change.database().equals(database);
    }

    /** The answer with what waits. */
    Document batch(String name, int size) {
        List<Document> events = new ArrayList<>();
        while (events.size() < size && hasNext() && !isClosed) {
            ChangeLog.Change change = log.change(next++);
            events.add(event(change));
            token = token(change);
            isClosed = change.type().equals("invalidate");
        }
        if (!events.isEmpty()) {
            member.sent(events);
        }
        if (events.isEmpty() && mark(log.time()).compareTo(token) > 0) {
            token = mark(log.time());
        }
        Document cursor = new Document(name, events)
                .append("postBatchResumeToken", new Document("_data", token))
                .append("id", isClosed ? 0L : number)
                .append("ns", database + ".$cmd.aggregate");
        Document answer = new Document("cursor", cursor);
        Utils.markOkay(answer);
        answer.put("operationTime", log.time());
        return answer;
    }

    private Document event(ChangeLog.Change change) {
        Document event = new Document("_id", new Document("_data", token(change)))
                .append("operationType", change.type())
                .append("clusterTime", change.time())
                .append("wallTime", change.wall());
        if (!change.type().equals("invalidate")) {
            Document namespace = new Document("db", database);
            if (change.collection() != null) {
                namespace.append("coll", change.collection());
            }
            event.append("ns", namespace);
        }
        if (change.key() != null) {
            event.append("documentKey", new Document("_id", change.key()));
        }
        if (change.document() != null) {
            event.append("fullDocument", change.document());
        } else if (change.type().equals("update") && looksUp) {
            event.append("fullDocument", log.find(database, change.collection(), change.key()));
        }
        if (change.more() != null) {
            event.putAll(change.more());
        }
        Aggregation aggregation = Aggregation.fromPipeline(stages, member::resolveDatabase, member.resolveDatabase(database), null, log);
        Document shaped = aggregation.runStagesAsStream(Stream.of(event)).findFirst().orElseThrow();
        if (!new Document("_data", token(change)).equals(shaped.get("_id"))) {
            throw new MongoServerError(FATAL, "ChangeStreamFatalError", "a stage of the pipeline took the token from an event");
        }
        return shaped;
    }
}
