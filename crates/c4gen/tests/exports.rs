//! The model in the languages of other tools, read back by those very tools: what they understood is what
//! is declared.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use c4gen::export::{Format, export};
use c4gen::import::{Origin, import_texts};
use c4gen::layout::elk::Elk;
use c4gen::scene::leg::{ancestors, legs, legs_of};
use c4gen::site::{Input, scenes};
use c4gen::{check, collect, geometry};
use c4model::{Level, Model, Status};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn exported(format: Format) -> String {
    let cache = check::read_cache(&root()).unwrap();
    let mut input = Input::new(collect::model(), cache, Some("2026-11-23".to_owned()));
    export(&mut input, format, &Elk).unwrap()
}

/// Where `install.sh exports` has put the tools; silent where nothing is missing.
#[expect(clippy::disallowed_methods, reason = "the cache is where the set-up scripts say it is")]
fn tools() -> &'static Path {
    static TOOLS: OnceLock<PathBuf> = OnceLock::new();
    TOOLS.get_or_init(|| {
        let installed =
            Command::new(root().join("deploy/scripts/install.sh")).arg("exports").output().unwrap();
        let said = String::from_utf8_lossy(&installed.stderr).into_owned();
        assert!(installed.status.success(), "install.sh exports failed: {said}");
        let cache = std::env::var("OL_CACHE").map_or_else(
            |_| Path::new(&std::env::var("HOME").unwrap()).join(".cache/ol-flows"),
            PathBuf::from,
        );
        cache.join("exports")
    })
}

/// What a tool on the Java machine has understood, line by line.
fn by_java(kind: &str, text: &str) -> BTreeSet<String> {
    let java = tools().join("java");
    let class_path = format!("{0}/lib/*:{0}/classes", java.display());
    let arguments = ["-Djava.awt.headless=true", "-cp", &class_path, "Main", kind];
    told("java", &arguments, text).lines().map(str::to_owned).collect()
}

/// What a tool on Node has understood, line by line.
fn by_node(kind: &str, text: &str) -> BTreeSet<String> {
    let script = root().join("crates/c4gen/tests/exports/node/read.mjs");
    // What drives the browser is installed for other tests.
    let modules = if kind == "mermaid" { "../browser" } else { "node" };
    let modules = tools().join(modules);
    let bundle = tools().join("mermaid/mermaid.min.js");
    let arguments =
        [script.to_str().unwrap(), kind, modules.to_str().unwrap(), bundle.to_str().unwrap()];
    told("node", &arguments, text).lines().map(str::to_owned).collect()
}

fn has_all(read: &BTreeSet<String>, wanted: impl IntoIterator<Item = String>) {
    for line in wanted {
        assert!(read.contains(&line), "`{line}` was not understood");
    }
}

fn count(read: &BTreeSet<String>, kind: &str) -> usize {
    read.iter().filter(|line| line.split(' ').next() == Some(kind)).count()
}

/// The ids from the outermost element to this one.
fn path(model: &Model, id: &str) -> String {
    let mut ids: Vec<&str> = ancestors(model, id).map(|element| element.id.as_str()).collect();
    ids.reverse();
    ids.join(".")
}

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
    let install = Command::new(root().join("deploy/scripts/install.sh"))
        .args(["debian", "graphviz", "dot"])
        .output()
        .unwrap();
    assert!(install.status.success(), "{}", String::from_utf8_lossy(&install.stderr));
    let model = collect::model();
    // Graphviz's own canonical form: what it has understood.
    let canonical = told("dot", &["-Tcanon"], &exported(Format::Dot));
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
        serde_json::from_str(&told("python3", &["-c", reader], &exported(Format::Csv))).unwrap();
    assert_eq!(rows.len(), model.flows.len());
    for (row, flow) in rows.iter().zip(&model.flows) {
        assert_eq!((&row.0, &row.1), (&flow.id, &flow.moves));
    }
}

#[test]
fn likec4_and_d2_read_every_element_and_every_arrow() {
    let model = collect::model();
    for (kind, format) in [("likec4", Format::Likec4), ("d2", Format::D2)] {
        let read = by_node(kind, &exported(format));
        has_all(
            &read,
            model.elements.iter().map(|one| format!("element {}", path(&model, &one.id))),
        );
        has_all(
            &read,
            legs(&model).map(|leg| {
                let tech = if kind == "d2" { format!(" [{}]", leg.tech) } else { String::new() };
                let (from, to) = (path(&model, leg.from), path(&model, leg.to));
                format!("arrow {from} -> {to}: {}{tech}", leg.flow.moves)
            }),
        );
        assert_eq!(count(&read, "element"), model.elements.len(), "{kind}");
    }
    let read = by_node("d2", &exported(Format::D2));
    has_all(
        &read,
        model.scenarios.iter().map(|scenario| {
            let pieces: usize = scenario
                .steps
                .iter()
                .map(|step| legs_of(model.flow(&step.flow).unwrap()).len())
                .sum();
            format!("view story_{} {pieces}", scenario.id)
        }),
    );
}

#[test]
fn mermaid_draws_every_element_and_every_arrow() {
    let model = collect::model();
    let read = by_node("mermaid", &exported(Format::Mermaid));
    has_all(&read, model.elements.iter().map(|one| format!("element {}", one.id)));
    for leg in legs(&model) {
        let arrow = format!("arrow L_{}_{}_", leg.from, leg.to);
        assert!(read.iter().any(|line| line.starts_with(&arrow)), "{arrow}");
    }
}

#[test]
fn structurizr_reads_its_language_and_its_json_alike() {
    let model = collect::model();
    let name = |id: &str| model.element(id).unwrap().name.clone();
    for (kind, format) in
        [("structurizr", Format::Structurizr), ("structurizr_json", Format::StructurizrJson)]
    {
        let read = by_java(kind, &exported(format));
        let elements = model.elements.iter().filter(|one| one.level != Level::Group);
        has_all(&read, elements.map(|one| format!("element {}", one.name)));
        has_all(
            &read,
            legs(&model).map(|leg| {
                format!("arrow {} -> {}: {}", name(leg.from), name(leg.to), leg.flow.moves)
            }),
        );
        has_all(
            &read,
            model.scenarios.iter().map(|scenario| {
                let pieces: usize = scenario
                    .steps
                    .iter()
                    .map(|step| legs_of(model.flow(&step.flow).unwrap()).len())
                    .sum();
                format!("view story_{} {pieces}", scenario.id)
            }),
        );
        // What is between systems follows from what is between their containers.
        assert!(read.iter().any(|line| line.starts_with("arrow Open edX -> OL Data Platform: ")));
    }
}

#[test]
fn plantuml_draws_every_diagram_kind() {
    let model = collect::model();
    let text = exported(Format::Plantuml);
    let read = by_java("plantuml", &text);
    assert_eq!(
        text.matches("@startuml").count(),
        scenes(&model).len() - 1 + 2 * model.scenarios.len()
    );
    // The macros unfold into PlantUML's own words: aliases, arrows, links and styles.
    let whole: String = read.iter().map(|line| format!("{line}\n")).collect();
    for element in model.elements.iter().filter(|one| one.level != Level::Group) {
        let is_drawn =
            [" ", "["].iter().any(|end| whole.contains(&format!(" as {}{end}", element.id)))
                || element.family.is_some()
                || whole.contains(&format!("participant {} ", element.id));
        assert!(is_drawn, "{}", element.id);
    }
    for wanted in
        ["[[element-raw_lake.html]]", "<<target>>", "line.dashed", "line.dotted", "[[flow-"]
    {
        assert!(whole.contains(wanted), "{wanted}");
    }
    for leg in model
        .scenarios
        .iter()
        .flat_map(|scenario| &scenario.steps)
        .flat_map(|step| legs_of(model.flow(&step.flow).unwrap()))
    {
        for arrow in ["->", "-->>"] {
            let line = format!("line {} {arrow} {} ", leg.from, leg.to);
            assert!(read.iter().any(|one| one.starts_with(&line)), "{line}");
        }
    }
}

#[test]
fn backstage_takes_every_entity_and_every_reference() {
    let model = collect::model();
    let read = by_node("backstage", &exported(Format::Backstage));
    let elements = model.elements.iter().filter(|one| {
        let outer = ancestors(&model, &one.id).skip(1).any(|outer| outer.level == Level::System);
        one.level != Level::Group || !outer
    });
    has_all(&read, elements.map(|one| format!("element {}", one.id)));
    for leg in legs(&model) {
        let ends = |line: &String| {
            line.starts_with("arrow ")
                && [leg.from, leg.to]
                    .iter()
                    .all(|id| line.split(' ').any(|word| word.rsplit('/').next() == Some(*id)))
        };
        assert!(read.iter().any(ends), "{} and {}", leg.from, leg.to);
    }
    // Who asks depends on who is asked, whichever way the data moves.
    has_all(
        &read,
        ["arrow component:default/airbyte -> resource:default/application_postgres".to_owned()],
    );
}

#[test]
fn open_lineage_reads_every_flow_that_exists_and_so_does_our_own_importer() {
    let model = collect::model();
    let text = exported(Format::OpenLineage);
    let read = by_java("open_lineage", &text);
    let existing: Vec<_> = model.flows.iter().filter(|one| one.status != Status::Target).collect();
    has_all(
        &read,
        existing.iter().map(|flow| {
            format!("job {}: {} -> {}", flow.id, flow.from.join(" "), flow.to.join(" "))
        }),
    );
    assert_eq!(read.len(), existing.len());
    let imported = import_texts(Origin::OpenLineage, &[("x".to_owned(), text)]).unwrap();
    assert_eq!(imported.elements.len(), 1, "one namespace");
    assert_eq!(imported.left_out, []);
}

#[test]
fn the_measurement_beside_other_tools_counts_what_the_geometry_counts() {
    #[derive(serde::Deserialize)]
    struct Measured {
        scene: String,
        by: std::collections::BTreeMap<String, serde_json::Value>,
    }
    let script = root().join("tests/bench/pictures/main.mjs");
    let text = told("node", &[script.to_str().unwrap(), "c4gen"], &exported(Format::Scenes));
    let measured: Vec<Measured> = serde_json::from_str(&text).unwrap();
    let mut cache = check::read_cache(&root()).unwrap();
    let drawn: Vec<_> =
        scenes(&collect::model()).into_iter().filter(|scene| !scene.edges.is_empty()).collect();
    assert_eq!(measured.len(), drawn.len());
    for (one, scene) in measured.iter().zip(&drawn) {
        let placement = cache.place(&Elk, scene).unwrap();
        let figures = one.by.get("c4gen").unwrap();
        let figure = |key: &str| figures.get(key).and_then(serde_json::Value::as_u64).unwrap();
        assert_eq!(one.scene, scene.id);
        assert_eq!(figure("arrows"), scene.edges.len() as u64);
        assert_eq!(figure("crossings"), geometry::crossings(&placement) as u64, "{}", scene.id);
        for fault in
            ["text_on_text", "text_on_boxes", "arrows_through_boxes", "arrows_under_labels"]
        {
            assert_eq!(figure(fault), 0, "{fault} of {}", scene.id);
        }
    }
}

/// The counting of the measurement finds what is put there to be found.
#[test]
fn the_measurement_sees_every_kind_of_fault() {
    let scene = serde_json::json!({
        "id": "made_up", "title": "Made up", "width": 200, "height": 200, "boundaries": [],
        "boxes": [
            { "id": "a", "at": { "x": 0, "y": 0, "width": 20, "height": 20 } },
            { "id": "b", "at": { "x": 100, "y": 100, "width": 20, "height": 20 } },
            { "id": "c", "at": { "x": 50, "y": 50, "width": 10, "height": 10 } },
        ],
        "arrows": [
            // Through the box in the middle, under the other's label, across the other.
            { "id": "one", "from": "a", "to": "b", "points": [[20, 20], [100, 100]],
              "label": { "x": 60, "y": 20, "width": 20, "height": 10 } },
            // Its label lies on the first one's, and on a box.
            { "id": "two", "from": "c", "to": "b", "points": [[60, 55], [90, 55], [90, 120], [100, 120]],
              "label": { "x": 55, "y": 25, "width": 40, "height": 70 } },
        ],
    });
    let script = root().join("tests/bench/pictures/main.mjs");
    let text = told("node", &[script.to_str().unwrap(), "c4gen"], &scene.to_string());
    let measured: serde_json::Value = serde_json::from_str(&text).unwrap();
    let figures = measured.pointer("/0/by/c4gen").unwrap();
    for (fault, times) in [
        ("crossings", 1),
        ("text_on_text", 1),
        ("text_on_boxes", 1),
        ("arrows_through_boxes", 1),
        ("arrows_under_labels", 1),
    ] {
        assert_eq!(figures.get(fault).unwrap(), times, "{fault}");
    }
}
