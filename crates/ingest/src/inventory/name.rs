//! The name of a raw table in the lake.
//!
//! The platform names raw tables
//! `raw__{source_system}[__{subsystem}]__{storage_technology}[__{namespace}]__{entity}`. Lake
//! names are lower case and hold letters, digits and underscores only, because every engine that
//! reads them folds or forbids the rest; source names may hold anything. Two different source
//! tables must never get one lake table, so a name that cannot be carried over unchanged, or that
//! could be read in two ways, gets a suffix made of a hash of the exact source name.
//!
//! # Why no two tables of a unit share a name
//!
//! Call a source name *plain* when it passes through unchanged and its place can be read back: it
//! holds only `[a-z0-9_]`, no `__`, does not end like a suffix does (`_x` and eight hexadecimal
//! digits), and where a namespace is written, neither it ends nor the table starts with `_`. A
//! plain name without namespace has no `__` and one with a namespace has exactly one, between the
//! two: so plain names map one to one. A name that is not plain ends in a suffix and a plain one
//! never does: so the two kinds never meet. Two names that are not plain meet only when their
//! readable parts and their 32-bit hashes both agree; the rule that raw tables are unique refuses
//! that when the unit is read.

use xxhash_rust::xxh3::xxh3_64;

use super::unit::DEFAULT_NAMESPACE;

/// The longest name a raw table can have, in bytes. The Glue catalog allows 255, and data files,
/// view names and metadata tables put something of their own around it.
pub const MAXIMUM_NAME_BYTES: usize = 200;

/// The technologies that a layer's last word can name; a layer that names none is Postgres.
const STORAGE_TECHNOLOGIES: &[&str] =
    &["postgres", "mysql", "mongodb", "s3", "api", "bigquery", "archive"];

/// What every raw table of a unit starts with, for example `raw__mitxonline__app__postgres__` for
/// the layer `app_postgres` (or `app`) of `mitxonline`.
pub fn raw_table_prefix(deployment: &str, layer: &str) -> String {
    let layer = plain_characters(layer);
    let words: Vec<&str> = layer.split('_').filter(|word| !word.is_empty()).collect();
    let mut prefix = format!("raw__{}__{}", plain_characters(deployment), words.join("__"));
    if !words.last().is_some_and(|word| STORAGE_TECHNOLOGIES.contains(word)) {
        prefix.push_str("__postgres");
    }
    prefix.push_str("__");
    prefix
}

/// The raw table of one source table, for example
/// `raw__mitxonline__app__postgres__users_user`.
///
/// The namespace is left out when it is `public`. The same source name gives the same raw table on
/// every machine and in every release.
pub fn raw_table_name(deployment: &str, layer: &str, namespace: &str, table: &str) -> String {
    let prefix = raw_table_prefix(deployment, layer);
    let in_default_namespace = namespace == DEFAULT_NAMESPACE;
    let (entity, plain) = if in_default_namespace {
        (plain_characters(table), is_plain(table))
    } else {
        let entity = format!("{}__{}", plain_characters(namespace), plain_characters(table));
        let borders_show = !namespace.ends_with('_') && !table.starts_with('_');
        (entity, is_plain(namespace) && is_plain(table) && borders_show)
    };
    let mut name = format!("{prefix}{entity}");
    if plain && name.len() <= MAXIMUM_NAME_BYTES {
        return name;
    }
    let suffix = suffix(namespace, table);
    // Every byte is ASCII here, so any length is a character boundary.
    name.truncate(MAXIMUM_NAME_BYTES - suffix.len());
    name.push_str(&suffix);
    name
}

/// Why a text is not a raw table name, or `None` when it is one.
pub(crate) fn raw_table_fault(name: &str) -> Option<String> {
    let odd = |c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if let Some(character) = name.chars().find(|c| odd(*c)) {
        return Some(format!(
            "{character:?} cannot be in a raw table name; use lower-case letters, digits and \
             underscores"
        ));
    }
    let segments = name.strip_prefix("raw__").map_or(0, |rest| rest.split("__").count());
    if segments < 3 {
        return Some(
            "a raw table is named \
             raw__{source_system}[__{subsystem}]__{storage_technology}[__{namespace}]__{entity}"
                .to_owned(),
        );
    }
    (name.len() > MAXIMUM_NAME_BYTES).then(|| {
        format!("a raw table name has at most {MAXIMUM_NAME_BYTES} bytes, not {}", name.len())
    })
}

/// The text in lower case with an underscore for every character a lake name cannot hold.
fn plain_characters(text: &str) -> String {
    text.chars()
        .map(|c| c.to_ascii_lowercase())
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '_' })
        .collect()
}

fn is_plain(text: &str) -> bool {
    plain_characters(text) == text && !text.contains("__") && !ends_like_a_suffix(text)
}

fn ends_like_a_suffix(text: &str) -> bool {
    text.rsplit_once('_').is_some_and(|(_, tail)| {
        tail.strip_prefix('x').is_some_and(|digits| {
            digits.len() == 8
                && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        })
    })
}

/// `_x` and the lower half of the XXH3-64 hash of `namespace NUL table` in hexadecimal. Names of
/// SQL objects cannot contain NUL, so the hashed text says exactly which table it is.
fn suffix(namespace: &str, table: &str) -> String {
    let hash = xxh3_64(format!("{namespace}\0{table}").as_bytes());
    format!("_x{:08x}", hash & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn name(namespace: &str, table: &str) -> String {
        raw_table_name("mitxonline", "app_postgres", namespace, table)
    }

    #[test]
    fn follows_the_platforms_pattern() {
        assert_eq!(name("public", "users_user"), "raw__mitxonline__app__postgres__users_user");
        assert_eq!(name("ticket", "line"), "raw__mitxonline__app__postgres__ticket__line");
        let prefixes = [
            ("mitxonline", "app_postgres", "raw__mitxonline__app__postgres__"),
            ("mitxonline", "app", "raw__mitxonline__app__postgres__"),
            ("ocw", "studio_postgres", "raw__ocw__studio__postgres__"),
            ("ovs", "postgres", "raw__ovs__postgres__"),
            ("learn-ai", "app_postgres", "raw__learn_ai__app__postgres__"),
            ("xpro", "openedx_mysql", "raw__xpro__openedx__mysql__"),
        ];
        for (deployment, layer, prefix) in prefixes {
            assert_eq!(raw_table_prefix(deployment, layer), prefix);
        }
    }

    #[test]
    fn a_name_that_loses_something_gets_a_stable_suffix() {
        let prefix = "raw__mitxonline__app__postgres__";
        let cases = [
            ("public", "Users", "users_x"),
            ("public", "naïve table", "na_ve_table_x"),
            ("public", "a__b", "a__b_x"),
            ("a", "b__c", "a__b__c_x"),
            ("a_", "b", "a___b_x"),
            ("a", "_b", "a___b_x"),
            ("Public", "b", "public__b_x"),
            ("public", "t_x0123abcd", "t_x0123abcd_x"),
            ("public", "\u{212a}", "__x"),
        ];
        for (namespace, table, expected) in cases {
            let got = name(namespace, table);
            assert_eq!(got.get(..got.len() - 8), Some(format!("{prefix}{expected}").as_str()));
        }
        // Written down so that a release that hashes differently is noticed: it would orphan tables.
        assert_eq!(name("public", "Users"), "raw__mitxonline__app__postgres__users_x1841d0db");
    }

    #[test]
    fn a_date_at_the_end_is_no_suffix() {
        assert!(name("public", "backup_20240131").ends_with("__backup_20240131"));
    }

    #[test]
    fn a_long_name_is_cut_and_told_apart() {
        let long = "a".repeat(300);
        let (first, second) = (name("public", &long), name("public", &format!("{long}b")));
        assert_eq!((first.len(), second.len()), (MAXIMUM_NAME_BYTES, MAXIMUM_NAME_BYTES));
        assert_ne!(first, second);
    }

    /// Every pair of names of up to three characters over an alphabet that holds each kind of
    /// trouble: capitals, blanks, quotes, dots, letters beyond ASCII, underscores.
    #[test]
    fn no_two_source_tables_share_a_raw_table() {
        let alphabet = ["a", "A", "b", "_", " ", ".", "é", "\"", "1"];
        let mut words = vec![String::new()];
        let mut all = Vec::new();
        for _ in 0..3 {
            words = words.iter().flat_map(|w| alphabet.map(|c| format!("{w}{c}"))).collect();
            all.extend(words.iter().cloned());
        }
        let mut namespaces: Vec<&str> = all.iter().filter(|w| w.len() <= 2).map(|w| &**w).collect();
        namespaces.extend(["public", "Public", "a_x0123abcd"]);
        let mut tables: Vec<String> = all.clone();
        // Names that were themselves made by this module, and the ones that surround them.
        tables.extend(all.iter().take(90).map(|word| {
            let made = name("public", word);
            made.trim_start_matches("raw__mitxonline__app__postgres__").to_owned()
        }));
        tables.sort();
        tables.dedup();
        let mut seen: BTreeMap<String, (&str, &str)> = BTreeMap::new();
        for namespace in &namespaces {
            for table in &tables {
                let raw_table = name(namespace, table);
                assert_eq!(raw_table_fault(&raw_table), None);
                let before = seen.insert(raw_table, (namespace, table));
                assert_eq!(before, None, "meets {namespace:?}.{table:?}");
            }
        }
        assert!(seen.len() > 50_000, "{}", seen.len());
    }

    #[test]
    fn says_why_a_raw_table_name_is_refused() {
        assert_eq!(raw_table_fault("raw__ovs__postgres__user"), None);
        assert!(raw_table_fault("raw__ovs__Postgres__user").is_some_and(|m| m.starts_with("'P'")));
        assert!(raw_table_fault("users").is_some_and(|m| m.contains("is named")));
        assert!(raw_table_fault(&format!("raw__a__b__{}", "c".repeat(200))).is_some());
    }
}
