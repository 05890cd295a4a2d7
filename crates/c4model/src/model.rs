//! The whole model as plain data: what `architecture.json` holds and everything else reads.

use serde::{Deserialize, Serialize};

use crate::registry::{elements, flows, scenarios};
use crate::{Caller, ElementDeclaration, Evidence, FlowDeclaration, Kind, Level, Shape, Status};

/// An element as data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ElementRecord {
    /// Stable slug.
    pub id: String,
    /// Name as people say it.
    pub name: String,
    /// Level of the C4 model.
    pub level: Level,
    /// How it is drawn.
    pub shape: Shape,
    /// Id of the element it is drawn inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Id of the family it is a deployment of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// Its name in the inventory, when it is a deployment of a family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<String>,
    /// Whether it stands for many deployments.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_family: bool,
    /// Whether it exists.
    pub status: Status,
    /// Technology; empty when not stated.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tech: String,
    /// Team that answers for it; empty when not stated.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// What it is for.
    pub summary: String,
    /// Cargo package whose functions run inside it; empty when none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub package: String,
    /// Where to read on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<String>,
    /// Earlier ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub was: Vec<String>,
}

/// Evidence as data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum EvidenceRecord {
    /// A function of this workspace.
    Code {
        /// Path of the function.
        function: String,
        /// File, relative to the root of the workspace.
        file: String,
        /// Line of the declaration, counted from 1. Not written to `architecture.json`, which
        /// would else change whenever a line is added above; 0 when read from there.
        #[serde(skip)]
        line: u32,
        /// Cargo package.
        package: String,
    },
    /// A file of this repository.
    File {
        /// Path relative to the root of the workspace.
        path: String,
        /// Text the file must contain.
        contains: String,
    },
    /// A file of others, which `c4gen import` has read; never declared, and so never in
    /// `architecture.json`.
    Imported {
        /// What the file is, e.g. `airbyte`.
        origin: String,
        /// The file, as it was named when it was read.
        path: String,
        /// The place in it.
        at: String,
    },
    /// Somebody said so.
    Said {
        /// Who, or which document.
        who: String,
        /// When.
        when: String,
    },
}

/// A flow as data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowRecord {
    /// Stable slug.
    pub id: String,
    /// Ids of where the data comes from.
    pub from: Vec<String>,
    /// Id of the element that runs the flow's function, when it is neither end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<String>,
    /// Ids of where the data goes.
    pub to: Vec<String>,
    /// What moves.
    pub moves: String,
    /// Technology.
    pub tech: String,
    /// Technology of the second leg; empty when the same.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tech_onward: String,
    /// How the ends are coupled in time.
    pub kind: Kind,
    /// Who calls: `from`, `to` or `through`.
    pub by: String,
    /// Whether it exists.
    pub status: Status,
    /// Team that answers for it.
    pub owner: String,
    /// What happens after a failure; this and the texts below are empty when not stated.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub retry: String,
    /// After how long it is given up.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub timeout: String,
    /// What a repetition does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub idempotent: String,
    /// How often.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cadence: String,
    /// How much.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub volume: String,
    /// Whether personal data moves.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub personal_data: String,
    /// Whether it only says what is to be done or that it was done.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_control: bool,
    /// Whence we know it.
    pub evidence: Vec<EvidenceRecord>,
    /// Earlier ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub was: Vec<String>,
}

/// One step of a story as data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepRecord {
    /// Id of the flow.
    pub flow: String,
    /// What happens.
    pub note: String,
}

/// A story as data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioRecord {
    /// Stable slug.
    pub id: String,
    /// Title.
    pub title: String,
    /// When it happens and why it is worth knowing; empty when not stated.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// Its steps, in order.
    pub steps: Vec<StepRecord>,
}

/// Everything declared, in the order of ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Version of this format.
    pub format: u32,
    /// Elements by id.
    pub elements: Vec<ElementRecord>,
    /// Flows by id.
    pub flows: Vec<FlowRecord>,
    /// Scenarios by id.
    pub scenarios: Vec<ScenarioRecord>,
}

impl Model {
    /// Version of the format this crate writes.
    pub const FORMAT: u32 = 1;

    /// What the crates linked into this binary have declared. Nothing is checked: duplicates stay.
    #[must_use]
    pub fn collect() -> Self {
        let mut elements: Vec<_> = elements().map(element_record).collect();
        let mut flows: Vec<_> = flows().map(flow_record).collect();
        let mut scenarios: Vec<_> = scenarios()
            .map(|scenario| ScenarioRecord {
                id: scenario.id.to_owned(),
                title: scenario.title.to_owned(),
                about: scenario.about.to_owned(),
                steps: scenario
                    .steps
                    .iter()
                    .map(|step| StepRecord {
                        flow: step.flow.id.to_owned(),
                        note: step.note.to_owned(),
                    })
                    .collect(),
            })
            .collect();
        elements.sort_by(|left, right| (&left.id, &left.name).cmp(&(&right.id, &right.name)));
        flows.sort_by(|left, right| (&left.id, &left.from).cmp(&(&right.id, &right.from)));
        scenarios.sort_by(|left, right| left.id.cmp(&right.id));
        Self { format: Self::FORMAT, elements, flows, scenarios }
    }

    /// The element of this id.
    #[must_use]
    pub fn element(&self, id: &str) -> Option<&ElementRecord> {
        self.elements.iter().find(|element| element.id == id)
    }

    /// The flow of this id.
    #[must_use]
    pub fn flow(&self, id: &str) -> Option<&FlowRecord> {
        self.flows.iter().find(|flow| flow.id == id)
    }

    /// The text of `architecture.json`: indented, in the order of ids, with a final line break.
    ///
    /// # Panics
    /// Never: the model has string keys only.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("the model has string keys only");
        text.push('\n');
        text
    }
}

fn element_record(element: &ElementDeclaration) -> ElementRecord {
    let facts = element.facts;
    ElementRecord {
        id: facts.id.to_owned(),
        name: facts.name.to_owned(),
        level: element.level,
        shape: facts.shape,
        parent: element.parent.map(|parent| parent.facts.id.to_owned()),
        family: element.deployment_of.map(|(family, _)| family.facts.id.to_owned()),
        deployment: element.deployment_of.map(|(_, deployment)| deployment.to_owned()),
        is_family: element.is_family,
        status: facts.status,
        tech: facts.tech.to_owned(),
        owner: facts.owner.to_owned(),
        summary: facts.summary.to_owned(),
        package: facts.package.to_owned(),
        links: owned(facts.links),
        was: owned(facts.was),
    }
}

fn flow_record(flow: &FlowDeclaration) -> FlowRecord {
    let facts = flow.facts;
    let through = match flow.code {
        Some(Evidence::Code { package, .. }) => {
            elements().find(|element| element.facts.package == package)
        }
        Some(Evidence::File { .. } | Evidence::Said { .. }) | None => None,
    };
    let is_end = |id: &str| flow.from.iter().chain(flow.to).any(|end| end.facts.id == id);
    let through = through.map(|element| element.facts.id).filter(|id| !is_end(id));
    FlowRecord {
        id: flow.id.to_owned(),
        from: flow.from.iter().map(|end| end.facts.id.to_owned()).collect(),
        through: through.map(str::to_owned),
        to: flow.to.iter().map(|end| end.facts.id.to_owned()).collect(),
        moves: facts.moves.to_owned(),
        tech: facts.tech.to_owned(),
        tech_onward: facts.tech_onward.to_owned(),
        kind: facts.kind,
        by: match facts.by {
            Caller::From => "from",
            Caller::To => "to",
            Caller::Through => "through",
        }
        .to_owned(),
        status: flow.status,
        owner: facts.owner.to_owned(),
        retry: facts.retry.to_owned(),
        timeout: facts.timeout.to_owned(),
        idempotent: facts.idempotent.to_owned(),
        cadence: facts.cadence.to_owned(),
        volume: facts.volume.to_owned(),
        personal_data: facts.personal_data.to_owned(),
        is_control: facts.is_control,
        evidence: flow.code.iter().chain(facts.evidence).map(evidence_record).collect(),
        was: owned(facts.was),
    }
}

fn evidence_record(evidence: &Evidence) -> EvidenceRecord {
    match *evidence {
        Evidence::Code { function, file, line, package } => EvidenceRecord::Code {
            function: function.to_owned(),
            file: file.to_owned(),
            line,
            package: package.to_owned(),
        },
        Evidence::File { path, contains } => {
            EvidenceRecord::File { path: path.to_owned(), contains: contains.to_owned() }
        }
        Evidence::Said { who, when } => {
            EvidenceRecord::Said { who: who.to_owned(), when: when.to_owned() }
        }
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field by reference")]
fn is_false(value: &bool) -> bool {
    !value
}
