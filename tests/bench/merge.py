"""Changed shares of a large table merged, beside reloading it whole and beside dlt's merge of the same rows.

The table is TPC-H's lineitem with its key and a column `modified`, as applications have one (dlt finds by it what
changed; we do not need it). One, ten and fifty of a hundred rows, spread over the whole table, are updated in six hundred
transactions; then `ol-ingest stream` brings them in, `ol-ingest run` reloads the table into a lake of its own, and dlt,
once, merges what changed since its last load. The floor is the log of the updates, thrown away. After every share the
merged table must equal the source, by `ol-ingest verify`.
"""

import os
import pathlib

import measure
from changes import Followed, floor, psql
from figures import document, postgres_answer

DATABASE = "bench_merge"
TABLE = "lineitem"
KEY = "l_orderkey,l_linenumber"
SHARES = (1, 10, 50)
# After which dlt's merge is given up, and what `timeout` ends with then.
PEER_SECONDS = os.environ.get("OL_BENCH_PEER_SECONDS", "900")
CUT_OFF = 124
# Which rows: by a hash of the key, so that they lie everywhere and are the same at every repetition.
CHOSEN = "(hashint8(l_orderkey * 8 + l_linenumber)::bigint & 2147483647) % 100 < {share}"
UPDATES = """DO $$ DECLARE low bigint := 0; step bigint; top bigint; BEGIN
  SELECT max(l_orderkey), max(l_orderkey) / 600 + 1 INTO top, step FROM lineitem;
  WHILE low <= top LOOP
    UPDATE lineitem SET l_quantity = l_quantity + 1, l_comment = reverse(l_comment), modified = clock_timestamp()
      WHERE l_orderkey >= low AND l_orderkey < low + step AND {chosen};
    COMMIT;
    low := low + step;
  END LOOP;
END $$"""


class Lineitem:
    """The followed table, copied when the first share is measured; its lake and dlt's grow from share to share."""

    def __init__(self, program: pathlib.Path, peer):
        self.followed = Followed(program, "incremental_update", DATABASE, TABLE, KEY)
        self.peer = peer
        self.begun = False

    def begin(self) -> None:
        """The first copy, and dlt's."""
        if self.begun:
            return
        self.followed.begin()
        if self.peer:
            loaded = self.asked("postgres_merge", fresh=True)
            if "failed" not in loaded:
                print(f"  postgres_merge: dlt's first load took {loaded['wall_seconds']:.1f} s", flush=True)
        self.begun = True

    def asked(self, name: str, fresh: bool) -> dict:
        """What dlt's load or merge took, or what it said when it could not."""
        try:
            return self.peer(fresh=fresh).document()
        except measure.Failed as failure:
            # What a load that was cut off left behind is no start for the next one.
            self.peer = None
            return given_up(name, failure)


def given_up(name: str, failure: measure.Failed) -> dict:
    """What dlt said when it could not, or that it was not done in time."""
    said = str(failure).strip().splitlines()[-1][:200]
    if failure.code == CUT_OFF:
        said = f"not done after {PEER_SECONDS} s"
    print(f"  {name}: dlt: {said}", flush=True)
    return {"failed": said}


def case(name: str, share: int, lineitem: Lineitem, repetitions: int, reload) -> dict:
    """Floor, merge and reload in turn, then dlt once."""
    lineitem.begin()
    chosen = CHOSEN.format(share=share)
    wanted = int(postgres_answer(DATABASE, f"SELECT count(*) FROM lineitem WHERE {chosen}"))
    floors, runs, reloads = [], [], []
    for repetition in range(repetitions):
        floors.append(floor(DATABASE, lambda: psql(UPDATES.format(chosen=chosen), DATABASE)))
        # What updates leave behind in the table is cleared away, so that every repetition reads the same pages.
        psql("VACUUM lineitem", DATABASE)
        runs.append(lineitem.followed.stream())
        if runs[-1].rows != wanted:
            raise measure.Failed(f"{runs[-1].rows} of {wanted} changes arrived")
        reloads.append(reload())
        print(
            f"  {name} {repetition + 1}/{repetitions}: {wanted:,} rows; floor {floors[-1].wall_seconds:.2f} s, merge"
            f" {runs[-1].wall_seconds:.2f} s, {runs[-1].cpu_seconds:.2f} CPU s, {runs[-1].peak_bytes >> 20} MiB; reload"
            f" {reloads[-1].wall_seconds:.2f} s ({runs[-1].wall_seconds / reloads[-1].wall_seconds:.2f} ×)",
            flush=True,
        )
    lineitem.followed.verify()
    ratios = measure.median_ratios(runs, floors)
    of_reload, _ = measure.median_ratios(runs, reloads)
    peers = {"reload": measure.median(reloads).document()}
    if lineitem.peer:
        peers["dlt"] = lineitem.asked(name, fresh=False)
    entry = document(name, measure.median(runs), measure.median(floors), ratios, peers, repetitions)
    entry["ratio_wall_to_reload"] = of_reload
    if peers.get("dlt", {}).get("wall_seconds"):
        theirs = peers["dlt"]["wall_seconds"]
        ratio = entry["ratio_wall_to_dlt"] = round(measure.median(runs).wall_seconds / theirs, 3)
        print(f"  {name}: dlt {theirs:.2f} s for {peers['dlt']['rows']:,} rows; ours {ratio:.3f} × it", flush=True)
    return entry


def cases(program: pathlib.Path, repetitions: int, reload, peer) -> dict:
    """Name and measurement of each share; `reload()` and `peer(fresh)` measure what a merge is held against."""
    lineitem = None

    def measured(name: str, share: int):
        def run():
            nonlocal lineitem
            lineitem = lineitem or Lineitem(program, peer)
            return case(name, share, lineitem, repetitions, reload)

        return run

    return {f"postgres_merge_{share}": measured(f"postgres_merge_{share}", share) for share in SHARES}
