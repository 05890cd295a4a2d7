//! The model in the languages of other tools, read back by those tools where Debian has them.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use c4gen::collect;
use c4gen::export::{Format, export};
use c4gen::scene::leg::legs;

/// What a program says to this text on its standard input.
fn told(program: &str, arguments: &[&str], text: &str) -> String {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let mut input = child.stdin.take().unwrap();
    let text = text.to_owned();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{program}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn graphviz_reads_every_element_and_every_arrow() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let install = Command::new(root.join("deploy/scripts/install.sh"))
        .args(["debian", "graphviz", "dot"])
        .output()
        .unwrap();
    assert!(install.status.success(), "{}", String::from_utf8_lossy(&install.stderr));
    let model = collect::model();
    // Graphviz's own canonical form: what it has understood.
    let canonical = told("dot", &["-Tcanon"], &export(&model, Format::Dot));
    for leg in legs(&model) {
        let arrow = format!("{} -> {}", leg.from, leg.to);
        assert!(canonical.contains(&arrow), "{arrow}");
    }
    for element in &model.elements {
        assert!(canonical.contains(&element.id), "{}", element.id);
    }
}

#[test]
fn a_spreadsheet_reads_every_flow() {
    let model = collect::model();
    let reader = "import csv, io, sys, json\n\
                  rows = list(csv.DictReader(io.StringIO(sys.stdin.buffer.read().decode(), newline='')))\n\
                  print(json.dumps([[row['id'], row['moves'], row['status']] for row in rows]))";
    let rows: Vec<(String, String, String)> =
        serde_json::from_str(&told("python3", &["-c", reader], &export(&model, Format::Csv)))
            .unwrap();
    assert_eq!(rows.len(), model.flows.len());
    for (row, flow) in rows.iter().zip(&model.flows) {
        assert_eq!((&row.0, &row.1), (&flow.id, &flow.moves));
    }
}

#[test]
fn mermaid_and_likec4_name_every_element_and_every_arrow() {
    let model = collect::model();
    let (mermaid, likec4) = (export(&model, Format::Mermaid), export(&model, Format::Likec4));
    for element in &model.elements {
        assert!(mermaid.contains(&element.id), "{}", element.id);
        assert!(likec4.contains(&format!("{} = ", element.id)), "{}", element.id);
    }
    for leg in legs(&model) {
        let line = mermaid.lines().any(|line| {
            let line = line.trim();
            line.starts_with(&format!("{} -", leg.from)) && line.ends_with(&format!("| {}", leg.to))
        });
        assert!(line, "{} → {}", leg.from, leg.to);
    }
}
