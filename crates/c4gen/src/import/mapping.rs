//! What was imported beside what is declared. `architecture.imported.toml` says which imported elements
//! a declared element stands for, and what is left alone and why; nothing is matched by likeness.
//!
//! An imported flow is declared when some declared flow that exists has both its ends, or when two carry
//! it over whatever it runs through. An end is the declared element itself, one inside it or around it,
//! its family or its deployment. Where only the caller is known, either direction will do.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use c4model::{ElementRecord, EvidenceRecord, FlowRecord, Level, Model, Shape, Status};
use globset::{Glob, GlobMatcher};
use serde::Deserialize;

use super::{Direction, Flow, Imported, Origin};
use crate::check::Finding;
use crate::error::Error;
use crate::scene::leg::{family_of, is_inside};
use crate::workspace;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    same: Vec<Same>,
    #[serde(default)]
    ignored: Vec<Ignored>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Same {
    declared: String,
    imported: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ignored {
    imported: Vec<String>,
    reason: String,
}

/// The declared mapping: patterns of imported ids, and the declared element they stand for.
#[derive(Debug, Default)]
pub struct Mapping {
    patterns: Vec<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    text: String,
    matcher: GlobMatcher,
    /// None when what it matches is left alone.
    declared: Option<String>,
}

impl Mapping {
    /// Reads a mapping; an absent file is an empty one.
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be read, [`Error::Import`] when it is no mapping.
    pub fn read(path: &Path) -> Result<Self, Error> {
        if !path.exists() {
            return Ok(Self::default());
        }
        Self::parse(path, &workspace::read(path)?)
    }

    /// As [`Mapping::read`], from its text.
    ///
    /// # Errors
    /// As [`Mapping::read`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        let refused = |at: String, problem: String| {
            Error::Import {
            path: PathBuf::from(path),
            at,
            problem,
            cure: "write `[[same]]` with `declared` and `imported`, or `[[ignored]]` with `imported` and `reason`"
                .to_owned(),
        }
        };
        let written: Written = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            refused(format!("line {}", before.lines().count().max(1)), error.message().to_owned())
        })?;
        let mut patterns = Vec::new();
        let mut add = |text: &String, declared: Option<&String>| {
            let matcher = Glob::new(text)
                .map_err(|error| refused(format!("`{text}`"), error.to_string()))?
                .compile_matcher();
            patterns.push(Pattern { text: text.clone(), matcher, declared: declared.cloned() });
            Ok(())
        };
        for same in &written.same {
            for text in &same.imported {
                add(text, Some(&same.declared))?;
            }
        }
        for ignored in &written.ignored {
            if ignored.reason.trim().is_empty() {
                let at = format!("`{}`", ignored.imported.join("`, `"));
                return Err(refused(at, "no reason is given".to_owned()));
            }
            for text in &ignored.imported {
                add(text, None)?;
            }
        }
        Ok(Self { patterns })
    }
}

/// What was imported, held against what is declared.
#[derive(Debug)]
pub struct Comparison<'input> {
    model: &'input Model,
    imported: &'input Imported,
    /// By the imported id: the declared one, or nothing when it is left alone. Unmapped ones are absent.
    mapped: BTreeMap<&'input str, Option<&'input str>>,
    problems: Vec<Finding>,
}

impl<'input> Comparison<'input> {
    /// Matches every imported element. The first pattern of the mapping that matches counts.
    #[must_use]
    pub fn new(model: &'input Model, imported: &'input Imported, mapping: &'input Mapping) -> Self {
        let mut mapped = BTreeMap::new();
        let mut used: BTreeSet<&str> = BTreeSet::new();
        let mut problems = Vec::new();
        for element in &imported.elements {
            let is_meant = |pattern: &&Pattern| {
                pattern.matcher.is_match(&element.id)
                    || element.also.iter().any(|name| pattern.matcher.is_match(name))
            };
            if let Some(pattern) = mapping.patterns.iter().find(is_meant) {
                mapped.insert(element.id.as_str(), pattern.declared.as_deref());
            }
            used.extend(mapping.patterns.iter().filter(is_meant).map(|one| one.text.as_str()));
        }
        for pattern in &mapping.patterns {
            if let Some(declared) = &pattern.declared
                && model.element(declared).is_none()
            {
                let message =
                    format!("the mapping of `{}` names it, and nothing declares it", pattern.text);
                problems.push(Finding::new("I3", declared, message));
            }
            // A pattern may speak of files that are not given this time.
            let is_read = imported
                .elements
                .iter()
                .any(|element| pattern.text.starts_with(&format!("{}:", origin_of(&element.id))));
            if is_read && !used.contains(pattern.text.as_str()) {
                let message =
                    "the mapping names it, and nothing imported matches; remove the pattern"
                        .to_owned();
                problems.push(Finding::new("I3", &pattern.text, message));
            }
        }
        Self { model, imported, mapped, problems }
    }

    /// I1: imported and not declared. I2: declared, and no imported file says so although it speaks of
    /// both ends. I3: the mapping names what is not there.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = self.problems.clone();
        for element in &self.imported.elements {
            if !self.mapped.contains_key(element.id.as_str()) {
                let message = format!(
                    "{} is imported ({} at {}) and not declared; declare it, or name it in the mapping",
                    element.name, element.place.path, element.place.at
                );
                findings.push(Finding::new("I1", &element.id, message));
            }
        }
        for (flow, from, to) in self.undeclared() {
            let place = flow.evidence.first();
            let message = format!(
                "{} is imported ({}) and no declared flow goes from `{from}` to `{to}`",
                flow.moves,
                place.map(|place| format!("{} at {}", place.path, place.at)).unwrap_or_default(),
            );
            findings.push(Finding::new("I1", &format!("{} → {}", flow.from, flow.to), message));
        }
        for (flow, origin) in self.silent() {
            let message = format!(
                "is declared, and no imported flow of {} says so although both its ends were imported",
                origin.word()
            );
            findings.push(Finding::new("I2", &flow.id, message));
        }
        findings.sort();
        findings
    }

    fn declared_id(&self, id: &str) -> Option<&'input str> {
        self.mapped.get(id).copied().flatten()
    }

    fn ends(&self, flow: &Flow) -> Option<(&'input str, &'input str)> {
        Some((self.declared_id(&flow.from)?, self.declared_id(&flow.to)?))
    }

    /// The two halves of a flow that something carries, as declared ids.
    fn halves(&self, flow: &Flow) -> Option<[(&'input str, &'input str); 2]> {
        let through = self.declared_id(flow.through.as_deref()?)?;
        let (from, to) = self.ends(flow)?;
        Some([(from, through), (through, to)])
    }

    /// Whether this declared flow goes from one to the other.
    fn goes(&self, declared: &FlowRecord, from: &str, to: &str, direction: Direction) -> bool {
        let among = |ends: &[String], id: &str| ends.iter().any(|end| is_same(self.model, end, id));
        let through =
            |id: &str| declared.through.as_ref().is_some_and(|end| is_same(self.model, end, id));
        let one_way = |from: &str, to: &str| {
            (among(&declared.from, from) && (among(&declared.to, to) || through(to)))
                || (through(from) && among(&declared.to, to))
        };
        declared.status != Status::Target
            && (one_way(from, to) || (direction == Direction::Call && one_way(to, from)))
    }

    /// Whether some declared flow goes from one to the other.
    fn some_goes(&self, (from, to): (&str, &str), direction: Direction) -> bool {
        self.model.flows.iter().any(|declared| self.goes(declared, from, to, direction))
    }

    fn is_declared(&self, flow: &Flow) -> bool {
        self.ends(flow).is_some_and(|ends| self.some_goes(ends, flow.direction))
            || self.halves(flow).is_some_and(|halves| {
                halves.into_iter().all(|half| self.some_goes(half, flow.direction))
            })
    }

    /// The declared flows that an imported one tells of: from end to end, or half of the way.
    pub fn told_by(&self, flow: &Flow) -> impl Iterator<Item = &'input FlowRecord> {
        let mut ways: Vec<_> = self.halves(flow).into_iter().flatten().collect();
        ways.extend(self.ends(flow));
        let direction = flow.direction;
        let model = self.model;
        model.flows.iter().filter(move |declared| {
            ways.iter().any(|(from, to)| self.goes(declared, from, to, direction))
        })
    }

    /// Imported flows between declared elements that nothing declares, with the declared ends.
    #[must_use]
    pub fn undeclared(&self) -> Vec<(&'input Flow, &'input str, &'input str)> {
        let all = self.imported.flows.iter();
        all.filter_map(|flow| {
            let (from, to) = self.ends(flow)?;
            let is_within = is_inside(self.model, from, to) || is_inside(self.model, to, from);
            (!is_within && !self.is_declared(flow)).then_some((flow, from, to))
        })
        .collect()
    }

    /// Declared flows that others carry and no imported file tells of, although files of one origin speak
    /// of both their ends.
    #[must_use]
    pub fn silent(&self) -> Vec<(&'input FlowRecord, Origin)> {
        let told: BTreeSet<&str> = self
            .imported
            .flows
            .iter()
            .flat_map(|flow| self.told_by(flow).map(|declared| declared.id.as_str()))
            .collect();
        let origins: BTreeSet<Origin> = self.imported.flows.iter().map(|one| one.origin).collect();
        let speaks_of = |ends: &[String], origin: Origin| {
            self.mapped.iter().any(|(id, declared)| {
                origin_of(id) == origin.word()
                    && declared.is_some_and(|declared| ends.iter().any(|end| end == declared))
            })
        };
        let mut silent = Vec::new();
        for flow in &self.model.flows {
            let is_ours =
                flow.evidence.iter().any(|one| matches!(one, EvidenceRecord::Code { .. }));
            if !is_ours && flow.status != Status::Target && !told.contains(flow.id.as_str()) {
                let speaking = origins.iter().find(|origin| {
                    speaks_of(&flow.from, **origin) && speaks_of(&flow.to, **origin)
                });
                silent.extend(speaking.map(|origin| (flow, *origin)));
            }
        }
        silent
    }

    /// What is declared.
    #[must_use]
    pub fn model(&self) -> &'input Model {
        self.model
    }

    /// How many imported flows are declared.
    #[must_use]
    pub fn declared(&self) -> usize {
        self.imported.flows.iter().filter(|flow| self.is_declared(flow)).count()
    }

    /// The declared model together with what was imported: evidence for what is declared, and new
    /// elements and flows for what is not, each origin in a system of its own.
    #[must_use]
    pub fn merged(&self) -> Model {
        let mut model = self.model.clone();
        for flow in &self.imported.flows {
            let told: BTreeSet<&str> = self.told_by(flow).map(|one| one.id.as_str()).collect();
            for record in model.flows.iter_mut().filter(|one| told.contains(one.id.as_str())) {
                record.evidence.extend(evidence(flow));
            }
        }
        let mut origins: BTreeSet<&str> = BTreeSet::new();
        for element in &self.imported.elements {
            if self.mapped.contains_key(element.id.as_str()) {
                continue;
            }
            let origin = origin_of(&element.id);
            if origins.insert(origin) {
                model.elements.push(record(
                    &format!("imported_{origin}"),
                    &format!("Not declared: {}", origin.replace('_', " ")),
                    Level::System,
                    "What files tell of and nothing here declares",
                ));
            }
            let about = format!("Imported from {} at {}", element.place.path, element.place.at);
            let mut one = record(&slug(&element.id), &element.name, Level::Container, &about);
            one.shape = element.shape;
            one.tech.clone_from(&element.tech);
            one.parent = Some(format!("imported_{origin}"));
            model.elements.push(one);
        }
        for flow in &self.imported.flows {
            let is_left = |id: &String| self.mapped.get(id.as_str()).is_some_and(Option::is_none);
            if self.is_declared(flow) || is_left(&flow.from) || is_left(&flow.to) {
                continue;
            }
            let end = |id: &String| match self.declared_id(id) {
                Some(declared) => declared.to_owned(),
                None => slug(id),
            };
            let (from, to) = (end(&flow.from), end(&flow.to));
            let exists = |id: &str| model.elements.iter().any(|element| element.id == id);
            if from != to && exists(&from) && exists(&to) {
                let through = flow.through.as_ref().filter(|id| !is_left(id)).map(end);
                let through = through.filter(|id| exists(id) && *id != from && *id != to);
                model.flows.push(flow_record(flow, from, through, to));
            }
        }
        model.elements.sort_by(|left, right| left.id.cmp(&right.id));
        model.flows.sort_by(|left, right| left.id.cmp(&right.id));
        model
    }
}

/// Whether a declared end is the element an imported one stands for: itself, inside it, around it, its
/// family or a deployment of it. Of two deployments of one family each is only itself.
fn is_same(model: &Model, end: &str, id: &str) -> bool {
    let is_within =
        |one: &str, other: &str| is_inside(model, one, other) || is_inside(model, other, one);
    is_within(end, id)
        || is_within(family_of(model, end), id)
        || is_within(end, family_of(model, id))
}

fn origin_of(id: &str) -> &str {
    id.split(':').next().unwrap_or(id)
}

/// An id that can be a file's name. Two that differ only in signs are told apart by a digest.
pub(crate) fn slug(id: &str) -> String {
    let plain: String =
        id.chars()
            .map(|character| {
                if character.is_ascii_alphanumeric() { character.to_ascii_lowercase() } else { '_' }
            })
            .take(60)
            .collect();
    let digest = crate::layout::digest(id);
    format!("{plain}_{}", digest.get(..6).unwrap_or(&digest))
}

fn evidence(flow: &Flow) -> impl Iterator<Item = EvidenceRecord> {
    flow.evidence.iter().map(|place| EvidenceRecord::Imported {
        origin: flow.origin.word().to_owned(),
        path: place.path.clone(),
        at: place.at.clone(),
    })
}

fn record(id: &str, name: &str, level: Level, summary: &str) -> ElementRecord {
    ElementRecord {
        id: id.to_owned(),
        name: name.to_owned(),
        level,
        shape: Shape::Service,
        parent: None,
        family: None,
        deployment: None,
        is_family: false,
        status: Status::Live,
        tech: String::new(),
        owner: String::new(),
        summary: summary.to_owned(),
        package: String::new(),
        links: Vec::new(),
        was: Vec::new(),
    }
}

fn flow_record(flow: &Flow, from: String, through: Option<String>, to: String) -> FlowRecord {
    let by = if through.is_some() { "through" } else { "from" }.to_owned();
    let carrier = flow.through.as_deref().unwrap_or_default();
    FlowRecord {
        id: slug(&format!("{} to {} {carrier}", flow.from, flow.to)),
        from: vec![from],
        through,
        to: vec![to],
        moves: flow.moves.clone(),
        tech: if flow.tech.is_empty() { flow.origin.word().to_owned() } else { flow.tech.clone() },
        tech_onward: String::new(),
        kind: flow.kind,
        by,
        status: Status::Live,
        owner: String::new(),
        retry: String::new(),
        timeout: String::new(),
        idempotent: String::new(),
        cadence: flow.cadence.clone(),
        volume: String::new(),
        personal_data: String::new(),
        is_control: false,
        evidence: evidence(flow).collect(),
        was: Vec::new(),
    }
}
