//! A diagram before it is placed: boxes with their texts broken into lines and their sizes known,
//! borders around them, and labelled arrows. The layout engine sees sizes only.

pub mod bundle;
pub mod cycle;
pub mod leg;
pub mod legend;
pub mod neighbours;
pub mod view;

use std::collections::BTreeSet;

use c4model::{Model, Shape, Status};

use crate::observed::{Observed, Standing};

use crate::text::{Weight, width_pixels, wrap};

/// Size in pixels of an element's name.
pub const NAME_SIZE: f64 = 13.0;
/// Size in pixels of an element's technology.
pub const TECH_SIZE: f64 = 10.5;
/// Size in pixels of an element's summary.
pub const SUMMARY_SIZE: f64 = 11.0;
/// Size in pixels of an arrow's label.
pub const LABEL_SIZE: f64 = 11.0;
/// Size in pixels of an arrow's technology.
pub const LABEL_TECH_SIZE: f64 = 9.5;
/// Size in pixels of a border's title.
pub const TITLE_SIZE: f64 = 12.0;
/// Height in pixels of the ellipse that closes a cylinder.
pub const CAP_PIXELS: f64 = 9.0;

const TEXT_WIDTH: f64 = 156.0;
const PADDING: f64 = 12.0;
const CHIP_WIDTH: f64 = 112.0;
const CHIP_HEIGHT: f64 = 22.0;
const CHIP_GAP: f64 = 8.0;
const CHIPS_IN_A_ROW: usize = 4;
const CHIP_TEXT: f64 = 10.5;

/// A whole diagram.
#[derive(Debug, Clone)]
pub struct Scene {
    /// Slug; the key of the cached placement.
    pub id: String,
    /// Title for people who cannot see it.
    pub title: String,
    /// Borders; a parent comes before its children.
    pub boundaries: Vec<Boundary>,
    /// Boxes.
    pub nodes: Vec<Node>,
    /// Arrows.
    pub edges: Vec<Edge>,
    /// Whether its boxes can be led to by `#el=…`: one diagram a page can.
    pub has_anchors: bool,
}

impl Scene {
    /// Says of each arrow whether what is behind it was seen running. Nothing is moved by it.
    pub fn mark(&mut self, model: &Model, observed: &Observed) {
        for edge in &mut self.edges {
            let flows = edge.flows.iter().filter_map(|id| model.flow(id));
            edge.standings = flows.map(|flow| observed.standing(flow)).collect();
            for standing in &edge.standings {
                edge.description.push_str(match standing {
                    Standing::Seen => " (seen running)",
                    Standing::Silent => " (declared, not seen running)",
                    Standing::Undeclared => " (seen running, not declared)",
                    Standing::Elsewhere => "",
                });
            }
        }
    }
}

/// How something differs from an earlier model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It is new.
    Added,
    /// It is still there, and says something else.
    Changed,
    /// It is gone.
    Removed,
}

impl Change {
    /// The sign in pictures and texts.
    #[must_use]
    pub const fn sign(self) -> char {
        match self {
            Self::Added => '+',
            Self::Changed => '~',
            Self::Removed => '×',
        }
    }
}

/// Where an arrow stands for several boxes inside a border, and for how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foot {
    /// It stands for one pair of boxes.
    None,
    /// It starts at this many boxes of the border it starts at.
    From(usize),
    /// It ends at this many boxes of the border it ends at.
    To(usize),
}

/// A border around boxes.
#[derive(Debug, Clone)]
pub struct Boundary {
    /// Element id.
    pub id: String,
    /// Border it lies inside.
    pub parent: Option<String>,
    /// Name.
    pub title: String,
    /// Kind in brackets, e.g. `Software system`.
    pub kind: &'static str,
    /// 0 for the outermost.
    pub depth: usize,
    /// Page it leads to.
    pub link: Option<String>,
}

/// One line of text in a box.
#[derive(Debug, Clone)]
pub struct Line {
    /// The text.
    pub text: String,
    /// `name`, `tech` or `summary`.
    pub class: &'static str,
    /// Size in pixels.
    pub size: f64,
}

/// A deployment of a family, drawn inside the family's box.
#[derive(Debug, Clone)]
pub struct Chip {
    /// Name.
    pub text: String,
    /// Left edge, in pixels from the box's left edge.
    pub x: f64,
    /// Top edge, in pixels from the box's top edge.
    pub y: f64,
    /// Width in pixels.
    pub width: f64,
    /// Height in pixels.
    pub height: f64,
}

/// A box.
#[derive(Debug, Clone)]
pub struct Node {
    /// Element id.
    pub id: String,
    /// Border it lies inside.
    pub parent: Option<String>,
    /// How it is drawn.
    pub shape: Shape,
    /// Whether it exists.
    pub status: Status,
    /// Team that answers for it; empty when not stated.
    pub owner: String,
    /// Whether it lies outside the organization.
    pub is_external: bool,
    /// Texts from the top.
    pub lines: Vec<Line>,
    /// Deployments, when it stands for many.
    pub chips: Vec<Chip>,
    /// Width in pixels.
    pub width: f64,
    /// Height in pixels.
    pub height: f64,
    /// Page it leads to.
    pub link: Option<String>,
}

/// An arrow.
#[derive(Debug, Clone)]
pub struct Edge {
    /// Unique in the scene.
    pub id: String,
    /// Box it starts at.
    pub from: String,
    /// Box it ends at.
    pub to: String,
    /// Lines of the label: what moves, then the technology in brackets, then `target`.
    pub label: Vec<Line>,
    /// Width in pixels of the label.
    pub label_width: f64,
    /// Height in pixels of the label.
    pub label_height: f64,
    /// Teams that answer for the flows behind it.
    pub owner: String,
    /// Whether the caller does not wait.
    pub is_async: bool,
    /// Whether it exists.
    pub status: Status,
    /// Whether a test can look at the evidence of each flow behind it.
    pub is_verified: bool,
    /// How the flows behind it stand between declaration and observation; empty when nobody looked.
    pub standings: BTreeSet<Standing>,
    /// How it differs from an earlier model, where two are compared.
    pub change: Option<Change>,
    /// Where it stands for several boxes of a border.
    pub foot: Foot,
    /// Ids of the flows behind it.
    pub flows: Vec<String>,
    /// Text for the tooltip and for people who cannot see it.
    pub description: String,
    /// Page it leads to.
    pub link: Option<String>,
}

/// What a box says.
#[derive(Debug, Clone)]
pub struct NodeText<'text> {
    /// Name.
    pub name: &'text str,
    /// Technology; may be empty.
    pub tech: &'text str,
    /// What it is for.
    pub summary: &'text str,
    /// Names of deployments; usually none.
    pub deployments: Vec<&'text str>,
}

/// Heights of text lines are this many times their size.
pub const LINE_HEIGHT: f64 = 1.28;

impl Node {
    /// A box sized to its text.
    #[must_use]
    pub fn new(id: &str, shape: Shape, text: &NodeText<'_>) -> Self {
        let columns = text.deployments.len().min(CHIPS_IN_A_ROW);
        let chips_width = columns_width(columns);
        let text_width = TEXT_WIDTH.max(chips_width);
        let mut lines = Vec::new();
        let mut push = |texts: Vec<String>, class, size| {
            lines.extend(texts.into_iter().map(|text| Line { text, class, size }));
        };
        push(wrap(text.name, NAME_SIZE, Weight::Bold, text_width), "name", NAME_SIZE);
        if !text.tech.is_empty() {
            let tech = format!("[{}]", text.tech);
            push(wrap(&tech, TECH_SIZE, Weight::Regular, text_width), "tech", TECH_SIZE);
        }
        push(
            wrap(text.summary, SUMMARY_SIZE, Weight::Regular, text_width),
            "summary",
            SUMMARY_SIZE,
        );

        let widest = lines.iter().map(line_width).fold(chips_width, f64::max);
        let sides = sides_of(shape);
        let width = (widest + 2.0 * PADDING + sides.0 + sides.1).max(132.0).ceil();
        let cap = cap_of(shape);
        let text_height: f64 = lines.iter().map(|line| line.size * LINE_HEIGHT).sum();
        let mut y = cap.0 + PADDING + text_height;
        let mut chips = Vec::new();
        if columns > 0 {
            y += CHIP_GAP;
            for row in text.deployments.chunks(columns) {
                let mut x = (width - columns_width(row.len())) / 2.0;
                for name in row {
                    let text = (*name).to_owned();
                    chips.push(Chip { text, x, y, width: CHIP_WIDTH, height: CHIP_HEIGHT });
                    x += CHIP_WIDTH + CHIP_GAP;
                }
                y += CHIP_HEIGHT + CHIP_GAP;
            }
            y -= CHIP_GAP;
        }
        let height = (y + PADDING + cap.1).ceil();
        Self {
            id: id.to_owned(),
            parent: None,
            shape,
            status: Status::Live,
            owner: String::new(),
            is_external: false,
            lines,
            chips,
            width,
            height,
            link: None,
        }
    }
}

/// Size in pixels of the text in a chip.
#[must_use]
pub fn chip_text_size() -> f64 {
    CHIP_TEXT
}

/// Room in pixels a shape needs above and below its text.
#[must_use]
pub fn cap_of(shape: Shape) -> (f64, f64) {
    match shape {
        Shape::Database | Shape::Bucket => (CAP_PIXELS, CAP_PIXELS / 2.0),
        Shape::Person | Shape::Service | Shape::Queue => (0.0, 0.0),
    }
}

/// Room in pixels a shape needs to the left and to the right of its text.
#[must_use]
pub fn sides_of(shape: Shape) -> (f64, f64) {
    match shape {
        Shape::Queue => (CAP_PIXELS / 2.0, CAP_PIXELS + 4.0),
        Shape::Person | Shape::Service | Shape::Database | Shape::Bucket => (0.0, 0.0),
    }
}

fn columns_width(columns: usize) -> f64 {
    (0..columns).fold(-CHIP_GAP, |width, _| width + CHIP_WIDTH + CHIP_GAP).max(0.0)
}

/// Width in pixels of a line of text.
#[must_use]
pub fn line_width(line: &Line) -> f64 {
    let weight = if line.class == "name" { Weight::Bold } else { Weight::Regular };
    width_pixels(&line.text, line.size, weight)
}

impl Edge {
    /// An arrow whose label is broken into lines and measured.
    #[must_use]
    pub fn new(id: &str, from: &str, to: &str, moves: &str, tech: &str, status: Status) -> Self {
        let mut label: Vec<Line> = wrap(moves, LABEL_SIZE, Weight::Regular, 110.0)
            .into_iter()
            .map(|text| Line { text, class: "moves", size: LABEL_SIZE })
            .collect();
        let tag = match status {
            Status::Target => "target",
            Status::Retiring => "retiring",
            Status::Live => "",
        };
        let bracket = match (tech, tag) {
            ("", "") => String::new(),
            ("", tag) => format!("[{tag}]"),
            (tech, "") => format!("[{tech}]"),
            (tech, tag) => format!("[{tech} · {tag}]"),
        };
        label.extend(
            wrap(&bracket, LABEL_TECH_SIZE, Weight::Regular, 120.0).into_iter().map(|text| Line {
                text,
                class: "by",
                size: LABEL_TECH_SIZE,
            }),
        );
        let width = label.iter().map(line_width).fold(0.0, f64::max) + 8.0;
        let height: f64 = label.iter().map(|line| line.size * LINE_HEIGHT).sum::<f64>() + 4.0;
        Self {
            id: id.to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
            label,
            label_width: width.ceil(),
            label_height: height.ceil(),
            owner: String::new(),
            is_async: false,
            status,
            is_verified: true,
            standings: BTreeSet::new(),
            change: None,
            foot: Foot::None,
            flows: Vec::new(),
            description: String::new(),
            link: None,
        }
    }
}

/// Width in pixels of a border's name on its tab.
#[must_use]
pub fn name_width(boundary: &Boundary) -> f64 {
    width_pixels(&boundary.title, TITLE_SIZE, Weight::Bold) + 20.0
}

/// Width in pixels of a border's name and kind on its tab.
#[must_use]
pub fn title_width(boundary: &Boundary) -> f64 {
    let kind = format!(" [{}]", boundary.kind);
    name_width(boundary) + width_pixels(&kind, TECH_SIZE, Weight::Regular)
}
