"""dlt as the platform configures it: one table, pyarrow backend, chunks of 50,000 rows, full reflection, Iceberg, replace.

Usage: peer_dlt.py DATABASE-URL TABLE FOLDER; prints the count of rows it loaded.
"""

import pathlib
import sys

import dlt
from dlt.sources.sql_database import sql_table


def main() -> None:
    """Loads the table and demands that the load succeeded."""
    url, table_name, folder = sys.argv[1:]
    place = pathlib.Path(folder).resolve()
    table = sql_table(
        credentials=url, table=table_name, schema="public", backend="pyarrow", chunk_size=50_000, reflection_level="full"
    )
    pipeline = dlt.pipeline(
        "peer",
        pipelines_dir=str(place / "pipeline"),
        destination=dlt.destinations.filesystem(bucket_url=(place / "lake").as_uri()),
        dataset_name="raw",
    )
    loaded = pipeline.run(table, table_format="iceberg", write_disposition="replace")
    loaded.raise_on_failed_jobs()
    print(pipeline.last_trace.last_normalize_info.row_counts[table_name])


if __name__ == "__main__":
    main()
