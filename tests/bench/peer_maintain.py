"""What `ol-ingest maintain` does, by PyIceberg, which deletes no files itself: see maintain.py.

    peer_maintain.py expire|compact CATALOG NAMESPACE
"""

import datetime
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import pyarrow.fs
from pyiceberg.catalog.sql import SqlCatalog

AT_A_TIME = 8
ORPHAN_DAYS = 7


def referred(table) -> set:
    """The addresses of all files that any snapshot of a table reaches, and of its metadata."""
    files = {table.metadata_location, *(entry.metadata_file for entry in table.metadata.metadata_log)}
    for snapshot in table.metadata.snapshots:
        files.add(snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            if manifest.manifest_path in files:
                continue
            files.add(manifest.manifest_path)
            files |= {entry.data_file.file_path for entry in manifest.fetch_manifest_entry(table.io)}
    return files


def expire(catalog, storage, name) -> None:
    """Keeps the current snapshot, deletes what only others reached, then what nobody refers to."""
    table = catalog.load_table(name)
    before = referred(table)
    table.maintenance.expire_snapshots().older_than(datetime.datetime.now() + datetime.timedelta(days=1)).commit()
    table = catalog.load_table(name)
    kept = referred(table)
    for file in before - kept:
        table.io.delete(file)
    limit = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=ORPHAN_DAYS)
    scheme = "s3://" if table.location().startswith("s3://") else "file://"
    place = pyarrow.fs.FileSelector(table.location().removeprefix(scheme), recursive=True)
    for found in storage.get_file_info(place):
        is_old = found.mtime is not None and found.mtime < limit
        if found.type == pyarrow.fs.FileType.File and is_old and f"{scheme}{found.path}" not in kept:
            storage.delete_file(found.path)


def compact(catalog, name) -> None:
    """All rows read and written again, as its documentation has it for want of a compaction."""
    table = catalog.load_table(name)
    table.overwrite(table.scan().to_arrow())


def main() -> None:
    """Every table of the namespace, some at a time."""
    what, file, namespace = sys.argv[1:]
    properties, storage = {}, pyarrow.fs.LocalFileSystem()
    if endpoint := os.environ.get("AWS_ENDPOINT_URL_S3"):
        key, secret = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
        properties = {"s3.endpoint": endpoint, "s3.access-key-id": key, "s3.secret-access-key": secret}
        properties["s3.region"] = os.environ["AWS_REGION"]
        storage = pyarrow.fs.S3FileSystem(
            access_key=key, secret_key=secret, region=os.environ["AWS_REGION"], scheme="http",
            endpoint_override=endpoint.removeprefix("http://"),
        )
    catalog = SqlCatalog("ol", uri=f"sqlite:///{file}", warehouse=os.environ["OL_WAREHOUSE"], **properties)
    names = catalog.list_tables(namespace)
    if what == "compact":
        for name in names:
            compact(catalog, name)
        return
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        for done in [pool.submit(expire, catalog, storage, name) for name in names]:
            done.result()


main()
