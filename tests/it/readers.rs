//! The judges are judged: their texts against the server's own, their comparison against planted faults.

use ol_testkit::{PostgresServer, Readers};

#[test]
fn the_comparison_is_right_about_texts_and_finds_every_planted_fault() {
    let database = PostgresServer::shared().create_database("judge");
    let folder = tempfile::tempdir().unwrap();
    let done = Readers::program("check.py")
        .args(["--source", &database.url(), "--folder"])
        .arg(folder.path())
        .run()
        .expect_code(0);
    assert_eq!(done.stdout.matches("exit code 1").count(), 9, "{}", done.stdout);
    eprintln!("{}", done.stdout);
}
