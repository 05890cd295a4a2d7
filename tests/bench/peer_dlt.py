"""dlt as the platform configures it: one table, pyarrow backend, chunks of 50,000 rows, full reflection, Iceberg, replace.

With a key (columns, separated by commas) the table is loaded so at first, and then what its column `modified` says is new
since the last time is merged, by the strategy that dlt has for Iceberg: `upsert`.

Usage: peer_dlt.py DATABASE-URL TABLE FOLDER [KEY]; prints the count of rows it loaded.
"""

import pathlib
import sys

import dlt
from dlt.sources.sql_database import sql_table


def main() -> None:
    """Loads the table and demands that the load succeeded."""
    url, table_name, folder, *key = sys.argv[1:]
    place = pathlib.Path(folder).resolve()
    is_first = not (place / "pipeline").exists()
    table = sql_table(
        credentials=url,
        table=table_name,
        # In MySQL a schema is a database, which the address names.
        schema=None if url.startswith("mysql") else "public",
        backend="pyarrow",
        chunk_size=50_000,
        reflection_level="full",
    )
    pipeline = dlt.pipeline(
        "peer",
        pipelines_dir=str(place / "pipeline"),
        destination=dlt.destinations.filesystem(bucket_url=(place / "lake").as_uri()),
        dataset_name="raw",
    )
    disposition = "replace"
    if key:
        table.apply_hints(primary_key=key[0].split(","), incremental=dlt.sources.incremental("modified"))
    if key and not is_first:
        disposition = {"disposition": "merge", "strategy": "upsert"}
    loaded = pipeline.run(table, table_format="iceberg", write_disposition=disposition)
    loaded.raise_on_failed_jobs()
    print(pipeline.last_trace.last_normalize_info.row_counts.get(table_name, 0))


if __name__ == "__main__":
    main()
