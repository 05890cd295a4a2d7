//! Replica identities: whether the log says which row was updated or deleted.
//!
//! The danger here is not ours but the application's. A publication of updates and deletes makes the *server refuse*
//! every UPDATE and DELETE of a table whose replica identity does not name its rows, or whose identity columns a
//! column list leaves out (PostgreSQL documentation, "Publication" and "Column Lists"). So the identity of a table, and that of every
//! partition, is found sufficient before it is published, and excluded columns are left out by a column list only
//! when none of them is part of the identity.
//!
//! Also refused, because changes would be missing: an unlogged table, and a table with inheritance children (whose
//! changes would come under the child's name, while a copy of the parent reads their rows, too).

use sqlx::Row as _;

use super::error::SlotError;
use super::message::ReplicaIdentity;
use super::publication::Wanted;
use super::slot::Control;
use crate::source::postgres::error::SourceError;

/// The first version with column lists and row filters.
const COLUMN_LIST_VERSION: i32 = 150_000;

/// What the log keeps of the old rows of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityFacts {
    /// `pg_class.oid`.
    pub oid: u32,
    /// `schema.name`; of a partition, its own.
    pub table: String,
    /// The wanted table that it is, or is a part of.
    pub root: u32,
    /// The identity.
    pub identity: ReplicaIdentity,
    /// The columns of it, in the order of their index; all of them for FULL, none where there is no identity.
    pub columns: Vec<String>,
    /// Whether its changes are logged: an unlogged table's are not.
    pub logged: bool,
    /// Whether other tables inherit from it without being partitions.
    pub inherited: bool,
}

impl IdentityFacts {
    /// Whether the log says which row was updated or deleted, and whether that can be published without `excluded`.
    ///
    /// # Errors
    /// [`SlotError::ReplicaIdentity`] or [`SlotError::TableUnavailable`].
    pub fn check(&self, excluded: &[String]) -> Result<(), SlotError> {
        let table = || self.table.clone();
        let unavailable = |reason: &str| {
            Err(SlotError::TableUnavailable { table: table(), reason: reason.to_owned() })
        };
        if !self.logged {
            return unavailable("it is UNLOGGED, so its changes are not in the log");
        }
        if self.inherited {
            return unavailable(
                "other tables inherit from it, whose changes come under their names",
            );
        }
        let reason = match self.identity {
            ReplicaIdentity::Nothing => "it is NOTHING".to_owned(),
            ReplicaIdentity::Default if self.columns.is_empty() => {
                "it is DEFAULT, and there is no primary key (or a deferrable one)".to_owned()
            }
            ReplicaIdentity::Index if self.columns.is_empty() => {
                "it is USING INDEX, and the index is gone".to_owned()
            }
            ReplicaIdentity::Full if !excluded.is_empty() => {
                "it is FULL, which does not go with excluded columns".to_owned()
            }
            ReplicaIdentity::Default | ReplicaIdentity::Index | ReplicaIdentity::Full => {
                match excluded.iter().find(|column| self.columns.contains(column)) {
                    Some(column) => format!("the excluded column {column} is part of it"),
                    None => return Ok(()),
                }
            }
        };
        Err(SlotError::ReplicaIdentity { table: table(), reason })
    }

    /// Whether an old row says by which key it is found.
    fn check_key(&self, key: &[String]) -> Result<(), SlotError> {
        match key.iter().find(|column| !self.columns.contains(column)) {
            None => Ok(()),
            Some(column) => Err(SlotError::ReplicaIdentity {
                table: self.table.clone(),
                reason: format!("the key column {column} is not part of it"),
            }),
        }
    }

    /// Whether a partition has the identity of its root. The log is written by the partition's, but the stream says by the
    /// root's whether an old row is whole: where they differ, NULL would stand for values that are not known.
    fn check_like(&self, root: &Self) -> Result<(), SlotError> {
        let sorted = |facts: &Self| {
            let mut columns = facts.columns.clone();
            columns.sort_unstable();
            columns
        };
        let full = |facts: &Self| facts.identity == ReplicaIdentity::Full;
        if full(self) == full(root) && sorted(self) == sorted(root) {
            return Ok(());
        }
        let (table, root) = (self.table.clone(), &root.table);
        Err(SlotError::ReplicaIdentity { table, reason: format!("it is not that of {root}") })
    }
}

/// The replica identity of tables and, for partitioned ones, of every part that holds rows.
const IDENTITIES: &str = "
WITH RECURSIVE tree(oid, root) AS (
    SELECT u.oid, u.oid FROM pg_catalog.unnest($1) AS u(oid)
    UNION ALL
    SELECT i.inhrelid, tree.root FROM pg_catalog.pg_inherits i
    JOIN tree ON tree.oid = i.inhparent
    JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relispartition)
SELECT c.oid, n.nspname::text || '.' || c.relname::text AS name, tree.root, c.relreplident::text AS identity,
       c.relpersistence = 'p' AS logged,
       EXISTS (SELECT FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class k ON k.oid = i.inhrelid
               WHERE i.inhparent = c.oid AND NOT k.relispartition) AS inherited,
       CASE WHEN c.relreplident = 'f' THEN
           (SELECT pg_catalog.array_agg(a.attname::text ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
       ELSE
           (SELECT pg_catalog.array_agg(a.attname::text ORDER BY k.place) FROM pg_catalog.pg_index x
            CROSS JOIN LATERAL pg_catalog.unnest(x.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
            JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = k.attnum
            WHERE x.indrelid = c.oid AND x.indisvalid AND x.indimmediate AND k.place <= x.indnkeyatts
              AND ((c.relreplident = 'd' AND x.indisprimary) OR (c.relreplident = 'i' AND x.indisreplident)))
       END AS columns
FROM tree
JOIN pg_catalog.pg_class c ON c.oid = tree.oid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
ORDER BY tree.root, c.oid";

impl Control {
    /// What the log keeps of old rows: of each table, and of each of its partitions.
    ///
    /// # Errors
    /// The server's, or a letter that this version does not know.
    pub async fn identities(&mut self, oids: &[u32]) -> Result<Vec<IdentityFacts>, SourceError> {
        let oids: Vec<_> = oids.iter().map(|oid| sqlx::postgres::types::Oid(*oid)).collect();
        let mut facts = Vec::new();
        for row in sqlx::query(IDENTITIES).bind(&oids).fetch_all(&mut self.connection).await? {
            let oid =
                |name: &str| row.try_get::<sqlx::postgres::types::Oid, _>(name).map(|oid| oid.0);
            let letter: String = row.try_get("identity")?;
            let identity = letter.bytes().next().and_then(ReplicaIdentity::from_letter);
            facts.push(IdentityFacts {
                oid: oid("oid")?,
                table: row.try_get("name")?,
                root: oid("root")?,
                identity: identity
                    .ok_or_else(|| SourceError::Protocol("a replica identity".into()))?,
                columns: row.try_get::<Option<Vec<String>>, _>("columns")?.unwrap_or_default(),
                logged: row.try_get("logged")?,
                inherited: row.try_get("inherited")?,
            });
        }
        Ok(facts)
    }

    /// Whether every table can be followed without harm to those who write it.
    ///
    /// # Errors
    /// The first that cannot: [`SlotError::ReplicaIdentity`] or [`SlotError::TableUnavailable`].
    pub async fn check_tables(&mut self, tables: &[Wanted]) -> Result<(), SourceError> {
        let oids: Vec<u32> = tables.iter().map(|table| table.oid).collect();
        let identities = self.identities(&oids).await?;
        for table in tables {
            if !table.excluded.is_empty() && self.version < COLUMN_LIST_VERSION {
                let reason =
                    "servers before version 15 cannot keep excluded columns out of the stream";
                return Err(SlotError::TableUnavailable {
                    table: table.display(),
                    reason: reason.to_owned(),
                }
                .into());
            }
            let root = identities.iter().find(|facts| facts.oid == table.oid);
            for facts in identities.iter().filter(|facts| facts.root == table.oid) {
                facts.check(&table.excluded)?;
                facts.check_key(&table.key)?;
                if let Some(root) = root {
                    facts.check_like(root)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_that_would_stop_the_application_is_refused() {
        let facts = |identity, columns: &[&str]| IdentityFacts {
            oid: 1,
            table: "s.a".into(),
            root: 1,
            identity,
            columns: columns.iter().map(|column| (*column).to_owned()).collect(),
            logged: true,
            inherited: false,
        };
        let sufficient = [
            (facts(ReplicaIdentity::Default, &["id"]), vec!["z".to_owned()]),
            (facts(ReplicaIdentity::Index, &["id"]), vec![]),
            (facts(ReplicaIdentity::Full, &["id", "z"]), vec![]),
        ];
        for (facts, excluded) in sufficient {
            assert_eq!(facts.check(&excluded), Ok(()));
        }
        let insufficient = [
            (facts(ReplicaIdentity::Nothing, &[]), vec![]),
            (facts(ReplicaIdentity::Default, &[]), vec![]),
            (facts(ReplicaIdentity::Index, &[]), vec![]),
            (facts(ReplicaIdentity::Full, &["id", "z"]), vec!["z".to_owned()]),
            (facts(ReplicaIdentity::Default, &["id"]), vec!["id".to_owned()]),
        ];
        for (facts, excluded) in insufficient {
            let found = facts.check(&excluded);
            assert!(matches!(found, Err(SlotError::ReplicaIdentity { .. })), "{facts:?}");
        }
        let (key, full) = (
            facts(ReplicaIdentity::Default, &["a", "b"]),
            facts(ReplicaIdentity::Full, &["a", "b"]),
        );
        assert_eq!(facts(ReplicaIdentity::Index, &["b", "a"]).check_like(&key), Ok(()));
        assert!(full.check_like(&key).is_err() && key.check_like(&full).is_err());
        assert!(facts(ReplicaIdentity::Default, &["a"]).check_like(&key).is_err());
        let named =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(key.check_key(&named(&["b"])), Ok(()));
        assert!(key.check_key(&named(&["a", "c"])).is_err());
        let unlogged = IdentityFacts { logged: false, ..facts(ReplicaIdentity::Full, &[]) };
        let inherited = IdentityFacts { inherited: true, ..facts(ReplicaIdentity::Full, &[]) };
        for facts in [unlogged, inherited] {
            assert!(matches!(facts.check(&[]), Err(SlotError::TableUnavailable { .. })));
        }
    }
}
