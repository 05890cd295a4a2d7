//! The checker of the ledger is checked: it is silent about a lake that is right, and finds every planted fault.

use ol_testkit::Readers;

use super::common::server;

#[test]
fn the_checker_finds_every_planted_fault() {
    let database = server().create_database("checker");
    let folder = tempfile::tempdir().unwrap();
    let done = Readers::program("ledger_check.py")
        .args(["--source", &database.url(), "--folder"])
        .arg(folder.path())
        .run()
        .expect_code(0);
    assert_eq!(done.stdout.matches("found: ").count(), 27, "{}", done.stdout);
    eprintln!("{}", done.stdout);
}
