//! Global transaction ids: what a server has committed, whatever its files are called.
//!
//! MySQL names a transaction by the server that first committed it, since 8.3 by a tag where somebody gave one, and by a number;
//! a set is the intervals of the numbers of each server and tag. MariaDB names it by a domain, the server and a number that counts up within the domain;
//! where a server is, is the last id of each domain. A set of MariaDB therefore says "all of this domain up to here", and
//! that is right only while numbers count up, which the stream checks ([`GtidSet::add`]).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// One transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gtid {
    /// `domain-server-number`.
    MariaDb {
        /// The domain.
        domain: u32,
        /// The server that committed it first.
        server: u32,
        /// Its number in the domain.
        number: u64,
    },
    /// `server:number`, `server:tag:number`.
    MySql {
        /// Who committed it first.
        origin: Origin,
        /// Its number there, from 1.
        number: u64,
    },
}

/// Who counts the numbers of MySQL's transactions (MySQL: a "TSID").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// The server.
    pub server: Uuid,
    /// The tag, for the most part none.
    pub tag: Tag,
}

/// At most 32 letters, digits and underscores, in lower case; none is no tag.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag([u8; Tag::LONGEST]);

impl Tag {
    const LONGEST: usize = 32;

    /// Takes a tag.
    ///
    /// # Errors
    /// It is longer, or has other characters.
    pub fn new(text: &[u8]) -> Result<Self, GtidError> {
        let mut tag = Self::default();
        let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let place = tag.0.get_mut(..text.len()).filter(|_| text.iter().all(is_letter));
        place.ok_or(GtidError)?.copy_from_slice(text);
        tag.0.make_ascii_lowercase();
        Ok(tag)
    }

    fn text(&self) -> &[u8] {
        self.0.split(|byte| *byte == 0).next().unwrap_or_default()
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text().iter().try_for_each(|byte| write!(f, "{}", char::from(*byte)))
    }
}

/// Transactions, as a server says what it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GtidSet {
    /// The last transaction of each domain.
    MariaDb(BTreeMap<u32, (u32, u64)>),
    /// By server and tag, the intervals `[first, last]`, in order, with gaps between them.
    MySql(BTreeMap<Origin, Vec<(u64, u64)>>),
}

/// The text or the transaction is not one of the set's kind, or comes out of order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these are not transaction ids in the order of their numbers")]
pub struct GtidError;

impl GtidSet {
    /// Whether a transaction is in it.
    #[must_use]
    pub fn contains(&self, gtid: Gtid) -> bool {
        match (self, gtid) {
            (Self::MariaDb(domains), Gtid::MariaDb { domain, number, .. }) => {
                domains.get(&domain).is_some_and(|(_, last)| number <= *last)
            }
            (Self::MySql(origins), Gtid::MySql { origin, number }) => {
                let intervals = origins.get(&origin).map(Vec::as_slice).unwrap_or_default();
                intervals.iter().any(|(first, last)| (*first..=*last).contains(&number))
            }
            (Self::MariaDb(_), Gtid::MySql { .. }) | (Self::MySql(_), Gtid::MariaDb { .. }) => {
                false
            }
        }
    }

    /// Whether every transaction of the other set is in it.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::MariaDb(_), Self::MariaDb(domains)) => {
                domains.iter().all(|(domain, (server, number))| {
                    self.contains(Gtid::MariaDb {
                        domain: *domain,
                        server: *server,
                        number: *number,
                    })
                })
            }
            (Self::MySql(origins), Self::MySql(others)) => others.iter().all(|(origin, wanted)| {
                let held = origins.get(origin).map(Vec::as_slice).unwrap_or_default();
                let is_held = |(first, last): &(u64, u64)| {
                    held.iter().any(|(from, to)| from <= first && last <= to)
                };
                wanted.iter().all(is_held)
            }),
            (Self::MariaDb(_), Self::MySql(_)) | (Self::MySql(_), Self::MariaDb(_)) => false,
        }
    }

    /// Adds the next transaction of the log.
    ///
    /// # Errors
    /// It is of the other kind; or, of MariaDB, its number is not above the last one of its domain: the order of the
    /// numbers is then not the order of the log.
    pub fn add(&mut self, gtid: Gtid) -> Result<(), GtidError> {
        match (self, gtid) {
            (Self::MariaDb(domains), Gtid::MariaDb { domain, server, number }) => {
                if domains.get(&domain).is_some_and(|(_, last)| number <= *last) {
                    return Err(GtidError);
                }
                domains.insert(domain, (server, number));
                Ok(())
            }
            (Self::MySql(origins), Gtid::MySql { origin, number }) => {
                insert(origins.entry(origin).or_default(), (number, number));
                Ok(())
            }
            (Self::MariaDb(_), Gtid::MySql { .. }) | (Self::MySql(_), Gtid::MariaDb { .. }) => {
                Err(GtidError)
            }
        }
    }

    /// The set as COM_BINLOG_DUMP_GTID has it (`Gtid_set::encode`): the number of origins; of each its sixteen bytes, the
    /// number of its intervals, and of each its first number and the one behind its last. Where there are tags, a byte before
    /// and one behind the number say so, and each server's bytes are followed by the tag behind twice its length.
    #[must_use]
    pub fn encoded(&self) -> Vec<u8> {
        let Self::MySql(origins) = self else { return 0u64.to_le_bytes().to_vec() };
        let has_tags = origins.keys().any(|origin| origin.tag != Tag::default());
        let count = origins.len() as u64;
        let count = if has_tags { 1 << 56 | count << 8 | 1 } else { count };
        let mut out = count.to_le_bytes().to_vec();
        for (Origin { server, tag }, intervals) in origins {
            out.extend_from_slice(server.as_bytes());
            if has_tags {
                let tag = tag.text();
                out.push(u8::try_from(tag.len() * 2).unwrap_or_default());
                out.extend_from_slice(tag);
            }
            out.extend((intervals.len() as u64).to_le_bytes());
            for (first, last) in intervals {
                out.extend(first.to_le_bytes());
                out.extend((last + 1).to_le_bytes());
            }
        }
        out
    }
}

/// Adds an interval, and joins those that touch.
fn insert(intervals: &mut Vec<(u64, u64)>, (first, last): (u64, u64)) {
    let mut joined = (first, last);
    let mut at = intervals.len();
    // The next transaction is nearly always behind all others.
    while let Some((before_first, before_last)) =
        at.checked_sub(1).and_then(|at| intervals.get(at).copied())
    {
        if before_last.saturating_add(1) < joined.0 {
            break;
        }
        at -= 1;
        if before_first > joined.1.saturating_add(1) {
            continue;
        }
        joined = (joined.0.min(before_first), joined.1.max(before_last));
        intervals.remove(at);
    }
    intervals.insert(at.min(intervals.len()), joined);
}

impl FromStr for GtidSet {
    type Err = GtidError;

    /// Reads what a server shows: `0-1-100,1-2-7` or `uuid:1-5:7:tag:1,uuid:1`. The empty text is the empty set of MySQL; an empty
    /// one of MariaDB is written as `-`.
    fn from_str(text: &str) -> Result<Self, GtidError> {
        let text: String = text.chars().filter(|it| !it.is_whitespace()).collect();
        let parts = text.split(',').filter(|part| !part.is_empty());
        if text == "-" || (!text.is_empty() && !text.contains(':')) {
            let mut domains = BTreeMap::new();
            for part in parts.filter(|part| *part != "-") {
                let mut fields = part.split('-');
                let (domain, server) = (number(fields.next())?, number(fields.next())?);
                let last = number(fields.next())?;
                if fields.next().is_some() {
                    return Err(GtidError);
                }
                let small = |number: u64| u32::try_from(number).map_err(|_| GtidError);
                domains.insert(small(domain)?, (small(server)?, last));
            }
            return Ok(Self::MariaDb(domains));
        }
        let mut origins: BTreeMap<Origin, Vec<(u64, u64)>> = BTreeMap::new();
        for part in parts {
            let mut fields = part.split(':');
            let server = fields.next().and_then(|text| Uuid::try_parse(text).ok());
            let mut origin = Origin { server: server.ok_or(GtidError)?, tag: Tag::default() };
            for field in fields {
                // A tag does not begin with a digit, and is that of what follows.
                if !field.starts_with(|first: char| first.is_ascii_digit()) {
                    origin.tag = Tag::new(field.as_bytes())
                        .ok()
                        .filter(|_| !field.is_empty())
                        .ok_or(GtidError)?;
                    continue;
                }
                let (first, last) = field.split_once('-').unwrap_or((field, field));
                let (first, last) = (number(Some(first))?, number(Some(last))?);
                if first == 0 || last < first {
                    return Err(GtidError);
                }
                insert(origins.entry(origin).or_default(), (first, last));
            }
        }
        Ok(Self::MySql(origins))
    }
}

fn number(text: Option<&str>) -> Result<u64, GtidError> {
    let text = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    text.and_then(|text| text.parse().ok()).ok_or(GtidError)
}

impl fmt::Display for GtidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MariaDb(domains) if domains.is_empty() => f.write_str("-"),
            Self::MariaDb(domains) => {
                for (place, (domain, (server, number))) in domains.iter().enumerate() {
                    let comma = if place == 0 { "" } else { "," };
                    write!(f, "{comma}{domain}-{server}-{number}")?;
                }
                Ok(())
            }
            Self::MySql(origins) => {
                let mut before = None;
                for (origin, intervals) in origins {
                    match before {
                        Some(server) if server == origin.server => {}
                        Some(_) => write!(f, ",{}", origin.server)?,
                        None => write!(f, "{}", origin.server)?,
                    }
                    if origin.tag != Tag::default() {
                        write!(f, ":{}", origin.tag)?;
                    }
                    before = Some(origin.server);
                    for (first, last) in intervals {
                        match first == last {
                            true => write!(f, ":{first}")?,
                            false => write!(f, ":{first}-{last}")?,
                        }
                    }
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use proptest::prelude::*;

    use super::*;

    const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    #[test]
    fn sets_are_read_and_written_as_servers_show_them() {
        let tagged = format!("{A}:1-5:7:a_1:1-2:b:9,4{}:x:1", &A[1..]);
        for text in ["0-1-100,1-2-7", "-", &format!("{A}:1-5:7"), &tagged, ""] {
            assert_eq!(text.parse::<GtidSet>().unwrap().to_string(), *text);
        }
        let spaced = format!("{A}:1-3,\n{A}:4");
        assert_eq!(spaced.parse::<GtidSet>().unwrap().to_string(), format!("{A}:1-4"));
        for text in [
            "0-1",
            "0-1-2-3",
            "a-1-2",
            &format!("{A}:0"),
            &format!("{A}:5-1"),
            "x:1",
            &format!("{A}:é:1"),
        ] {
            assert!(text.parse::<GtidSet>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_set_covers_its_parts() {
        let set = |text: &str| text.parse::<GtidSet>().unwrap();
        assert!(set("0-1-5,1-1-1").covers(&set("0-9-5")) && !set("0-1-5").covers(&set("1-1-1")));
        assert!(set(&format!("{A}:1-9")).covers(&set(&format!("{A}:1-3:5"))));
        assert!(!set(&format!("{A}:1-3:5-9")).covers(&set(&format!("{A}:2-6"))));
        assert!(!set("-").covers(&set("")));
    }

    #[test]
    fn a_domain_counts_up() {
        let mut set: GtidSet = "0-1-5".parse().unwrap();
        let next = |domain, number| Gtid::MariaDb { domain, server: 2, number };
        assert!(set.contains(next(0, 5)) && !set.contains(next(0, 6)) && !set.contains(next(1, 1)));
        assert_eq!(set.add(next(0, 5)), Err(GtidError));
        set.add(next(0, 7)).unwrap();
        set.add(next(3, 1)).unwrap();
        assert_eq!(set.to_string(), "0-2-7,3-2-1");
    }

    #[test]
    fn the_servers_form_of_a_set_is_that_of_its_documentation() {
        let set: GtidSet = format!("{A}:1-5:7").parse().unwrap();
        let bytes = set.encoded();
        assert_eq!(bytes.len(), 8 + 16 + 8 + 2 * 16);
        assert_eq!(bytes.get(..9), Some(&[1, 0, 0, 0, 0, 0, 0, 0, 0x3e][..]));
        assert_eq!(bytes.get(24..40), Some(&[2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0][..]));
        assert_eq!(bytes.get(40), Some(&6));
        let tagged: GtidSet = format!("{A}:1:tag:2").parse().unwrap();
        let bytes = tagged.encoded();
        assert_eq!(bytes.get(..8), Some(&[1, 2, 0, 0, 0, 0, 0, 1][..]));
        assert_eq!(bytes.get(24), Some(&0));
        assert_eq!(bytes.get(65..69), Some(&b"\x06tag"[..]));
    }

    proptest! {
        #[test]
        fn a_set_has_what_was_added_and_nothing_else(numbers in prop::collection::vec(1u64..40, 0..30)) {
            let origin = Origin { server: A.parse().unwrap(), tag: Tag::new(b"Tag").unwrap() };
            let mut set = GtidSet::MySql(BTreeMap::new());
            for number in &numbers {
                set.add(Gtid::MySql { origin, number: *number }).unwrap();
            }
            for number in 1..45 {
                let is_in = set.contains(Gtid::MySql { origin, number });
                prop_assert_eq!(is_in, numbers.contains(&number), "{} of {}", number, set);
            }
            prop_assert_eq!(set.to_string().parse::<GtidSet>().unwrap(), set);
        }
    }
}
