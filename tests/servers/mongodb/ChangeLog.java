import de.bwaldvogel.mongo.MongoBackend;
import de.bwaldvogel.mongo.MongoCollection;
import de.bwaldvogel.mongo.backend.Cursor;
import de.bwaldvogel.mongo.backend.aggregation.Aggregation;
import de.bwaldvogel.mongo.bson.BsonTimestamp;
import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.oplog.Oplog;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;

/** What happened to the documents of a server, in its order, and the time of the cluster. */
final class ChangeLog implements Oplog {
    /** One change: what a change stream tells of it, but for its token and for a document that is looked up. */
    record Change(BsonTimestamp time, int ordinal, Instant wall, String type, String database, String collection, Object key, Document document,
            Document more) {
    }

    private final MongoBackend backend;
    private final List<Change> changes = new ArrayList<>();
    /** How many changes were thrown away. */
    private int forgotten;
    private BsonTimestamp time = new BsonTimestamp(Instant.now(), 1);
    /** The last time whose changes were thrown away. */
    private BsonTimestamp forgottenUpTo = new BsonTimestamp(0);
    private int ordinal;
    private boolean isTogether;

    ChangeLog(MongoBackend backend) {
        this.backend = backend;
    }

    BsonTimestamp time() {
        return time;
    }

    /** The number behind the last change. */
    int end() {
        return forgotten + changes.size();
    }

    boolean isForgotten(int number) {
        return number < forgotten;
    }

    boolean isForgotten(BsonTimestamp wanted) {
        return wanted.compareTo(forgottenUpTo) <= 0;
    }

    Change change(int number) {
        return changes.get(number - forgotten);
    }

    /** Throws away all changes but the last, which a log has always. */
    void forget() {
        while (changes.size() > 1) {
            forgottenUpTo = changes.remove(0).time();
            forgotten++;
        }
    }

    /** From here on changes have one time, or each its own. */
    void together(boolean is) {
        tick();
        isTogether = is;
        ordinal = 0;
    }

    /** A time that no change of before has, and every change to come has, or a later one: in the midst of a transaction its own. */
    BsonTimestamp next() {
        return isTogether ? time : new BsonTimestamp(time.getValue() + 1);
    }

    private void tick() {
        BsonTimestamp now = new BsonTimestamp(Instant.now(), 1);
        time = now.compareTo(time) > 0 ? now : new BsonTimestamp(time.getValue() + 1);
    }

    private void add(String type, String namespace, Object key, Document document, Document more) {
        if (!isTogether) {
            tick();
            ordinal = 0;
        }
        int dot = namespace.indexOf('.');
        String database = dot < 0 ? namespace : namespace.substring(0, dot);
        String collection = dot < 0 ? null : namespace.substring(dot + 1);
        Document kept = document == null ? null : document.cloneDeeply();
        changes.add(new Change(time, ordinal++, Instant.now(), type, database, collection, key, kept, more));
    }

    /** A document as it is now. */
    Document find(String database, String name, Object key) {
        MongoCollection<?> collection = backend.resolveDatabase(database).resolveCollection(name, false);
        if (collection == null) {
            return null;
        }
        return collection.queryAllAsStream().filter(document -> key.equals(document.get("_id"))).findFirst().map(Document::cloneDeeply).orElse(null);
    }

    @Override
    public void handleInsert(String namespace, List<Document> documents) {
        documents.forEach(document -> add("insert", namespace, document.get("_id"), document, null));
    }

    @Override
    public void handleUpdate(String namespace, Document selector, Document update, List<Object> keys) {
        boolean isReplacement = update.keySet().stream().noneMatch(word -> word.startsWith("$"));
        String[] names = namespace.split("\\.", 2);
        for (Object key : keys) {
            Document document = isReplacement ? find(names[0], names[1], key) : null;
            Document more = isReplacement ? null : new Document("updateDescription", new Document("updatedFields", update.cloneDeeply()));
            add(isReplacement ? "replace" : "update", namespace, key, document, more);
        }
    }

    @Override
    public void handleDelete(String namespace, Document query, List<Object> keys) {
        keys.forEach(key -> add("delete", namespace, key, null, null));
    }

    @Override
    public void handleDropCollection(String namespace) {
        add("drop", namespace, null, null, null);
    }

    void renamed(String from, String to) {
        int dot = to.indexOf('.');
        Document target = new Document("db", to.substring(0, dot)).append("coll", to.substring(dot + 1));
        add("rename", from, null, null, new Document("to", target));
    }

    void databaseDropped(String database) {
        add("dropDatabase", database, null, null, null);
        add("invalidate", database, null, null, null);
    }

    @Override
    public Cursor createCursor(Document options, String namespace, Aggregation aggregation) {
        throw new UnsupportedOperationException("streams are opened by commands");
    }
}
