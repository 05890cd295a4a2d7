//! The receiver that is built from Django and DRF answers as the one of MIT Learn does: `tests/receivers`, with pytest.

use ol_testkit::{Python, Step, workspace_root};

#[test]
fn the_django_receiver_answers_as_mit_learn_does() {
    let folder = tempfile::tempdir().unwrap();
    let done = Step::new(Python::Receivers.path())
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider"])
        .arg(workspace_root().join("tests/receivers"))
        .folder(folder.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .run()
        .expect_code(0);
    assert!(done.stdout.contains(" passed") && !done.stdout.contains("skipped"), "{}", done.stdout);
}
