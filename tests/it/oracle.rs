//! The server as oracle: random values of every type go in through the server, and what lands must be what the server
//! itself shows. The seed is printed (`OL_SEED` repeats it); rounds go on for `OL_ORACLE_SECONDS` (default 20).

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use ol_testkit::number_setting;

use crate::common::{Case, Random};

const ROWS: usize = 400;

/// A type and how a random value of it is written in SQL.
type Kind = (&'static str, fn(&mut Random) -> String);

const KINDS: &[Kind] = &[
    ("boolean", |r| if r.below(2) == 0 { "false" } else { "true" }.into()),
    ("smallint", |r| integer(r, -32_768, 32_767)),
    ("integer", |r| integer(r, i64::from(i32::MIN), i64::from(i32::MAX))),
    ("bigint", |r| integer(r, i64::MIN, i64::MAX)),
    ("oid", |r| r.below(1 << 32).to_string()),
    ("xid8", |r| format!("'{}'", r.number())),
    ("pg_lsn", |r| format!("'{:X}/{:X}'", r.below(1 << 32), r.below(1 << 32))),
    ("real", |r| {
        float(r, u64::from(u32::MAX), |bits| {
            f64::from(f32::from_bits(u32::try_from(bits).unwrap()))
        })
    }),
    ("double precision", |r| float(r, u64::MAX, f64::from_bits)),
    ("numeric", |r| decimal(r, 120, 60, true)),
    ("numeric(1,0)", |r| decimal(r, 1, 0, true)),
    ("numeric(9,9)", |r| decimal(r, 9, 9, true)),
    ("numeric(18,4)", |r| decimal(r, 18, 4, true)),
    ("numeric(38,0)", |r| decimal(r, 38, 0, true)),
    ("numeric(38,19)", |r| decimal(r, 38, 19, true)),
    ("numeric(38,38)", |r| decimal(r, 38, 38, true)),
    ("numeric(39,3)", |r| decimal(r, 39, 3, true)),
    ("numeric(500,250)", |r| decimal(r, 500, 250, true)),
    ("numeric(3,-2)", |r| format!("{}00", r.below(1_000))),
    ("numeric(2,5)", |r| format!("0.000{:02}", r.below(100))),
    ("money", |r| format!("({} / 100.0)::numeric::money", r.between(-1 << 50, 1 << 50))),
    ("text", |r| literal(&words(r))),
    ("varchar(20)", |r| literal(&words(r).chars().take(20).collect::<String>())),
    ("char(7)", |r| literal(&words(r).chars().take(7).collect::<String>())),
    ("name", |r| literal(&words(r).chars().take(12).collect::<String>())),
    ("\"char\"", |r| literal(&char::from(u8::try_from(r.between(32, 126)).unwrap()).to_string())),
    ("bytea", |r| format!("'\\x{}'", hex(r, 40))),
    ("uuid", |r| format!("'{:016x}{:016x}'", r.number(), r.number())),
    ("json", |r| literal(&json(r, 3))),
    ("jsonb", |r| literal(&json(r, 3))),
    ("date", date),
    ("time", |r| if r.below(20) == 0 { "'24:00'".into() } else { time(r) }),
    ("time(2)", |r| format!("({})::time(2)", time(r))),
    ("timetz", |r| format!("(({})::text || '{}')::timetz", time(r), offset(r))),
    ("timestamp", moment),
    ("timestamp(3)", moment),
    ("timestamptz", |r| format!("({})::timestamp AT TIME ZONE 'UTC'", moment(r))),
    ("interval", |r| {
        let (months, days) = (r.between(-9_999, 9_999), r.between(-9_999, 9_999));
        format!(
            "make_interval(months => {months}, days => {days}, secs => {} / 1e6)",
            r.between(-1 << 40, 1 << 40)
        )
    }),
    ("inet", |r| {
        format!(
            "'{}.{}.{}.{}/{}'",
            r.below(256),
            r.below(256),
            r.below(256),
            r.below(256),
            r.below(33)
        )
    }),
    ("cidr", |r| format!("'2001:db8:{:x}::/{}'", r.below(1 << 16), r.between(48, 128))),
    ("macaddr", |r| format!("'{:012x}'", r.below(1 << 48))),
    ("macaddr8", |r| format!("'{:016x}'", r.number())),
    ("bit(11)", |r| format!("B'{:011b}'", r.below(1 << 11))),
    ("varbit", |r| format!("B'{:b}'", r.number() >> r.below(64))),
    ("point", |r| format!("point({}, {})", finite(r), finite(r))),
    ("box", |r| {
        format!("box(point({}, {}), point({}, {}))", finite(r), finite(r), finite(r), finite(r))
    }),
    ("circle", |r| format!("circle(point({}, {}), {})", finite(r), finite(r), r.below(1_000))),
    ("tsvector", |r| format!("to_tsvector('simple', {})", literal(&words(r)))),
    ("tsquery", |r| format!("plainto_tsquery('simple', {})", literal(&words(r)))),
    ("xml", |r| {
        format!("xmlelement(name e, {})", literal(&words(r).replace(|c: char| c.is_control(), " ")))
    }),
    ("int4range", |r| range(r, "int4range", |r| integer(r, -1_000, 1_000))),
    ("numrange", |r| range(r, "numrange", |r| format!("{}::numeric", decimal(r, 20, 5, false)))),
    ("tstzrange", |r| {
        range(r, "tstzrange", |r| format!("({})::timestamp AT TIME ZONE 'UTC'", moment(r)))
    }),
    ("daterange", |r| {
        range(r, "daterange", |r| format!("('epoch'::date + {})", r.between(-700_000, 9_000_000)))
    }),
    ("int4multirange", |r| {
        format!("int4multirange(int4range({}, 5), int4range(7, 9))", r.between(-9, 5))
    }),
    ("mood", |r| literal(r.pick(&["sad", "with \"quotes\"", "", "é 😀", "NULL"]))),
    ("pair", |r| format!("ROW({}, {})::pair", integer(r, -9, 9), literal(&words(r)))),
    ("positive", |r| integer(r, 1, i64::from(i32::MAX))),
    ("smallint[]", |r| array(r, "smallint", |r| integer(r, -32_768, 32_767))),
    ("bigint[]", |r| array(r, "bigint", |r| integer(r, i64::MIN, i64::MAX))),
    ("double precision[]", |r| array(r, "float8", |r| float(r, u64::MAX, f64::from_bits))),
    ("real[]", |r| {
        array(r, "float4", |r| {
            float(r, u64::from(u32::MAX), |b| f64::from(f32::from_bits(u32::try_from(b).unwrap())))
        })
    }),
    ("numeric(20,6)[]", |r| array(r, "numeric(20,6)", |r| decimal(r, 20, 6, true))),
    ("numeric[]", |r| array(r, "numeric", |r| decimal(r, 60, 30, true))),
    ("text[]", |r| array(r, "text", |r| literal(&words(r)))),
    ("boolean[]", |r| {
        array(r, "boolean", |r| if r.below(2) == 0 { "false" } else { "true" }.into())
    }),
    ("bytea[]", |r| array(r, "bytea", |r| format!("'\\x{}'::bytea", hex(r, 9)))),
    ("uuid[]", |r| array(r, "uuid", |r| format!("'{:016x}{:016x}'::uuid", r.number(), r.number()))),
    ("date[]", |r| array(r, "date", date)),
    ("timestamptz[]", |r| {
        array(r, "timestamptz", |r| format!("({})::timestamp AT TIME ZONE 'UTC'", moment(r)))
    }),
    ("jsonb[]", |r| array(r, "jsonb", |r| format!("{}::jsonb", literal(&json(r, 2))))),
    ("interval[]", |r| {
        array(r, "interval", |r| {
            format!("make_interval(secs => {} / 1e6)", r.between(-1 << 40, 1 << 40))
        })
    }),
    ("box[]", |r| {
        array(r, "box", |r| format!("box(point({}, 1), point(2, {}))", r.below(9), finite(r)))
    }),
    ("mood[]", |r| {
        array(r, "mood", |r| format!("{}::mood", literal(r.pick(&["sad", "", "NULL", "é 😀"]))))
    }),
    ("int[][]", |r| {
        let rows: Vec<_> = (0..r.below(3))
            .map(|_| format!("[{}, {}]", integer(r, -9, 9), integer(r, -9, 9)))
            .collect();
        format!("ARRAY[{}]::int[]", rows.join(", "))
    }),
];

#[test]
fn random_values_of_every_type_land_as_the_server_shows_them() {
    let seconds = number_setting("OL_ORACLE_SECONDS").unwrap_or(20);
    let mut random = Random::seeded("server as oracle");
    let started = Instant::now();
    let (mut rounds, mut values) = (0, 0);
    while rounds == 0 || started.elapsed() < Duration::from_secs(seconds) {
        let case = Case::new("oracle");
        case.database.psql(&script(&mut random));
        let (unit, _) = case.discover();
        let document = case.run(0);
        let comparison = case.compare(&unit, &document);
        comparison.expect_equal();
        assert_eq!(
            comparison.tables("equal").len(),
            KINDS.len(),
            "refused: {:?}",
            comparison.tables("refused")
        );
        rounds += 1;
        values += ROWS * KINDS.len();
    }
    eprintln!("{values} random values of {} types in {rounds} rounds", KINDS.len());
}

/// One table a type: a key and a value, now and then NULL.
fn script(random: &mut Random) -> String {
    let mut script = String::from(
        "CREATE TYPE mood AS ENUM ('sad', 'with \"quotes\"', '', 'é 😀', 'NULL');
         CREATE TYPE pair AS (number int, word text);
         CREATE DOMAIN positive AS int CHECK (VALUE > 0);",
    );
    for (place, (kind, value)) in KINDS.iter().enumerate() {
        write!(script, "CREATE TABLE t{place:02} (id int PRIMARY KEY, v {kind});\nINSERT INTO t{place:02} VALUES ").unwrap();
        for row in 0..ROWS {
            let comma = if row == 0 { "" } else { ", " };
            let shown = if random.below(15) == 0 { "NULL".into() } else { value(random) };
            write!(script, "{comma}({row}, {shown})").unwrap();
        }
        script.push_str(";\n");
    }
    script
}

fn integer(random: &mut Random, least: i64, most: i64) -> String {
    match random.below(8) {
        0 => least.to_string(),
        1 => most.to_string(),
        2 => random.between(least.max(-3), most.min(3)).to_string(),
        _ => random.between(least, most).to_string(),
    }
}

fn float(random: &mut Random, mask: u64, of_bits: fn(u64) -> f64) -> String {
    match random.below(10) {
        0 => random
            .pick(&[
                "'NaN'",
                "'Infinity'",
                "'-Infinity'",
                "'-0'",
                "0",
                "0.1",
                "1e15",
                "1e14",
                "1e6",
                "1e23",
            ])
            .into(),
        1 => random.between(-1_000_000, 1_000_000).to_string(),
        _ => {
            let value = of_bits(random.number() & mask);
            if value.is_finite() { format!("'{value:e}'") } else { "'NaN'".into() }
        }
    }
}

fn finite(random: &mut Random) -> String {
    format!("{:e}", f64::from(i32::try_from(random.between(-1 << 30, 1 << 30)).unwrap()) / 1024.0)
}

fn decimal(random: &mut Random, digits: u64, scale: u64, special: bool) -> String {
    if special && random.below(20) == 0 {
        return "'NaN'".into();
    }
    let sign = if random.below(2) == 0 { "-" } else { "" };
    let mut figures = |count: u64| -> String {
        let nine = random.below(6) == 0;
        (0..count)
            .map(|_| {
                if nine { '9' } else { char::from(b'0' + u8::try_from(random.below(10)).unwrap()) }
            })
            .collect()
    };
    let (whole, part) = (figures(digits - scale), figures(scale));
    let point = if scale == 0 { "" } else { "." };
    format!("{sign}{}{whole}{point}{part}", if digits == scale { "0" } else { "" })
}

/// Text with what is hard about text: blanks, quotes, escapes, controls, wide and combining characters.
fn words(random: &mut Random) -> String {
    const PARTS: &[&str] = &[
        "a",
        "B",
        " ",
        "  ",
        "'",
        "\"",
        "\\",
        "\\N",
        "\n",
        "\r\n",
        "\t",
        "\u{b}",
        "\u{1}",
        "\u{7f}",
        "\u{85}",
        "\u{a0}",
        "é",
        "e\u{301}",
        "ß",
        "漢",
        "😀",
        "\u{202e}",
        "\u{feff}",
        "\u{fffd}",
        "\u{10ffff}",
        ",",
        ";",
        "{",
        "}",
        "NULL",
        "null",
        "0",
        "1e5",
        "%s",
        "$1",
        "--",
        "<a>",
        "&amp;",
        "(",
        ")",
    ];
    (0..random.below(12)).map(|_| random.pick(PARTS)).collect()
}

fn json(random: &mut Random, depth: u64) -> String {
    let shape = if depth == 0 { random.below(5) } else { random.below(7) };
    match shape {
        0 => "null".into(),
        1 => random.pick(&["true", "false"]).into(),
        2 => decimal(random, 25, 12, false)
            .replacen("-0", "-1", 1)
            .trim_start_matches('0')
            .replacen('.', "1.", 1),
        3 | 4 => serde_json::Value::from(words(random)).to_string(),
        5 => {
            let parts: Vec<_> = (0..random.below(4)).map(|_| json(random, depth - 1)).collect();
            format!("[{}]", parts.join(" , "))
        }
        _ => {
            let parts: Vec<_> = (0..random.below(4))
                .map(|_| {
                    format!(
                        "{}: {}",
                        serde_json::Value::from(words(random)),
                        json(random, depth - 1)
                    )
                })
                .collect();
            format!("{{ {} }}", parts.join(","))
        }
    }
}

fn date(random: &mut Random) -> String {
    match random.below(12) {
        0 => "'infinity'::date".into(),
        1 => "'-infinity'::date".into(),
        2 => format!("('epoch'::date + {})", random.between(-2_440_588, 2_145_031_948)),
        _ => format!("('epoch'::date + {})", random.between(-719_162, 2_932_896)),
    }
}

fn time(random: &mut Random) -> String {
    format!("'00:00'::time + make_interval(secs => {} / 1e6)", random.below(86_400_000_000))
}

fn moment(random: &mut Random) -> String {
    match random.below(12) {
        0 => "'infinity'".into(),
        1 => "'-infinity'".into(),
        shape => {
            let days = if shape == 2 {
                random.between(-2_440_000, 106_000_000)
            } else {
                random.between(-719_162, 2_932_896)
            };
            let seconds = if random.below(4) == 0 { 0 } else { random.below(86_400_000_000) };
            format!("'epoch'::timestamp + make_interval(days => {days}, secs => {seconds} / 1e6)")
        }
    }
}

fn offset(random: &mut Random) -> &'static str {
    random.pick(&["+00", "-08", "+05:30", "+14", "-15:59:59", "+15:59:59"])
}

fn range(random: &mut Random, kind: &str, bound: fn(&mut Random) -> String) -> String {
    match random.below(6) {
        0 => "'empty'".into(),
        1 => format!("{kind}(NULL, NULL)"),
        2 => format!("{kind}({}, NULL, '[]')", bound(random)),
        _ => {
            let (one, two) = (bound(random), bound(random));
            format!(
                "{kind}(least({one}, {two}), greatest({one}, {two}), '{}')",
                random.pick(&["[]", "[)", "(]", "()"])
            )
        }
    }
}

fn array(random: &mut Random, kind: &str, element: fn(&mut Random) -> String) -> String {
    let elements: Vec<_> = (0..random.below(5))
        .map(|_| if random.below(6) == 0 { "NULL".into() } else { element(random) })
        .collect();
    format!("ARRAY[{}]::{kind}[]", elements.join(", "))
}

fn hex(random: &mut Random, most: u64) -> String {
    (0..random.below(most)).fold(String::new(), |mut text, _| {
        write!(text, "{:02x}", random.below(256)).unwrap();
        text
    })
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
