//! Says of every run of a flow that it ran, so that the drawn arrows can be compared with what happened.

use std::io::Write as _;
use std::path::Path;

use c4model::{FlowRun, Observer, Outcome};

use crate::config::variable;

/// Names the file to which every run of a flow adds one line, for `c4gen observe`.
pub const RECORDS_VARIABLE: &str = "OL_FLOW_RECORDS";

/// Puts the record into the log, with the flow's id as the attribute `c4.flow`, and into the file that
/// [`RECORDS_VARIABLE`] names, if it names one.
#[derive(Debug, Clone, Copy)]
pub struct LogObserver;

impl Observer for LogObserver {
    fn ended(&self, run: &FlowRun) {
        let name = |ends: &[c4model::EndpointName]| {
            ends.iter().map(|end| end.element.clone()).collect::<Vec<_>>().join(",")
        };
        let outcome = match run.outcome {
            Some(Outcome::Done) => "done",
            Some(Outcome::Failed) => "failed",
            Some(Outcome::Abandoned) => "abandoned",
            None => "running",
        };
        tracing::info!(
            c4.flow = run.flow,
            from = name(&run.from),
            to = name(&run.to),
            outcome,
            rows = run.rows,
            bytes = run.bytes,
            "a flow has run"
        );
        // A run is not failed for want of its record.
        if let Ok(Some(path)) = variable(RECORDS_VARIABLE)
            && let Err(error) = append(Path::new(&path), run)
        {
            tracing::warn!(path, error = %error, "the record of a flow could not be written");
        }
    }
}

/// One line, written at once, so that several processes may write to one file.
fn append(path: &Path, run: &FlowRun) -> std::io::Result<()> {
    let mut line = serde_json::to_string(run)?;
    line.push('\n');
    std::fs::OpenOptions::new().create(true).append(true).open(path)?.write_all(line.as_bytes())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
mod tests {
    use std::sync::Arc;

    use c4model::platform::{MitxOnlineDatabase, RawLake};
    use c4model::{Endpoint, Runner, Sink, Source, declared, flow};

    use super::*;

    flow! { copied { moves: "Rows", tech: "SQL", kind: Sync, by: From, owner: "nobody" } }
    fn copied(_from: Source<MitxOnlineDatabase>, to: Sink<RawLake>) -> Result<(), ()> {
        to.moved(3, 30);
        Ok(())
    }

    struct Append(std::path::PathBuf);

    impl Observer for Append {
        fn ended(&self, run: &FlowRun) {
            append(&self.0, run).unwrap();
        }
    }

    #[test]
    fn each_run_is_one_line_with_ends_and_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flows.jsonl");
        let runner = Runner::new(Arc::new(Append(path.clone())));
        for _ in 0..2 {
            let (from, to) =
                (Endpoint::<MitxOnlineDatabase>::new(()), Endpoint::<RawLake>::new(()));
            runner.run_blocking(declared!(copied), from, to, ()).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        let last = lines.last().unwrap();
        let count = |key: &str| last.get(key).and_then(serde_json::Value::as_u64);
        assert_eq!(last.get("flow").unwrap(), "copied");
        assert_eq!(
            (count("rows"), last.get("outcome").and_then(serde_json::Value::as_str)),
            (Some(3), Some("done"))
        );
        assert_eq!(last.pointer("/to/0/element").unwrap(), "raw_lake");
    }
}
