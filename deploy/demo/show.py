"""Tables a person can read, made of the JSON documents of `ol-ingest` and of the lake itself.

Usage: show.py plan|run|again|verify|send|received FILE | queries CATALOG NAMESPACE | course CATALOG NAMESPACE
"""

import collections
import json
import pathlib
import sys
import unicodedata

PREFIX = "raw__mitxonline__app__postgres__"
OPENEDX_PREFIX = "raw__mitxonline__openedx__mysql__"
FORUM_PREFIX = "raw__mitxonline__openedx__mongodb__"
READERS = pathlib.Path(__file__).resolve().parents[2] / "tests" / "readers"

NUMERIC = ("BIGINT", "INTEGER", "HUGEINT", "DECIMAL", "DOUBLE")

QUERIES = [
    (
        "Verified learners and what they paid, by country",
        """
        SELECT address.country, count(DISTINCT enrollment.user_id) AS learners, count(DISTINCT orders.id) AS orders,
               sum(orders.total_price_paid) FILTER (WHERE orders.state = 'fulfilled')::decimal(18, 2) AS paid
        FROM {users_legaladdress} AS address
        JOIN (SELECT DISTINCT user_id FROM {courses_courserunenrollment} WHERE enrollment_mode = 'verified') AS enrollment
            USING (user_id)
        LEFT JOIN {ecommerce_order} AS orders ON orders.purchaser_id = address.user_id
        GROUP BY address.country ORDER BY learners DESC, address.country LIMIT 5
        """,
    ),
    (
        "The Open edX by course: grades, and threads of the forum beside them",
        """
        SELECT course.course_id, count(*) AS grades, round(avg(course.percent_grade), 3) AS mean,
               count(*) FILTER (WHERE course.letter_grade = 'Pass') AS passed,
               (SELECT count(*) FROM {forum__forum_commentthread} AS thread WHERE thread.course_id = course.course_id)
                   AS threads
        FROM {grades_persistentcoursegrade} AS course WHERE course._ol_deleted_at IS NULL
        GROUP BY course.course_id ORDER BY grades DESC, course.course_id LIMIT 5
        """,
    ),
    (
        "The forum in both of its forms: threads by course in MySQL, and in MongoDB's documents with what was voted",
        """
        SELECT course_id, 'MySQL' AS form, count(*) AS threads, NULL AS votes FROM {forum__forum_commentthread} GROUP BY course_id
        UNION ALL
        SELECT course_id, 'MongoDB', count(*), sum((_ol_document ->> '$.votes.count."$numberInt"')::int)
        FROM {mongodb__contents} WHERE _type = 'CommentThread' GROUP BY course_id
        ORDER BY threads DESC, course_id, form LIMIT 8
        """,
    ),
    (
        "Inside the JSON of the enrollment audit, and names in any script",
        """
        SELECT data_after ->> '$.user.name' AS name, count(*) AS changes,
               count(*) FILTER (WHERE data_after ->> '$.mode' = 'verified') AS to_verified
        FROM {courses_courserunenrollmentaudit}
        GROUP BY name ORDER BY changes DESC, name LIMIT 5
        """,
    ),
    (
        "Dates that Iceberg cannot hold: NULL in the column, the exact text of the source beside it",
        """
        SELECT id, end_date, start_date, _ol_odd
        FROM {courses_programrun} WHERE _ol_odd IS NOT NULL ORDER BY id LIMIT 5
        """,
    ),
]


def table(headings, rows, right) -> None:
    """Prints rows under headings; columns named in `right` are flush right."""
    texts = [list(headings)] + [[str(cell) for cell in row] for row in rows]
    widths = [max(cells_wide(row[place]) for row in texts) for place in range(len(headings))]
    for row in texts:
        line = ""
        for heading, text, width in zip(headings, row, widths):
            blanks = " " * (width - cells_wide(text))
            line += "  " + (blanks + text if heading in right else text + blanks)
        print(line.rstrip())


def cells_wide(text: str) -> int:
    """How many cells of a terminal a text takes: marks take none, East Asian letters two."""
    return sum(
        0 if unicodedata.category(letter) in ("Mn", "Me", "Cf") else 1 + (unicodedata.east_asian_width(letter) in "WF")
        for letter in text
    )


def size(count) -> str:
    """Bytes as people write them."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} B"


def short(raw_table: str) -> str:
    """A raw table without the unit's prefix."""
    named = raw_table.removeprefix(PREFIX).removeprefix(OPENEDX_PREFIX)
    return named.replace(FORUM_PREFIX, "mongodb__", 1)


def show_plan(document: dict) -> int:
    """How many columns land how, and one example of every contract that is not exact."""
    counted, examples = collections.Counter(), {}
    for entry in document["tables"]:
        for column in entry["columns"]:
            fidelity = column["fidelity"]
            counted[fidelity] += 1
            if fidelity != "exact":
                base = column["source_type"].partition("(")[0]
                examples.setdefault((fidelity, base), (entry["raw_table"], column))
    print(f"  {len(document['tables'])} tables, {sum(counted.values())} columns: ", end="")
    print(", ".join(f"{count} {fidelity}" for fidelity, count in counted.most_common()))
    headings = ("column (one of each kind that is not exact)", "source type", "lake type", "fidelity")
    rows = [
        (f"{short(name)}.{column['column']}", column["source_type"], column["lake_type"] or "-", column["fidelity"])
        for name, column in examples.values()
    ]
    table(headings, rows, right=())
    return say_others(document)


def say_others(document: dict) -> int:
    """The tables that are not done, with the reason; 2 when one of them is more than refused."""
    others = [entry for entry in document["tables"] if entry["outcome"] != "done"]
    for entry in others:
        print(f"  {entry['outcome']}: {short(entry['raw_table'])}: {entry['advice']}")
    return 0 if document["tables"] and all(entry["outcome"] == "refused" for entry in others) else 2


def show_verify(document: dict) -> int:
    """How much of source and lake was compared, and what differs."""
    same = [entry for entry in document["tables"] if entry["outcome"] == "done"]
    rows = sum(entry["lake_rows"] or 0 for entry in same)
    columns = sum(entry["columns_compared"] for entry in same)
    print(f"  {len(same)} tables agree: {rows:,} rows, {columns} columns compared by digest")
    return say_others(document)


def show_run(document: dict) -> int:
    """What landed, largest first, and what was refused, with the reason."""
    landed = [entry for entry in document["tables"] if entry["outcome"] == "done"]
    landed.sort(key=lambda entry: (-entry["rows"], entry["raw_table"]))
    headings = ("raw table", "rows", "deletes", "bytes", "files", "seconds", "rows/s")
    rows = [
        (
            short(entry["raw_table"]),
            f"{entry['rows']:,}",
            f"{entry['deletes']:,}" if entry["deletes"] else "",
            size(entry["bytes"]),
            entry["files"],
            f"{entry['seconds']:.2f}",
            f"{entry['rows'] / entry['seconds']:,.0f}" if entry["seconds"] > 0 else "–",
        )
        for entry in landed
    ]
    total_rows = sum(entry["rows"] for entry in landed)
    total_bytes = sum(entry["bytes"] for entry in landed)
    total_deletes = sum(entry["deletes"] for entry in landed)
    files = sum(entry["files"] for entry in landed)
    rows.append(("total", f"{total_rows:,}", f"{total_deletes:,}", size(total_bytes), files, "", ""))
    table(headings, rows, right=headings[1:])
    return say_others(document)


def show_again(document: dict) -> int:
    """What a run over unchanged tables wrote: nothing."""
    written = sum(entry["rows"] for entry in document["tables"])
    print(f"  {len(document['tables'])} tables looked at, {written:,} rows written")
    return say_others(document)


def show_queries(catalog: str, namespace: str) -> int:
    """Some questions to the lake, asked in DuckDB."""
    lake = open_lake(catalog, namespace)
    scans = {short(name): f"iceberg_scan('{place}')" for name, place in lake.locations().items()}
    for title, query in QUERIES:
        answer = lake.connection().execute(query.format_map(scans))
        headings = [column[0] for column in answer.description]
        numbers = [name for name, kind in zip(headings, answer.description) if str(kind[1]).startswith(NUMERIC)]
        print(f"\n  {title}:")
        table(headings, answer.fetchall(), right=numbers)
    return 0


def open_lake(catalog: str, namespace: str):
    """The lake, for DuckDB."""
    sys.path.insert(0, str(READERS))
    sys.dont_write_bytecode = True
    from lake import Lake

    return Lake(catalog, namespace)


def show_course(catalog: str, namespace: str) -> int:
    """The id of one live course run, for the receiver to refuse."""
    lake = open_lake(catalog, namespace)
    place = lake.locations()[PREFIX + "courses_courserun"]
    query = f"SELECT courseware_id FROM iceberg_scan('{place}') WHERE live ORDER BY id LIMIT 1 OFFSET 3"
    print(lake.connection().execute(query).fetchone()[0])
    return 0


def show_send(document: dict) -> int:
    """What was put into the outbox and what was delivered."""
    delivery = document["delivery"]
    print(
        f"  {document['rows']:,} rows: {document['accepted']:,} accepted, {document['unchanged']:,} unchanged;"
        f" {delivery['delivered']:,} delivered, {delivery['dead']} dead, {delivery['left']} left"
    )
    return 0


def show_received(journal: pathlib.Path) -> int:
    """What the receiver saw: signatures, duplicates, answers."""
    requests = [json.loads(line) for line in journal.read_text().splitlines()]
    taken = [request for request in requests if request["status"] == 200]
    courses = {request["entity"] for request in taken}
    print(
        f"  The receiver took {len(taken):,} notices of {len(courses):,} courses, each under one id;"
        f" {sum(request['signature_valid'] for request in requests):,} of {len(requests):,} requests were signed right"
    )
    return 0 if len(taken) == len(courses) else 2


def main() -> int:
    """Shows one document; the exit code is 2 when it tells of a failure."""
    what, *rest = sys.argv[1:]
    if what == "queries":
        return show_queries(*rest)
    if what == "course":
        return show_course(*rest)
    if what == "received":
        return show_received(pathlib.Path(rest[0]))
    document = json.loads(pathlib.Path(rest[0]).read_text())
    shows = {"plan": show_plan, "run": show_run, "again": show_again, "verify": show_verify, "send": show_send}
    return shows[what](document)


if __name__ == "__main__":
    sys.exit(main())
