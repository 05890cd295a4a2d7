//! Good payloads, each with a few edits: a field less, another type, a letter more.
//!
//! Random bytes seldom get past the checks of a payload; these do, and so find what is built and should not be.

#![no_main]

use arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use ol_fuzz::payload::{Value, parse};
use ol_fuzz::payloads::build_all;

/// Payloads that are built as they stand, and the source of `--source`.
const GOOD: [(Option<&str>, &[u8]); 10] = [
    (None, include_bytes!("../seeds/payload/canvas")),
    (None, include_bytes!("../seeds/payload/xpro")),
    (None, include_bytes!("../seeds/payload/mit_edx")),
    (Some("oll"), include_bytes!("../seeds/payload/oll")),
    (None, include_bytes!("../seeds/payload/delete")),
    (None, include_bytes!("../seeds/payload/delete_run")),
    (Some("ovs"), include_bytes!("../seeds/payload/video")),
    (None, include_bytes!("../seeds/payload/video")),
    (None, include_bytes!("../seeds/payload/resources")),
    (None, include_bytes!("../seeds/payload/podcast")),
];

/// Texts and parts of texts that a rule turns on.
const WORDS: [&str; 40] = [
    "",
    "0",
    "7",
    "true",
    "null",
    "canvas",
    "oll",
    "mit_edx",
    "xpro",
    "ovs",
    "podcast",
    "mitpe",
    "course",
    "program",
    "/",
    "//",
    ".",
    "..",
    "://",
    "-",
    "+",
    ":",
    " ",
    "\t",
    "\n",
    "\u{0}",
    "\u{a0}",
    "\u{2028}",
    "\u{1d}",
    "é",
    "😀",
    "\\",
    "@",
    "#",
    "?",
    "%2f",
    "[",
    ".m3u8",
    "https://a.cloudfront.net/",
    "2f9b3a54-0c1d-4e8f-9a7b-6c5d4e3f2a1b",
];

const FIELDS: [&str; 20] = [
    "source",
    "content_path",
    "metadata_path",
    "course_id",
    "course_readable_id",
    "course_code",
    "course_name",
    "time",
    "key",
    "video_id",
    "delete",
    "title",
    "sources",
    "cta_link",
    "collection",
    "duration",
    "readable_id",
    "runs",
    "prune",
    "another",
];

fuzz_target!(|bytes: &[u8]| {
    let mut choices = Unstructured::new(bytes);
    let _ = edited(&mut choices);
});

fn edited(choices: &mut Unstructured<'_>) -> Result<()> {
    let (source, good) = *choices.choose(&GOOD)?;
    // The first line of a seed may be its source.
    let document = good.splitn(2, |byte| *byte == b'\n').last().unwrap_or(good);
    let mut value = parse(document).expect("a seed is JSON");
    for _ in 0..choices.int_in_range(0..=3)? {
        let place = choices.choose_index(count(&value))?;
        edit(nth(&mut value, &mut { place }).expect("one of those counted"), choices)?;
    }
    let first = good.split(|byte| *byte == b'\n').next().filter(|first| *first != document);
    let first = first.and_then(|first| std::str::from_utf8(first).ok());
    build_all(&value, if choices.ratio(7, 8)? { source.or(first) } else { None });
    Ok(())
}

/// How many values there are, with those inside.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(pairs) => pairs.iter().map(|(_, value)| count(value)).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::String(_) => 0,
    }
}

/// The value at a place, counted as [`count`] does.
fn nth<'a>(value: &'a mut Value, place: &mut usize) -> Option<&'a mut Value> {
    if *place == 0 {
        return Some(value);
    }
    *place -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| nth(item, place)),
        Value::Object(pairs) => pairs.iter_mut().find_map(|(_, value)| nth(value, place)),
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::String(_) => {
            None
        }
    }
}

fn edit(value: &mut Value, choices: &mut Unstructured<'_>) -> Result<()> {
    let is_replaced = !choices.ratio(5, 6)?;
    match value {
        Value::Object(pairs) if !is_replaced && !pairs.is_empty() => {
            let place = choices.choose_index(pairs.len())?;
            match choices.int_in_range(0..=2)? {
                0 => {
                    let name = *choices.choose(&FIELDS)?;
                    if pairs.iter().all(|(known, _)| known != name) {
                        pairs.insert(place, (name.to_owned(), any(choices)?));
                    }
                }
                1 => drop(pairs.remove(place)),
                _ => {
                    let other = choices.choose_index(pairs.len())?;
                    pairs.swap(place, other);
                }
            }
        }
        Value::Array(items) if !is_replaced && !items.is_empty() => {
            let place = choices.choose_index(items.len())?;
            match choices.int_in_range(0..=2)? {
                0 => items.push(items[place].clone()),
                1 => drop(items.remove(place)),
                _ => items.insert(place, any(choices)?),
            }
        }
        Value::String(text) if !is_replaced => {
            let places = text.char_indices().map(|(place, _)| place).chain([text.len()]);
            let places: Vec<usize> = if choices.ratio(1, 3)? {
                places.collect()
            } else {
                // Where a part of a path, a link or an id begins.
                places.filter(|place| !text[..*place].ends_with(char::is_alphanumeric)).collect()
            };
            let place = *choices.choose(&places)?;
            match choices.int_in_range(0..=7)? {
                0..=4 => text.insert_str(place, choices.choose(&WORDS)?),
                5 => text.truncate(place),
                6 => drop(text.drain(..place)),
                _ => *text = text.to_uppercase(),
            }
        }
        other => *other = any(choices)?,
    }
    Ok(())
}

fn any(choices: &mut Unstructured<'_>) -> Result<Value> {
    Ok(match choices.int_in_range(0..=9)? {
        0 => Value::Null,
        1 => Value::Bool(choices.arbitrary()?),
        2 => Value::Integer(choices.arbitrary::<i64>()?.to_string()),
        3 => Value::float(choices.arbitrary()?).unwrap_or(Value::Null),
        4 => Value::Array(Vec::new()),
        5 => Value::Object(Vec::new()),
        6 => {
            let depth = choices.int_in_range(1..=110)?;
            (0..depth).fold(Value::Bool(true), |inner, _| Value::Array(vec![inner]))
        }
        7 => Value::String(choices.choose(&WORDS)?.repeat(choices.int_in_range(0..=600)?)),
        8 => Value::String(choices.arbitrary()?),
        _ => Value::String((*choices.choose(&WORDS)?).to_owned()),
    })
}
