#!/usr/bin/env python3
"""Judges the judge: the canonical texts against the server's own, and the comparison against planted faults.

    check.py --source URL --folder DIR [--seed N]
"""

import argparse
import contextlib
import datetime
import decimal
import io
import json
import pathlib
import random
import struct
import subprocess
import sys

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog

import canonical
import digest
from source import Source, literal

VALUES = 1_000
NAMESPACE = "ol_warehouse_ci_raw"
RAW_TABLE = "raw__judge__app__postgres__sample"


def main() -> int:
    """Runs both checks; an assertion names what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", required=True)
    parser.add_argument("--folder", required=True, type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}")
    source = Source(arguments.source)
    check_texts(source, random.Random(arguments.seed))
    check_faults(source, arguments.folder)
    return 0


def check_texts(source, chance):
    """Random typed values: our text of each is the server's."""
    doubles = [struct.unpack("<d", chance.randbytes(8))[0] for _ in range(VALUES)]
    doubles += [10.0**power * chance.choice((1, 1.5, 0.1, 123)) for power in range(-30, 30)]
    doubles += [0.0, -0.0, 5e-324, 1e23]
    reals = [struct.unpack("<f", chance.randbytes(4))[0] for _ in range(VALUES)]
    reals += [-77689504.0]  # its shortest digits lie half-way to a neighbour
    reals += [float(pa.array([10.0**power], pa.float32())[0].as_py()) for power in range(-20, 20)]
    days = [chance.randrange(-2_440_000, 100_000_000) for _ in range(VALUES)] + [-719_162, -719_163, 2_932_896]
    moments = [chance.randrange(-210_000_000, 9_000_000_000) * 1_000_003 for _ in range(VALUES)]
    times = [chance.randrange(86_400_000_000) for _ in range(VALUES)] + [0, 1, 1_000_000]
    numbers = [
        decimal.Decimal(chance.randrange(-(10**38) + 1, 10**38)).scaleb(-9, decimal.Context(prec=50))
        for _ in range(VALUES)
    ]
    nasty = ["", "NULL", "null", "a b", "a,b", '"', "\\", "{}", "\n", "\v", "é", "\u00a0", "\u2028", "x;y", " "]
    words = [[chance.choice([*nasty, None]) for _ in range(chance.randrange(4))] for _ in range(VALUES)]
    blobs = [chance.randbytes(chance.randrange(20)) for _ in range(VALUES)]
    moment = "'epoch'::timestamp + make_interval(days => ({0} / 86400000000)::int, secs => ({0} % 86400000000) / 1e6)"
    cases = [
        ("double precision", pa.array(doubles, pa.float64()), [f"'{v!r}'::float8" for v in doubles]),
        ("real", pa.array(reals, pa.float32()), [f"'{v!r}'::float8::float4" for v in reals]),
        ("date", pa.array(days, pa.int32()).cast(pa.date32()), [f"'epoch'::date + ({v})" for v in days]),
        ("timestamp", pa.array(moments).cast(pa.timestamp("us")), [moment.format(f"({v})") for v in moments]),
        (
            "timestamptz",
            pa.array(moments).cast(pa.timestamp("us", tz="UTC")),
            [f"({moment.format(f'({v})')}) AT TIME ZONE 'UTC'" for v in moments],
        ),
        (
            "time",
            pa.array(times).cast(pa.time64("us")),
            [f"'00:00'::time + make_interval(secs => {v} / 1e6)" for v in times],
        ),
        ("numeric", pa.array(numbers, pa.decimal128(38, 9)), [f"'{v:f}'::numeric(38,9)" for v in numbers]),
        (
            "text[]",
            pa.array(words, pa.list_(pa.string())),
            [f"ARRAY[{', '.join('NULL' if w is None else literal(w) for w in v)}]::text[]" for v in words],
        ),
        ("bytea", pa.array(blobs, pa.binary()), [f"'\\x{v.hex()}'::bytea" for v in blobs]),
    ]
    for name, values, expressions in cases:
        query = " UNION ALL ".join(f"SELECT {place}, ({text})::text" for place, text in enumerate(expressions))
        server = {int(place): shown for place, shown in source.rows(query)}
        for place, ours in enumerate(canonical.texts(values)):
            assert ours == server[place], f"{name} {place}: the server says {server[place]!r}, we say {ours!r}"
        print(f"{name}: {len(expressions)} texts equal the server's")


ROWS = 50


def sample() -> pa.Table:
    """Rows whose like the source makes below."""
    numbers = range(1, ROWS + 1)
    new_year = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    return pa.table(
        {
            "id": pa.array(numbers, pa.int32()),
            "amount": pa.array([decimal.Decimal(n).scaleb(-2) for n in numbers], pa.decimal128(10, 2)),
            "note": pa.array([None if n % 7 == 0 else f"note {n}\t\\" for n in numbers], pa.string()),
            "at": pa.array(
                [None if n == 9 else new_year + datetime.timedelta(seconds=n) for n in numbers],
                pa.timestamp("us", tz="UTC"),
            ),
            "_ol_odd": pa.array(
                [[("at", "infinity")] if n == 9 else None for n in numbers], pa.map_(pa.string(), pa.string())
            ),
        }
    )  # fmt: skip


def replaced(table, name, place, value):
    """The table with one value changed."""
    values = table.column(name).to_pylist()
    values[place] = value
    return table.set_column(table.schema.get_field_index(name), name, pa.array(values, table.schema.field(name).type))


def check_faults(source, folder):
    """The comparison is silent on a true copy and finds each planted fault."""
    subprocess.run(
        ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", source.url, "-c", f"""
        CREATE TABLE sample (id int PRIMARY KEY, amount numeric(10,2), note text, at timestamptz);
        INSERT INTO sample SELECT n, n / 100.0, CASE WHEN n % 7 <> 0 THEN E'note ' || n || E'\\t\\\\' END,
            CASE WHEN n = 9 THEN 'infinity' ELSE '2020-01-01 00:00+00'::timestamptz + n * interval '1 s' END
        FROM generate_series(1, {ROWS}) n"""],
        check=True,
    )  # fmt: skip
    true = sample()
    faults = {
        None: true,
        "a value became NULL": replaced(true, "amount", 3, None),
        "a NULL became a value": replaced(true, "note", 6, ""),
        "a value changed": replaced(true, "amount", 3, decimal.Decimal("0.05")),
        "a blank was cut": replaced(true, "note", 0, "note 1\\"),
        "a moment moved by a microsecond": replaced(
            true, "at", 1, true.column("at")[1].as_py() + datetime.timedelta(microseconds=1)
        ),
        "the odd text is lost": replaced(true, "_ol_odd", 8, None),
        "a row is missing": true.slice(1),
        "a row is doubled": pa.concat_tables([true, true.slice(0, 1)]),
        "two values changed places": replaced(replaced(true, "note", 0, None), "note", 6, "note 1\t\\"),
    }
    unit = folder / "unit.yml"
    unit.write_text(json.dumps({"tables": [{"name": "sample", "namespace": "public", "raw_table": RAW_TABLE}]}))
    for number, (fault, rows) in enumerate(faults.items()):
        path = folder / f"catalog-{number}.db"
        catalog = SqlCatalog("ol", uri=f"sqlite:///{path}", warehouse=f"file://{folder}/warehouse-{number}")
        catalog.create_namespace(NAMESPACE)
        catalog.create_table(f"{NAMESPACE}.{RAW_TABLE}", schema=rows.schema).append(rows)
        asked = ["--source", source.url, "--catalog", f"sqlite:{path}", "--namespace", NAMESPACE, "--unit", str(unit)]
        with contextlib.redirect_stdout(io.StringIO()) as answer:
            code = digest.main([*asked, "--output", "json"])
        document = json.loads(answer.getvalue())
        readers = {difference["reader"] for difference in document["tables"][0].get("differences", [])}
        if fault is None:
            assert code == 0, answer.getvalue()
        else:
            found = code == 1 and readers == {"pyiceberg", "duckdb"}
            assert found, f"not found: {fault}\n{answer.getvalue()}"
        print(f"{fault or 'a true copy'}: exit code {code}")


if __name__ == "__main__":
    sys.exit(main())
