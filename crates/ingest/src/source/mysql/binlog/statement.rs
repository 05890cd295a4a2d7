//! What a statement of the log does to tables, as far as its rows are concerned.
//!
//! A log of rows has statements, too: those that begin and end transactions, and those that change tables. They are not carried
//! out here, nor are the columns that they name believed: a change of a table ends the session, and the catalog is asked. So it is
//! enough to know **which tables** a statement may have changed, and whether their **rows** are other rows afterwards
//! without the log having said so (a table that was dropped and made anew, a column that was dropped and will be made anew, a
//! partition that was emptied, a statement that was logged instead of its rows). What is not understood concerns every table that
//! it names anywhere.
//!
//! Source: MySQL 8.0 Reference Manual, chapter 15.1 "Data Definition Statements"; MariaDB, "Data Definition".

/// A table, by the names that a statement gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The database, where the statement says it.
    pub database: Option<String>,
    /// The table.
    pub table: String,
}

/// What a statement does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// A transaction begins.
    Begin,
    /// It is committed.
    Commit,
    /// It is taken back.
    RollBack,
    /// A distributed transaction begins; its end is another statement, elsewhere in the log.
    BeginDistributed,
    /// Nothing that concerns the rows or the columns of a table.
    Nothing,
    /// A table was emptied.
    Truncate(Named),
    /// A table may have other columns.
    Altered {
        /// The table.
        table: Named,
        /// Columns that were dropped or got another name.
        dropped: Vec<String>,
    },
    /// These are other tables than before, or their rows are others.
    Remade(Vec<Named>),
    /// The tables of a database are gone.
    DatabaseRemade(String),
    /// It may concern every table that it names.
    Unknown,
}

/// What a statement does to one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect<'a> {
    /// Nothing.
    None,
    /// It is emptied.
    Emptied,
    /// It may have other columns; these are gone or have another name.
    Altered(&'a [String]),
    /// Its rows are other rows, for a reason.
    Other(&'static str),
}

impl Statement {
    /// What it does to a table. `text` is its own, `database` the one that names without one belong to. Names are compared
    /// without regard to case, as some servers do.
    #[must_use]
    pub fn on(&self, text: &[u8], database: &str, (of, table): (&str, &str)) -> Effect<'_> {
        let is_it = |named: &Named| {
            let its = named.database.as_deref().unwrap_or(database);
            its.eq_ignore_ascii_case(of) && named.table.eq_ignore_ascii_case(table)
        };
        match self {
            Self::Truncate(named) if is_it(named) => Effect::Emptied,
            Self::Altered { table, dropped } if is_it(table) => Effect::Altered(dropped),
            Self::Remade(all) if all.iter().any(is_it) => Effect::Other(
                "the table was dropped, made anew or renamed, or rows of it were without a word",
            ),
            Self::DatabaseRemade(name) if name.eq_ignore_ascii_case(of) => {
                Effect::Other("the database was dropped")
            }
            Self::Unknown
                if mentions(text, table)
                    && (database.eq_ignore_ascii_case(of) || mentions(text, of)) =>
            {
                Effect::Other("a statement was logged instead of the rows that it changed")
            }
            Self::Begin
            | Self::Commit
            | Self::RollBack
            | Self::BeginDistributed
            | Self::Nothing
            | Self::Truncate(_)
            | Self::Altered { .. }
            | Self::Remade(_)
            | Self::DatabaseRemade(_)
            | Self::Unknown => Effect::None,
        }
    }

    /// Reads a statement.
    #[must_use]
    pub fn read(text: &[u8]) -> Self {
        let tokens = tokens(text);
        let mut words = Words::of(&tokens);
        words.statement().unwrap_or(Self::Unknown)
    }
}

/// Whether a text names something, in capital letters or small ones, and not as a part of another name.
#[must_use]
pub fn mentions(text: &[u8], name: &str) -> bool {
    let name = name.as_bytes();
    let is_free = |place: Option<usize>| {
        place.and_then(|place| text.get(place)).is_none_or(|byte| !is_of_word(*byte))
    };
    let is_there = |(start, part): (usize, &[u8])| {
        part.eq_ignore_ascii_case(name)
            && is_free(start.checked_sub(1))
            && is_free(Some(start + name.len()))
    };
    !name.is_empty() && text.windows(name.len()).enumerate().any(is_there)
}

/// A part of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A word that is not quoted.
    Word(String),
    /// A name in quotes.
    Quoted(String),
    /// A value; which, does not matter.
    Literal,
    /// A sign.
    Sign(u8),
}

/// The parts of a statement. Comments are left out, but those that a server carries out (`/*! … */`, `/*M! … */`) are not.
pub(super) fn tokens(text: &[u8]) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let [first, behind @ ..] = rest {
        rest = match rest {
            [b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c, ..] => behind,
            [b'#', ..] | [b'-', b'-', b' ' | b'\t' | b'\n' | b'\r', ..] => behind_line(rest),
            [b'/', b'*', b'!', inner @ ..] | [b'/', b'*', b'M', b'!', inner @ ..] => {
                let digits = inner.iter().take_while(|byte| byte.is_ascii_digit()).count();
                inner.get(digits..).unwrap_or_default()
            }
            [b'/', b'*', inner @ ..] => {
                let end = inner.windows(2).position(|two| two == b"*/");
                end.and_then(|end| inner.get(end + 2..)).unwrap_or_default()
            }
            [b'*', b'/', inner @ ..] => inner,
            [quote @ (b'`' | b'"'), inner @ ..] => {
                let (name, left) = quoted(inner, *quote, *quote == b'"');
                tokens.push(Token::Quoted(name));
                left
            }
            [b'\'', inner @ ..] => {
                tokens.push(Token::Literal);
                quoted(inner, b'\'', true).1
            }
            [byte, ..] if is_of_word(*byte) => {
                let length = rest.iter().take_while(|byte| is_of_word(**byte)).count();
                let (word, left) = rest.split_at(length);
                tokens.push(Token::Word(String::from_utf8_lossy(word).into_owned()));
                left
            }
            _ => {
                tokens.push(Token::Sign(*first));
                behind
            }
        };
    }
    tokens
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'@') || byte >= 0x80
}

fn behind_line(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
    text.get(end..).unwrap_or_default()
}

/// What is between quotes, in which the quote itself is doubled, and what comes behind.
fn quoted(text: &[u8], quote: u8, has_escapes: bool) -> (String, &[u8]) {
    let mut name = Vec::new();
    let mut rest = text;
    loop {
        match rest {
            [] => break,
            [first, second, behind @ ..] if *first == quote && *second == quote => {
                name.push(quote);
                rest = behind;
            }
            [first, behind @ ..] if *first == quote => {
                rest = behind;
                break;
            }
            [b'\\', escaped, behind @ ..] if has_escapes => {
                name.push(*escaped);
                rest = behind;
            }
            [first, behind @ ..] => {
                name.push(*first);
                rest = behind;
            }
        }
    }
    (String::from_utf8_lossy(&name).into_owned(), rest)
}

/// What is left of a statement.
pub(super) struct Words<'a> {
    rest: &'a [Token],
}

/// What CREATE, ALTER and DROP are about, other than tables and databases.
const OTHERS: &[&str] = &[
    "VIEW",
    "TRIGGER",
    "PROCEDURE",
    "FUNCTION",
    "EVENT",
    "INDEX",
    "USER",
    "ROLE",
    "SERVER",
    "SEQUENCE",
    "TABLESPACE",
    "PACKAGE",
    "LOGFILE",
    "UNDO",
    "RESOURCE",
    "SPATIAL",
    "INSTANCE",
    "CATALOG",
];
/// Statements that change neither rows nor columns.
const HARMLESS: &[&str] = &[
    "GRANT",
    "REVOKE",
    "SET",
    "FLUSH",
    "ANALYZE",
    "OPTIMIZE",
    "REPAIR",
    "CHECK",
    "LOCK",
    "UNLOCK",
    "SAVEPOINT",
    "RELEASE",
    "USE",
    "INSTALL",
    "UNINSTALL",
    "KILL",
    "RESET",
    "CHANGE",
    "START",
    "STOP",
    "COMMENT",
];

impl<'a> Words<'a> {
    /// All of a statement.
    pub(super) fn of(tokens: &'a [Token]) -> Self {
        Self { rest: tokens }
    }

    /// Passes over everything up to the end of these words, where they come next; tells whether they came.
    pub(super) fn skip_to(&mut self, words: &[&str]) -> bool {
        while !self.rest.is_empty() {
            if self.take(words) {
                return true;
            }
            self.rest = self.rest.get(1..).unwrap_or_default();
        }
        false
    }

    /// `(name, name)`.
    pub(super) fn names_in_parentheses(&mut self) -> Option<Vec<String>> {
        self.take_sign(b'(').then_some(())?;
        let mut names = vec![self.name()?];
        while self.take_sign(b',') {
            names.push(self.name()?);
        }
        self.take_sign(b')').then_some(names)
    }

    /// The next word in capital letters, if it is one.
    fn word(&mut self) -> Option<String> {
        let (first, rest) = self.rest.split_first()?;
        let Token::Word(word) = first else { return None };
        self.rest = rest;
        Some(word.to_ascii_uppercase())
    }

    /// Passes over the next words if they are these.
    pub(super) fn take(&mut self, words: &[&str]) -> bool {
        let matches = self.rest.len() >= words.len()
            && self.rest.iter().zip(words).all(|(token, word)| {
                matches!(token, Token::Word(found) if found.eq_ignore_ascii_case(word))
            });
        if matches {
            self.rest = self.rest.get(words.len()..).unwrap_or_default();
        }
        matches
    }

    fn take_sign(&mut self, sign: u8) -> bool {
        let is_there = self.rest.first() == Some(&Token::Sign(sign));
        if is_there {
            self.rest = self.rest.get(1..).unwrap_or_default();
        }
        is_there
    }

    /// A name, quoted or not.
    fn name(&mut self) -> Option<String> {
        let (first, rest) = self.rest.split_first()?;
        let (Token::Word(name) | Token::Quoted(name)) = first else { return None };
        self.rest = rest;
        Some(name.clone())
    }

    /// `table` or `database.table`.
    pub(super) fn named(&mut self) -> Option<Named> {
        let first = self.name()?;
        if self.take_sign(b'.') {
            return Some(Named { database: Some(first), table: self.name()? });
        }
        Some(Named { database: None, table: first })
    }

    fn list(&mut self) -> Option<Vec<Named>> {
        let mut all = vec![self.named()?];
        while self.take_sign(b',') {
            all.push(self.named()?);
        }
        Some(all)
    }

    fn statement(&mut self) -> Option<Statement> {
        let word = self.word()?;
        Some(match word.as_str() {
            "BEGIN" => Statement::Begin,
            "COMMIT" => Statement::Commit,
            "ROLLBACK" if self.take(&["TO"]) => Statement::Nothing,
            "ROLLBACK" => Statement::RollBack,
            "XA" if self.take(&["START"]) || self.take(&["BEGIN"]) => Statement::BeginDistributed,
            "XA" => Statement::Nothing,
            "TRUNCATE" => {
                self.take(&["TABLE"]);
                Statement::Truncate(self.named()?)
            }
            "RENAME" => self.rename()?,
            "CREATE" | "DROP" | "ALTER" => self.definition(&word)?,
            word if HARMLESS.contains(&word) => Statement::Nothing,
            _ => Statement::Unknown,
        })
    }

    fn rename(&mut self) -> Option<Statement> {
        if !self.take(&["TABLE"]) && !self.take(&["TABLES"]) {
            return Some(Statement::Nothing);
        }
        let mut all = Vec::new();
        self.take(&["IF", "EXISTS"]);
        loop {
            all.push(self.named()?);
            while !self.take(&["TO"]) {
                // `WAIT 5` or `NOWAIT` of MariaDB.
                self.rest = self.rest.get(1..).filter(|rest| !rest.is_empty())?;
            }
            all.push(self.named()?);
            if !self.take_sign(b',') {
                return Some(Statement::Remade(all));
            }
        }
    }

    /// CREATE, DROP or ALTER of something.
    fn definition(&mut self, verb: &str) -> Option<Statement> {
        let (mut replaces, mut is_temporary) = (false, false);
        loop {
            if self.take(&["OR", "REPLACE"]) {
                replaces = true;
            } else if self.take(&["TEMPORARY"]) {
                is_temporary = true;
            } else if self.take(&["TABLE"]) || self.take(&["TABLES"]) {
                break;
            } else if self.take(&["DATABASE"]) || self.take(&["SCHEMA"]) {
                self.take(&["IF", "EXISTS"]);
                let is_gone = verb == "DROP" || replaces;
                let name = self.name();
                return Some(match name.filter(|_| is_gone) {
                    Some(name) => Statement::DatabaseRemade(name),
                    None => Statement::Nothing,
                });
            } else if OTHERS.iter().any(|other| self.take(&[other])) {
                return Some(Statement::Nothing);
            } else {
                // ONLINE, IGNORE, UNIQUE, FULLTEXT, DEFINER = `user`@`host`, ALGORITHM = MERGE, SQL SECURITY …
                self.rest = self.rest.get(1..).filter(|rest| !rest.is_empty())?;
            }
        }
        if is_temporary {
            return Some(Statement::Nothing);
        }
        match verb {
            "DROP" => {
                self.take(&["IF", "EXISTS"]);
                self.list().map(Statement::Remade)
            }
            "CREATE" => {
                self.take(&["IF", "NOT", "EXISTS"]);
                let table = self.named()?;
                Some(match replaces {
                    true => Statement::Remade(vec![table]),
                    false => Statement::Altered { table, dropped: Vec::new() },
                })
            }
            _ => self.alter(),
        }
    }

    fn alter(&mut self) -> Option<Statement> {
        self.take(&["IF", "EXISTS"]);
        let table = self.named()?;
        let mut dropped = Vec::new();
        let mut others = Vec::new();
        while !self.rest.is_empty() {
            if OTHER_ROWS.iter().any(|words| self.take(words)) {
                others.push(table.clone());
            } else if self.take(&["DROP"]) {
                if let Some(column) = self.dropped() {
                    dropped.push(column);
                }
            } else if self.take(&["CHANGE"]) {
                self.take(&["COLUMN"]);
                self.take(&["IF", "EXISTS"]);
                let (old, new) = (self.name()?, self.name()?);
                if !old.eq_ignore_ascii_case(&new) {
                    dropped.push(old);
                }
            } else if self.take(&["RENAME", "COLUMN"]) {
                self.take(&["IF", "EXISTS"]);
                dropped.push(self.name()?);
            } else if self.take(&["RENAME", "INDEX"]) || self.take(&["RENAME", "KEY"]) {
                self.name()?;
            } else if self.take(&["RENAME"]) {
                if !self.take(&["TO"]) && !self.take(&["AS"]) {
                    self.take_sign(b'=');
                }
                others.push(self.named()?);
            } else {
                self.rest = self.rest.get(1..).unwrap_or_default();
            }
        }
        if others.is_empty() {
            return Some(Statement::Altered { table, dropped });
        }
        others.push(table);
        Some(Statement::Remade(others))
    }

    /// The column behind DROP, if it is one that goes.
    fn dropped(&mut self) -> Option<String> {
        let others = [
            "INDEX",
            "KEY",
            "FOREIGN",
            "PRIMARY",
            "CONSTRAINT",
            "CHECK",
            "PERIOD",
            "SYSTEM",
            "DEFAULT",
        ];
        if others.iter().any(|other| self.take(&[other])) {
            return None;
        }
        self.take(&["COLUMN"]);
        self.take(&["IF", "EXISTS"]);
        self.name()
    }
}

/// What takes rows away, or brings others, without a word of them in the log.
const OTHER_ROWS: &[&[&str]] = &[
    &["DROP", "PARTITION"],
    &["TRUNCATE", "PARTITION"],
    &["EXCHANGE", "PARTITION"],
    &["CONVERT", "PARTITION"],
    &["CONVERT", "TABLE"],
    &["IMPORT", "TABLESPACE"],
    &["IMPORT", "PARTITION"],
    &["SYSTEM", "VERSIONING"],
];

#[cfg(test)]
#[path = "statement_tests.rs"]
mod tests;
