//! Bodies are byte for byte what CPython's `json.dumps` writes.

use std::fmt::Write as _;

use ol_testkit::{Readers, number_setting};
use ol_webhook::payload::python::rewrite;

use crate::common::Random;

/// A JSON document of random shape, with what is odd about numbers and texts.
fn document(random: &mut Random, depth: u64, into: &mut String) {
    match random.below(if depth == 0 { 6 } else { 8 }) {
        0 => into.push_str(random.pick(&["null", "true", "false"])),
        1 => write!(into, "{}", i64::from_ne_bytes(random.number().to_ne_bytes())).unwrap(),
        2 => {
            // Far beyond 64 bits.
            into.push_str(random.pick(&["", "-"]));
            write!(into, "{}", 1 + random.below(9)).unwrap();
            for _ in 0..random.below(60) {
                write!(into, "{}", random.below(10)).unwrap();
            }
        }
        3 => {
            let number = f64::from_bits(random.number());
            let number = if number.is_finite() { number } else { 0.1 };
            write!(into, "{number:e}").unwrap();
        }
        4 => write!(into, "{}.{}", random.below(1_000_000), random.below(1_000_000)).unwrap(),
        5 => text(random, into),
        6 => {
            into.push('[');
            for index in 0..random.below(4) {
                into.push_str(if index > 0 { ", " } else { "" });
                document(random, depth - 1, into);
            }
            into.push(']');
        }
        _ => {
            into.push('{');
            for index in 0..random.below(4) {
                into.push_str(if index > 0 { " , " } else { "" });
                text(random, into);
                into.push_str(" : ");
                document(random, depth - 1, into);
            }
            into.push('}');
        }
    }
}

fn text(random: &mut Random, into: &mut String) {
    const ODD: &[&str] = &[
        "a",
        "é",
        "𝔘",
        "\\u0000",
        "\\n",
        "\\/",
        "/",
        "\u{7f}",
        "\u{2028}",
        "\\ud83d\\ude00",
        "\\\"",
        "\\\\",
        "日本",
    ];
    into.push('"');
    for _ in 0..random.below(6) {
        into.push_str(random.pick(ODD));
    }
    into.push('"');
}

#[test]
fn bodies_are_what_cpython_writes() {
    let mut random = Random::seeded("documents for CPython");
    let count = number_setting("OL_DOCUMENTS").unwrap_or(50_000);
    let mut lines = String::new();
    for _ in 0..count {
        document(&mut random, 4, &mut lines);
        lines.push('\n');
    }
    let done = Readers::program("python_json.py").input(lines.clone()).run().expect_code(0);
    let theirs: Vec<&str> = done.stdout.lines().collect();
    assert_eq!(theirs.len() as u64, count);
    let mut compared = 0u64;
    for (line, theirs) in lines.lines().zip(theirs) {
        match rewrite(line.as_bytes()) {
            Ok(ours) => {
                assert_eq!(String::from_utf8_lossy(&ours), theirs, "{line}");
                compared += 1;
            }
            // A float that Python reads as infinity is no JSON when it writes it.
            Err(_) => {
                assert!(theirs.contains("Infinity") || theirs.starts_with('!'), "{line}: {theirs}");
            }
        }
    }
    eprintln!("{compared} documents are equal in CPython");
    assert!(compared * 10 > count * 9);
}
