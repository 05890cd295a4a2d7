//! The site and the checked-in files, from the declarations of the real workspace.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use c4gen::layout::elk::Elk;
use c4gen::layout::{Cache, Point, Rect};
use c4gen::observed::Observed;
use c4gen::released::Released;
use c4gen::scene::neighbours::neighbours;
use c4gen::site::{Input, pages, scenes};
use c4gen::{check, collect, geometry, sequence, svg};
use c4model::{FlowRecord, Status};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn built() -> BTreeMap<String, String> {
    let cache = check::read_cache(&root()).unwrap();
    let commit_date = Some("2026-11-23".to_owned());
    pages(&mut Input::new(collect::model(), cache, commit_date), &Elk).unwrap()
}

#[test]
fn everything_the_check_looks_at_holds() {
    let findings = check::all(&root(), &collect::model(), &Elk).unwrap();
    assert_eq!(findings, [], "run `c4gen check`; for T2 and S1 run `make site`");
}

#[test]
fn a_duplicate_id_fails_the_check() {
    let mut model = collect::model();
    let (element, flow) = (model.elements[0].clone(), model.flows[0].clone());
    model.elements.push(element.clone());
    model.flows.push(flow.clone());
    let findings = check::all(&root(), &model, &Elk).unwrap();
    for id in [element.id, flow.id] {
        let is_found = |one: &check::Finding| {
            one.check == "M1" && one.subject == id && one.message.starts_with("is the id of 2 ")
        };
        assert!(findings.iter().any(is_found), "{id}: {findings:?}");
    }
}

#[test]
fn code_for_a_target_flow_fails_the_check() {
    let mut model = collect::model();
    // The same name in another crate: the compiler cannot see it.
    let live = model.flow("postgres_full_load").unwrap().clone();
    let id = model.flows.iter().find(|flow| flow.status == Status::Target).unwrap().id.clone();
    model.flows.push(FlowRecord { id: id.clone(), ..live });
    let findings = check::all(&root(), &model, &Elk).unwrap();
    let found: Vec<_> =
        findings.iter().filter(|one| one.check == "T3" && one.subject == id).collect();
    assert_eq!(found.len(), 1, "{findings:?}");
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let (first, second) = (built(), built());
    assert!(first.len() > 150);
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
fn a_label_on_a_box_and_an_arrow_through_one_are_seen() {
    let mut cache = check::read_cache(&root()).unwrap();
    for scene in scenes(&collect::model()).iter().filter(|scene| !scene.edges.is_empty()) {
        let mut placement = cache.place(&Elk, scene).unwrap();
        assert_eq!(geometry::faults(scene, &placement), Vec::<String>::new(), "{}", scene.id);
        let node = *placement.nodes.values().next().unwrap();
        let edge = placement.edges.values_mut().next().unwrap();
        edge.label.x = node.x;
        edge.label.y = node.y;
        let middle = node.y + node.height / 2.0;
        edge.points = vec![Point { x: 0.0, y: middle }, Point { x: node.right(), y: middle }];
        let faults = geometry::faults(scene, &placement).join("\n");
        assert!(faults.contains("lies on the box") && faults.contains("runs through"), "{faults}");
    }
}

#[test]
fn pictures_without_an_engine_can_be_read_as_well() {
    let model = collect::model();
    let mut drawn = 0;
    for element in &model.elements {
        if let Some((scene, placement)) = neighbours(&model, element) {
            assert_eq!(geometry::faults(&scene, &placement), Vec::<String>::new(), "{}", scene.id);
            assert_eq!(geometry::crossings(&placement), 0, "{}", scene.id);
            drawn += 1;
        }
    }
    assert!(drawn > 40, "{drawn}");
    for scenario in &model.scenarios {
        let story = sequence::draw(&model, scenario);
        let texts: Vec<Rect> = story.labels.iter().chain(&story.heads).copied().collect();
        for (index, one) in texts.iter().enumerate() {
            assert!(one.x >= 0.0 && one.right() <= story.width, "{}: {one:?}", scenario.id);
            for other in texts.iter().skip(index + 1) {
                assert!(!one.overlaps(other), "{}: {one:?} on {other:?}", scenario.id);
            }
        }
    }
}

/// The places a page leads to: `href` and `src`, but no data.
fn links(text: &str) -> impl Iterator<Item = &str> {
    ["href=\"", "src=\""]
        .into_iter()
        .flat_map(|attribute| text.split(attribute).skip(1))
        .filter_map(|rest| rest.split('"').next())
        .filter(|link| !link.starts_with("data:"))
}

#[test]
fn every_link_and_fragment_leads_somewhere() {
    let files = built();
    let mut looked_at = 0;
    for (name, text) in files.iter().filter(|(name, _)| !name.ends_with(".js")) {
        for link in links(text) {
            let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
            // A picture by itself has no table below it; its fragments are those of its page.
            let page = name.replace(".svg", ".html");
            let target = files
                .get(if file.is_empty() { page.as_str() } else { file })
                .unwrap_or_else(|| panic!("{name} leads to {file}, which is not written"));
            let is_there = fragment.is_empty() || target.contains(&format!("id=\"{fragment}\""));
            assert!(is_there, "{name} leads to {link}, which is not there");
            looked_at += 1;
        }
    }
    assert!(looked_at > 2000, "{looked_at}");
    for (name, text) in &files {
        let shown = text.replace("http://www.w3.org/2000/svg", "");
        for foreign in ["http://", "https://", "//cdn", "@import", "url(//"] {
            assert!(!shown.contains(foreign), "{name} names {foreign}");
        }
    }
}

/// People are rounded, systems rectangles, databases and queues have shapes of their own; every arrow says what moves;
/// what nobody waits for is amber and dashed; what is planned says so. The legend is drawn by the same code.
#[test]
fn pictures_and_legend_keep_to_the_reading_rules() {
    let files = built();
    let (start, pictures) = (&files["index.html"], scenes(&collect::model()));
    let kinds = ["person", "service", "database", "bucket", "queue"];
    for (name, text) in files.iter().filter(|(_, text)| text.contains("class=\"c4\"")) {
        for node in text.split("<g class=\"node ").skip(1) {
            let shape = node.split(['"', ' ']).next().unwrap();
            let body = node.split("class=\"body\"").nth(1).unwrap().split('>').next().unwrap();
            let form = match shape {
                "person" => body.contains("rx=\"22\""),
                "service" => body.contains("rx=\"4\""),
                _ => kinds.contains(&shape) && body.trim_start().starts_with("d=\"M"),
            };
            assert!(form, "{name}: a {shape} is drawn as {body}");
        }
    }
    for shown in kinds.iter().chain(&["external", "planned", "sync", "async", "target", "retiring"])
    {
        let is_drawn = ["node", "edge"].iter().any(|part| {
            start.split(&format!("<g class=\"{part} ")).skip(1).any(|rest| {
                rest.split('"').next().is_some_and(|all| all.split(' ').any(|one| one == *shown))
            })
        });
        assert!(is_drawn, "the legend does not show {shown}");
    }
    for edge in pictures.iter().flat_map(|scene| &scene.edges) {
        let said: Vec<&str> = edge.label.iter().map(|line| line.text.as_str()).collect();
        assert!(edge.label.iter().any(|line| line.class == "moves"), "{} says nothing", edge.id);
        let is_tagged = said.join(" ").contains("target");
        assert_eq!(is_tagged, edge.status == Status::Target, "{}: {said:?}", edge.id);
    }
    let rule = |class: &str| {
        let of = format!(".c4 .edge.{class} path:not(.hit) {{");
        svg::STYLE.split(&of).nth(1).unwrap().split('}').next().unwrap()
    };
    assert!(rule("async").contains("dasharray") && rule("async").contains("--async"));
    assert!(rule("target").contains("dasharray") && !rule("sync").contains("dasharray"));
    for (name, text) in files.iter().filter(|(name, _)| name.ends_with(".html")) {
        let stamp = concat!("2026-11-23</time> · c4gen ", env!("CARGO_PKG_VERSION"));
        assert!(text.contains("<h1>") && text.contains(stamp), "{name} lacks title or stamp");
    }
}

#[test]
fn a_diff_of_two_commits_is_markdown_a_picture_and_an_exit_code() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("diff-repository");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    std::fs::create_dir_all(&folder).unwrap();
    let git = |arguments: &[&str]| {
        let done = Command::new("git")
            .args(["-c", "user.name=a", "-c", "user.email=a@example.org"])
            .args(arguments)
            .current_dir(&folder)
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    git(&["init", "-q"]);
    let mut model = collect::model();
    for commit in ["before", "after"] {
        std::fs::write(folder.join("architecture.json"), model.to_json()).unwrap();
        git(&["add", "."]);
        git(&["commit", "-q", "-m", commit]);
        git(&["tag", commit]);
        model.flows.retain(|flow| flow.id != "dashboards");
    }
    let diff = |range: &str| {
        let done = Command::new(env!("CARGO_BIN_EXE_c4gen"))
            .args(["diff", range, "--exit-code", "--out", "out", "--root", "."])
            .current_dir(&folder)
            .output()
            .unwrap();
        (done.status.code(), String::from_utf8(done.stdout).unwrap())
    };
    let (code, said) = diff("before..after");
    assert_eq!(code, Some(2));
    assert!(said.contains("Dashboards") && said.contains("### Flows"), "{said}");
    let picture = std::fs::read_to_string(folder.join("out/architecture-diff.svg")).unwrap();
    assert!(picture.contains("× Dashboards") && picture.contains(" removed\""));
    let written = std::fs::read_to_string(folder.join("out/architecture-diff.md")).unwrap();
    assert_eq!(written.trim_end(), said.trim_end());
    assert_eq!(diff("before..before").0, Some(0));
}

#[test]
fn every_flow_is_in_the_table_in_a_diagram_and_in_the_search() {
    let files = built();
    let model = collect::model();
    let diagrams: BTreeSet<String> = scenes(&model)
        .into_iter()
        .flat_map(|scene| scene.edges)
        .flat_map(|edge| edge.flows)
        .collect();
    for flow in &model.flows {
        let page = format!("flow-{}.html", flow.id);
        assert!(files.get("flows.html").unwrap().contains(&page), "{page} is not in the table");
        assert!(files.get("search.js").unwrap().contains(&page), "{page} cannot be found");
        assert!(diagrams.contains(&flow.id), "{} is in no diagram", flow.id);
    }
    for element in &model.elements {
        let page = format!("element-{}.html", element.id);
        assert!(files.contains_key(&page) && files.get("search.js").unwrap().contains(&page));
    }
}

#[test]
fn changes_since_a_release_are_drawn_and_told() {
    let now = collect::model();
    let page_of = |released: Option<Released>| {
        let mut input = Input::new(now.clone(), check::read_cache(&root()).unwrap(), None);
        input.released = released;
        pages(&mut input, &Elk).unwrap().remove("changes.html").unwrap()
    };
    assert!(page_of(None).contains("Nothing has been released yet"));
    let mut released = Released { version: "1.2.3".to_owned(), model: now.clone() };
    assert!(page_of(Some(released.clone())).contains("Nothing has changed since release 1.2.3"));

    let gone = FlowRecord {
        id: "gone".to_owned(),
        moves: "Old rows".to_owned(),
        ..now.flow("raw_files").unwrap().clone()
    };
    released.model.flows.push(gone);
    released.model.flows.retain(|flow| flow.id != "dashboards");
    released.model.elements.iter_mut().find(|one| one.id == "vault").unwrap().owner =
        "nobody".to_owned();
    let page = page_of(Some(released.clone()));
    for told in [
        "1 flows added, 0 changed, 1 removed; 0 elements added, 1 changed",
        "+ Dashboards",
        "× Old rows",
        "<code>owner</code>: nobody → ",
        "flow-dashboards.html",
    ] {
        assert!(page.contains(told), "{told}");
    }
    assert!(!page.contains("flow-gone.html"), "what is gone has no page");
    let scene = released.scene(&now).unwrap();
    let placement = Cache::default().place(&Elk, &scene).unwrap();
    assert_eq!(geometry::faults(&scene, &placement), Vec::<String>::new());
    let read: Released = serde_json::from_str(&released.to_json()).unwrap();
    assert!(read.to_json() == released.to_json() && read.differences(&released.model).is_empty());
}

#[test]
fn what_was_seen_what_was_silent_and_what_nobody_declared_are_drawn() {
    let event = |flow: &str, from: &str, to: &str| {
        format!(
            r#"{{"eventType":"COMPLETE","eventTime":"2026-11-29T09:00:00Z","job":{{"name":"{flow}"}},"inputs":[{{"name":"{from}"}}],"outputs":[{{"name":"{to}"}}]}}"#
        )
    };
    let mut observed = Observed::default();
    let lines = [
        event("postgres_full_load", "mitxonline_database", "raw_lake"),
        event("nightly <copy>", "raw_lake", "marts"),
        event("signed_notices", "webhook_outbox", "hubspot"),
    ];
    observed.fold(&lines.join("\n"));
    let mut input = Input::new(collect::model(), check::read_cache(&root()).unwrap(), None);
    input.observed = Some(observed);
    let files = pages(&mut input, &Elk).unwrap();
    let of = |id: &str| input.model.flows.iter().find(|flow| flow.id.contains(id)).unwrap();
    for (id, page, standing) in [
        ("postgres_full_load", "group-ingestion.html", "seen"),
        ("content_notices", "group-serving.html", "silent"),
        ("undeclared_nightly", "group-lakehouse.html", "undeclared"),
        ("undeclared_signed_notices", "system-data_platform.html", "undeclared"),
    ] {
        let (text, file) = (&files[page], format!("flow-{}.html", of(id).id));
        let is_framed = text.split("<g class=\"label ").skip(1).any(|label| {
            label.split('"').next().is_some_and(|all| all.split(' ').any(|one| one == standing))
        });
        assert!(is_framed, "{page} draws no {standing}");
        assert!(
            text.contains(&file) && files.contains_key(&file),
            "{page} does not lead to {file}"
        );
        assert!(files["index.html"].contains(&file), "{file} is not on the first page");
    }
    assert!(!files["index.html"].contains("<copy>"), "a name of others is not escaped");
    for scene in scenes(&input.model) {
        let placement = input.cache.place(&Elk, &scene).unwrap();
        assert_eq!(geometry::faults(&scene, &placement), Vec::<String>::new(), "{}", scene.id);
    }
}

#[test]
fn pages_are_light() {
    let files = built();
    let size = |name: &str| files.get(name).map_or(0, String::len);
    let whole: usize = files.values().map(String::len).sum();
    assert!(whole < 3_000_000, "the site has {whole} bytes");
    assert!(size("site.js") + size("theme.js") < 25_000);
    assert!(size("search.js") < 50_000, "{}", size("search.js"));
    for (name, text) in &files {
        assert!(text.len() < 150_000, "{name} has {} bytes", text.len());
    }
}

/// The contrast of two colours written as `#rrggbb`, by WCAG 2.
fn contrast(one: &str, other: &str) -> f64 {
    let luminance = |colour: &str| {
        let part = |from: usize| {
            let value = f64::from(u8::from_str_radix(&colour[from..from + 2], 16).unwrap()) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
    };
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn colours_can_be_told_apart() {
    // axe cannot judge text of a picture, so the palettes are judged here.
    let palettes: Vec<BTreeMap<&str, &str>> = svg::STYLE
        .split("--paper:")
        .skip(1)
        .map(|rest| {
            format!("--paper:{rest}")
                .leak()
                .split('}')
                .next()
                .unwrap()
                .split(';')
                .filter_map(|pair| pair.trim().split_once(": "))
                .collect()
        })
        .collect();
    assert_eq!(palettes.len(), 3, "light, dark by the system, dark by choice");
    assert_eq!(palettes[1], palettes[2]);
    for palette in &palettes {
        let at = |name: &str| *palette.get(format!("--{name}").as_str()).unwrap();
        for shape in ["service", "database", "bucket", "queue", "person", "external", "planned"] {
            let text = contrast(at(&format!("{shape}-ink")), at(shape));
            assert!(text >= 4.5, "text of {shape}: {text:.2}");
            let line = contrast(at(&format!("{shape}-line")), at("paper"));
            assert!(line >= 3.0, "line of {shape}: {line:.2}");
        }
        for line in ["sync", "async", "target", "ink", "soft"] {
            for ground in ["paper", "depth0", "depth1", "depth2", "tab"] {
                let text = contrast(at(line), at(ground));
                assert!(text >= 4.5, "{line} on {ground}: {text:.2}");
            }
        }
    }
}
