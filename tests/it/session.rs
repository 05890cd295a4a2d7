//! What the source's settings, encoding and rights make of a session changes nothing in the lake, or is refused.

use std::path::Path;

use ol_testkit::{PostgresServer, shared_data};

use crate::common::{Case, entry, text};

/// Settings that change how a server writes values; ours must not depend on them.
const SETTINGS: &[&str] = &[
    "datestyle = 'German'",
    "intervalstyle = 'iso_8601'",
    "timezone = 'America/New_York'",
    "extra_float_digits = -15",
    "bytea_output = 'escape'",
    "client_encoding = 'LATIN1'",
    "standard_conforming_strings = off",
    "array_nulls = off",
    "xmloption = 'document'",
    "quote_all_identifiers = on",
    "default_transaction_isolation = 'read committed'",
    "default_transaction_read_only = on",
    "statement_timeout = '20ms'",
    "lock_timeout = '20ms'",
    "idle_in_transaction_session_timeout = '20ms'",
    "enable_seqscan = off",
    "default_toast_compression = 'pglz'",
];

#[test]
fn settings_of_the_database_change_no_value() {
    let Some(script) = shared_data("type_zoo.sql") else { return };
    let database = PostgresServer::shared().create_database("settings");
    fill(&database, &script);
    // In one session: the first settings would stand in the way of the later ones.
    let alter = |setting: &&str| format!("ALTER DATABASE {} SET {setting};\n", database.name());
    database.psql(&SETTINGS.iter().map(alter).collect::<String>());
    let case = Case::of("settings", database);
    let (unit, _) = case.discover();
    let document = case.run_with_refusals();
    let comparison = case.compare(&unit, &document);
    comparison.expect_equal();
    assert_eq!(comparison.tables("equal").len(), 77);
}

fn fill(database: &ol_testkit::Database<'_>, script: &Path) {
    database.file(script, &[("toast_mb", "1")]);
}

#[test]
fn a_database_in_another_encoding_lands_as_the_same_characters() {
    let latin = PostgresServer::shared().create_database_in("latin", "LATIN1");
    latin.psql("CREATE TABLE \"größe\" (id int PRIMARY KEY, \"ä\" text); INSERT INTO \"größe\" VALUES (1, 'àéîõü ß'), (2, '×');");
    let case = Case::of("latin", latin);
    let (unit, _) = case.discover();
    let document = case.run(0);
    let comparison = case.compare(&unit, &document);
    comparison.expect_equal();
    assert_eq!(comparison.tables("equal"), ["public.größe"]);
}

/// A server that knows no encoding hands out bytes: they are characters only if they happen to be UTF-8.
#[test]
fn bytes_that_are_no_text_block_their_table_and_are_not_replaced() {
    let ascii = PostgresServer::shared().create_database_in("ascii", "SQL_ASCII");
    ascii.psql(
        "CREATE TABLE fine (id int PRIMARY KEY, t text); INSERT INTO fine VALUES (1, 'é');
         CREATE TABLE broken (id int PRIMARY KEY, t text); INSERT INTO broken VALUES (1, E'caf\\xe9');",
    );
    let case = Case::of("ascii", ascii);
    let (unit, _) = case.discover();
    let document = case.run(2);
    assert_eq!(text(entry(&document, &case.raw_table("fine")), "outcome"), "done");
    let broken = entry(&document, &case.raw_table("broken"));
    assert!(["blocked", "refused"].contains(&text(broken, "outcome")), "{broken:#}");
    assert!(
        !text(broken, "advice").is_empty() && !text(broken, "advice").contains("caf"),
        "{broken:#}"
    );
    let comparison = ol_testkit::Readers::compare_tables(
        &case.database.url(),
        &case.lake,
        &unit,
        None,
        &["fine"],
    );
    comparison.expect_equal();
}

#[test]
fn rows_that_row_level_security_hides_are_not_taken_for_all_rows() {
    let case = Case::new("hidden");
    case.database.psql(
        "CREATE TABLE guarded (id int PRIMARY KEY, owner text); INSERT INTO guarded VALUES (1, 'a'), (2, 'reader_hidden');
         CREATE TABLE open (id int PRIMARY KEY); INSERT INTO open VALUES (1);
         CREATE ROLE reader_hidden LOGIN PASSWORD 'open-sesame'; GRANT SELECT ON guarded, open TO reader_hidden;
         ALTER TABLE guarded ENABLE ROW LEVEL SECURITY; CREATE POLICY mine ON guarded USING (owner = current_user);",
    );
    case.discover();
    let url = case.database.url_as("reader_hidden", "open-sesame");
    let step = case.command("run").env(&case.source_variable(), url);
    let document = case.finish(step).expect_code(2).json();
    assert_eq!(text(entry(&document, &case.raw_table("open")), "outcome"), "done");
    let guarded = entry(&document, &case.raw_table("guarded"));
    assert_eq!(text(guarded, "outcome"), "refused");
    assert!(text(guarded, "advice").contains("BYPASSRLS"), "{guarded:#}");
    assert!(matches!(
        crate::common::rows(&case.state(), &case.raw_table("guarded")),
        None | Some(0)
    ));
}
