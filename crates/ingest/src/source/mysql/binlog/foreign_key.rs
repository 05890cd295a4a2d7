//! Foreign keys by which the server changes rows that its log does not tell of.
//!
//! InnoDB carries out `ON DELETE CASCADE`, `SET NULL` and `ON UPDATE …` itself, below the log: of rows that go with the row that
//! they lead to, the log has that row's deletion and not theirs, for a replica's InnoDB does the same again (MySQL 8.0 Reference
//! Manual, "InnoDB and MySQL Replication", "Replication and CASCADE"; bug 32506; MariaDB likewise). MySQL from 9.6 on carries
//! them out above the engine and logs each row, unless `innodb_native_foreign_keys` is on.
//!
//! What a row that went took with it cannot be told from the log, nor from the server afterwards. But *when* it may have
//! happened can: each chain of such keys that ends at a followed table begins with a row whose deletion, or whose change of a
//! value that is led to, was somebody's statement, and so is in the log, whether its table is followed or not. So of each table
//! that a chain may begin with it is known which followed tables it ends at ([`Cascades`]); these are copied again.
//!
//! The keys are those of now, the log is of before. A key that came since makes a copy more; one that was dropped since is told
//! by the statement that dropped it.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::statement::{Words, tokens};
use crate::source::mysql::error::SourceError;
use crate::source::mysql::session::Session;
use crate::source::mysql::types::quote;

/// The server's numbers for a table that is not there or not to be seen: ER_DBACCESS_DENIED_ERROR, ER_BAD_DB_ERROR,
/// ER_TABLEACCESS_DENIED_ERROR, ER_COLUMNACCESS_DENIED_ERROR, ER_NO_SUCH_TABLE.
const UNSEEN: [u16; 5] = [1044, 1049, 1142, 1143, 1146];

/// Database and table.
pub type Name = (String, String);

/// A foreign key of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ForeignKey {
    parent: Name,
    /// The columns that it leads to.
    columns: Vec<String>,
    /// Whether the server changes rows when the one that they lead to is deleted.
    on_delete: bool,
    /// The same when a value changes that they lead to.
    on_update: bool,
}

/// What the rows of a table take with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cascade {
    /// The columns whose values are led to.
    pub columns: Vec<String>,
    /// Whether it happens when a row is deleted.
    pub on_delete: bool,
    /// Whether it happens when one of the values changes.
    pub on_update: bool,
    /// The followed tables whose rows it may change, over whatever others.
    pub tables: BTreeSet<Name>,
}

/// What rows of a server take with them without its log telling it.
#[derive(Debug, Default)]
pub struct Cascades {
    by_parent: HashMap<Name, Vec<Cascade>>,
    /// Whether the log tells of all of them.
    pub are_logged: bool,
}

impl Cascades {
    /// Asks for the keys of these tables, and of those that they lead to.
    ///
    /// # Errors
    /// The server's, except that a table is not to be seen: its keys are taken for none then.
    pub fn read(session: &mut Session, followed: &[Name]) -> Result<Self, SourceError> {
        let asked = "SHOW GLOBAL VARIABLES LIKE 'innodb_native_foreign_keys'";
        let native = session.rows(asked)?.into_iter().next().and_then(|row| row.into_iter().nth(1));
        if native.flatten().as_deref() == Some("OFF") {
            return Ok(Self { are_logged: true, ..Self::default() });
        }
        let mut cascades = Self::default();
        let mut known: HashMap<Name, Vec<ForeignKey>> = HashMap::new();
        for table in followed {
            let (mut seen, mut rest) = (HashSet::from([table.clone()]), vec![table.clone()]);
            while let Some(child) = rest.pop() {
                if !known.contains_key(&child) {
                    let keys = foreign_keys_of(session, &child)?;
                    known.insert(child.clone(), keys);
                }
                for key in known.get(&child).into_iter().flatten() {
                    if !key.on_delete && !key.on_update {
                        continue;
                    }
                    cascades.add(key, table);
                    if seen.insert(key.parent.clone()) {
                        rest.push(key.parent.clone());
                    }
                }
            }
        }
        Ok(cascades)
    }

    fn add(&mut self, key: &ForeignKey, table: &Name) {
        let ForeignKey { parent, columns, on_delete, on_update } = key;
        let of_parent = self.by_parent.entry(parent.clone()).or_default();
        let same = of_parent.iter_mut().find(|it| {
            (&it.columns, it.on_delete, it.on_update) == (columns, *on_delete, *on_update)
        });
        match same {
            Some(cascade) => drop(cascade.tables.insert(table.clone())),
            None => of_parent.push(Cascade {
                columns: columns.clone(),
                on_delete: *on_delete,
                on_update: *on_update,
                tables: BTreeSet::from([table.clone()]),
            }),
        }
    }

    /// What the rows of a table take with them.
    #[must_use]
    pub fn of(&self, parent: &Name) -> &[Cascade] {
        self.by_parent.get(parent).map(Vec::as_slice).unwrap_or_default()
    }

    /// The tables whose rows may take rows of a followed table with them, over whatever others, in order.
    #[must_use]
    pub fn above(&self, table: &Name) -> BTreeSet<&Name> {
        let reaches = |cascades: &[Cascade]| cascades.iter().any(|it| it.tables.contains(table));
        self.parents().filter(|(_, cascades)| reaches(cascades)).map(|(parent, _)| parent).collect()
    }

    /// The tables whose rows take others with them.
    pub fn parents(&self) -> impl Iterator<Item = (&Name, &[Cascade])> {
        self.by_parent.iter().map(|(parent, cascades)| (parent, cascades.as_slice()))
    }
}

/// The foreign keys of a table, by the statement that would make it: the one place where whoever may read a table sees what they
/// do (MariaDB shows `REFERENTIAL_CONSTRAINTS` to those who may change it).
fn foreign_keys_of(
    session: &mut Session,
    (database, table): &Name,
) -> Result<Vec<ForeignKey>, SourceError> {
    let asked = format!("SHOW CREATE TABLE {}.{}", quote(database), quote(table));
    let row = match session.rows(&asked) {
        Ok(rows) => rows.into_iter().next().unwrap_or_default(),
        Err(error @ SourceError::Server { code, .. }) if UNSEEN.contains(&code) => {
            tracing::warn!(
                table = format!("{database}.{table}"),
                error = %error,
                "the foreign keys of a table cannot be seen: rows that others take with them by way of it are not told"
            );
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let text = row.into_iter().nth(1).flatten().unwrap_or_default();
    Ok(parse(text.as_bytes(), database))
}

/// The foreign keys in the statement that makes a table.
fn parse(text: &[u8], database: &str) -> Vec<ForeignKey> {
    let tokens = tokens(text);
    let mut words = Words::of(&tokens);
    let mut found = Vec::new();
    while words.skip_to(&["FOREIGN", "KEY"]) {
        found.extend(foreign_key(&mut words, database));
    }
    found
}

/// What comes behind FOREIGN KEY.
fn foreign_key(words: &mut Words<'_>, database: &str) -> Option<ForeignKey> {
    words.names_in_parentheses()?;
    words.take(&["REFERENCES"]).then_some(())?;
    let parent = words.named()?;
    let columns = words.names_in_parentheses()?;
    let (mut on_delete, mut on_update) = (false, false);
    while words.take(&["ON"]) {
        let of = if words.take(&["DELETE"]) { &mut on_delete } else { &mut on_update };
        words.take(&["UPDATE"]);
        *of = !words.take(&["RESTRICT"]) && !words.take(&["NO", "ACTION"]);
        // CASCADE, SET NULL, SET DEFAULT.
        let _ = words.take(&["CASCADE"])
            || words.take(&["SET", "NULL"])
            || words.take(&["SET", "DEFAULT"]);
    }
    let database = parent.database.unwrap_or_else(|| database.to_owned());
    Some(ForeignKey { parent: (database, parent.table), columns, on_delete, on_update })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_from_the_statement_that_makes_their_table() {
        let text = br"CREATE TABLE `c` (
  `id` int(11) NOT NULL COMMENT 'FOREIGN KEY (`x`) REFERENCES `y` (`z`) ON DELETE CASCADE',
  `a` int(11) DEFAULT NULL,
  `on` int(11) DEFAULT NULL,
  PRIMARY KEY (`id`),
  KEY `a` (`a`),
  CONSTRAINT `one` FOREIGN KEY (`a`) REFERENCES `p` (`id`) ON DELETE CASCADE ON UPDATE SET NULL,
  CONSTRAINT `two` FOREIGN KEY (`a`, `on`) REFERENCES `other db`.`q``s` (`x`, `y`) ON UPDATE CASCADE,
  CONSTRAINT `three` FOREIGN KEY (`on`) REFERENCES `r` (`id`),
  CONSTRAINT `four` FOREIGN KEY (`on`) REFERENCES `r` (`id`) ON DELETE NO ACTION ON UPDATE RESTRICT,
  CONSTRAINT `five` FOREIGN KEY (`on`) REFERENCES `r` (`id`) ON DELETE SET DEFAULT
) ENGINE=InnoDB DEFAULT CHARSET=latin1";
        let told: Vec<String> = parse(text, "db")
            .into_iter()
            .map(|key| {
                let (database, table) = key.parent;
                let (on_delete, on_update) = (key.on_delete, key.on_update);
                format!("{database}.{table} {} {on_delete} {on_update}", key.columns.join(","))
            })
            .collect();
        assert_eq!(
            told,
            [
                "db.p id true true",
                "other db.q`s x,y false true",
                "db.r id false false",
                "db.r id false false",
                "db.r id true false",
            ]
        );
    }
}
