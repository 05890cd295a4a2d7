//! The site and the checked-in files, from the declarations of the real workspace.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use c4gen::layout::elk::Elk;
use c4gen::layout::{Cache, Layout, Point};
use c4gen::site::{Input, pages, scenes};
use c4gen::{check, collect, geometry};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn built() -> BTreeMap<String, String> {
    let cache = check::read_cache(&root()).unwrap();
    let commit_date = Some("2026-11-23".to_owned());
    pages(&mut Input { model: collect::model(), cache, commit_date }, &Elk).unwrap()
}

#[test]
fn everything_the_check_looks_at_holds() {
    let findings = check::all(&root(), &collect::model(), &Elk).unwrap();
    assert_eq!(findings, [], "run `c4gen check`; for T2 run `c4gen export`");
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let (first, second) = (built(), built());
    assert!(first.len() > 8);
    assert_eq!(first, second);
    let fresh = || {
        let mut cache = Cache::default();
        let scene = scenes(&collect::model()).swap_remove(0);
        cache.place(&Elk, &scene).unwrap();
        cache.to_json()
    };
    assert_eq!(fresh(), fresh());
}

#[test]
fn arrows_cross_seldom_and_faults_are_seen() {
    for scene in scenes(&collect::model()) {
        let mut placement = Elk.place(&scene).unwrap();
        assert_eq!(geometry::faults(&scene, &placement), Vec::<String>::new(), "{}", scene.id);
        let crossings = geometry::crossings(&placement);
        let bound = scene.edges.len() * 6 / 5;
        assert!(crossings <= bound, "{}: {crossings} crossings, at most {bound}", scene.id);

        // A label moved onto a box, and an arrow led through one, are seen.
        let node = *placement.nodes.values().next().unwrap();
        let edge = placement.edges.values_mut().next().unwrap();
        edge.label.x = node.x;
        edge.label.y = node.y;
        let middle = node.y + node.height / 2.0;
        edge.points = vec![Point { x: 0.0, y: middle }, Point { x: node.right(), y: middle }];
        let faults = geometry::faults(&scene, &placement).join("\n");
        assert!(faults.contains("lies on the box") && faults.contains("runs through"), "{faults}");
    }
}

#[test]
fn every_link_and_fragment_leads_somewhere() {
    let files = built();
    let mut looked_at = 0;
    for (name, text) in &files {
        for link in text.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() {
                text
            } else {
                files
                    .get(file)
                    .unwrap_or_else(|| panic!("{name} leads to {file}, which is not written"))
            };
            let is_there = fragment.is_empty() || target.contains(&format!("id=\"{fragment}\""));
            assert!(is_there, "{name} leads to {link}, which is not there");
            looked_at += 1;
        }
        for foreign in ["http://", "https://", "//cdn"] {
            let shown = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!shown.contains(foreign), "{name} names {foreign}");
        }
    }
    assert!(looked_at > 200);
}

#[test]
fn every_flow_is_in_the_table_and_in_a_diagram() {
    let files = built();
    let table = files.get("flows.html").unwrap();
    let model = collect::model();
    let drawn: String = files
        .iter()
        .filter(|(name, _)| name.ends_with(".svg"))
        .map(|(_, text)| text.as_str())
        .collect();
    let links: BTreeSet<&str> =
        drawn.split("flows.html#flow-").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    for flow in &model.flows {
        assert!(table.contains(&format!("id=\"flow-{}\"", flow.id)), "{}", flow.id);
        assert!(links.contains(flow.id.as_str()), "{} is in no diagram", flow.id);
    }
}
