"""The measurements of `ol-webhook`: an outbox in SQLite, durable as it ships, and the receiver `ol-webhook listen`.

The floor is what HTTP itself costs: `wrk`, in C, posts the very bodies of our outbox with signatures made beforehand,
over as many connections, and remembers nothing. What is above it is the price of signing by two forms, of one durable
record an attempt, and of order. wrk runs for a time and not for a number of requests, so what it took is scaled to
ours: wall clock is N divided by its requests a second, processor time N times its seconds a request.

The receiver shares the machine's cores with whoever calls it and is measured with neither.

A peer would stand here: Svix's open-source server is the nearest one. It is not on crates.io (`svix` there is the client
of its service), so it cannot be built as the other tools are, and no figure of it is given.
"""

import datetime
import hashlib
import hmac
import http.client
import json
import math
import os
import pathlib
import shutil
import sqlite3
import statistics
import subprocess
import time

import measure
from figures import ROOT, document
from measure import Measured

FOLDER = pathlib.Path(os.environ["OL_BENCH_FOLDER"]) / "webhook"
SECRET = "a secret of the benchmark"
PATH = "/api/v1/webhooks/content_files/"
CONCURRENCY = 32
MESSAGES = max(1_000, int(50_000 * float(os.environ.get("OL_BENCH_SCALE", "1"))))
MILLION = 1_000_000
DELIVERED_OF_MILLION = 20_000
# `send`s of the latency case, and how far apart they are.
SENDS = 200
PACE_SECONDS = 0.1
START_SECONDS = 30
# What `ol-webhook` ends with when something is left, and when it was asked to stop.
LEFT, STOPPED = 1, 75


class Outbox:
    """An outbox of its own, with the program that fills and empties it."""

    def __init__(self, program: pathlib.Path, name: str):
        self.program = program
        self.file = FOLDER / name / "outbox.db"
        shutil.rmtree(self.file.parent, ignore_errors=True)
        self.file.parent.mkdir(parents=True)
        self.environment = {
            "OL_ENV": "ci",
            "OL_OUTBOX": f"sqlite:{self.file}",
            "MIT_LEARN_WEBHOOK_SECRET": SECRET,
            "OL_WEBHOOK__DELIVERY__CONCURRENCY": str(CONCURRENCY),
            "OL_WEBHOOK__DELIVERY__RATE_PER_SECOND": "0",
            "OL_WEBHOOK__DELIVERY__PATIENCE_SECONDS": "0",
        }

    def command(self, *arguments):
        """`ol-webhook ARGUMENTS`, answering with a document."""
        return [str(self.program), *arguments, "--output", "json"]

    def run(self, *arguments, receiver=None, code=0):
        """One command, measured, and its document."""
        told = self.file.parent / "document.json"
        environment = {**self.environment, "MIT_LEARN_BASE_URL": receiver.url if receiver else "http://127.0.0.1:9"}
        measured = measure.measure(self.command(*arguments), environment, told, code)
        return measured, json.loads(told.read_text())

    def send(self, lines: pathlib.Path, count: int) -> Measured:
        """Puts the lines of a file into it."""
        measured, told = self.run("send", "--kind", "content_files", "--lines", str(lines))
        if told["accepted"] != count:
            raise measure.Failed(f"{told['accepted']} of {count} messages were accepted")
        measured.rows = count
        return measured

    def rows(self, query: str):
        """Rows of a query, one at a time."""
        connection = sqlite3.connect(self.file)
        try:
            yield from connection.execute(query)
        finally:
            connection.close()

    def write_bodies(self, file: pathlib.Path) -> None:
        """The messages' bodies with their signatures, as webhook.lua reads them."""
        with open(file, "wb") as lines:
            for (body,) in self.rows("SELECT body FROM webhook_message ORDER BY sequence"):
                lines.write(signature(body).encode() + b" " + body + b"\n")


class Receiver:
    """`ol-webhook listen` for the time of a `with`; then what it counted is in `counted`."""

    def __init__(self, program: pathlib.Path, *flags):
        self.command = [str(program), "listen", "--address", "127.0.0.1:0", "--output", "json", *flags]
        self.said = FOLDER / "receiver.json"
        self.counted = {}

    def __enter__(self):
        environment = {"OL_ENV": "ci", "MIT_LEARN_WEBHOOK_SECRET": SECRET}
        self.started = measure.Started(self.command, environment, self.said, log="receiver.log")
        deadline = time.monotonic() + START_SECONDS
        while not self.said.read_text().endswith("\n"):
            if time.monotonic() > deadline:
                self.started.process.kill()
                raise measure.Failed("the receiver did not say where it listens")
            time.sleep(0.01)
        self.address = json.loads(self.said.read_text())["address"]
        self.url = f"http://{self.address}"
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            self.started.process.kill()
            self.started.process.wait()
            return
        self.started.stop()
        self.counted = json.loads(self.said.read_text().splitlines()[-1])


def signature(body: bytes) -> str:
    """The value of X-MITLearn-Signature."""
    return hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()


def write_lines(file: pathlib.Path, count: int) -> None:
    """So many courses, a line each. Never all at once: the kernel counts our memory to the commands we start."""
    with open(file, "w") as lines:
        for number in range(count):
            lines.write(course(number) + "\n")


def course(number: int) -> str:
    """What is sent of a course."""
    name = f"course-v1:MITx+6.{number}+3T2026"
    archive = hashlib.sha256(name.encode()).hexdigest()
    path = f"mitxonline/openedx/raw_data/course_xml/{name}/{archive}.xml.tar.gz"
    return json.dumps({"course_id": name, "content_path": path, "source": "mitxonline"})


def wrk(receiver: Receiver, bodies: pathlib.Path, seconds: int) -> Measured:
    """The floor: what wrk takes for MESSAGES requests, by what it took for those of so many seconds."""
    said = FOLDER / "wrk.txt"
    script = ROOT / "tests" / "bench" / "webhook.lua"
    load = ["--threads", "1", "--connections", str(CONCURRENCY), "--duration", f"{seconds}s"]
    command = ["wrk", *load, "--script", str(script), receiver.url + PATH]
    measured = measure.measure(command, {"OL_BENCH_BODIES": str(bodies)}, said)
    told = json.loads(said.read_text().splitlines()[-1])
    if told["refused"] or told["lost"]:
        raise measure.Failed(f"wrk: {told['refused']} requests were refused and {told['lost']} lost")
    scale = MESSAGES / told["requests"]
    return Measured(told["microseconds"] * 1e-6 * scale, measured.cpu_seconds * scale, measured.peak_bytes, MESSAGES)


def delivery_case(program: pathlib.Path, repetitions: int):
    """Fills an outbox, then empties it, beside the floor over the same bodies."""
    lines, bodies = FOLDER / "lines.jsonl", FOLDER / "bodies.txt"
    FOLDER.mkdir(parents=True, exist_ok=True)
    write_lines(lines, MESSAGES)
    enqueues, floors, runs, seconds = [], [], [], 1
    for repetition in range(repetitions):
        outbox = Outbox(program, "delivery")
        enqueues.append(outbox.send(lines, MESSAGES))
        if not floors:
            outbox.write_bodies(bodies)
            with Receiver(program) as receiver:
                # About as long as it takes for as many requests as ours, and long enough to mean something.
                seconds = max(2, math.ceil(wrk(receiver, bodies, 1).wall_seconds))
        with Receiver(program) as receiver:
            floors.append(wrk(receiver, bodies, seconds))
        if receiver.counted["refused"] or receiver.counted["accepted"] < MESSAGES:
            raise measure.Failed(f"the floor is none: not every request of wrk was accepted: {receiver.counted}")
        with Receiver(program) as receiver:
            run, told = outbox.run("deliver", receiver=receiver)
        run.rows = told["delivered"]
        if receiver.counted["accepted"] != MESSAGES or receiver.counted["standard_failures"] or run.rows != MESSAGES:
            raise measure.Failed(f"not every message was delivered once: {told}, {receiver.counted}")
        runs.append(run)
        print(
            f"  webhook_delivery {repetition + 1}/{repetitions}: {MESSAGES:,} messages,"
            f" enqueued {MESSAGES / enqueues[-1].wall_seconds:,.0f}/s, floor {MESSAGES / floors[-1].wall_seconds:,.0f}/s"
            f" (wrk for {seconds} s, scaled), ours {MESSAGES / run.wall_seconds:,.0f}/s"
            f" ({run.wall_seconds / floors[-1].wall_seconds:.2f} ×), {run.cpu_seconds / MESSAGES * 1e6:.0f} µs CPU each",
            flush=True,
        )
    ratios = measure.median_ratios(runs, floors)
    return [
        document("webhook_enqueue", measure.median(enqueues), repetitions=repetitions),
        document(
            "webhook_delivery", measure.median(runs), measure.median(floors), ratios, repetitions=repetitions
        ),
    ]


def percentiles(milliseconds) -> dict:
    """The median and the 99th percentile."""
    cuts = statistics.quantiles(milliseconds, n=100, method="inclusive")
    return {"p50_milliseconds": round(cuts[49], 3), "p99_milliseconds": round(cuts[98], 3)}


def middle(told) -> dict:
    """The median of each figure on its own."""
    return {key: statistics.median(each[key] for each in told) for key in told[0]}


def latency_run(program: pathlib.Path):
    """Single `send`s at a steady pace with a `deliver --forever` beside them, and a plain POST after each.

    Both are told from the moment they were made until the receiver decided on them: for ours the outbox knows the first
    (in whole milliseconds, so up to one too much is counted), for a POST this program; the journal knows the second.
    """
    scratch = Outbox(program, "latency_bodies")
    write_lines(FOLDER / "latency.jsonl", SENDS)
    scratch.send(FOLDER / "latency.jsonl", SENDS)
    bodies = [body for (body,) in scratch.rows("SELECT body FROM webhook_message ORDER BY sequence")]
    outbox, journal = Outbox(program, "latency"), FOLDER / "journal.jsonl"
    outbox.run("list")
    journal.unlink(missing_ok=True)
    posted = []
    with Receiver(program, "--journal", str(journal)) as receiver:
        environment = {**outbox.environment, "MIT_LEARN_BASE_URL": receiver.url}
        forever = {**environment, "OL_WEBHOOK__DELIVERY__POLL_SECONDS": "0.05"}
        deliver = measure.Started(outbox.command("deliver", "--forever"), forever, log="deliver.log")
        client = http.client.HTTPConnection(receiver.address)
        begin = time.monotonic() + 1
        for number, body in enumerate(bodies):
            time.sleep(max(0, begin + number * PACE_SECONDS - time.monotonic()))
            send = outbox.command("send", "--kind", "content_files", "--payload", course(number))
            subprocess.run(send, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **environment})
            time.sleep(max(0, begin + (number + 0.8) * PACE_SECONDS - time.monotonic()))
            headers = {"content-type": "application/json", "x-mitlearn-signature": signature(body)}
            posted.append(time.time())
            client.request("POST", PATH, body, headers)
            answer = client.getresponse()
            answer.read()
            if answer.status != 200:
                raise measure.Failed(f"a plain POST was answered with {answer.status}")
        time.sleep(1)
        ours = deliver.stop(STOPPED)
    created = dict(outbox.rows("SELECT id, created_at_ms FROM webhook_message"))
    delivered, plain = [], []
    for line in journal.read_text().splitlines():
        entry = json.loads(line)
        at = datetime.datetime.fromisoformat(entry["at"].replace("Z", "+00:00")).timestamp() * 1000
        if entry["webhook_id"]:
            delivered.append(at - created.pop(entry["webhook_id"]))
        else:
            plain.append(at - posted[len(plain)] * 1000)
    if created or len(delivered) != SENDS:
        raise measure.Failed(f"{len(delivered)} of {SENDS} messages arrived, {len(created)} did not")
    ours.rows = SENDS
    return ours, percentiles(delivered), percentiles(plain)


def latency_case(program: pathlib.Path, repetitions: int) -> dict:
    """How long a message is on its way, beside a plain POST of the same body."""
    runs, ours, plain = zip(*[latency_run(program) for _ in range(repetitions)])
    entry = document("webhook_latency", measure.median(runs), repetitions=repetitions)
    added = [mine["p99_milliseconds"] - theirs["p99_milliseconds"] for mine, theirs in zip(ours, plain)]
    entry["latency"] = {
        "ours": middle(ours),
        "plain_post": middle(plain),
        "added_p99_milliseconds": round(statistics.median(added), 3),
    }
    told = entry["latency"]
    print(
        f"  webhook_latency: ours p50 {told['ours']['p50_milliseconds']:.1f} ms, p99"
        f" {told['ours']['p99_milliseconds']:.1f} ms; a plain POST p50 {told['plain_post']['p50_milliseconds']:.1f} ms, p99"
        f" {told['plain_post']['p99_milliseconds']:.1f} ms; added at p99 {told['added_p99_milliseconds']:.1f} ms",
        flush=True,
    )
    return entry


def fill(outbox: Outbox) -> None:
    """A million queued messages. The schema is made by the program, the rows by SQLite itself."""
    outbox.run("list")
    connection = sqlite3.connect(outbox.file)
    connection.execute("PRAGMA synchronous = OFF")
    with connection:
        connection.execute(
            """
            INSERT INTO webhook_message (id, target, kind, scope, entity, identity, version, is_tombstone, body,
              content_hash, state, created_at_ms, accepted_at_ms, due_at_ms)
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
            SELECT printf('msg_%032x', i), 'learn', 'content_files', 'content_files/mitxonline',
              'content_files/mitxonline/c' || i, 'c' || i, 1, 0,
              CAST(json_object('course_id', 'c' || i, 'course_readable_id', 'c' || i, 'content_path',
                'mitxonline/openedx/raw_data/course_xml/c' || i || '/x.xml.tar.gz', 'source', 'mitxonline') AS BLOB),
              printf('%064x', i), 'queued', strftime('%s') * 1000, strftime('%s') * 1000, 1000 FROM n
            """,
            (MILLION,),
        )
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def million_case(program: pathlib.Path, repetitions: int):
    """A page of a million messages, and the delivery of some of them to a receiver that then goes away."""
    outbox = Outbox(program, "million")
    fill(outbox)
    lists, delivers = [], []
    for repetition in range(repetitions):
        listed, told = outbox.run("list", "--limit", "100")
        listed.rows = len(told["messages"])
        lists.append(listed)
        with Receiver(program, "--requests", str(DELIVERED_OF_MILLION)) as receiver:
            delivered, told = outbox.run("deliver", receiver=receiver, code=LEFT)
        delivered.rows = told["delivered"]
        if delivered.rows != DELIVERED_OF_MILLION:
            raise measure.Failed(f"{delivered.rows} of {DELIVERED_OF_MILLION} messages were delivered: {told}")
        delivers.append(delivered)
        print(
            f"  webhook_million {repetition + 1}/{repetitions}: list {listed.wall_seconds:.2f} s,"
            f" {listed.peak_bytes / 2**20:.0f} MiB; deliver {delivered.wall_seconds:.2f} s,"
            f" {delivered.peak_bytes / 2**20:.0f} MiB",
            flush=True,
        )
    shutil.rmtree(outbox.file.parent)
    return [
        document("webhook_million_list", measure.median(lists), repetitions=repetitions),
        document("webhook_million_deliver", measure.median(delivers), repetitions=repetitions),
    ]


def cases(program: pathlib.Path, repetitions: int):
    """Name and measurement of each case."""
    return {
        "webhook_delivery": lambda: delivery_case(program, repetitions),
        "webhook_latency": lambda: latency_case(program, repetitions),
        "webhook_million": lambda: million_case(program, repetitions),
    }
