import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.ServerVersion;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;

/**
 * A server that speaks MongoDB's protocol and keeps everything in memory, on the port that the first argument names. With a second
 * one it is the primary of the replica set of that name, and its changes can be followed.
 */
final class Main {
    public static void main(String[] arguments) throws Exception {
        MemoryBackend backend = arguments.length > 1 ? new ReplicaSetMember(arguments[1]) : new MemoryBackend();
        backend.version(ServerVersion.MONGO_5_0);
        MongoServer server = new MongoServer(backend);
        server.bind("127.0.0.1", Integer.parseInt(arguments[0]));
        Thread.currentThread().join();
    }
}
