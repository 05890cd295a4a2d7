"""Where the lake's tables are, and independent readers of them: PyIceberg, DuckDB and, if they are asked for, Spark
and Trino."""

import pathlib
import sqlite3
import urllib.parse

import duckdb
import duckdb_extension_avro
import duckdb_extension_iceberg
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.table import StaticTable, Table

import canonical
from source import Source
from spark import Spark
from trino import Trino

CATALOG_NAME = "ol"
ODD_COLUMN = "_ol_odd"
CHUNK_ROWS = 20_000
READERS = ("pyiceberg", "duckdb")
# A session of Spark takes ten seconds to start, so that it reads where a test is about what it reads.
# Trino is a server that a test has started.
ALL_READERS = (*READERS, "spark", "trino")


class Lake:
    """The tables of one namespace; `catalog` is written as in OL_CATALOG (`sqlite:PATH` or `postgres://…`)."""

    def __init__(self, catalog: str, namespace: str):
        self.catalog = catalog
        self.namespace = namespace
        self.duckdb = None
        self.spark = None
        self.trino = None
        self.sql_catalog = None
        self.server = None
        self.tables = {}

    def locations(self) -> dict:
        """Raw table name → location of its current metadata file."""
        query = f"""SELECT table_name, metadata_location FROM iceberg_tables
                    WHERE catalog_name = '{CATALOG_NAME}' AND table_namespace = '{self.namespace}'"""
        if self.catalog.startswith("sqlite:"):
            with sqlite3.connect(f"file:{self.catalog.removeprefix('sqlite:')}?mode=ro", uri=True) as connection:
                return dict(connection.execute(query).fetchall())
        self.server = self.server or Source(self.catalog)
        return dict(self.server.rows(query))

    def opened(self, raw_table: str) -> Table:
        """The table in PyIceberg as it was when it was first asked for, so that all that is said of it is of one moment."""
        if raw_table not in self.tables:
            self.tables[raw_table] = self.loaded(raw_table)
        return self.tables[raw_table]

    def loaded(self, raw_table: str) -> Table:
        """The table as it is now, through PyIceberg's own SQL catalog where it has a driver for it."""
        if self.catalog.startswith("sqlite:"):
            if self.sql_catalog is None:
                path = self.catalog.removeprefix("sqlite:")
                self.sql_catalog = SqlCatalog(CATALOG_NAME, uri=f"sqlite:///{path}", init_catalog_tables="false")
            return self.sql_catalog.load_table((self.namespace, raw_table))
        return StaticTable.from_metadata(self.locations()[raw_table])

    def batches(self, reader: str, raw_table: str):
        """Arrow batches of the table's current snapshot, after the list of its column names."""
        table = self.opened(raw_table)
        names = [field.name for field in table.schema().fields]
        yield names
        if reader == "pyiceberg":
            yield from table.scan().to_arrow_batch_reader()
        elif table.current_snapshot() is None:
            return
        elif reader == "spark":
            self.spark = self.spark or Spark()
            yield from self.spark.batches(table.metadata_location)
        elif reader == "trino":
            self.trino = self.trino or Trino()
            schema = schema_to_pyarrow(table.schema(), include_field_ids=False)
            yield from self.trino.batches(self.namespace, raw_table, schema)
        else:
            relation = self.connection().execute("SELECT * FROM iceberg_scan(?)", [table.metadata_location])
            # Columns come in the schema's order, under names made unique without regard to case.
            yield from relation.to_arrow_reader(CHUNK_ROWS)

    def connection(self) -> duckdb.DuckDBPyConnection:
        """DuckDB with the Iceberg extension, which the Python packages bring."""
        if self.duckdb is None:
            self.duckdb = duckdb.connect(config={"allow_unsigned_extensions": "true", "memory_limit": "3GB"})
            for package in (duckdb_extension_avro, duckdb_extension_iceberg):
                found = next(pathlib.Path(package.__file__).parent.rglob("*.duckdb_extension"))
                self.duckdb.execute(f"LOAD '{found}'")
            self.duckdb.execute("SET TimeZone = 'UTC'")
        return self.duckdb

    def chunks(self, reader: str, raw_table: str, columns: list):
        """The rows of a table, chunk by chunk: the count of rows and a list of canonical texts a column.

        `columns` are those of the source; one that the lake lacks raises KeyError.
        """
        batches = self.batches(reader, raw_table)
        names = next(batches)
        places = [names.index(column.name) if column.name in names else None for column in columns]
        missing = [column.name for column, place in zip(columns, places) if place is None]
        if missing:
            raise KeyError(f"the lake's table lacks the columns {', '.join(missing[:5])}")
        for whole in batches:
            for start in range(0, whole.num_rows, CHUNK_ROWS):
                batch = whole.slice(start, CHUNK_ROWS)
                odd = odd_texts(batch.column(names.index(ODD_COLUMN))) if ODD_COLUMN in names else []
                chunk = []
                for column, place in zip(columns, places):
                    values = batch.column(place)
                    shown = canonical.texts(values, column.array_delimiter)
                    if column.is_array and "list" not in str(values.type):
                        shown = canonical.json_array_texts(shown, column.array_delimiter)
                    for row, kept in odd:
                        if shown[row] is None and column.name in kept:
                            shown[row] = kept[column.name]
                    chunk.append(shown)
                yield batch.num_rows, chunk


def odd_texts(column) -> list:
    """The rows that keep exact source texts beside them: (row, column → text)."""
    if column.null_count == len(column):
        return []
    return [(row, dict(pairs)) for row, pairs in enumerate(column.to_pylist()) if pairs]


def local_path(location: str) -> pathlib.Path:
    """The file of a location in a local warehouse."""
    if location.startswith("file:"):
        return pathlib.Path(urllib.parse.unquote(urllib.parse.urlparse(location).path))
    return pathlib.Path(location)
