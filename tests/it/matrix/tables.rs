//! The tables of the matrix, one a form that a table of the lake can take.

/// A table of the source, what happens to it there, and what Trino does to the raw table.
pub(super) struct Table {
    pub(super) name: &'static str,
    /// What the document says of it.
    pub(super) what: &'static str,
    pub(super) sync_mode: &'static str,
    /// The lines of the table in the unit's `overrides`.
    pub(super) declared: &'static str,
    /// The same from the first change on.
    pub(super) later: Option<&'static str>,
    pub(super) made: &'static str,
    /// What changes at the source, a run after each.
    pub(super) changes: &'static [&'static str],
    /// Whether the lake then has the rows of the source.
    pub(super) is_source: bool,
    /// Trino's statements on the raw table `{}`.
    pub(super) by_trino: &'static [&'static str],
    pub(super) by_trino_shown: &'static str,
    /// What changes at the source after them.
    pub(super) at_last: &'static str,
    /// What Trino must find true of the raw table after each stage, so that it has the form it is here for: conditions on
    /// the metadata tables `{files}`, `{partitions}`, `{snapshots}` and `{history}`.
    pub(super) forms: [&'static str; 3],
    /// Readers that refuse the table, and words of why.
    pub(super) refused_by: &'static [(&'static str, &'static str)],
}

const PLAIN: Table = Table {
    name: "",
    what: "",
    sync_mode: "incremental_update",
    declared: "",
    later: None,
    made: "",
    changes: &[],
    is_source: true,
    by_trino: &[],
    by_trino_shown: "",
    at_last: "",
    forms: ["", "", ""],
    refused_by: &[],
};

/// There are deletes by position, and there are none.
const DELETES: &str = "(SELECT count(*) FROM {files} WHERE content = 1) > 0";
const NO_DELETES: &str = "(SELECT count(*) FROM {files} WHERE content = 1) = 0";

/// The last snapshot is one that rewrote rows and changed none.
const REWRITTEN: &str = "(SELECT max_by(operation, committed_at) FROM {snapshots}) = 'replace'";

/// The tables of which Trino changes no row, or that hold nothing of it after our last commit.
pub(super) const ROWS_OF_SOURCE: &[&str] =
    &["overwritten", "merged", "laid_out", "compacted", "expired", "kinds", "times"];

pub(super) const TABLES: &[Table] = &[
    Table {
        name: "appended",
        what: "a log of changes",
        sync_mode: "incremental_append",
        made: "CREATE TABLE appended (id int PRIMARY KEY, note text);
               INSERT INTO appended SELECT n, md5(n::text) FROM generate_series(1, 500) n;",
        changes: &["UPDATE appended SET note = 'u' || id WHERE id % 10 = 3;
                    DELETE FROM appended WHERE id % 10 = 7;
                    INSERT INTO appended SELECT n, md5(n::text) FROM generate_series(501, 600) n;"],
        is_source: false,
        by_trino: &["INSERT INTO {} (id, note) VALUES (1000001, 'by Trino')"],
        by_trino_shown: "`INSERT`",
        at_last: "UPDATE appended SET note = 'last' WHERE id = 1",
        ..PLAIN
    },
    Table {
        name: "overwritten",
        what: "loaded in full by every run",
        sync_mode: "full_refresh_overwrite",
        made: "CREATE TABLE overwritten (id int PRIMARY KEY, note text);
               INSERT INTO overwritten SELECT n, md5(n::text) FROM generate_series(1, 500) n;",
        changes: &["UPDATE overwritten SET note = NULL WHERE id % 2 = 0"],
        by_trino: &["DELETE FROM {} WHERE id % 10 = 1"],
        by_trino_shown: "`DELETE` by position",
        at_last: "INSERT INTO overwritten VALUES (501, 'last')",
        forms: ["", DELETES, NO_DELETES],
        ..PLAIN
    },
    Table {
        name: "merged",
        what: "one row a key, by position deletes",
        made: "CREATE TABLE merged (id int PRIMARY KEY, note text);
               INSERT INTO merged SELECT n, md5(n::text) || md5((-n)::text) FROM generate_series(1, 60000) n;",
        changes: &["UPDATE merged SET note = 'u' || id WHERE id % 50 = 3; DELETE FROM merged WHERE id % 100 = 7;"],
        by_trino: &["ALTER TABLE {} EXECUTE optimize"],
        by_trino_shown: "`EXECUTE optimize`",
        at_last: "UPDATE merged SET note = 'last' WHERE id % 500 = 3; DELETE FROM merged WHERE id % 500 = 8",
        forms: [DELETES, NO_DELETES, DELETES],
        ..PLAIN
    },
    Table {
        name: "evolved",
        what: "columns that came, grew, were renamed and went",
        later: Some("renamed_columns: {kept: was}"),
        made: "CREATE TABLE evolved (id int PRIMARY KEY, small int, amount numeric(10,2), doomed text, was text);
               INSERT INTO evolved SELECT n, n, n / 7.0, 'd' || n, 'k' || n FROM generate_series(1, 500) n;",
        changes: &[
            "ALTER TABLE evolved RENAME was TO kept; UPDATE evolved SET kept = 'renamed' WHERE id % 3 = 0;",
            "ALTER TABLE evolved ADD added text; UPDATE evolved SET added = 'a', small = -small WHERE id % 2 = 0;",
            "ALTER TABLE evolved ALTER small TYPE bigint; ALTER TABLE evolved ALTER amount TYPE numeric(14,2);
             UPDATE evolved SET small = 9223372036854775807, amount = 999999999999.99 WHERE id % 5 = 0;",
            "ALTER TABLE evolved DROP doomed; INSERT INTO evolved (id, kept) VALUES (1000, 'late');",
        ],
        by_trino: &["MERGE INTO {} AS ours USING (VALUES (2, 'by Trino'), (1000002, 'new')) AS theirs (id, kept)
                     ON ours.id = theirs.id WHEN MATCHED THEN UPDATE SET kept = theirs.kept
                     WHEN NOT MATCHED THEN INSERT (id, kept) VALUES (theirs.id, theirs.kept)"],
        by_trino_shown: "`MERGE`",
        // Of these one is a row that Trino has written.
        at_last: "UPDATE evolved SET added = 'last' WHERE id % 7 = 0 OR id = 2",
        forms: ["(SELECT count(DISTINCT latest_schema_id) FROM {history}) > 3", "", ""],
        ..PLAIN
    },
    Table {
        name: "laid_out",
        what: "in partitions by day, month and bucket, in order",
        declared: "partition_by: [day, 'month(at)', 'bucket(3, id)']\nsort_by: [note]",
        made: "CREATE TABLE laid_out (id int PRIMARY KEY, day date, at timestamptz, note text);
               INSERT INTO laid_out SELECT n, date '2024-02-27' + n % 4,
                   timestamptz '2024-02-27 22:00:00+00' + n * interval '1 hour', md5(n::text)
               FROM generate_series(1, 500) n;",
        changes: &[
            "UPDATE laid_out SET day = day + 1, at = at + interval '1 day' WHERE id % 10 = 3;
             DELETE FROM laid_out WHERE id % 9 = 0;",
            "INSERT INTO laid_out VALUES (1000, NULL, NULL, 'nowhere');",
        ],
        by_trino: &["ALTER TABLE {} EXECUTE optimize"],
        by_trino_shown: "`EXECUTE optimize`",
        at_last: "UPDATE laid_out SET note = 'last' WHERE id % 10 = 4",
        forms: ["(SELECT count(*) FROM {partitions}) > 10", "", ""],
        ..PLAIN
    },
    Table {
        name: "compacted",
        what: "files and position deletes rewritten by `ol-lake`",
        made: "CREATE TABLE compacted (id int PRIMARY KEY, note text);
               INSERT INTO compacted SELECT n, md5(n::text) || md5((-n)::text) FROM generate_series(1, 60000) n;",
        changes: &["UPDATE compacted SET note = 'u' || id WHERE id % 50 = 3; DELETE FROM compacted WHERE id % 100 = 7;"],
        by_trino: &["ALTER TABLE {} EXECUTE optimize", "ALTER TABLE {} EXECUTE optimize_manifests"],
        by_trino_shown: "`EXECUTE optimize`, `optimize_manifests`",
        at_last: "UPDATE compacted SET note = 'last' WHERE id % 1000 = 9",
        forms: [REWRITTEN, NO_DELETES, ""],
        ..PLAIN
    },
    // An expiry of our own joins `changes` as a command when there is one; Trino's leaves what a state must outlive.
    Table {
        name: "expired",
        what: "several snapshots",
        made: "CREATE TABLE expired (id int PRIMARY KEY, note text);
               INSERT INTO expired SELECT n, md5(n::text) FROM generate_series(1, 500) n;",
        changes: &["UPDATE expired SET note = 'u' || id WHERE id % 10 = 3", "DELETE FROM expired WHERE id % 10 = 7"],
        by_trino: &[
            "ALTER TABLE {} EXECUTE expire_snapshots(retention_threshold => '0s')",
            "ALTER TABLE {} EXECUTE remove_orphan_files(retention_threshold => '0s')",
        ],
        by_trino_shown: "`EXECUTE expire_snapshots`, `remove_orphan_files`, of everything but the present",
        at_last: "UPDATE expired SET note = 'last' WHERE id % 10 = 5",
        forms: ["(SELECT count(*) FROM {snapshots}) > 2", "(SELECT count(*) FROM {snapshots}) = 1", "(SELECT count(*) FROM {snapshots}) = 2"],
        ..PLAIN
    },
    Table {
        name: "kinds",
        what: "every type but a time of day, at its ends",
        made: "CREATE TABLE kinds (id bigint PRIMARY KEY, b boolean, r real, d double precision, n38 numeric(38, 9),
                   free numeric, day date, at timestamp, atz timestamptz, bytes bytea, u uuid, j jsonb, names text[],
                   numbers int[], i interval);
               INSERT INTO kinds VALUES
                   (-9223372036854775808, true, '-0', 'NaN', 99999999999999999999999999999.999999999, 1e-20, '0001-01-01',
                    '0001-01-01', '9999-12-31 23:59:59.999999+00', '\\x00ff', '00000000-0000-0000-0000-0000000000ff',
                    '{\"a\": [1]}', ARRAY['a,b', NULL, '', 'NULL', 'ü\"🦆'], ARRAY[1, NULL, -2147483648],
                    '1 mon -1 day 00:00:00.5'),
                   (1, false, 'Infinity', '-Infinity', NULL, 'NaN', 'infinity', '-infinity', '0044-03-15 00:00:00+00 BC',
                    '', NULL, 'null', '{}', '{{1,2},{3,4}}', '0'),
                   (2, NULL, 1e-45, 5e-324, -0.000000001, 12345678901234567890.5, '1582-10-10',
                    '1582-10-10 12:00:00.000001', '1969-12-31 23:59:59.999999+00', repeat('x', 1000)::bytea,
                    '123e4567-e89b-12d3-a456-426614174000', '1e400', NULL, NULL, NULL),
                   (3, NULL, 0.1, 0.1, 0.1, 0.1, '2024-02-29', '2024-02-29 01:02:03.4', '2024-03-31 01:30:00+00', 'a',
                    '123e4567-e89b-12d3-a456-426614174001', '{}', ARRAY['x'], ARRAY[0], '-3 days');",
        changes: &["UPDATE kinds SET b = NOT b, names = names || 'new'::text WHERE id < 3;"],
        by_trino: &["UPDATE {} SET names = ARRAY['by Trino', NULL], day = DATE '1970-01-01' - INTERVAL '1' DAY,
                         at = TIMESTAMP '2024-12-31 23:59:59.999999', bytes = X'00ff', n38 = DECIMAL '-0.000000001',
                         d = nan(), u = UUID '123e4567-e89b-12d3-a456-426614174002' WHERE id = 3"],
        by_trino_shown: "`UPDATE` of most types",
        at_last: "UPDATE kinds SET b = true WHERE id >= 2",
        forms: ["", DELETES, ""],
        ..PLAIN
    },
    Table {
        name: "times",
        what: "a time of day",
        made: "CREATE TABLE times (id int PRIMARY KEY, clock time);
               INSERT INTO times VALUES (1, '23:59:59.999999'), (2, '00:00'), (3, NULL);",
        changes: &["UPDATE times SET clock = '12:30' WHERE id = 2"],
        at_last: "INSERT INTO times VALUES (4, '00:00:00.000001')",
        refused_by: &[("spark", "Spark does not support time fields")],
        ..PLAIN
    },
];
