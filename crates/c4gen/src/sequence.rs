//! Sequence diagrams. Every element of a story has a column and every step a row; a label stands
//! above its arrow, broken to the room between the columns it spans, so nothing can overlap.

use std::fmt::Write as _;

use c4model::{ElementRecord, FlowRecord, Model, ScenarioRecord, Shape, Status};

use crate::layout::Rect;
use crate::scene::leg::legs_of;
use crate::scene::view::{element_page, flow_page};
use crate::scene::{
    LABEL_SIZE, LABEL_TECH_SIZE, LINE_HEIGHT, NAME_SIZE, TECH_SIZE, cap_of, sides_of,
};
use crate::svg::{body, class_of_shape};
use crate::text::{FONT_FAMILY, Weight, escape, width_pixels, wrap};

/// Distance in pixels between two columns.
const COLUMN: f64 = 152.0;
const HEAD_WIDTH: f64 = 132.0;
const MARGIN: f64 = 14.0;
/// Room in pixels to the left for the numbers of the steps.
const NUMBERS: f64 = 34.0;

/// A drawn story.
#[derive(Debug)]
pub struct Sequence {
    /// The `<svg>` element.
    pub svg: String,
    /// Where each label stands, in the order of the steps.
    pub labels: Vec<Rect>,
    /// Where each column's head stands.
    pub heads: Vec<Rect>,
    /// Width in pixels.
    pub width: f64,
    /// Height in pixels.
    pub height: f64,
}

/// Draws a story.
#[must_use]
pub fn draw(model: &Model, scenario: &ScenarioRecord) -> Sequence {
    let columns = columns(model, scenario);
    let heads: Vec<Head> = columns.iter().map(|element| Head::new(element)).collect();
    let tallest = heads.iter().map(|head| head.height).fold(0.0, f64::max);
    let x = |id: &str| {
        let index = columns.iter().position(|element| element.id == id).unwrap_or(0);
        MARGIN + NUMBERS + HEAD_WIDTH / 2.0 + COLUMN * f64::from(u32::try_from(index).unwrap_or(0))
    };
    let mut labels = Vec::new();
    let mut arrows = String::new();
    let mut numbers = String::new();
    let mut y = MARGIN + tallest + 12.0;
    for (index, step) in scenario.steps.iter().enumerate() {
        let Some(flow) = model.flow(&step.flow) else { continue };
        for (piece, leg) in legs_of(flow).into_iter().enumerate() {
            let (from, to) = (x(leg.from), x(leg.to));
            let (left, room) = (from.min(to), (from - to).abs() - 22.0);
            let lines = label_lines(flow, leg.tech, room);
            let height: f64 = lines.iter().map(|(_, size, _)| size * LINE_HEIGHT).sum();
            let at = y + height + 5.0;
            if piece == 0 {
                let _ = writeln!(
                    numbers,
                    r##"<a href="#s{n}"><circle class="step" cx="{cx}" cy="{cy}" r="11"/><text class="step-number" x="{cx}" y="{ty}" font-size="11">{n}</text></a>"##,
                    n = index + 1,
                    cx = MARGIN + 11.0,
                    cy = round(at - 2.0),
                    ty = round(at + 2.0),
                );
            }
            let widest = lines
                .iter()
                .map(|(text, size, _)| width_pixels(text, *size, Weight::Regular))
                .fold(0.0, f64::max);
            let middle = left + (from - to).abs() / 2.0;
            let rect = Rect { x: middle - widest / 2.0 - 3.0, y, width: widest + 6.0, height };
            labels.push(rect);
            write_arrow(&mut arrows, flow, &step.note, (from, to, at), &lines, &rect);
            y = at + 17.0;
        }
        y += 5.0;
    }
    let last = columns.last().map_or(0.0, |element| x(&element.id));
    let (width, height) = (last + HEAD_WIDTH / 2.0 + MARGIN, y + MARGIN);
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" class="c4" viewBox="0 0 {width} {height}" width="{width}" height="{height}" font-family="{}" role="group" aria-label="{}"><defs>"#,
        escape(FONT_FAMILY),
        escape(&scenario.title),
        height = round(height),
    );
    for kind in ["sync", "async", "target"] {
        let _ = write!(
            svg,
            r#"<marker id="story-{kind}" class="head {kind}" viewBox="0 0 8 8" refX="7.4" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L8 4L0 8z"/></marker>"#
        );
    }
    svg.push_str("</defs>\n");
    let mut placed = Vec::new();
    for (element, head) in columns.iter().zip(&heads) {
        let centre = x(&element.id);
        let _ = writeln!(
            svg,
            r#"<path class="lifeline" d="M{centre} {}V{}"/>"#,
            MARGIN + tallest,
            round(height - MARGIN / 2.0)
        );
        placed.push(Rect {
            x: centre - HEAD_WIDTH / 2.0,
            y: MARGIN,
            width: HEAD_WIDTH,
            height: tallest,
        });
        head.write(&mut svg, element, centre, tallest);
    }
    svg.push_str(&arrows);
    svg.push_str(&numbers);
    svg.push_str("</svg>\n");
    Sequence { svg, labels, heads: placed, width, height }
}

/// The elements of a story in the order they are met.
fn columns<'model>(model: &'model Model, scenario: &ScenarioRecord) -> Vec<&'model ElementRecord> {
    let mut columns: Vec<&ElementRecord> = Vec::new();
    for step in &scenario.steps {
        for leg in model.flow(&step.flow).into_iter().flat_map(legs_of) {
            for element in [leg.from, leg.to].into_iter().filter_map(|id| model.element(id)) {
                if !columns.iter().any(|known| known.id == element.id) {
                    columns.push(element);
                }
            }
        }
    }
    columns
}

type Label = (String, f64, &'static str);

fn label_lines(flow: &FlowRecord, tech: &str, room: f64) -> Vec<Label> {
    let tag = match flow.status {
        Status::Target => " · target",
        Status::Retiring => " · retiring",
        Status::Live => "",
    };
    let moves = wrap(&flow.moves, LABEL_SIZE, Weight::Regular, room);
    let by = wrap(&format!("[{tech}{tag}]"), LABEL_TECH_SIZE, Weight::Regular, room);
    moves
        .into_iter()
        .map(|text| (text, LABEL_SIZE, "moves"))
        .chain(by.into_iter().map(|text| (text, LABEL_TECH_SIZE, "by")))
        .collect()
}

fn write_arrow(
    svg: &mut String,
    flow: &FlowRecord,
    note: &str,
    (from, to, y): (f64, f64, f64),
    lines: &[Label],
    rect: &Rect,
) {
    let class = match (flow.status, flow.kind.is_async()) {
        (Status::Target, _) => "target",
        (Status::Live | Status::Retiring, true) => "async",
        (Status::Live | Status::Retiring, false) => "sync",
    };
    let towards = if to > from { -2.0 } else { 2.0 };
    let _ = write!(
        svg,
        r#"<g class="edge {class}"><path d="M{from} {y}H{end}" marker-end="url(#story-{class})"/><title>{note}</title></g><a href="{link}"><g class="label {class}"><rect x="{x}" y="{top}" width="{width}" height="{height}"/>"#,
        y = round(y),
        end = to + towards,
        note = escape(note),
        link = flow_page(&flow.id),
        x = round(rect.x),
        top = round(rect.y),
        width = round(rect.width),
        height = round(rect.height),
    );
    let mut top = rect.y;
    for (text, size, class) in lines {
        let _ = write!(
            svg,
            r#"<text class="{class}" x="{}" y="{}" textLength="{}" lengthAdjust="spacingAndGlyphs">{}</text> "#,
            round(rect.x + rect.width / 2.0),
            round(top + size),
            round(width_pixels(text, *size, Weight::Regular)),
            escape(text)
        );
        top += size * LINE_HEIGHT;
    }
    svg.push_str("</g></a>\n");
}

/// The box at the top of a column.
struct Head {
    name: Vec<String>,
    tech: Vec<String>,
    height: f64,
}

impl Head {
    fn new(element: &ElementRecord) -> Self {
        let (left, right) = sides_of(element.shape);
        let room = HEAD_WIDTH - 14.0 - 2.0 * left.max(right);
        let name = wrap(&element.name, NAME_SIZE, Weight::Bold, room);
        let kind = match element.level {
            c4model::Level::Person => "Person",
            c4model::Level::External
            | c4model::Level::Group
            | c4model::Level::System
            | c4model::Level::Container => element.tech.as_str(),
        };
        let tech = wrap(&format!("[{kind}]"), TECH_SIZE, Weight::Regular, room);
        let text: f64 = name.iter().map(|_| NAME_SIZE).chain(tech.iter().map(|_| TECH_SIZE)).sum();
        let (above, below) = cap_of(element.shape);
        let height = text * LINE_HEIGHT + 2.0 * 8.0 + above + below;
        Self { name, tech, height: height.ceil() }
    }

    fn write(&self, svg: &mut String, element: &ElementRecord, centre: f64, height: f64) {
        let shape = match element.level {
            c4model::Level::Person => Shape::Person,
            c4model::Level::External
            | c4model::Level::Group
            | c4model::Level::System
            | c4model::Level::Container => element.shape,
        };
        let state = match (element.status, element.level) {
            (Status::Target, _) => " planned",
            (_, c4model::Level::External) => " external",
            _ => "",
        };
        let rect = Rect { x: centre - HEAD_WIDTH / 2.0, y: MARGIN, width: HEAD_WIDTH, height };
        let _ = write!(
            svg,
            r#"<a href="{}"><g class="node {}{state}">{}"#,
            element_page(&element.id),
            class_of_shape(shape),
            body(shape, &rect),
        );
        // The text of a cylinder begins below its cap.
        let (above, below) = cap_of(shape);
        let mut y = MARGIN + 8.0 + (height - self.height + above - below) / 2.0;
        let names = self.name.iter().map(|text| (text, NAME_SIZE, "name"));
        for (text, size, class) in
            names.chain(self.tech.iter().map(|text| (text, TECH_SIZE, "tech")))
        {
            let _ = write!(
                svg,
                r#"<text class="{class}" x="{centre}" y="{}" textLength="{}" lengthAdjust="spacingAndGlyphs">{}</text> "#,
                round(y + size),
                round(width_pixels(
                    text,
                    size,
                    if class == "name" { Weight::Bold } else { Weight::Regular }
                )),
                escape(text)
            );
            y += size * LINE_HEIGHT;
        }
        svg.push_str("</g></a>\n");
    }
}

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
