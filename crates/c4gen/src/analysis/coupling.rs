//! How tightly each element and each system is tied to the others.

use super::Graph;

/// A node with what leads in and out.
#[derive(Debug, Clone, PartialEq)]
pub struct Coupling<'model> {
    /// The element.
    pub element: &'model str,
    /// How many others lead to it.
    pub into: usize,
    /// How many others it leads to.
    pub out: usize,
}

impl Coupling<'_> {
    /// `out / (into + out)`: 1 for what only depends on others, 0 for what others depend on.
    #[must_use]
    pub fn instability(&self) -> f64 {
        let whole = |count: usize| u32::try_from(count).map_or(f64::MAX, f64::from);
        whole(self.out) / whole((self.into + self.out).max(1))
    }
}

/// Every node, the busiest first.
#[must_use]
pub fn couplings<'model>(graph: &Graph<'model>) -> Vec<Coupling<'model>> {
    let mut found: Vec<Coupling<'model>> = graph
        .nodes()
        .map(|element| Coupling {
            element,
            into: graph.before(element).count(),
            out: graph.after(element).count(),
        })
        .collect();
    found.sort_by_key(|found| (std::cmp::Reverse(found.into + found.out), found.element));
    found
}

/// Calls that lead from something stable to something clearly less stable: whoever changes often
/// breaks whoever should not have to.
#[must_use]
pub fn against_stability<'model>(graph: &Graph<'model>) -> Vec<(&'model str, &'model str)> {
    let couplings = couplings(graph);
    let instability = |id: &str| {
        couplings.iter().find(|coupling| coupling.element == id).map_or(0.0, Coupling::instability)
    };
    graph.links().filter(|(from, to)| instability(to) > instability(from) + 0.25).collect()
}
