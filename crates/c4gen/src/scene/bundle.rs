//! Several flows that say the same become one arrow, so that a diagram has as many lines as it has
//! things to say. What is behind an arrow stays in its list, its tooltip and the table.
//!
//! Parallel flows between the same two boxes, of the same kind and status, are one arrow. Flows
//! with the same label, technology, kind, status and partner, whose other ends share a border, are
//! one arrow at that border, with their number and a bracket at its foot.

use std::collections::BTreeMap;

use c4model::{FlowRecord, Status};

use super::Foot;
use super::leg::Leg;

/// From this many on, arrows that say the same are drawn once, at the border around their ends.
const MEMBERS: usize = 3;

/// An arrow with all that is behind it.
#[derive(Debug, Clone)]
pub struct Arrow<'model> {
    /// Box or border it starts at.
    pub from: String,
    /// Box or border it ends at.
    pub to: String,
    /// The flows behind it, each with the technology of this piece.
    pub flows: Vec<(&'model FlowRecord, &'model str)>,
    /// Where it stands for several boxes of a border.
    pub foot: Foot,
}

impl Arrow<'_> {
    /// What moves, each thing once.
    #[must_use]
    pub fn moves(&self) -> Vec<&str> {
        let mut moves: Vec<&str> = Vec::new();
        for (flow, _) in &self.flows {
            if !moves.contains(&flow.moves.as_str()) {
                moves.push(&flow.moves);
            }
        }
        moves
    }

    /// The technology, if it is one.
    #[must_use]
    pub fn tech(&self) -> &str {
        let mut techs = self.flows.iter().map(|(_, tech)| *tech);
        let first = techs.next().unwrap_or_default();
        if techs.all(|tech| tech == first) { first } else { "" }
    }
}

/// One arrow for all flows between the same two boxes that share kind and status.
pub fn parallel<'model>(
    legs: impl Iterator<Item = (String, String, Leg<'model>)>,
) -> Vec<Arrow<'model>> {
    type Key = (String, String, bool, Status);
    let mut arrows: BTreeMap<Key, Vec<(&FlowRecord, &str)>> = BTreeMap::new();
    for (from, to, leg) in legs.filter(|(from, to, _)| from != to) {
        let flows =
            arrows.entry((from, to, leg.flow.kind.is_async(), leg.flow.status)).or_default();
        if !flows.iter().any(|(flow, _)| flow.id == leg.flow.id) {
            flows.push((leg.flow, leg.tech));
        }
    }
    arrows
        .into_iter()
        .map(|((from, to, ..), flows)| Arrow { from, to, flows, foot: Foot::None })
        .collect()
}

/// One arrow at the border for all arrows that say the same to or from boxes inside it.
/// `border_of` gives the border directly around a box.
pub fn at_borders<'model>(
    arrows: Vec<Arrow<'model>>,
    border_of: &dyn Fn(&str) -> Option<String>,
    is_inside: &dyn Fn(&str, &str) -> bool,
) -> Vec<Arrow<'model>> {
    let bundled = at_one_side(arrows, border_of, is_inside, Side::To);
    at_one_side(bundled, border_of, is_inside, Side::From)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    From,
    To,
}

fn at_one_side<'model>(
    arrows: Vec<Arrow<'model>>,
    border_of: &dyn Fn(&str) -> Option<String>,
    is_inside: &dyn Fn(&str, &str) -> bool,
    side: Side,
) -> Vec<Arrow<'model>> {
    let mut groups: BTreeMap<(String, String, String, String), Vec<Arrow<'model>>> =
        BTreeMap::new();
    let mut kept = Vec::new();
    for arrow in arrows {
        let (end, partner) = match side {
            Side::From => (&arrow.from, &arrow.to),
            Side::To => (&arrow.to, &arrow.from),
        };
        let border = border_of(end).filter(|border| !is_inside(partner, border));
        match (border, arrow.foot, arrow.flows.first()) {
            (Some(border), Foot::None, Some((flow, _))) => {
                let says = format!(
                    "{}|{}|{}|{:?}",
                    arrow.moves().join("|"),
                    arrow.tech(),
                    flow.kind.is_async(),
                    flow.status
                );
                let key = (border, partner.clone(), says, String::new());
                groups.entry(key).or_default().push(arrow);
            }
            (_, Foot::None | Foot::From(_) | Foot::To(_), _) => kept.push(arrow),
        }
    }
    for ((border, partner, ..), members) in groups {
        let count = members.len();
        if count < MEMBERS {
            kept.extend(members);
            continue;
        }
        let flows = members.into_iter().flat_map(|member| member.flows).collect();
        let (from, to, foot) = match side {
            Side::From => (border, partner, Foot::From(count)),
            Side::To => (partner, border, Foot::To(count)),
        };
        kept.push(Arrow { from, to, flows, foot });
    }
    kept.sort_by(|left, right| (&left.from, &left.to).cmp(&(&right.from, &right.to)));
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use c4model::Kind;

    fn flow(id: &str, moves: &str, kind: Kind) -> FlowRecord {
        FlowRecord {
            id: id.to_owned(),
            from: Vec::new(),
            through: None,
            to: Vec::new(),
            moves: moves.to_owned(),
            tech: "SQL".to_owned(),
            tech_onward: String::new(),
            kind,
            by: "from".to_owned(),
            status: Status::Live,
            owner: String::new(),
            retry: String::new(),
            timeout: String::new(),
            idempotent: String::new(),
            cadence: String::new(),
            volume: String::new(),
            personal_data: String::new(),
            is_control: false,
            evidence: Vec::new(),
            was: Vec::new(),
        }
    }

    fn leg<'model>(
        from: &'model str,
        to: &'model str,
        flow: &'model FlowRecord,
    ) -> (String, String, Leg<'model>) {
        (from.to_owned(), to.to_owned(), Leg { flow, from, to, tech: &flow.tech })
    }

    #[test]
    fn flows_between_the_same_boxes_are_one_arrow_a_kind() {
        let flows = [
            flow("a", "Rows", Kind::Sync),
            flow("b", "Files", Kind::Sync),
            flow("c", "Rows", Kind::Queued),
        ];
        let arrows = parallel(flows.iter().map(|flow| leg("x", "y", flow)));
        let moves: Vec<_> = arrows.iter().map(|arrow| arrow.moves().join(",")).collect();
        assert_eq!(moves, ["Rows,Files", "Rows"]);
    }

    #[test]
    fn arrows_that_say_the_same_stand_once_at_the_border() {
        let flows = ["a", "b", "c", "d"]
            .map(|id| flow(id, if id == "d" { "Other" } else { "Rows" }, Kind::Sync));
        let [a, b, c, d] = &flows;
        let legs = [
            leg("one", "lake", a),
            leg("two", "lake", b),
            leg("three", "lake", c),
            leg("two", "lake", d),
        ];
        let border = |id: &str| (id != "lake").then(|| "apps".to_owned());
        let inside = |id: &str, border: &str| border == "apps" && id != "lake";
        let arrows = parallel(legs.into_iter().filter(|(_, _, leg)| leg.flow.id != "d"));
        let bundled = at_borders(arrows, &border, &inside);
        assert_eq!(bundled.len(), 1);
        assert!(bundled.iter().all(|arrow| arrow.from == "apps" && arrow.foot == Foot::From(3)));
        let two = [leg("one", "lake", a), leg("two", "lake", b)];
        assert_eq!(at_borders(parallel(two.into_iter()), &border, &inside).len(), 2);
    }
}
