//! A made-up model of 300 elements and 900 flows, always the same: it builds in bounded memory, its pages
//! can be read and its pictures hold to the rules.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

use c4gen::geometry;
use c4gen::layout::elk::Elk;
use c4gen::layout::{Cache, Layout as _};
use c4gen::site::{Input, pages, scenes};
use c4model::{ElementRecord, EvidenceRecord, FlowRecord, Kind, Level, Model, Shape, Status};

const SYSTEMS: usize = 20;
const CONTAINERS: usize = 14;
const FLOWS: usize = 900;

/// Numbers that look random and are the same every time (Knuth's MMIX generator, its upper half).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

fn element(id: String, level: Level, shape: Shape, parent: Option<String>) -> ElementRecord {
    ElementRecord {
        name: id.replace('_', " "),
        level,
        shape,
        parent,
        family: None,
        deployment: None,
        is_family: false,
        status: Status::Live,
        tech: "Rust".to_owned(),
        owner: "somebody".to_owned(),
        summary: format!("What {id} is for"),
        package: String::new(),
        links: Vec::new(),
        was: Vec::new(),
        id,
    }
}

/// Data runs downhill from system to system and seldom far, as it does in platforms that can be read; one
/// flow in nine goes back.
fn model() -> Model {
    let mut dice = Dice(7);
    let system = |number: usize| format!("system_{number:02}");
    let container =
        |number: usize| format!("store_{:02}_{:02}", number / CONTAINERS, number % CONTAINERS);
    let mut elements = Vec::new();
    for number in 0..SYSTEMS {
        elements.push(element(system(number), Level::System, Shape::Service, None));
    }
    for number in 0..SYSTEMS * CONTAINERS {
        let shape = [Shape::Service, Shape::Database, Shape::Queue, Shape::Bucket][dice.below(4)];
        let parent = system(number / CONTAINERS);
        elements.push(element(container(number), Level::Container, shape, Some(parent)));
    }
    let all = SYSTEMS * CONTAINERS;
    let flows = (0..FLOWS).map(|number| {
        let one = number % all;
        // Most within a system, some to the next one, few to the one after.
        let reach = [4, 4, 4, 9, 9, 9, CONTAINERS, CONTAINERS, 2 * CONTAINERS][dice.below(9)];
        let other = (one + 1 + dice.below(reach)) % all;
        let (from, to) = if dice.below(9) == 0 { (other, one) } else { (one, other) };
        FlowRecord {
            id: format!("flow_{number:03}"),
            from: vec![container(from)],
            through: None,
            to: vec![container(to)],
            moves: format!("Rows {}", dice.below(40)),
            tech: "SQL".to_owned(),
            tech_onward: String::new(),
            kind: [Kind::Sync, Kind::Queued, Kind::Scheduled, Kind::Event][dice.below(4)],
            by: "from".to_owned(),
            // What is to go is in one place, as it is where somebody tidies up.
            status: if one < 12 && dice.below(3) == 0 { Status::Retiring } else { Status::Live },
            owner: "somebody".to_owned(),
            retry: String::new(),
            timeout: String::new(),
            idempotent: String::new(),
            cadence: String::new(),
            volume: String::new(),
            personal_data: String::new(),
            is_control: false,
            evidence: vec![EvidenceRecord::Said {
                who: "the test".to_owned(),
                when: "now".to_owned(),
            }],
            was: Vec::new(),
        }
    });
    let flows: Vec<FlowRecord> = flows.collect();
    elements.sort_by(|left, right| left.id.cmp(&right.id));
    Model { format: Model::FORMAT, elements, flows, scenarios: Vec::new() }
}

/// The most memory this process has ever held, in mebibytes.
fn peak_mebibytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

#[test]
fn three_hundred_elements_and_nine_hundred_flows_still_build_and_read() {
    let model = model();
    assert_eq!((model.elements.len(), model.flows.len()), (300, 900));
    let mut cache = Cache::default();
    let (mut crossings, mut arrows) = (0, 0);
    for scene in scenes(&model) {
        let placement = cache.place(&Elk, &scene).unwrap();
        assert_eq!(geometry::faults(&scene, &placement), Vec::<String>::new(), "{}", scene.id);
        crossings += geometry::crossings(&placement);
        arrows += scene.edges.len();
    }
    assert!(crossings < 2 * arrows, "{crossings} crossings of {arrows} arrows");
    let digest = Elk.digest(&scenes(&model)[0]);
    assert_eq!(digest, Elk.digest(&scenes(&model)[0]));

    let mut input = Input::new(model, cache, None);
    let files = pages(&mut input, &Elk).unwrap();
    assert!(files.len() > 300 + 900 + 20, "{}", files.len());
    let (heaviest, bytes) = files
        .iter()
        .map(|(name, text)| (name, text.len()))
        .max_by_key(|(_, bytes)| *bytes)
        .unwrap();
    assert!(bytes < 800_000, "{heaviest} has {bytes} bytes");
    for flow in &input.model.flows {
        assert!(files["flows.html"].contains(&format!("flow-{}.html", flow.id)), "{}", flow.id);
    }
    assert!(peak_mebibytes() < 700, "{} MiB", peak_mebibytes());
}
