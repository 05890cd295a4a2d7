//! What really ran. Every run of a flow says so in the log; here the lines are folded into one record
//! a flow, so that the drawn arrows can be compared with it. Files in, file out: no server is asked.
//!
//! A line is one JSON document, in one of four forms: a log line of ours (`c4.flow` among its fields),
//! an OpenLineage run event whose job is the flow and whose datasets are the elements, the same in a
//! custom message of Dagster Pipes, or spans as OTLP writes them in JSON, whose attributes name the flow
//! (`c4.flow`), its ends and counts. Other lines are passed over and counted.
//!
//! The forms tell of the same runs: give the files of one form, or each run counts once a form.

mod undeclared;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use c4model::{EvidenceRecord, FlowRecord, Model, Status};
use ol_chassis::clock::rfc3339;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::check::Finding;

/// What was seen of all flows; the content of `observed.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observed {
    /// By the id of the flow.
    pub flows: BTreeMap<String, Seen>,
    /// Lines that told of no run.
    pub other_lines: u64,
}

/// What was seen of one flow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// When it first ended, as it stood in the line; UTC.
    pub first: String,
    /// When it last ended.
    pub last: String,
    /// Runs that ended.
    pub runs: u64,
    /// Those of them that did not end well.
    pub failed: u64,
    /// Rows they said they moved.
    pub rows: u64,
    /// Bytes they said they moved.
    pub bytes: u64,
    /// Elements they read.
    pub from: BTreeSet<String>,
    /// Elements they wrote.
    pub to: BTreeSet<String>,
}

/// How a flow stands between declaration and observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Declared, and seen.
    Seen,
    /// Carried by our code, and not seen.
    Silent,
    /// Seen, and not declared.
    Undeclared,
    /// Nothing of ours runs it, so it cannot be seen from here.
    Elsewhere,
}

impl Standing {
    /// The class by which a label is framed, after a space.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Seen => " seen",
            Self::Silent => " silent",
            Self::Undeclared => " undeclared",
            Self::Elsewhere => "",
        }
    }
}

struct Run {
    flow: String,
    at: String,
    is_done: bool,
    rows: u64,
    bytes: u64,
    from: Vec<String>,
    to: Vec<String>,
}

impl Observed {
    /// Adds the lines of one file. The OpenLineage events of a run belong together: what its START read
    /// counts for its COMPLETE, and what was sent twice counts once.
    pub fn fold(&mut self, lines: &str) {
        let mut lineage: BTreeMap<String, LineageRun> = BTreeMap::new();
        for line in lines.lines().filter(|line| !line.trim().is_empty()) {
            let Ok(line) = serde_json::from_str::<Value>(line) else {
                self.other_lines += 1;
                continue;
            };
            let line = unwrapped(&line);
            if let Some(run) = log_line(line) {
                self.add(run);
            } else if let Some(runs) = spans(line) {
                self.other_lines += u64::from(runs.is_empty());
                runs.into_iter().for_each(|run| self.add(run));
            } else if let Some((id, event)) = open_lineage(line) {
                lineage.entry(id).or_default().add(event);
            } else {
                self.other_lines += 1;
            }
        }
        for run in lineage.into_values() {
            let events = run.events;
            match run.ended() {
                Some(run) => self.add(run),
                None => self.other_lines += events,
            }
        }
    }

    fn add(&mut self, run: Run) {
        let seen = self.flows.entry(run.flow).or_default();
        if seen.runs == 0 || run.at < seen.first {
            seen.first.clone_from(&run.at);
        }
        if run.at > seen.last {
            seen.last = run.at;
        }
        seen.runs += 1;
        seen.failed += u64::from(!run.is_done);
        seen.rows += run.rows;
        seen.bytes += run.bytes;
        seen.from.extend(run.from);
        seen.to.extend(run.to);
    }

    /// How this flow stands.
    #[must_use]
    pub fn standing(&self, flow: &FlowRecord) -> Standing {
        let is_ours =
            flow.evidence.iter().any(|evidence| matches!(evidence, EvidenceRecord::Code { .. }));
        if undeclared::is_undeclared(flow) {
            Standing::Undeclared
        } else if self.flows.contains_key(&flow.id) {
            Standing::Seen
        } else if is_ours && flow.status != Status::Target {
            Standing::Silent
        } else {
            Standing::Elsewhere
        }
    }

    /// O1: what ran and is not declared, or ran between other ends than declared.
    #[must_use]
    pub fn undeclared(&self, model: &Model) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (id, seen) in &self.flows {
            let Some(flow) = model.flow(id) else {
                let message = format!("ran {} times and is not declared", seen.runs);
                findings.push(Finding::new("O1", id, message));
                continue;
            };
            for (what, ends, declared) in
                [("read", &seen.from, &flow.from), ("wrote", &seen.to, &flow.to)]
            {
                for end in ends.iter().filter(|end| !is_among(model, end, declared)) {
                    let message = format!("{what} `{end}`, which its declaration does not name");
                    findings.push(Finding::new("O1", id, message));
                }
            }
            if flow.status == Status::Target {
                let message = "is declared as planned and has run; declare it live".to_owned();
                findings.push(Finding::new("O1", id, message));
            }
        }
        findings
    }
}

/// Whether an end is one of the declared ones, or a deployment of one.
fn is_among(model: &Model, end: &str, declared: &[String]) -> bool {
    let family = model.element(end).and_then(|element| element.family.as_deref());
    declared.iter().any(|id| id == end || Some(id.as_str()) == family)
}

fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn count(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or(0)
}

fn log_line(line: &Value) -> Option<Run> {
    let fields = line.get("fields").unwrap_or(line);
    let ends = |key: &str| names(&text(fields, key).unwrap_or_default());
    Some(Run {
        flow: text(fields, "c4.flow")?,
        at: text(line, "timestamp")?,
        is_done: text(fields, "outcome")? == "done",
        rows: count(fields, "rows"),
        bytes: count(fields, "bytes"),
        from: ends("from"),
        to: ends("to"),
    })
}

/// The spans of flows in one line of OTLP as JSON, as a collector's file exporter and `http/json` write it.
/// None when the line is something else.
fn spans(line: &Value) -> Option<Vec<Run>> {
    let each = |value: &Value, key: &str| -> Vec<Value> {
        value.get(key).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    line.get("resourceSpans")?;
    let scopes = each(line, "resourceSpans").into_iter().flat_map(|one| each(&one, "scopeSpans"));
    Some(scopes.flat_map(|one| each(&one, "spans")).filter_map(|one| span(&one)).collect())
}

fn span(span: &Value) -> Option<Run> {
    let attributes = span.get("attributes")?.as_array()?;
    let value = |key: &str| -> Option<&Value> {
        let found = attributes.iter().find(|one| one.get("key").is_some_and(|name| name == key));
        found?.get("value")
    };
    let words = |key: &str| text(value(key)?, "stringValue");
    // JSON of protocol buffers writes whole numbers of 64 bits as text; some writers do not.
    let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
    let count = |key: &str| value(key).and_then(|one| number(one.get("intValue")?)).unwrap_or(0);
    Some(Run {
        flow: words("c4.flow")?,
        at: {
            let nanoseconds = number(span.get("endTimeUnixNano")?)?;
            rfc3339(SystemTime::UNIX_EPOCH + Duration::from_nanos(nanoseconds))
        },
        is_done: words("outcome")? == "done",
        rows: count("rows"),
        bytes: count("bytes"),
        from: names(&words("c4.from").unwrap_or_default()),
        to: names(&words("c4.to").unwrap_or_default()),
    })
}

/// What a message of Dagster Pipes carries that is a document of the program's own, else the line itself.
fn unwrapped(line: &Value) -> &Value {
    match line.get("__dagster_pipes_version") {
        Some(_) => line.pointer("/params/payload").unwrap_or(line),
        None => line,
    }
}

fn names(joined: &str) -> Vec<String> {
    joined.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// What the events of one run say together.
#[derive(Default)]
struct LineageRun {
    events: u64,
    from: BTreeSet<String>,
    to: BTreeSet<String>,
    end: Option<LineageEvent>,
}

struct LineageEvent {
    flow: String,
    at: String,
    kind: String,
    rows: u64,
    bytes: u64,
    from: Vec<String>,
    to: Vec<String>,
}

impl LineageRun {
    fn add(&mut self, event: LineageEvent) {
        self.events += 1;
        self.from.extend(event.from.iter().cloned());
        self.to.extend(event.to.iter().cloned());
        let is_end = matches!(event.kind.as_str(), "COMPLETE" | "FAIL" | "ABORT");
        if is_end && self.end.as_ref().is_none_or(|end| end.at <= event.at) {
            self.end = Some(event);
        }
    }

    /// None when no event says that it ended.
    fn ended(self) -> Option<Run> {
        let end = self.end?;
        Some(Run {
            flow: end.flow,
            at: end.at,
            is_done: end.kind == "COMPLETE",
            rows: end.rows,
            bytes: end.bytes,
            from: self.from.into_iter().collect(),
            to: self.to.into_iter().collect(),
        })
    }
}

/// An OpenLineage event with the id of its run; one without an id is a run of its own.
fn open_lineage(line: &Value) -> Option<(String, LineageEvent)> {
    let kind = text(line, "eventType")?;
    let at = text(line, "eventTime")?;
    let flow = text(line.get("job")?, "name")?;
    let run = line.get("run").and_then(|run| text(run, "runId"));
    let datasets = |key: &str| -> Vec<String> {
        let all = line.get(key).and_then(Value::as_array).into_iter().flatten();
        all.filter_map(|dataset| text(dataset, "name")).collect()
    };
    let statistics = |key: &str| -> u64 {
        let outputs = line.get("outputs").and_then(Value::as_array).into_iter().flatten();
        outputs
            .filter_map(|output| output.pointer("/outputFacets/outputStatistics"))
            .map(|facet| count(facet, key))
            .sum()
    };
    let id = format!("{flow} {}", run.unwrap_or_else(|| at.clone()));
    let (rows, bytes) = (statistics("rowCount"), statistics("size"));
    let (from, to) = (datasets("inputs"), datasets("outputs"));
    Some((id, LineageEvent { flow, at, kind, rows, bytes, from, to }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = concat!(
        r#"{"timestamp":"2026-11-29T08:00:00Z","level":"INFO","fields":{"message":"a flow has run","c4.flow":"postgres_full_load","from":"mitxonline_database","to":"raw_lake","outcome":"done","rows":10,"bytes":640},"target":"ol_chassis::flow"}"#,
        "\n",
        r#"{"timestamp":"2026-11-29T07:00:00Z","level":"INFO","fields":{"c4.flow":"postgres_full_load","from":"application_postgres","to":"raw_lake","outcome":"failed","rows":0,"bytes":0}}"#,
        "\nno json\n",
        r#"{"timestamp":"2026-11-29T07:00:00Z","level":"INFO","fields":{"message":"another line"}}"#,
        "\n",
        r#"{"eventType":"COMPLETE","eventTime":"2026-11-29T09:00:00Z","job":{"namespace":"c4","name":"nobody_declared_this"},"inputs":[{"name":"raw_lake"}],"outputs":[{"name":"marts","outputFacets":{"outputStatistics":{"rowCount":3,"size":30}}}]}"#,
        "\n",
        r#"{"__dagster_pipes_version":"0.1","method":"report_custom_message","params":{"payload":{"eventType":"COMPLETE","eventTime":"2026-11-29T09:30:00Z","job":{"namespace":"ol-flows","name":"signed_notices"},"inputs":[{"name":"webhook_outbox"}],"outputs":[{"name":"hubspot"}]}}}"#,
        "\n",
        r#"{"__dagster_pipes_version":"0.1","method":"log","params":{"message":"c4.flow=signed_notices","level":"INFO"}}"#,
        "\n",
        r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"another","endTimeUnixNano":"1","attributes":[]},{"name":"flow","endTimeUnixNano":"1795939200000000000","attributes":[{"key":"c4.flow","value":{"stringValue":"mysql_full_load"}},{"key":"c4.from","value":{"stringValue":"mitxonline_open_edx"}},{"key":"c4.to","value":{"stringValue":"raw_lake"}},{"key":"outcome","value":{"stringValue":"failed"}},{"key":"rows","value":{"intValue":"4"}},{"key":"bytes","value":{"intValue":40}}]}]}]}]}"#,
    );

    fn observed() -> Observed {
        let mut observed = Observed::default();
        observed.fold(LINES);
        observed
    }

    #[test]
    fn lines_of_four_forms_are_folded() {
        let observed = observed();
        assert_eq!(observed.other_lines, 3, "no JSON, another line, a log message of Pipes");
        let load = observed.flows.get("postgres_full_load").cloned().unwrap_or_default();
        assert_eq!((load.runs, load.failed, load.rows, load.bytes), (2, 1, 10, 640));
        assert_eq!(
            (load.first.as_str(), load.last.as_str()),
            ("2026-11-29T07:00:00Z", "2026-11-29T08:00:00Z")
        );
        let other = observed.flows.get("nobody_declared_this").cloned().unwrap_or_default();
        assert_eq!((other.rows, other.bytes), (3, 30));
        let notices = observed.flows.get("signed_notices").cloned().unwrap_or_default();
        assert_eq!((notices.runs, notices.failed), (1, 0));
        let copy = observed.flows.get("mysql_full_load").cloned().unwrap_or_default();
        assert_eq!((copy.runs, copy.failed, copy.rows, copy.bytes), (1, 1, 4, 40));
        assert_eq!(copy.last, "2026-11-29T08:00:00.000000Z");
        let text = serde_json::to_string(&observed).unwrap_or_default();
        assert_eq!(serde_json::from_str::<Observed>(&text).ok(), Some(observed));
    }

    #[test]
    fn the_events_of_an_open_lineage_run_belong_together_and_count_once() {
        let event = |kind: &str, at: &str, run: &str, more: &str| {
            format!(
                r#"{{"eventType":"{kind}","eventTime":"{at}","run":{{"runId":"{run}"}},"job":{{"namespace":"c4","name":"load"}}{more}}}"#
            )
        };
        let complete = event(
            "COMPLETE",
            "2026-11-29T09:05:00Z",
            "1",
            r#","outputs":[{"name":"raw_lake","outputFacets":{"outputStatistics":{"rowCount":3,"size":30}}}]"#,
        );
        let lines = [
            event("START", "2026-11-29T09:00:00Z", "1", r#","inputs":[{"name":"hubspot"}]"#),
            complete.clone(),
            complete,
            event("FAIL", "2026-11-29T10:00:00Z", "2", ""),
            event("START", "2026-11-29T11:00:00Z", "3", ""),
        ];
        let mut observed = Observed::default();
        observed.fold(&lines.join("\n"));
        let load = observed.flows.get("load").cloned().unwrap_or_default();
        assert_eq!((load.runs, load.failed, load.rows, load.bytes), (2, 1, 3, 30));
        assert_eq!(load.from, BTreeSet::from(["hubspot".to_owned()]));
        assert_eq!(load.to, BTreeSet::from(["raw_lake".to_owned()]));
        assert_eq!(load.last, "2026-11-29T10:00:00Z");
        assert_eq!(observed.other_lines, 1, "the run that has not ended");
    }

    #[test]
    fn what_ran_otherwise_than_declared_is_found() {
        let model = crate::collect::model();
        let found: Vec<_> = observed()
            .undeclared(&model)
            .into_iter()
            .map(|finding| (finding.subject, finding.message))
            .collect();
        assert_eq!(
            found,
            [
                ("nobody_declared_this".to_owned(), "ran 1 times and is not declared".to_owned()),
                (
                    "signed_notices".to_owned(),
                    "wrote `hubspot`, which its declaration does not name".to_owned()
                ),
            ]
        );
        let flow = |id: &str| model.flow(id).cloned().unwrap_or_else(|| panic!("{id}"));
        assert_eq!(observed().standing(&flow("postgres_full_load")), Standing::Seen);
        assert_eq!(observed().standing(&flow("content_notices")), Standing::Silent);
        assert_eq!(observed().standing(&flow("model_sql")), Standing::Elsewhere);
    }
}
