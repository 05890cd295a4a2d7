//! Names with quotes, capitals, unicode and reserved words: in the lake as at the source, and never two in one place.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::common::Case;

#[test]
fn odd_names_land_under_their_own_column_names_and_distinct_raw_tables() {
    let case = Case::new("names");
    case.database.psql(
        r#"CREATE TABLE "MixedCase" ("Id" int PRIMARY KEY, "camelCase" text, "OTHER" text);
        INSERT INTO "MixedCase" VALUES (1, 'a', 'b');
        CREATE TABLE twins ("Id" int PRIMARY KEY, "camelCase" text, camelcase text, "CAMELCASE" text);
        INSERT INTO twins VALUES (1, 'a', 'b', 'c');
        CREATE TABLE mixedcase ("Id" int PRIMARY KEY); INSERT INTO mixedcase VALUES (2);
        CREATE TABLE "select" ("table" int PRIMARY KEY, "from" text, "order" text, "null" text, "timestamp" timestamp);
        INSERT INTO "select" VALUES (1, 'f', 'o', 'n', '2020-01-01');
        CREATE TABLE "таблица 表 😀" ("столбец" int PRIMARY KEY, "列" text, "😀" text);
        INSERT INTO "таблица 表 😀" VALUES (1, 'a', 'b');
        CREATE TABLE "a""b'c" ("x""y" int PRIMARY KEY, "it's" text, "a.b" text, "a/b" text, "" text, " " text, "a\b" text,
                               "a%20b" text, E'tab\there' text);
        "#
        // A column cannot have an empty name.
        .replace("\"\" text, ", "")
        .replace("E'tab\\there'", "\"tab\there\"")
        .as_str(),
    );
    case.database.psql(
        r#"INSERT INTO "a""b'c" VALUES (1, '1', '2', '3', '4', '5', '6', '7');
        CREATE TABLE _ol_op (position int PRIMARY KEY, _id text, _op text, file_path text, pos int, op text, before text);
        INSERT INTO _ol_op VALUES (1, '1', '2', '3', 4, '5', '6');
        CREATE TABLE taken (id int PRIMARY KEY, _file text, _pos int, _deleted text); INSERT INTO taken VALUES (1);
        CREATE TABLE ours (id int PRIMARY KEY, _ol_odd text); INSERT INTO ours VALUES (1);
        CREATE SCHEMA a; CREATE SCHEMA a_b; CREATE SCHEMA "a__b"; CREATE SCHEMA "A";
        CREATE TABLE a.b_c (id int PRIMARY KEY); INSERT INTO a.b_c VALUES (1);
        CREATE TABLE a_b.c (id text PRIMARY KEY); INSERT INTO a_b.c VALUES ('x'), ('y');
        CREATE TABLE a.b__c (id int PRIMARY KEY); INSERT INTO a.b__c VALUES (1), (2), (3);
        CREATE TABLE a__b.c (id int PRIMARY KEY);
        CREATE TABLE "A".b_c (id int PRIMARY KEY); INSERT INTO "A".b_c VALUES (7);
        CREATE TABLE public.a__b_c (id int PRIMARY KEY); INSERT INTO public.a__b_c VALUES (8), (9);
        CREATE TABLE a_table_whose_name_is_exactly_as_long_as_a_name_may_be_at_the_63 (id int PRIMARY KEY);"#,
    );
    let (unit, _) = case.discover();
    let document = case.run_with_refusals();
    let comparison = case.compare(&unit, &document);
    comparison.expect_equal();
    // Readers of the lake know no case and keep names of their own: what they would confuse is refused, with a reason.
    assert_eq!(comparison.tables("refused"), ["public.ours", "public.taken", "public.twins"]);
    for table in comparison.tables("refused") {
        let column = match table.as_str() {
            "public.ours" => "_ol_odd",
            "public.taken" => "_file",
            _ => "camelCase",
        };
        let reason = comparison.reason(&table).unwrap();
        assert!(reason.contains(column), "{table}: {reason}");
    }
    assert_eq!(comparison.tables("equal").len(), 13);
    let raw_tables: Vec<String> = document
        .get("tables")
        .and_then(Value::as_array)
        .unwrap()
        .iter()
        .map(|table| table.get("raw_table").and_then(Value::as_str).unwrap().to_owned())
        .collect();
    let distinct: BTreeSet<_> = raw_tables.iter().map(|name| name.to_lowercase()).collect();
    assert_eq!(
        distinct.len(),
        raw_tables.len(),
        "two source tables share a raw table: {raw_tables:?}"
    );
    for name in &raw_tables {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        assert!(
            name.starts_with("raw__names__app__postgres__") && name.chars().all(plain),
            "{name}"
        );
    }
}

#[test]
fn excluded_columns_never_leave_the_server() {
    let case = Case::new("excluded");
    case.database.psql(
        "CREATE TABLE people (id int PRIMARY KEY, name text, password text, hint text);
         INSERT INTO people VALUES (1, 'a', 'the excluded value', 'h');",
    );
    let step = case.ingest().args([
        "discover",
        "--deployment",
        case.deployment,
        "--layer",
        "app_postgres",
    ]);
    let draft = case.finish(step.args(["--exclude", "password"])).expect_code(0).stdout;
    let unit = case.inventory.write(case.deployment, &draft);
    case.database.psql("ALTER TABLE people ALTER hint SET NOT NULL");
    let document = case.run(0);
    case.compare(&unit, &document).expect_equal();
    let state = case.state();
    let columns = state
        .pointer(&format!("/tables/{}/columns", case.raw_table("people")))
        .unwrap()
        .to_string();
    assert!(columns.contains("\"hint\"") && !columns.contains("password"), "{columns}");
}
