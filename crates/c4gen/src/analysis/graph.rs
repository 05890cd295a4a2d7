//! The flows as a graph, in two senses: where data goes, and who waits for whom.

use std::collections::{BTreeMap, BTreeSet};

use c4model::{FlowRecord, Level, Model, Status};

use crate::scene::leg::{Leg, legs, system_of};

/// What leads from one node to another.
pub type Link<'model> = Vec<(&'model FlowRecord, &'model str)>;

/// A graph whose nodes are element ids.
#[derive(Debug, Clone, Default)]
pub struct Graph<'model> {
    links: BTreeMap<&'model str, BTreeMap<&'model str, Link<'model>>>,
    nodes: BTreeSet<&'model str>,
}

impl<'model> Graph<'model> {
    /// Containers, deployments by themselves, externals and systems that stand as a whole; a link is
    /// data that moves today.
    #[must_use]
    pub fn data(model: &'model Model) -> Self {
        Self::of(model, |leg| (leg.flow.status != Status::Target).then_some((leg.from, leg.to)))
    }

    /// As [`Graph::data`], without what only says what is to be done or that it was done.
    #[must_use]
    pub fn payload(model: &'model Model) -> Self {
        Self::of(model, |leg| {
            let counts = leg.flow.status != Status::Target && !leg.flow.is_control;
            counts.then_some((leg.from, leg.to))
        })
    }

    /// Whether one step of this way round only says what is to be done or that it was done.
    #[must_use]
    pub fn is_control_loop(&self, way: &[&str]) -> bool {
        let next = way.iter().skip(1).chain(way.first());
        way.iter()
            .zip(next)
            .any(|(from, to)| self.link(from, to).iter().all(|(flow, _)| flow.is_control))
    }

    /// The same nodes; a link leads from the caller to the one it waits for.
    #[must_use]
    pub fn synchronous_calls(model: &'model Model) -> Self {
        Self::of(model, |leg| {
            let counts = leg.flow.status != Status::Target && !leg.flow.kind.is_async();
            counts.then(|| caller_and_callee(leg))
        })
    }

    /// Systems; a link leads from the caller to the called, whether it waits or not.
    #[must_use]
    pub fn system_calls(model: &'model Model) -> Self {
        Self::of(model, |leg| {
            if leg.flow.status == Status::Target {
                return None;
            }
            let (caller, callee) = caller_and_callee(leg);
            Some((system_of(model, caller)?, system_of(model, callee)?))
        })
    }

    /// Systems; a link leads where data goes.
    #[must_use]
    pub fn system_data(model: &'model Model) -> Self {
        Self::of(model, |leg| {
            let counts = leg.flow.status != Status::Target;
            counts.then_some((system_of(model, leg.from)?, system_of(model, leg.to)?))
        })
    }

    fn of(
        model: &'model Model,
        ends: impl Fn(&Leg<'model>) -> Option<(&'model str, &'model str)>,
    ) -> Self {
        let mut graph = Self::default();
        let is_person =
            |id: &str| model.element(id).is_some_and(|element| element.level == Level::Person);
        for leg in legs(model) {
            let Some((from, to)) = ends(&leg) else { continue };
            for from in deployments(model, from) {
                for to in deployments(model, to) {
                    if from != to && !is_person(from) && !is_person(to) {
                        graph.insert(from, to, leg.flow, leg.tech);
                    }
                }
            }
        }
        graph
    }

    /// Adds one flow.
    pub fn insert(
        &mut self,
        from: &'model str,
        to: &'model str,
        flow: &'model FlowRecord,
        tech: &'model str,
    ) {
        self.nodes.extend([from, to]);
        let link = self.links.entry(from).or_default().entry(to).or_default();
        if !link.iter().any(|(other, _)| other.id == flow.id) {
            link.push((flow, tech));
        }
    }

    /// The nodes, in the order of their ids.
    pub fn nodes(&self) -> impl Iterator<Item = &'model str> {
        self.nodes.iter().copied()
    }

    /// Where one step leads from here.
    pub fn after(&self, node: &str) -> impl Iterator<Item = &'model str> {
        self.links.get(node).into_iter().flat_map(|links| links.keys().copied())
    }

    /// Whence one step leads here.
    pub fn before<'here>(
        &'here self,
        node: &'here str,
    ) -> impl Iterator<Item = &'model str> + 'here {
        self.links.iter().filter(move |(_, links)| links.contains_key(node)).map(|(from, _)| *from)
    }

    /// The flows from one node to another; none when there is no link.
    #[must_use]
    pub fn link(&self, from: &str, to: &str) -> &[(&'model FlowRecord, &'model str)] {
        self.links.get(from).and_then(|links| links.get(to)).map_or(&[], Vec::as_slice)
    }

    /// Every link as `(from, to)`.
    pub fn links(&self) -> impl Iterator<Item = (&'model str, &'model str)> {
        self.links.iter().flat_map(|(from, links)| links.keys().map(|to| (*from, *to)))
    }

    /// The graph without this link.
    #[must_use]
    pub fn without_link(&self, from: &str, to: &str) -> Self {
        let mut other = self.clone();
        if let Some(links) = other.links.get_mut(from) {
            links.remove(to);
        }
        other
    }

    /// Everything that can be reached from a node, itself included, without passing `barred`.
    #[must_use]
    pub fn reachable(&self, start: &'model str, barred: Option<&str>) -> BTreeSet<&'model str> {
        let mut seen = BTreeSet::new();
        let mut open = vec![start];
        while let Some(node) = open.pop() {
            if Some(node) != barred && seen.insert(node) {
                open.extend(self.after(node));
            }
        }
        seen
    }
}

/// The deployments of a family, each of which a flow of the family holds for, else the element
/// itself. Taken as one, a family would lead from one application's database into another's.
fn deployments<'model>(model: &'model Model, id: &'model str) -> Vec<&'model str> {
    let found: Vec<&str> = model
        .elements
        .iter()
        .filter(|element| element.family.as_deref() == Some(id))
        .map(|element| element.id.as_str())
        .collect();
    if found.is_empty() { vec![id] } else { found }
}

/// Who opens the connection of this piece of a flow, and to whom.
fn caller_and_callee<'model>(leg: &Leg<'model>) -> (&'model str, &'model str) {
    let through = leg.flow.through.as_deref();
    match leg.flow.by.as_str() {
        "to" => (leg.to, leg.from),
        // The element in the middle reads one end and writes the other.
        "through" if through == Some(leg.to) => (leg.to, leg.from),
        _ => (leg.from, leg.to),
    }
}
