//! Circles: sets of elements each of which leads to each other. For each, the shortest ways round
//! and the link whose loss breaks the most of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Graph;

/// A set of elements that all lead to each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Circle<'model> {
    /// Its elements, by id.
    pub members: Vec<&'model str>,
    /// The shortest ways round, one through each element at most, each element of a way once; the
    /// shortest first.
    pub ways: Vec<Vec<&'model str>>,
    /// The link that is cheapest to cut: what is left of the circle without it is smallest; of
    /// equals, the one with the fewest flows, and rather an asynchronous one.
    pub cut: (&'model str, &'model str),
    /// How many elements still go round after the cut; 0 when the circle is gone.
    pub left: usize,
}

/// The circles, the largest first.
#[must_use]
pub fn circles<'model>(graph: &Graph<'model>) -> Vec<Circle<'model>> {
    let mut found: Vec<Circle<'model>> = components(graph)
        .into_iter()
        .filter(|members| members.len() > 1)
        .filter_map(|members| {
            let ways = ways(graph, &members);
            let (cut, left) = cheapest_cut(graph, &members)?;
            Some(Circle { members: members.into_iter().collect(), ways, cut, left })
        })
        .collect();
    found.sort_by_key(|circle| (std::cmp::Reverse(circle.members.len()), circle.members.clone()));
    found
}

/// The strongly connected components, by Kosaraju: walk the graph and note each node when all after
/// it is done; then walk backwards from the last noted. What is met on one such walk forms one
/// component, because everything noted later that leads here has been taken already.
fn components<'model>(graph: &Graph<'model>) -> Vec<BTreeSet<&'model str>> {
    let mut before: BTreeMap<&str, Vec<&'model str>> = BTreeMap::new();
    for (from, to) in graph.links() {
        before.entry(to).or_default().push(from);
    }
    let mut noted = Vec::new();
    let mut seen = BTreeSet::new();
    for start in graph.nodes() {
        // A node comes off the stack twice: first to open what is after it, then to be noted.
        let mut open = vec![(start, false)];
        while let Some((node, is_done)) = open.pop() {
            if is_done {
                noted.push(node);
            } else if seen.insert(node) {
                open.push((node, true));
                open.extend(graph.after(node).map(|next| (next, false)));
            }
        }
    }
    let mut taken = BTreeSet::new();
    let mut found = Vec::new();
    for start in noted.into_iter().rev() {
        let mut members = BTreeSet::new();
        let mut open = vec![start];
        while let Some(node) = open.pop() {
            if taken.insert(node) {
                members.insert(node);
                open.extend(before.get(node).into_iter().flatten());
            }
        }
        if !members.is_empty() {
            found.push(members);
        }
    }
    found
}

fn ways<'model>(graph: &Graph<'model>, members: &BTreeSet<&'model str>) -> Vec<Vec<&'model str>> {
    let mut ways: Vec<Vec<&str>> = Vec::new();
    for start in members {
        if let Some(way) = way_round(graph, members, start) {
            let same = |other: &Vec<&str>| {
                other.len() == way.len() && other.iter().all(|node| way.contains(node))
            };
            if !ways.iter().any(same) {
                ways.push(way);
            }
        }
    }
    ways.sort_by_key(|way| (way.len(), way.clone()));
    ways
}

/// The shortest way from a node back to itself, breadth first.
fn way_round<'model>(
    graph: &Graph<'model>,
    members: &BTreeSet<&'model str>,
    start: &'model str,
) -> Option<Vec<&'model str>> {
    let mut came_from: BTreeMap<&str, &'model str> = BTreeMap::new();
    let mut open = VecDeque::from([start]);
    while let Some(node) = open.pop_front() {
        for next in graph.after(node).filter(|next| members.contains(next)) {
            if next == start {
                let mut way = vec![node];
                while let Some(before) = way.last().and_then(|last| came_from.get(last)) {
                    way.push(before);
                }
                way.reverse();
                return Some(way);
            }
            if !came_from.contains_key(next) {
                came_from.insert(next, node);
                open.push_back(next);
            }
        }
    }
    None
}

type Cut<'model> = ((&'model str, &'model str), usize);

fn cheapest_cut<'model>(
    graph: &Graph<'model>,
    members: &BTreeSet<&'model str>,
) -> Option<Cut<'model>> {
    let inner = graph.links().filter(|(from, to)| members.contains(from) && members.contains(to));
    inner
        .map(|(from, to)| {
            let rest = graph.without_link(from, to);
            let left = components(&rest)
                .iter()
                .filter(|component| component.len() > 1 && component.is_subset(members))
                .map(BTreeSet::len)
                .sum();
            let flows = graph.link(from, to);
            let is_sync = flows.iter().any(|(flow, _)| !flow.kind.is_async());
            (left, flows.len(), is_sync, (from, to))
        })
        .min()
        .map(|(left, _, _, link)| (link, left))
}

#[cfg(test)]
mod tests {
    use super::*;
    use c4model::{Kind, Model};

    #[test]
    fn ways_round_and_the_cheapest_cut_are_found() {
        let model = Model::collect();
        let mut flows = model.flows.iter().filter(|flow| flow.kind == Kind::Sync);
        let flow = flows.next().unwrap_or_else(|| panic!("the platform has synchronous flows"));
        let mut graph = Graph::default();
        // Two circles that share the link b → c, and a tail.
        for (from, to) in
            [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("d", "b"), ("c", "tail")]
        {
            graph.insert(from, to, flow, "SQL");
        }
        let found = circles(&graph);
        assert_eq!(found.len(), 1);
        let circle = found.first().unwrap_or_else(|| panic!("one circle"));
        assert_eq!(circle.members, ["a", "b", "c", "d"]);
        assert_eq!((circle.cut, circle.left), (("b", "c"), 0));
        assert_eq!(circle.ways, [vec!["a", "b", "c"], vec!["d", "b", "c"]]);
        assert_eq!(circles(&graph.without_link("b", "c")), []);
    }
}
