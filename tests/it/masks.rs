//! Masked columns: no value of one is anywhere in the lake, nor in what is said; equal values stay equal.

use std::path::Path;

use crate::common::expect_told;
use crate::incremental::Followed;

const SALT: &str = "a salt that stays the same";
const SECRET: &str = "somebody.in.particular@example.org";

fn table(deployment: &'static str, sync_mode: &'static str) -> Followed {
    let method = if sync_mode.starts_with("full") { "full" } else { "xmin" };
    let script = format!(
        "CREATE TABLE t (id int PRIMARY KEY, email text, born date, notes text[], plain text);
         INSERT INTO t VALUES (1, '{SECRET}', '1999-12-31', '{{{SECRET}}}', 'p'), (2, '{SECRET}', 'infinity', '[2:2]={{{SECRET}}}', 'p'),
             (3, NULL, NULL, NULL, NULL);"
    );
    Followed::new(deployment, method, sync_mode, &script)
        .overridden("{masked_columns: {email: sha256_salted, born: nulled, notes: sha256_salted}}")
}

/// Files below a folder that hold the text.
fn holding(folder: &Path, text: &str) -> Vec<String> {
    let done = ol_testkit::Step::new("grep").args(["-rlaF", text]).arg(folder).run();
    done.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn values_are_hashed_or_nulled_before_anything_is_written() {
    let table = table("maskedfull", "full_refresh_overwrite").set("OL_MASK_SALT", SALT);
    let planned = table.case.finish(table.command("plan")).expect_code(0).json();
    let columns = planned["tables"][0]["columns"].as_array().unwrap();
    let of = |name: &str| columns.iter().find(|column| column["column"] == name).unwrap();
    assert_eq!(
        (of("email")["fidelity"].as_str(), of("email")["lake_type"].as_str()),
        (Some("hashed"), Some("string"))
    );
    assert_eq!(
        (of("born")["fidelity"].as_str(), of("born")["lake_type"].as_str()),
        (Some("nulled"), Some("date"))
    );
    let finished = table.case.finish(table.command("run")).expect_code(0);
    for said in [&finished.stdout, &finished.stderr] {
        assert!(!said.contains(SECRET) && !said.contains(SALT), "{said}");
    }
    let expected = table.sql(&format!(
        "SELECT id, encode(sha256(convert_to('{SALT}' || email, 'UTF8')), 'hex'), NULL,
                encode(sha256(convert_to('{SALT}' || notes::text, 'UTF8')), 'hex'), plain FROM t ORDER BY id"
    ));
    assert_eq!(table.lines("SELECT id, email, born, notes, plain FROM lake ORDER BY id"), expected);
    assert_eq!(table.lines("SELECT count(_ol_odd) FROM lake"), "0", "the odd keep what is masked");
    assert_eq!(holding(table.case.lake.folder(), SECRET), Vec::<String>::new());
    assert_eq!(holding(table.case.lake.folder(), SALT), Vec::<String>::new());
    // A change of a nulled value is none; one of a hashed value is.
    table.sql("UPDATE t SET born = '2001-01-01'");
    assert_eq!(table.run(), 0);
    table.sql("UPDATE t SET email = 'other@example.org' WHERE id = 1");
    assert_eq!(table.run(), 3);
    table.case.finish(table.command("verify")).expect_code(0);
}

#[test]
fn without_a_salt_nothing_is_read_and_the_variable_is_named() {
    let table = table("maskedunsalted", "incremental_append");
    let refused = table.case.finish(table.command("run")).expect_code(3);
    expect_told(&refused, &["OL_MASK_SALT"]);
    let table = table.set("OL_MASK_SALT", "short");
    let refused = table.case.finish(table.command("run")).expect_code(3);
    expect_told(&refused, &["OL_MASK_SALT", "too short"]);
    assert_eq!(holding(table.case.lake.folder(), SECRET), Vec::<String>::new());
}

#[test]
fn a_table_that_is_followed_is_masked_too() {
    let table = table("maskedfollowed", "incremental_append").set("OL_MASK_SALT", SALT);
    table.run();
    table.sql("UPDATE t SET plain = 'q' WHERE id = 2");
    assert_eq!(table.run(), 1);
    let same = "SELECT count(DISTINCT email), count(email) FROM lake";
    assert_eq!(table.lines(same), "1\t3");
    assert_eq!(holding(table.case.lake.folder(), SECRET), Vec::<String>::new());
}
