//! What the server's catalog says of relations, columns, keys and types.
//!
//! Four queries whatever the number of tables, all on system catalogs (PostgreSQL documentation, "System
//! Catalogs"); none takes a lock on a user's table.

use std::collections::BTreeMap;

use sqlx::{PgConnection, Row};

/// What kind of relation it is (`pg_class.relkind`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelationKind {
    /// An ordinary table.
    Table,
    /// The root or an inner node of a partitioned table.
    PartitionedTable,
    /// A view.
    View,
    /// A materialized view.
    MaterializedView,
    /// A foreign table.
    ForeignTable,
}

/// A table, a view or the like.
#[derive(Debug, Clone, PartialEq)]
pub struct Relation {
    /// `pg_class.oid`.
    pub oid: u32,
    /// The schema.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// What it is.
    pub kind: RelationKind,
    /// The partitioned table that this is a part of, as `schema.name`.
    pub partition_of: Option<String>,
    /// Whether other tables inherit from it (or are its partitions).
    pub has_children: bool,
    /// Whether its rows are stored by the heap access method, whose row addresses are block numbers.
    pub is_heap: bool,
    /// The planner's estimate of its rows; `None` before the first ANALYZE.
    pub row_estimate: Option<f64>,
    /// Whether row-level security would hide rows from the role.
    pub rows_hidden: bool,
    /// The size of its main fork, in bytes.
    pub bytes: u64,
    /// The comment on it.
    pub comment: Option<String>,
    /// Its columns, in order, without dropped ones.
    pub columns: Vec<Column>,
    /// The columns of its primary key, in key order.
    pub primary_key: Vec<String>,
}

impl Relation {
    /// `"schema"."name"`, quoted.
    #[must_use]
    pub fn quoted(&self) -> String {
        format!("{}.{}", super::types::quote(&self.namespace), super::types::quote(&self.name))
    }

    /// `schema.name`, for people.
    #[must_use]
    pub fn display(&self) -> String {
        format!("{}.{}", self.namespace, self.name)
    }
}

/// A column of a relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The name.
    pub name: String,
    /// Its number, which no other column of the relation has had.
    pub number: i16,
    /// Whether rows from before it was added have a value of it all the same, which is kept in the catalog only.
    pub has_missing_value: bool,
    /// `pg_type.oid` of its type.
    pub type_oid: u32,
    /// Its type modifier, −1 for none.
    pub modifier: i32,
    /// The number of dimensions it was declared with; the server does not enforce it.
    pub dimensions: i16,
    /// The type as the server prints it, e.g. `numeric(12,2)`.
    pub type_text: String,
    /// Whether it is declared NOT NULL.
    pub not_null: bool,
    /// Whether its values come from an identity.
    pub identity: bool,
    /// Whether rows have a value without being given one: a default, or one from when the column was added.
    pub has_default: bool,
    /// Whether its values are computed from others.
    pub generated: bool,
    /// The comment on it.
    pub comment: Option<String>,
}

/// What kind of type it is (`pg_type.typtype`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypeKind {
    /// A base type.
    Base,
    /// A row type.
    Composite,
    /// A domain over another type.
    Domain,
    /// An enumeration.
    Enumeration,
    /// A pseudo-type, which no column has.
    Pseudo,
    /// A range.
    Range,
    /// A multirange.
    Multirange,
}

/// A row of `pg_type`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeRow {
    /// The schema.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// What it is.
    pub kind: TypeKind,
    /// The element type of an array, else 0.
    pub element: u32,
    /// The base type of a domain, else 0.
    pub base: u32,
    /// The modifier that a domain gives its base type.
    pub modifier: i32,
    /// The dimensions of a domain over an array.
    pub dimensions: i16,
    /// Whether it is the array type of its element (and not a vector type such as `int2vector`).
    pub is_array: bool,
    /// What stands between the elements of an array of it: a comma, but for `box` and some of extensions.
    pub delimiter: u8,
    /// Whether it has a function that casts it to `json`, which `array_to_json` then uses.
    pub json_cast: bool,
    /// The output function.
    pub output: Output,
}

/// The output function of a type, as SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its name, qualified and quoted.
    pub function: String,
    /// `::type` where the function is another type's (that of `refcursor` takes `text`), else empty.
    pub cast: String,
}

impl Output {
    /// The text of `value` as the server prints it, as an expression of type `text`.
    #[must_use]
    pub fn text_of(&self, value: &str) -> String {
        format!("pg_catalog.textin({}({value}{}))", self.function, self.cast)
    }
}

/// The types that some columns need, by oid.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Types(BTreeMap<u32, TypeRow>);

impl Types {
    /// The type with this oid.
    #[must_use]
    pub fn get(&self, oid: u32) -> Option<&TypeRow> {
        self.0.get(&oid)
    }

    /// A catalog of these types, with oids from 1 up, for the contract's document.
    pub(super) fn numbered(rows: Vec<TypeRow>) -> Self {
        Self((1..).zip(rows).collect())
    }

    /// The oid of the first type with this name.
    pub(super) fn oid(&self, name: &str) -> Option<u32> {
        self.0.iter().find(|(_, row)| row.name == name).map(|(oid, _)| *oid)
    }

    /// The name of a type, for messages.
    #[must_use]
    pub fn name(&self, oid: u32) -> String {
        self.get(oid).map_or_else(|| format!("type {oid}"), |row| row.name.clone())
    }

    /// The kind of a type behind all its domains.
    pub(super) fn base_kind(&self, oid: u32) -> Option<TypeKind> {
        let row = self.get(oid)?;
        if row.kind == TypeKind::Domain { self.base_kind(row.base) } else { Some(row.kind) }
    }
}

/// Relations and the types of their columns, read at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Catalog {
    /// The relations, by schema and name.
    pub relations: Vec<Relation>,
    /// The types.
    pub types: Types,
}

const RELATIONS: &str = "
SELECT c.oid, n.nspname::text AS namespace, c.relname::text AS name, c.relkind::text AS kind,
       c.reltuples::float8 AS row_estimate, coalesce(am.amname = 'heap', false) AS is_heap,
       CASE WHEN c.relkind IN ('r', 'm') THEN pg_catalog.pg_relation_size(c.oid) ELSE 0 END AS bytes,
       CASE WHEN c.relispartition THEN (
           SELECT pn.nspname::text || '.' || p.relname::text
           FROM pg_catalog.pg_inherits i
           JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
           JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
           WHERE i.inhrelid = c.oid) END AS partition_of,
       EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid) AS has_children,
       c.relkind IN ('r', 'p') AND pg_catalog.row_security_active(c.oid) AS rows_hidden,
       pg_catalog.obj_description(c.oid, 'pg_class') AS comment
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND n.nspname NOT LIKE 'pg\\_toast%' AND n.nspname NOT LIKE 'pg\\_temp%'
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_depend d
      WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY n.nspname, c.relname";

const COLUMNS: &str = "
SELECT a.attrelid, a.attname::text AS name, a.attnum, a.atthasmissing, a.atttypid, a.atttypmod, a.attndims::int2 AS attndims, a.attnotnull,
       a.attidentity::text <> '' AS identity, a.atthasdef OR a.atthasmissing AS has_default,
       a.attgenerated::text <> '' AS generated,
       pg_catalog.format_type(a.atttypid, a.atttypmod) AS type_text,
       pg_catalog.col_description(a.attrelid, a.attnum) AS comment
FROM pg_catalog.pg_attribute a
WHERE a.attrelid = ANY($1) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum";

const PRIMARY_KEYS: &str = "
SELECT i.indrelid, a.attname::text AS name
FROM pg_catalog.pg_index i
CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indisprimary AND i.indrelid = ANY($1) AND k.place <= i.indnkeyatts
ORDER BY i.indrelid, k.place";

const TYPES: &str = "
WITH RECURSIVE used(oid) AS (
    SELECT DISTINCT u.oid FROM pg_catalog.unnest($1) AS u(oid)
    UNION
    SELECT n.oid FROM pg_catalog.pg_type t
    JOIN used ON used.oid = t.oid
    CROSS JOIN LATERAL (VALUES (t.typelem), (t.typbasetype)) AS n(oid)
    WHERE n.oid <> 0)
SELECT t.oid, n.nspname::text AS namespace, t.typname::text AS name, t.typtype::text AS kind, t.typelem,
       t.typbasetype, t.typtypmod, t.typndims::int2 AS typndims, coalesce(e.typarray = t.oid, false) AS is_array,
       t.typdelim::text AS delimiter,
       EXISTS (SELECT FROM pg_catalog.pg_cast k WHERE k.castsource = t.oid AND k.castmethod = 'f'
               AND k.casttarget = 'pg_catalog.json'::pg_catalog.regtype) AS json_cast,
       pg_catalog.quote_ident(pn.nspname) || '.' || pg_catalog.quote_ident(p.proname) AS output,
       CASE WHEN a.oid = t.oid OR a.typtype = 'p' THEN '' ELSE '::' || pg_catalog.format_type(a.oid, NULL) END
           AS output_cast
FROM pg_catalog.pg_type t
JOIN used ON used.oid = t.oid
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
JOIN pg_catalog.pg_proc p ON p.oid = t.typoutput
JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace
JOIN pg_catalog.pg_type a ON a.oid = p.proargtypes[0]
LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem";

/// Reads every relation that is not the system's, an extension's or a session's own.
///
/// # Errors
/// The server's.
pub async fn read(connection: &mut PgConnection) -> Result<Catalog, sqlx::Error> {
    let mut relations = BTreeMap::new();
    let mut order = Vec::new();
    for row in sqlx::query(RELATIONS).fetch_all(&mut *connection).await? {
        let relation = relation(&row)?;
        order.push(sqlx::postgres::types::Oid(relation.oid));
        relations.insert(relation.oid, relation);
    }
    let mut used = Vec::new();
    for row in sqlx::query(COLUMNS).bind(&order).fetch_all(&mut *connection).await? {
        let column = column(&row)?;
        used.push(sqlx::postgres::types::Oid(column.type_oid));
        if let Some(relation) = relations.get_mut(&oid(&row, "attrelid")?) {
            relation.columns.push(column);
        }
    }
    for row in sqlx::query(PRIMARY_KEYS).bind(&order).fetch_all(&mut *connection).await? {
        if let Some(relation) = relations.get_mut(&oid(&row, "indrelid")?) {
            relation.primary_key.push(row.try_get("name")?);
        }
    }
    let mut types = BTreeMap::new();
    used.sort_unstable_by_key(|oid| oid.0);
    used.dedup();
    for row in sqlx::query(TYPES).bind(&used).fetch_all(&mut *connection).await? {
        types.insert(oid(&row, "oid")?, type_row(&row)?);
    }
    let relations = order.iter().filter_map(|oid| relations.remove(&oid.0)).collect();
    Ok(Catalog { relations, types: Types(types) })
}

type PgRow = sqlx::postgres::PgRow;

fn oid(row: &PgRow, name: &str) -> Result<u32, sqlx::Error> {
    Ok(row.try_get::<sqlx::postgres::types::Oid, _>(name)?.0)
}

/// A code of one character in a catalog that this version does not know.
fn unknown(column: &str, code: &str) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: format!("the code {code} is not known to this version").into(),
    }
}

fn relation(row: &PgRow) -> Result<Relation, sqlx::Error> {
    let kind = match row.try_get::<String, _>("kind")?.as_str() {
        "r" => RelationKind::Table,
        "p" => RelationKind::PartitionedTable,
        "v" => RelationKind::View,
        "m" => RelationKind::MaterializedView,
        "f" => RelationKind::ForeignTable,
        other => return Err(unknown("relkind", other)),
    };
    let row_estimate: f64 = row.try_get("row_estimate")?;
    Ok(Relation {
        oid: oid(row, "oid")?,
        namespace: row.try_get("namespace")?,
        name: row.try_get("name")?,
        kind,
        partition_of: row.try_get("partition_of")?,
        has_children: row.try_get("has_children")?,
        rows_hidden: row.try_get("rows_hidden")?,
        is_heap: row.try_get("is_heap")?,
        row_estimate: (row_estimate >= 0.0).then_some(row_estimate),
        bytes: u64::try_from(row.try_get::<i64, _>("bytes")?).unwrap_or_default(),
        comment: row.try_get("comment")?,
        columns: Vec::new(),
        primary_key: Vec::new(),
    })
}

fn column(row: &PgRow) -> Result<Column, sqlx::Error> {
    Ok(Column {
        name: row.try_get("name")?,
        number: row.try_get("attnum")?,
        has_missing_value: row.try_get("atthasmissing")?,
        type_oid: oid(row, "atttypid")?,
        modifier: row.try_get("atttypmod")?,
        dimensions: row.try_get("attndims")?,
        type_text: row.try_get("type_text")?,
        not_null: row.try_get("attnotnull")?,
        identity: row.try_get("identity")?,
        has_default: row.try_get("has_default")?,
        generated: row.try_get("generated")?,
        comment: row.try_get("comment")?,
    })
}

fn type_row(row: &PgRow) -> Result<TypeRow, sqlx::Error> {
    let kind = match row.try_get::<String, _>("kind")?.as_str() {
        "b" => TypeKind::Base,
        "c" => TypeKind::Composite,
        "d" => TypeKind::Domain,
        "e" => TypeKind::Enumeration,
        "p" => TypeKind::Pseudo,
        "r" => TypeKind::Range,
        "m" => TypeKind::Multirange,
        other => return Err(unknown("typtype", other)),
    };
    Ok(TypeRow {
        namespace: row.try_get("namespace")?,
        name: row.try_get("name")?,
        kind,
        element: oid(row, "typelem")?,
        base: oid(row, "typbasetype")?,
        modifier: row.try_get("typtypmod")?,
        dimensions: row.try_get("typndims")?,
        is_array: row.try_get("is_array")?,
        delimiter: row.try_get::<String, _>("delimiter")?.bytes().next().unwrap_or(b','),
        json_cast: row.try_get("json_cast")?,
        output: Output { function: row.try_get("output")?, cast: row.try_get("output_cast")? },
    })
}
