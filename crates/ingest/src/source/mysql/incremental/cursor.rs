//! The cursor column in SQL: which types can be one, and how values are found and compared, always by the server, in the
//! column's own order and from exact text.
//!
//! A literal that is compared with a column of text takes the column's character set and collation (MySQL Reference
//! Manual, "Collation Coercibility in Expressions"), so `≥` and `ORDER BY` are one order, whether that is binary, blind to
//! case, or padded.

use crate::inventory::Table;
use crate::source::mysql::catalog::{Column, Relation, literal};
use crate::source::mysql::types::{MAPPED_WHOLE, quote};

/// How far before the highest number of an integer cursor rows are looked for, whatever the time: numbers that are given
/// out in blocks, or by transactions that were open at the first load.
const LOOKBACK_NUMBERS: i128 = 1000;

/// Types whose values a transaction takes in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Integer,
    Decimal,
    Date,
    /// A date and time of day, with or without a zone: our sessions are in UTC.
    Moment,
    Text,
}

/// A cursor column that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The column.
    pub column: String,
    /// Its type, as it was declared.
    type_text: String,
    kind: Kind,
    /// Whether a value names one row for good: a number that is the whole primary key.
    is_key: bool,
}

impl Cursor {
    /// The cursor that the inventory names.
    ///
    /// # Errors
    /// Why it cannot be one.
    pub fn find(table: &Table, relation: &Relation) -> Result<Self, String> {
        let name = table.cursor_field.as_ref().ok_or("the table names no cursor_field")?;
        let column = relation.columns.iter().find(|column| column.name == *name);
        let column = column.ok_or("the table has no such column")?;
        let kind = kind(column)?;
        Ok(Self {
            column: name.clone(),
            type_text: column.type_text.clone(),
            kind,
            is_key: kind == Kind::Integer && relation.primary_key == [name.clone()],
        })
    }

    /// What watermarks of this cursor are filed under.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{} {}", self.column, self.type_text)
    }

    /// How long the clock stands still between two values that say when they were taken, in seconds; `None` when values do
    /// not say that.
    #[must_use]
    pub fn tick_seconds(&self) -> Option<u64> {
        match self.kind {
            // Longer than the coarsest of them by what two servers may round apart.
            Kind::Moment => Some(2),
            Kind::Date => Some(86_400),
            Kind::Integer | Kind::Decimal | Kind::Text => None,
        }
    }

    /// Whether a label is that of a cursor whose values say when they were taken.
    #[must_use]
    pub fn is_time(label: &str) -> bool {
        let type_text = label.rsplit_once(' ').map_or(label, |(_, type_text)| type_text);
        ["date", "timestamp"].iter().any(|word| type_text.starts_with(word))
    }

    /// A query whose answer is a value in the form that the server prints, or NULL when it is none.
    ///
    /// # Errors
    /// Why the text is no value of the cursor's type.
    pub fn value_sql(&self, text: &str) -> Result<String, &'static str> {
        let is_number = |text: &str| {
            let digits = text.strip_prefix('-').unwrap_or(text);
            let (whole, rest) = digits.split_once('.').unwrap_or((digits, "0"));
            let all = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            all(whole) && all(rest)
        };
        // The server would take a part of a text, and leave out what it does not understand.
        Ok(match self.kind {
            Kind::Integer if text.parse::<i128>().is_err() => return Err("a whole number"),
            Kind::Decimal if !is_number(text) => return Err("a decimal number"),
            Kind::Date if !is_moment(text, false) => return Err("a date, 2026-01-31"),
            Kind::Moment if !is_moment(text, true) => {
                return Err("a time in UTC, 2026-01-31T23:59:59.123456Z");
            }
            Kind::Integer | Kind::Decimal | Kind::Text => format!("SELECT {}", literal(text)),
            Kind::Date => format!("SELECT CAST(CAST({} AS DATE) AS CHAR)", literal(text)),
            Kind::Moment => {
                let text = text.trim_end_matches('Z').replace('T', " ");
                format!("SELECT CAST(CAST({} AS DATETIME(6)) AS CHAR)", literal(&text))
            }
        })
    }

    /// The condition of the rows at or above a bound, less the lookback, that are behind `after`, and of those without a
    /// value.
    #[must_use]
    pub fn from_bound(&self, bound: &str, lookback_seconds: u64, after: Option<&str>) -> String {
        let column = quote(&self.column);
        let moment = if self.kind == Kind::Date { "DATE" } else { "DATETIME(6)" };
        let cast = |text: &str| format!("CAST({} AS {moment})", literal(text));
        // Before the first day there is NULL, and nothing is at or above that.
        let earlier = |span: String| {
            format!("COALESCE({} - INTERVAL {span}, {})", cast(bound), cast("0000-00-00"))
        };
        let from = match self.kind {
            Kind::Integer => match bound.parse::<i128>() {
                Ok(number) => (number - LOOKBACK_NUMBERS).to_string(),
                Err(_) => return "TRUE".to_owned(),
            },
            Kind::Decimal => bound.to_owned(),
            Kind::Text => literal(bound),
            Kind::Date => earlier(format!("{} DAY", lookback_seconds.div_ceil(86_400))),
            Kind::Moment => earlier(format!("{lookback_seconds} SECOND")),
        };
        let after = after.map(|after| format!(" AND {column} > {}", cast(after)));
        format!("({column} >= {from}{} OR {column} IS NULL)", after.unwrap_or_default())
    }

    /// The query of the highest value that may become a watermark, as text. An index on the column answers it.
    #[must_use]
    pub fn highest_sql(&self, relation: &Relation) -> String {
        let column = quote(&self.column);
        // A time that is still to come would end the search for good.
        let usable = match self.kind {
            Kind::Integer | Kind::Decimal | Kind::Text => format!("{column} IS NOT NULL"),
            Kind::Date => format!("{column} <= UTC_DATE()"),
            Kind::Moment => format!("{column} <= UTC_TIMESTAMP(6)"),
        };
        format!(
            "SELECT CAST({column} AS CHAR CHARACTER SET utf8mb4) FROM {} WHERE {usable} ORDER BY {column} DESC LIMIT 1",
            relation.quoted()
        )
    }

    /// The query that counts rows without a value, up to `most`.
    #[must_use]
    pub fn valueless_sql(&self, relation: &Relation, most: usize) -> String {
        format!(
            "SELECT COUNT(*) FROM (SELECT 1 FROM {} WHERE {} IS NULL LIMIT {most}) AS valueless",
            relation.quoted(),
            quote(&self.column)
        )
    }

    /// The expression by which a row says whether the next run, beginning at `condition`, finds it again; without a
    /// condition it finds all. It is 1 or 0, or, if asked `by_number`, the number that the row is known by or NULL.
    #[must_use]
    pub fn mark(&self, condition: Option<&str>, by_number: bool) -> String {
        let condition = condition.unwrap_or("TRUE");
        match by_number {
            true => format!("CASE WHEN {condition} THEN {} END", quote(&self.column)),
            // A NULL would change the bytes of the row before it.
            false => format!("CASE WHEN {condition} THEN 1 ELSE 0 END"),
        }
    }

    /// Whether a value names one row for good, so that a row of a log is known by its number.
    #[must_use]
    pub fn is_key(&self) -> bool {
        self.is_key
    }
}

fn kind(column: &Column) -> Result<Kind, String> {
    Ok(match column.type_name.as_str() {
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" => Kind::Integer,
        "decimal" => Kind::Decimal,
        "date" => Kind::Date,
        "datetime" | "timestamp" => Kind::Moment,
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => {
            let set = column.character_set.as_deref().unwrap_or_default();
            if !MAPPED_WHOLE.contains(&set) {
                return Err(format!(
                    "its character set {set} has characters without one of their own in Unicode, so its values cannot be \
                     compared from text"
                ));
            }
            Kind::Text
        }
        name => {
            return Err(format!(
                "its type {name} has no order in which values are taken (usable: integers, decimal, date, datetime, \
                 timestamp, char, varchar, text)"
            ));
        }
    })
}

/// Whether a text is `2026-01-31`, or with `has_time` also `2026-01-31 23:59:59.123456`, the blank perhaps a `T` and a `Z`
/// behind. Other zones are refused: not every server knows them, and those that do not leave them out.
fn is_moment(text: &str, has_time: bool) -> bool {
    let shaped = |text: &str, shape: &str| {
        text.len() == shape.len()
            && text.bytes().zip(shape.bytes()).all(|(byte, wanted)| match wanted {
                b'0' => byte.is_ascii_digit(),
                other => byte == other,
            })
    };
    let Some((day, time)) = text.trim_end_matches('Z').split_once([' ', 'T']) else {
        return shaped(text, "0000-00-00");
    };
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let digits = (1..=6).contains(&fraction.len()) && fraction.bytes().all(|b| b.is_ascii_digit());
    has_time && digits && shaped(day, "0000-00-00") && shaped(time, "00:00:00")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(kind: Kind) -> Cursor {
        Cursor { column: "a`t".into(), type_text: "x".into(), kind, is_key: false }
    }

    #[test]
    fn bounds_of_moments_look_back_by_time_and_of_integers_by_number() {
        assert_eq!(
            cursor(Kind::Moment).from_bound("2020-01-01 00:00:00.000001", 90, None),
            "(`a``t` >= COALESCE(CAST('2020-01-01 00:00:00.000001' AS DATETIME(6)) - INTERVAL 90 SECOND, \
             CAST('0000-00-00' AS DATETIME(6))) OR `a``t` IS NULL)"
        );
        assert!(cursor(Kind::Date).from_bound("2020-01-01", 90, None).contains("INTERVAL 1 DAY"));
        let unsigned = cursor(Kind::Integer).from_bound("18446744073709551615", 90, None);
        assert_eq!(unsigned, "(`a``t` >= 18446744073709550615 OR `a``t` IS NULL)");
        let decimal = cursor(Kind::Decimal).from_bound("1.5", 90, None);
        assert_eq!(decimal, "(`a``t` >= 1.5 OR `a``t` IS NULL)");
        assert!(cursor(Kind::Text).from_bound("o'c", 90, None).contains(">= 'o''c' OR"));
    }

    #[test]
    fn what_is_handed_over_is_a_value_of_the_type_or_refused() {
        let refused = |kind, text| cursor(kind).value_sql(text).is_err();
        for (kind, text) in [
            (Kind::Integer, "7 OR 1=1"),
            (Kind::Integer, "1.5"),
            (Kind::Decimal, "1e5"),
            (Kind::Decimal, "."),
            (Kind::Date, "yesterday"),
            (Kind::Date, "2026-01-31 00:00:00"),
            (Kind::Moment, "2026-01-31T00:00:00+05:00"),
            (Kind::Moment, "2026-01-31 00:00"),
            (Kind::Moment, "2026-01-31 00:00:00.1234567"),
        ] {
            assert!(refused(kind, text), "{text}");
        }
        for (kind, text) in [
            (Kind::Integer, "-7"),
            (Kind::Decimal, "-0.50"),
            (Kind::Date, "2026-01-31"),
            (Kind::Moment, "2026-01-31"),
            (Kind::Moment, "2026-01-31T23:59:59.5Z"),
            (Kind::Text, "o'clock"),
        ] {
            assert!(!refused(kind, text), "{text}");
        }
    }
}
