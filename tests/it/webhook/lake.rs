//! Rows of the lake become messages: a query over tables that `ol-ingest` loaded.

use super::common::{Receiver, Sender, told_no_secret};
use crate::common::{Case, expect_told};

#[test]
fn a_query_over_the_lake_is_sent_and_what_has_not_changed_is_not() {
    let case = Case::new("webhooklake");
    case.database.psql(
        "CREATE TABLE courses_courserun (id int PRIMARY KEY, courseware_id text, live boolean, price numeric(20,2));
         INSERT INTO courses_courserun
         SELECT n, 'course-v1:MITx+' || n, n % 2 = 0, n * 1.5 FROM generate_series(1, 40) n;
         CREATE TABLE videos (key text, payload jsonb);
         INSERT INTO videos VALUES ('v1', '{\"key\": \"v1\", \"title\": \"Größe\", \"sources\": []}');",
    );
    case.discover();
    case.run(0);
    let receiver = Receiver::ours(&[]);
    let sender = Sender::to(&receiver.base_url);
    let runs = case.raw_table("courses_courserun");
    let query = format!(
        "SELECT courseware_id AS course_id, courseware_id AS course_readable_id,
           'mitxonline/openedx/raw_data/course_xml/' || courseware_id || '/' ||
             lpad(to_hex(id), 64, '0') || '.xml.tar.gz' AS content_path
         FROM {runs} WHERE live ORDER BY id"
    );
    let send = |kind: &str, flags: &[&str], code| {
        let step = sender.step(["send", "--kind", kind].into_iter().chain(flags.iter().copied()));
        told_no_secret(case.lake.apply(step).run()).expect_code(code)
    };
    let flags = ["--source", "mitxonline", "--query", query.as_str(), "--deliver"];
    let document = send("content_files", &flags, 0).json();
    assert_eq!(
        (&document["accepted"], &document["delivery"]["delivered"]),
        (&20.into(), &20.into())
    );
    let again = send("content_files", &flags, 0).json();
    assert_eq!((&again["accepted"], &again["unchanged"]), (&0.into(), &20.into()));
    assert_eq!(receiver.requests().len(), 20);
    assert!(receiver.requests().iter().all(|request| request["status"] == 200));
    // A column named payload holds the whole of it.
    let query = format!("SELECT payload FROM {}", case.raw_table("videos"));
    let document = send("ovs_videos", &["--query", query.as_str(), "--deliver"], 0).json();
    assert_eq!(document["delivery"]["delivered"], 1, "{document:#}");
    // A table as it is has other columns than the payload: refused by name, and nothing is sent.
    let table = format!("{}.{runs}", case.lake.namespace());
    let finished = send("content_files", &["--source", "mitxonline", "--table", table.as_str()], 2);
    assert_eq!(finished.json()["refused"], 40);
    let finished = send("content_files", &["--query", "SELECT * FROM no_such_table"], 2);
    expect_told(&finished, &["the lake cannot be read", "no_such_table", "OL_CATALOG"]);
}
