//! What hangs on what: chains of callers that wait, and elements without which readers lose their
//! sources.

use std::collections::BTreeSet;

use c4model::{Level, Model};

use super::Graph;

/// The longest chains of synchronous calls, longest first, each a path without repetition that
/// cannot be made longer; at most `most`.
#[must_use]
pub fn chains<'model>(calls: &Graph<'model>, most: usize) -> Vec<Vec<&'model str>> {
    let mut found = Vec::new();
    for node in calls.nodes().filter(|node| calls.before(node).next().is_none()) {
        walk(calls, &mut vec![node], &mut found);
    }
    found.sort_by_key(|chain| (std::cmp::Reverse(chain.len()), chain.clone()));
    found.truncate(most);
    found
}

fn walk<'model>(
    calls: &Graph<'model>,
    path: &mut Vec<&'model str>,
    found: &mut Vec<Vec<&'model str>>,
) {
    /// Enough to see that a chain is far too long, and an end for a graph of circles.
    const LONGEST: usize = 12;
    /// Enough to see that there are far too many.
    const MOST: usize = 10_000;
    if found.len() >= MOST {
        return;
    }
    let Some(last) = path.last().copied() else { return };
    let next: Vec<&str> = calls.after(last).filter(|next| !path.contains(next)).collect();
    if next.is_empty() || path.len() >= LONGEST {
        if path.len() > 1 {
            found.push(path.clone());
        }
        return;
    }
    for node in next {
        path.push(node);
        walk(calls, path, found);
        path.pop();
    }
}

/// An element on which sources hang.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dominator<'model> {
    /// The element.
    pub element: &'model str,
    /// The reader that loses most.
    pub reader: &'model str,
    /// The sources it loses.
    pub lost: Vec<&'model str>,
    /// How many sources it has in all.
    pub of: usize,
}

/// Elements whose loss cuts a reader from sources, those that cut most first. A source has no data
/// coming in and a reader none going out; people count as readers here.
#[must_use]
pub fn dominators<'model>(model: &'model Model, data: &Graph<'model>) -> Vec<Dominator<'model>> {
    let sources: Vec<&str> =
        data.nodes().filter(|node| data.before(node).next().is_none()).collect();
    let readers: Vec<&str> = data
        .nodes()
        .filter(|node| {
            data.after(node).next().is_none()
                || model.flows.iter().any(|flow| {
                    flow.from.iter().any(|from| from == node)
                        && flow.to.iter().any(|to| {
                            model.element(to).is_some_and(|end| end.level == Level::Person)
                        })
                })
        })
        .collect();
    let reached = |barred: Option<&str>| -> Vec<BTreeSet<&'model str>> {
        sources.iter().map(|source| data.reachable(source, barred)).collect()
    };
    let whole = reached(None);
    let mut found: Vec<Dominator<'model>> = data
        .nodes()
        .filter(|node| !sources.contains(node))
        .filter_map(|node| {
            let without = reached(Some(node));
            readers
                .iter()
                .filter(|reader| **reader != node)
                .map(|reader| {
                    let of = whole.iter().filter(|set| set.contains(reader)).count();
                    let lost: Vec<&str> = sources
                        .iter()
                        .zip(whole.iter().zip(&without))
                        .filter(|(_, (with, without))| {
                            with.contains(reader) && !without.contains(reader)
                        })
                        .map(|(source, _)| *source)
                        .collect();
                    Dominator { element: node, reader, lost, of }
                })
                .max_by_key(|found| (found.lost.len(), std::cmp::Reverse(found.reader)))
        })
        .filter(|found| found.lost.len() > 1)
        .collect();
    found.sort_by_key(|found| (std::cmp::Reverse(found.lost.len()), found.element));
    found
}
