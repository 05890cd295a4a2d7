//! Values in the forms of the log.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

fn converted(step: &Step, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    step.convert(bytes, &mut out).map(|()| out)
}

#[test]
fn labels_are_taken_out_of_their_quotes() {
    assert_eq!(labels("enum('a','it''s','x,y','')"), ["a", "it's", "x,y", ""]);
    assert_eq!(labels("enum('a\\\\b','c\\n')"), ["a\\b", "c\n"]);
    assert_eq!(labels("set()"), Vec::<String>::new());
}

#[test]
fn moments_come_in_the_form_of_a_prepared_statement() {
    // 2024-02-29 23:59:58.123400 in DATETIME(4): see `TIME_to_longlong_datetime_packed`.
    let whole = ((2024u64 * 13 + 2) << 5 | 29) << 17 | 23 << 12 | 59 << 6 | 58;
    let bytes = (whole + 0x80_0000_0000).to_be_bytes();
    let mut stored = bytes.get(3..).unwrap().to_vec();
    stored.extend(1234u16.to_be_bytes());
    let read = DateTime::parse(&converted(&Step::DateTime(4), &stored).unwrap()).unwrap();
    assert_eq!(read.text(6), "2024-02-29 23:59:58.123400");
    let zero = converted(&Step::Timestamp(0), &[0; 4]).unwrap();
    assert_eq!(DateTime::parse(&zero).unwrap().text(0), "0000-00-00 00:00:00");
    let one = converted(&Step::Timestamp(6), &[0, 0, 0, 1, 0, 0, 1]).unwrap();
    assert_eq!(DateTime::parse(&one).unwrap().text(6), "1970-01-01 00:00:01.000001");
    let date = (2021u32 * 512 + 2 * 32 + 31).to_le_bytes();
    let read = converted(&Step::Date, date.get(..3).unwrap()).unwrap();
    assert_eq!(DateTime::parse(&read).unwrap().date_text(), "2021-02-31");
}

#[test]
fn spans_are_complements() {
    let text = |bytes: &[u8], digits| {
        let mut text = String::new();
        time(bytes, digits).unwrap().push_text(digits, &mut text);
        text
    };
    // The examples of `my_time_packed_to_binary`.
    assert_eq!(text(&[0x80, 0, 0, 0], 2), "00:00:00.00");
    assert_eq!(text(&[0x7f, 0xff, 0xff, 0xff], 2), "-00:00:00.01");
    assert_eq!(text(&[0x7f, 0xff, 0xff, 0x9d], 2), "-00:00:00.99");
    assert_eq!(text(&[0x7f, 0xff, 0xff, 0], 2), "-00:00:01.00");
    assert_eq!(text(&[0x7f, 0xff, 0xfe, 0xff], 2), "-00:00:01.01");
    assert_eq!(text(&[0x7f, 0xff, 0xfe, 0xf6], 2), "-00:00:01.10");
}

#[test]
fn what_is_not_of_the_type_is_refused() {
    let labels = vec!["a".to_owned(), "b".to_owned()];
    assert_eq!(converted(&Step::Set(labels.clone()), &[3]).unwrap(), b"a,b");
    assert_eq!(converted(&Step::Set(labels.clone()), &[4]), None);
    assert_eq!(converted(&Step::Enumeration(labels.clone()), &[0]).unwrap(), b"");
    assert_eq!(converted(&Step::Enumeration(labels), &[3]), None);
    assert_eq!(
        converted(&Step::Medium { unsigned: false }, &[0xfe, 0xff, 0xff]).unwrap(),
        (-2i32).to_le_bytes()
    );
    assert_eq!(converted(&Step::Year, &[]), None);
}
