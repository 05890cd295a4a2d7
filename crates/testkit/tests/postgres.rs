//! The private server serves, and is gone when nobody holds it.

use ol_testkit::PostgresServer;

#[test]
fn a_server_answers_and_goes_away_with_its_owner() {
    let server = PostgresServer::start();
    let database = server.create_database("here");
    assert_eq!(database.psql("SELECT 1, NULL, 'a''b'"), "1\t\ta'b");
    let folder = database.psql("SHOW data_directory");
    let port = server.port();
    drop(server);
    let started = std::time::Instant::now();
    while std::path::Path::new(&folder).exists() {
        assert!(started.elapsed().as_secs() < 20, "the folder of a stopped server stays");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err(), "the server still listens");
}
