//! Golden messages: what a person reads when a unit is wrong, word for word.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test may panic")]

use super::*;

const GOOD: &str = "\
version: 1
deployment: mitxonline
layer: app_postgres
scope: scoped
strategies: {qa: ingest, local: fixture}
loader: ol_ingest
table_prefix: raw__mitxonline__app__postgres__
tables:
- name: users_user
  raw_table: raw__mitxonline__app__postgres__users_user
  sync_mode: incremental_update
  cursor_field: [updated_on]
  primary_key: [[id]]
  excluded_columns: [password]
  modeled: true
  renamed_from: auth_user
- name: line
  namespace: ticket
  raw_table: raw__mitxonline__app__postgres__ticket__line
  sync_mode: full_refresh_overwrite
ol_ingest:
  source_kind: postgres
  replication_method: cursor
  metadata_columns: airbyte
  overrides:
    users_user:
      columns: {tags: 'list<string>'}
      masked_columns: {email: sha256_salted}
      partition_by: [day(created_on), 'bucket(16, id)']
      sort_by: [id, created_on desc]
      renamed_columns: {full_name: name}
";

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

/// The messages of a unit made of the good one by one replacement.
fn messages(from: &str, to: &str) -> Vec<String> {
    assert!(GOOD.contains(from), "{from}");
    let error = load_text("units/m.yml", &GOOD.replacen(from, to, 1)).unwrap_err();
    error.problems.iter().map(ToString::to_string).collect()
}

#[test]
fn reads_every_field() {
    let inventory = load_text("units/m.yml", GOOD).unwrap();
    let unit = &inventory.units[0];
    assert_eq!(unit.id.to_string(), "mitxonline/app_postgres");
    assert_eq!(unit.scope, Some("scoped".into()));
    assert_eq!(unit.strategies, Some(serde_json::json!({"qa": "ingest", "local": "fixture"})));
    assert_eq!(unit.metadata_columns, MetadataColumns::Airbyte);
    assert_eq!(unit.replication_method, ReplicationMethod::Cursor);
    let users = &unit.tables[0];
    assert_eq!(users.cursor_field.as_deref(), Some("updated_on"));
    assert_eq!((&users.primary_key[..], users.modeled), (&["id".to_owned()][..], true));
    assert_eq!(users.renamed_from.as_deref(), Some("auth_user"));
    let overrides = &users.overrides;
    assert_eq!(overrides.columns["tags"].as_str(), "list<string>");
    assert_eq!(overrides.masked_columns["email"], Mask::Sha256Salted);
    assert_eq!(overrides.renamed_columns["full_name"], "name");
    let created = "created_on".to_owned();
    let day = PartitionTransform::Date(DateTransform::Day);
    assert_eq!(
        overrides.partition_by,
        [
            PartitionTerm { transform: day, column: created.clone() },
            PartitionTerm { transform: PartitionTransform::Bucket(16), column: "id".to_owned() },
        ]
    );
    assert_eq!(overrides.sort_by[1], SortTerm { column: created, descending: true });
    assert_eq!(unit.tables[1].qualified_name(), "ticket.line");
}

#[test]
fn each_mistake_has_its_message() {
    let cases: &[(&str, &str, &str)] = &[
        (
            "version: 1",
            "version: 2",
            "units/m.yml: version (line 1): this build reads version 1 of the schema only [version]",
        ),
        (
            "version: 1\n",
            "",
            "units/m.yml: (line 1): the field \"version\" is missing; add \"version: 1\" [missing-field]",
        ),
        (
            "deployment: mitxonline",
            "deployment: MITx Online",
            "units/m.yml: deployment (line 2): \"MITx Online\" is not a deployment; use lower-case letters, digits, \"_\" and \"-\", a letter first [value]",
        ),
        (
            "scope: scoped",
            "scope: 3",
            "units/m.yml: scope (line 4): this must be a text, a list or a map, not a number [value]",
        ),
        (
            "table_prefix",
            "table_prefx",
            "units/m.yml: table_prefx (line 7): the schema has no field \"table_prefx\" here; did you mean \"table_prefix\"? [unknown-field]",
        ),
        (
            "loader: ol_ingest",
            "loader: ol_ingest\nairbyte: {connections: []}",
            "units/m.yml: airbyte (line 7): the block \"airbyte\" belongs to units with \"loader: airbyte\"; remove it here [unknown-field]",
        ),
        (
            "sync_mode: incremental_update",
            "sync_mode: incremental_uptade",
            "units/m.yml: tables[0].sync_mode (line 11): \"incremental_uptade\" is not a sync mode; did you mean \"incremental_update\"? [value]",
        ),
        (
            "modeled: true",
            "modelled: true",
            "units/m.yml: tables[0].modelled (line 15): the schema has no field \"modelled\" here; did you mean \"modeled\"? [unknown-field]",
        ),
        (
            "  cursor_field: [updated_on]\n",
            "",
            "units/m.yml: tables[0].cursor_field (line 9): incremental_update reads what is new and needs a way to know it; add cursor_field, or use replication_method xmin or cdc [incremental]",
        ),
        (
            "  primary_key: [[id]]\n",
            "",
            "units/m.yml: tables[0].primary_key (line 9): incremental_update matches rows by key; add primary_key, or use a sync mode that appends or overwrites [primary-key]",
        ),
        (
            "excluded_columns: [password]",
            "excluded_columns: [id]",
            "units/m.yml: tables[0].excluded_columns (line 9): the column \"id\" is excluded and used in the primary key, partition_by, sort_by; exclude it or use it [excluded-column]",
        ),
        (
            "excluded_columns: [password]",
            "excluded_columns: [password, password]",
            "units/m.yml: tables[0].excluded_columns[1] (line 14): \"password\" is listed twice; remove one [value]",
        ),
        (
            "modeled: true",
            "modeled: yes",
            "units/m.yml: tables[0].modeled (line 15): this must be true or false, not a text [value]",
        ),
        (
            "renamed_from: auth_user",
            "renamed_from: users_user",
            "units/m.yml: tables[0].renamed_from (line 9): \"users_user\" is the table's present name; give the old one or remove this field [rename]",
        ),
        (
            "- name: line",
            "- name: 2024",
            "units/m.yml: tables[1].name (line 17): this must be a text, not a number; put it in quotes [value]",
        ),
        (
            "raw_table: raw__mitxonline__app__postgres__ticket__line",
            "raw_table: raw__mitxonline__App__line",
            "units/m.yml: tables[1].raw_table (line 17): \"raw__mitxonline__App__line\": 'A' cannot be in a raw table name; use lower-case letters, digits and underscores [raw-table-name]",
        ),
        (
            "raw_table: raw__mitxonline__app__postgres__ticket__line",
            "raw_table: raw__xpro__app__postgres__line",
            "units/m.yml: tables[1].raw_table (line 17): \"raw__xpro__app__postgres__line\" does not start with the unit's prefix \"raw__mitxonline__app__postgres__\"; rename it or correct table_prefix [raw-table-name]",
        ),
        (
            "source_kind: postgres",
            "source_kind: postgresql",
            "units/m.yml: ol_ingest.source_kind (line 22): \"postgresql\" is not a source kind; did you mean \"postgres\"? [value]",
        ),
        (
            "list<string>",
            "list<strng>",
            "units/m.yml: ol_ingest.overrides.users_user.columns.tags (line 27): \"strng\" is not a lake type; did you mean \"string\"? [declared-type]",
        ),
        (
            "sha256_salted",
            "md5",
            "units/m.yml: ol_ingest.overrides.users_user.masked_columns.email (line 28): \"md5\" is not a mask; use one of sha256_salted, nulled [value]",
        ),
        (
            "{full_name: name}",
            "{full_name: full_name}",
            "units/m.yml: tables[0].name (line 9): the column \"full_name\" cannot have been \"full_name\" before; give each new name one old name of its own [override]",
        ),
        (
            "email: sha256_salted",
            "id: sha256_salted",
            "units/m.yml: tables[0].primary_key (line 9): the column \"id\" is masked and used in the primary key or as the cursor; remove it from one [override]",
        ),
        (
            "day(created_on)",
            "dya(created_on)",
            "units/m.yml: ol_ingest.overrides.users_user.partition_by (line 29): \"dya\" is not a partition transform; did you mean \"day\"? [value]",
        ),
        (
            "    users_user:",
            "    users_usr:",
            "units/m.yml: ol_ingest.overrides.users_usr (line 26): the unit lists no table \"users_usr\"; did you mean \"users_user\"? [override]",
        ),
        (
            "  namespace: ticket\n",
            "  namespace: ticket\n  name: again\n",
            "units/m.yml: (line 19): the field \"name\" is written twice; remove one [yaml]",
        ),
    ];
    for (from, to, message) in cases {
        assert_eq!(messages(from, to), [*message], "{from} -> {to}");
    }
}

#[test]
fn all_problems_of_all_files_are_reported_together() {
    let folder = folder(&[
        ("units/a.yml", &GOOD.replace("scoped", "3").replace("modeled", "modelled")),
        ("units/b.yaml", GOOD),
        (
            "units/c.yml",
            "loader: airbyte\ndeployment: mitxonline\nlayer: mongodb\ntables:\n- {name: x, raw_table: raw__mitxonline__app__postgres__users_user, anything: 1}\n",
        ),
        ("units/d.yml", "tables: ["),
        ("units/notes.txt", "not a unit"),
        ("units/retired.yml", "not: a unit"),
    ]);
    let error = load(folder.path()).unwrap_err();
    let text = error.to_string();
    let expected = [
        "8 problems:",
        "  units/a.yml: scope (line 4): this must be a text, a list or a map, not a number [value]",
        "  units/a.yml: tables[0].raw_table (line 9): the raw table \"raw__mitxonline__app__postgres__users_user\" is already written by units/c.yml (loader airbyte), tables[0]; give each its own [unique-raw-table]",
        "  units/a.yml: tables[0].modelled (line 15): the schema has no field \"modelled\" here; did you mean \"modeled\"? [unknown-field]",
        "  units/b.yaml: the unit mitxonline/app_postgres is already defined by units/a.yml; merge the two files [unique-unit]",
        "  units/b.yaml: table_prefix: \"raw__mitxonline__app__postgres__\" and \"raw__mitxonline__app__postgres__\" of units/a.yml overlap; a raw table must belong to one unit [disjoint-prefix]",
        "  units/b.yaml: tables[0].raw_table (line 9): the raw table \"raw__mitxonline__app__postgres__users_user\" is already written by units/c.yml (loader airbyte), tables[0]; give each its own [unique-raw-table]",
        "  units/b.yaml: tables[1].raw_table (line 17): the raw table \"raw__mitxonline__app__postgres__ticket__line\" is already written by units/a.yml, tables[1]; give each its own [unique-raw-table]",
    ];
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..expected.len()], expected);
    assert!(lines[expected.len()].starts_with("  units/d.yml: (line 1): "), "{text}");
}

#[test]
fn units_of_other_loaders_are_skipped_and_named() {
    let folder = folder(&[
        ("a.yml", GOOD),
        (
            "b.yml",
            "schema_version: 1\ndeployment: edxorg\nlayer: s3\nloader: dlt\ndlt: {source_module: x}\ntables: []\n",
        ),
    ]);
    let inventory = load(folder.path()).unwrap();
    assert_eq!(inventory.units.len(), 1);
    let id = UnitId { deployment: "edxorg".to_owned(), layer: "s3".to_owned() };
    let skipped = SkippedUnit { file: "b.yml".to_owned(), id, loader: "dlt".to_owned() };
    assert_eq!(inventory.skipped, [skipped]);
    let error = inventory.select(&["edxorg/s3".to_owned()], &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "--unit: the unit edxorg/s3 is carried out by the loader dlt (b.yml); nothing to do here [filter]"
    );
}

#[test]
fn a_folder_that_is_not_there_or_empty_is_said() {
    let empty = folder(&[]);
    let message = load(empty.path()).unwrap_err().problems[0].message.clone();
    assert_eq!(
        message,
        "the folder holds no unit; expected units/*.yml, as `ol-ingest discover` prints one"
    );
    let message = load(&empty.path().join("nowhere")).unwrap_err().problems[0].message.clone();
    assert!(message.starts_with("the folder cannot be read: No such file"), "{message}");
}

fn selected(units: &[&str], tables: &[&str]) -> Result<Vec<String>, String> {
    let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let inventory = load_text("units/m.yml", GOOD).unwrap();
    match inventory.select(&own(units), &own(tables)) {
        Ok(part) => {
            Ok(part.units.iter().flat_map(|unit| &unit.tables).map(Table::qualified_name).collect())
        }
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn filters_select() {
    let (users, line) = ("public.users_user".to_owned(), "ticket.line".to_owned());
    let all = Ok(vec![users.clone(), line.clone()]);
    assert_eq!(selected(&[], &[]), all);
    assert_eq!(selected(&["mitxonline/app_postgres"], &[]), all);
    assert_eq!(selected(&[], &["users_*"]), Ok(vec![users.clone()]));
    assert_eq!(selected(&[], &["ticket.*"]), Ok(vec![line.clone()]));
    assert_eq!(selected(&[], &["*__postgres__ticket__*"]), Ok(vec![line]));
    assert_eq!(selected(&[], &["users_*", "line"]), all);
}

#[test]
fn a_filter_that_selects_nothing_says_what_there_is() {
    let cases: &[(&[&str], &[&str], &str)] = &[
        (
            &["mitxonline/app"],
            &[],
            "--unit: the inventory has no unit \"mitxonline/app\"; did you mean \"mitxonline/app_postgres\"? There is mitxonline/app_postgres [filter]",
        ),
        (
            &["xpro/openedx_mysql"],
            &["nothing"],
            "--unit: the inventory has no unit \"xpro/openedx_mysql\"; there is mitxonline/app_postgres [filter]",
        ),
        (
            &[],
            &["user_user"],
            "--table: no table matches \"user_user\"; did you mean \"users_user\"? [filter]",
        ),
        (
            &[],
            &["zzz*"],
            "--table: no table matches \"zzz*\"; there is public.users_user, ticket.line [filter]",
        ),
        (
            &[],
            &["[a"],
            "--table: \"[a\" is not a pattern: unclosed character class; missing ']' [filter]",
        ),
    ];
    for (units, tables, message) in cases {
        let expected: String = (*message).into();
        assert_eq!(selected(units, tables), Err(expected));
    }
}

#[test]
fn a_bomb_is_refused_in_no_time() {
    let started = std::time::Instant::now();
    let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let before = format!("*a{}, ", level - 1).repeat(10);
        laughs.push_str(&format!("a{level}: &a{level} [{before}]\n"));
    }
    let deep = format!("{}x{}", "[".repeat(100_000), "]".repeat(100_000));
    let wide = "- x\n".repeat(1_000_000);
    for text in [&laughs, &deep, &wide] {
        let error = load_text("bomb.yml", text).unwrap_err();
        assert_eq!(error.problems[0].rule, Rule::Yaml, "{error}");
    }
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
}

#[test]
fn anchors_and_merges_of_an_honest_unit_work() {
    let text = GOOD.replace("- name: users_user", "- &users\n  name: users_user")
        + "mirror_max_age_days: 30\n";
    assert!(load_text("m.yml", &text).is_ok());
}
