//! What the transactions of the ledger do beside transfers: one function a shape that change capture must get right.

use std::fmt::Write as _;

use super::script::{Rows, Script};
use crate::random::Random;

/// Something that a transaction does to one table or two.
pub(super) type Action = fn(&mut Script<'_>, &mut Random);

/// What every writer may do.
pub(super) const EVERYWHERE: &[Action] =
    &[keyless, composite, moving, wide, wide_full, parted, generated, indexed, insert_only];

/// What only one writer does: it changes tables as a whole.
pub(super) const FIRST_ONLY: &[Action] = &[buffers, shape, renamed];

/// Characters that a text on the way is easily cut at or doubled by.
const NASTY: &[&str] = &["é", "'", "\"", "\\", "{}", "NULL", "", " ", "漢字", "💶", "a,b", "%s"];

/// Some rows by a new pick.
fn some(random: &mut Random, most: u64) -> Rows {
    Rows::Some { count: random.within(1, most), seed: random.number() }
}

/// An SQL text with something nasty in it.
fn note(random: &mut Random) -> String {
    let nasty = random.pick(NASTY).replace('\'', "''");
    format!("'{nasty}{}'", random.below(1_000_000))
}

/// A query of new rows: expressions over their keys `n`, and the transaction as the last column.
fn fresh(script: &mut Script<'_>, expressions: &str, count: u64) -> String {
    let first = script.numbers(count);
    let last = first + count - 1;
    format!("SELECT {expressions}, {} FROM generate_series({first}, {last}) n", script.transaction)
}

/// Transfers: as many lines as told, between accounts taken in the order of their ids, so that two writers never wait
/// for each other in a ring.
pub(super) fn transfers(script: &mut Script<'_>, random: &mut Random, lines: u64) {
    let transaction = script.transaction;
    let mut balances = std::collections::BTreeMap::<u64, i64>::new();
    let mut values = String::new();
    for line in 1..=lines {
        let (source, target) = (random.within(1, 40), random.within(1, 40));
        let amount = i64::try_from(random.within(1, 500)).expect("a small number");
        *balances.entry(source).or_default() -= amount;
        *balances.entry(target).or_default() += amount;
        let separator = if line == 1 { "VALUES " } else { ", " };
        write!(
            values,
            "{separator}({transaction}, {line}, {source}, {target}, {amount}, {}::numeric / 7, \
             '2020-01-01 00:00+00'::timestamptz + {} * interval '1 microsecond')",
            random.below(100_000),
            random.below(1 << 50),
        )
        .expect("a string takes text");
    }
    script.insert("entries", "tx, line, source, target, amount, share, at", &values);
    for (id, amount) in balances {
        let set = format!("balance = balance + ({amount})");
        script.update("accounts", &set, &Rows::Where(format!("id = {id}")));
    }
}

/// No key, and rows that are alike but for their number.
fn keyless(script: &mut Script<'_>, random: &mut Random) {
    match random.below(4) {
        0 | 1 => {
            let query = fresh(script, "n, 'alike'", 3);
            script.insert("keyless", "n, note, tx", &query);
        }
        // Without a key every column tells the row, so that an update takes one row away and brings another.
        2 => script.rekey("keyless", &format!("note = {}", note(random)), &some(random, 4)),
        _ => script.delete("keyless", &some(random, 3)),
    }
}

/// Two columns of key, one of them text; also a key that changes.
fn composite(script: &mut Script<'_>, random: &mut Random) {
    match random.below(5) {
        0 | 1 => {
            let expressions = format!("n % 7, {} || n, NULL", note(random));
            let query = fresh(script, &expressions, 3);
            script.insert("composite", "a, b, v, tx", &query);
        }
        2 => script.update("composite", &format!("v = {}", note(random)), &some(random, 5)),
        3 => {
            let set = format!("b = o.b || '{}'", script.transaction % 10);
            script.rekey("composite", &set, &some(random, 2));
        }
        _ => script.delete("composite", &some(random, 2)),
    }
}

/// Keys that move, also to a place that another row left in the same transaction.
fn moving(script: &mut Script<'_>, random: &mut Random) {
    match random.below(4) {
        0 => {
            let query = fresh(script, "n, 'new'", 3);
            script.insert("moving", "id, note, tx", &query);
        }
        1 => {
            let set = format!("id = o.id + {}", 1_000_000_000 * script.transaction);
            script.rekey("moving", &set, &some(random, 2));
        }
        2 => {
            // A chain: the first row leaves, the second takes its place, and goes back where it came from.
            let place = script.numbers(3);
            let insert = format!(
                "VALUES ({place}, 'first', {0}), ({place} + 1, 'second', {0})",
                script.transaction
            );
            script.insert("moving", "id, note, tx", &insert);
            script.rekey(
                "moving",
                &format!("id = {place} + 2"),
                &Rows::Where(format!("id = {place}")),
            );
            script.rekey(
                "moving",
                &format!("id = {place}"),
                &Rows::Where(format!("id = {place} + 1")),
            );
            script.update("moving", "note = 'moved'", &Rows::Where(format!("id = {place}")));
        }
        _ => script.delete("moving", &some(random, 2)),
    }
}

fn wide(script: &mut Script<'_>, random: &mut Random) {
    toasted("wide", script, random);
}

fn wide_full(script: &mut Script<'_>, random: &mut Random) {
    toasted("wide_full", script, random);
}

/// Values too long to stand in the row, which an update of other columns does not send.
fn toasted(table: &str, script: &mut Script<'_>, random: &mut Random) {
    let text = |random: &mut Random| {
        // Hexadecimal digits of hashes: ten thousand characters that do not compress.
        format!(
            "(SELECT string_agg(md5(g || '{}'), '') FROM generate_series(1, 320) g)",
            random.number()
        )
    };
    match random.below(6) {
        0 => {
            let query = fresh(script, &format!("n, 0, {}", text(random)), 2);

            script.insert(table, "id, counter, body, tx", &query);
        }
        1 => script.update(table, &format!("body = {}", text(random)), &some(random, 2)),
        2 => script.update(table, &format!("extra = {}", text(random)), &some(random, 2)),
        3 => script.delete(table, &some(random, 1)),
        _ => {
            // Twice in one transaction: the second stands on a row of the first.
            let rows = Rows::Some { count: 3, seed: random.number() };
            script.update(table, "counter = counter + 1", &rows);
            script.update(table, "counter = counter % 1000000 * 2", &rows);
        }
    }
}

/// Rows in partitions, and rows that go from one to another.
fn parted(script: &mut Script<'_>, random: &mut Random) {
    let region = random.pick(&["east", "west", "north"]);
    match random.below(4) {
        0 => {
            let query = fresh(script, &format!("n, '{region}', 1"), 3);
            script.insert("parted", "id, region, v, tx", &query);
        }
        1 => script.update("parted", "v = v + 1", &some(random, 4)),
        2 => {
            let rows =
                format!("id IN (SELECT min(id) FROM ledger.parted WHERE region <> '{region}')");
            script.rekey(
                "parted",
                &format!("region = '{region}'"),
                &Rows::Where(format!("{rows} AND region <> '{region}'")),
            );
        }
        _ => script.delete("parted", &some(random, 2)),
    }
}

fn generated(script: &mut Script<'_>, random: &mut Random) {
    match random.below(3) {
        0 => {
            let query = fresh(script, "n, n % 1000", 2);
            script.insert("generated", "id, v, tx", &query);
        }
        1 => script.update("generated", "v = v + 1", &some(random, 3)),
        _ => script.delete("generated", &some(random, 1)),
    }
}

/// No primary key; a unique index tells the rows apart.
fn indexed(script: &mut Script<'_>, random: &mut Random) {
    match random.below(4) {
        0 => {
            let query = fresh(script, "'c' || n, 0", 2);
            script.insert("indexed", "code, v, tx", &query);
        }
        1 => script.update("indexed", "v = v + 1", &some(random, 3)),
        2 => script.rekey("indexed", "code = o.code || 'x'", &some(random, 1)),
        _ => script.delete("indexed", &some(random, 1)),
    }
}

fn insert_only(script: &mut Script<'_>, random: &mut Random) {
    let query = fresh(script, &format!("n, {}", note(random)), 2);
    script.insert("insert_only", "id, note, tx", &query);
}

/// Two tables that are filled and emptied together, also filled again in the same transaction.
fn buffers(script: &mut Script<'_>, random: &mut Random) {
    let query = fresh(script, "n, 'kept'", 5);
    match random.below(4) {
        0 => {
            script.truncate(&["buffer", "buffer_too"]);
            script.insert("buffer", "id, note, tx", &query);
        }
        1 => {
            script.insert("buffer_too", "id, note, tx", &query);
            script.truncate(&["buffer_too"]);
        }
        _ => {
            script.insert("buffer", "id, note, tx", &query);
            script.insert("buffer_too", "id, note, tx", &query);
        }
    }
}

/// The table whose columns change, touched by columns that stay.
pub(super) fn shape(script: &mut Script<'_>, random: &mut Random) {
    let expressions = format!("n, {}, n % 100", note(random));
    let query = fresh(script, &expressions, 2);
    script.insert("shape", "id, kept, small, tx", &query);
    script.update("shape", "small = small + 1", &some(random, 4));
}

/// The table whose column gets another name, touched by columns that stay.
pub(super) fn renamed(script: &mut Script<'_>, random: &mut Random) {
    let query = fresh(script, "n", 2);
    script.insert("renamed", "id, tx", &query);
    script.delete("renamed", &some(random, 1));
}
