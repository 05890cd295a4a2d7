//! Draws a placed scene as SVG. Colours are CSS variables, so that light, dark and print are one
//! picture; every box and arrow is a link or carries a tooltip, so that nothing needs a script.

use std::fmt::Write as _;

use c4model::{Shape, Status};

use crate::layout::{Placement, Point, Rect};
use crate::observed::Standing;
use crate::scene::{
    Boundary, CAP_PIXELS, Change, Edge, Foot, LABEL_SIZE, LABEL_TECH_SIZE, LINE_HEIGHT, Line,
    NAME_SIZE, Node, SUMMARY_SIZE, Scene, TECH_SIZE, TITLE_SIZE, cap_of, chip_text_size,
    line_width, name_width, sides_of, title_width,
};
use crate::text::{FONT_FAMILY, Weight, escape, width_pixels};

/// The colours and lines of a diagram.
pub const STYLE: &str = include_str!("../assets/diagram.css");

/// The whole style of a diagram, for a page or a file that holds one: texts are as large as they
/// were measured.
#[must_use]
pub fn style() -> String {
    let mut style = STYLE.to_owned();
    for (class, size) in [
        ("name", NAME_SIZE),
        ("tech", TECH_SIZE),
        ("summary", SUMMARY_SIZE),
        ("moves", LABEL_SIZE),
        ("by", LABEL_TECH_SIZE),
        ("tab text", TITLE_SIZE),
        ("kind", TECH_SIZE),
        ("chip-text", chip_text_size()),
    ] {
        let _ = writeln!(style, ".c4 .{class} {{ font-size: {size}px; }}");
    }
    style.push_str(&format!(".c4 .tab .name {{ font-size: {TITLE_SIZE}px; }}\n"));
    style
}

const CORNER: f64 = 7.0;
const TITLE_HEIGHT: f64 = 22.0;

/// The `<svg>` element. `standalone` puts the style inside, for a file of its own.
#[must_use]
pub fn draw(scene: &Scene, placement: &Placement, standalone: bool) -> String {
    let mut svg = String::new();
    let Placement { width, height, .. } = placement;
    let title = escape(&scene.title);
    line(
        &mut svg,
        &format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" class="c4" viewBox="0 0 {width} {height}" width="{width}" height="{height}" font-family="{}" role="group" aria-label="{title}">"#,
            escape(FONT_FAMILY)
        ),
    );
    if standalone {
        line(&mut svg, &format!("<style>{}</style>", style()));
        line(&mut svg, &format!(r#"<rect class="paper" width="{width}" height="{height}"/>"#));
    }
    line(&mut svg, "<defs>");
    for kind in ["sync", "async", "target"] {
        line(
            &mut svg,
            &format!(
                r#"<marker id="{}-{kind}" class="head {kind}" viewBox="0 0 8 8" refX="7.4" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L8 4L0 8z"/></marker>"#,
                scene.id
            ),
        );
    }
    line(&mut svg, "</defs>");
    for boundary in &scene.boundaries {
        if let Some(rect) = placement.boundaries.get(&boundary.id) {
            line(
                &mut svg,
                &format!(
                    r#"<rect class="bound depth{}" {} rx="8"/>"#,
                    boundary.depth.min(2),
                    position(rect)
                ),
            );
        }
    }
    for edge in &scene.edges {
        draw_edge(&mut svg, scene, edge, placement);
    }
    for node in &scene.nodes {
        if let Some(rect) = placement.nodes.get(&node.id) {
            draw_node(&mut svg, node, rect, scene.has_anchors);
        }
    }
    for edge in &scene.edges {
        draw_label(&mut svg, edge, placement);
    }
    for boundary in &scene.boundaries {
        if let Some(rect) = title_tab(boundary, scene, placement) {
            draw_title(&mut svg, boundary, &rect);
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// Where a border's title stands: where no arrow runs under it, on the upper edge if there is room,
/// else inside near the top, else on the lower edge, else anywhere inside; as far left as possible. Where the whole title
/// fits nowhere at the top, the tab is [`name_width`] wide and holds the name without the kind.
#[must_use]
pub fn title_tab(boundary: &Boundary, scene: &Scene, placement: &Placement) -> Option<Rect> {
    let border = placement.boundaries.get(&boundary.id)?;
    let inner = scene
        .boundaries
        .iter()
        .filter(|inner| inner.parent.as_deref() == Some(boundary.id.as_str()));
    let inner: Vec<Rect> = inner
        .filter_map(|inner| placement.boundaries.get(&inner.id))
        // A title of its own stands half above the upper edge.
        .map(|rect| Rect { y: rect.y - TITLE_HEIGHT, height: rect.height + TITLE_HEIGHT, ..*rect })
        .collect();
    let is_free = |tab: &Rect| {
        let wider = Rect {
            x: tab.x - 3.0,
            y: tab.y - 1.0,
            width: tab.width + 6.0,
            height: tab.height + 2.0,
        };
        let mut pieces = placement.edges.values().flat_map(|edge| segments(&edge.points));
        let mut taken = placement.nodes.values().chain(&inner);
        !pieces.any(|piece| piece.overlaps(&wider))
            && !placement.edges.values().any(|edge| edge.label.overlaps(&wider))
            && !taken.any(|rect| rect.overlaps(&wider))
    };
    let top = border.y - TITLE_HEIGHT / 2.0;
    let bottom = border.bottom() - TITLE_HEIGHT / 2.0;
    let inside = |from: f64, upto: f64| steps(border.y + from, (border.y + upto).min(bottom));
    let upper: Vec<f64> = std::iter::once(top).chain(inside(4.0, 160.0)).collect();
    let lower: Vec<f64> = std::iter::once(bottom).chain(inside(160.0, border.height)).collect();
    let first = border.x + 10.0;
    let along = |y: f64, width: f64| {
        steps(first, border.right() - 10.0 - width).map(move |x| Rect {
            x,
            y,
            width,
            height: TITLE_HEIGHT,
        })
    };
    let (whole, short) = (title_width(boundary), name_width(boundary));
    let tabs = [whole, short]
        .into_iter()
        .flat_map(|width| upper.iter().flat_map(move |y| along(*y, width)));
    let last = Rect { x: first, y: top, width: whole, height: TITLE_HEIGHT };
    let low = [whole, short]
        .into_iter()
        .flat_map(|width| lower.iter().flat_map(move |y| along(*y, width)));
    tabs.chain(low).find(is_free).or(Some(last))
}

fn steps(from: f64, upto: f64) -> impl Iterator<Item = f64> {
    std::iter::successors(Some(from), |value| Some(value + 4.0))
        .take_while(move |value| *value <= upto)
}

/// The straight pieces of a line, as thin rectangles.
pub fn segments(points: &[Point]) -> impl Iterator<Item = Rect> {
    points.iter().zip(points.iter().skip(1)).map(|(from, to)| Rect {
        x: from.x.min(to.x) - 0.5,
        y: from.y.min(to.y) - 0.5,
        width: (from.x - to.x).abs() + 1.0,
        height: (from.y - to.y).abs() + 1.0,
    })
}

fn draw_edge(svg: &mut String, scene: &Scene, edge: &Edge, placement: &Placement) {
    let Some(placed) = placement.edges.get(&edge.id) else { return };
    let class = class_of(edge);
    let foot = match (edge.foot, placed.points.as_slice()) {
        (Foot::From(_), [end, ..]) => bracket(end, placed.points.get(1)),
        (Foot::To(_), [.., end]) => {
            bracket(end, placed.points.len().checked_sub(2).and_then(|at| placed.points.get(at)))
        }
        (Foot::None | Foot::From(_) | Foot::To(_), _) => String::new(),
    };
    line(
        svg,
        &format!(
            r#"<g class="edge {class}" data-from="{}" data-to="{}"{}><path class="hit" d="{path}"/><path d="{path}" marker-end="url(#{}-{})"/>{foot}<title>{}</title></g>"#,
            escape(&edge.from),
            escape(&edge.to),
            owned_by(&edge.owner),
            scene.id,
            head_of(edge),
            escape(&edge.description),
            path = rounded(&placed.points),
        ),
    );
}

/// What the filter of a page knows of the owner.
fn owned_by(owner: &str) -> String {
    if owner.is_empty() { String::new() } else { format!(r#" data-owner="{}""#, escape(owner)) }
}

/// A bracket on the border at the end of an arrow that stands for several boxes behind it.
fn bracket(end: &Point, next: Option<&Point>) -> String {
    const HALF: f64 = 16.0;
    const TOOTH: f64 = 6.0;
    let Some(next) = next else { return String::new() };
    let (x, y) = (round(end.x), round(end.y));
    // The teeth point away from the arrow, into the border.
    if (next.x - end.x).abs() < 0.01 {
        let tooth = if next.y > end.y { -TOOTH } else { TOOTH };
        format!(
            r#"<path class="foot" d="M{} {}V{y}H{}V{}"/>"#,
            x - HALF,
            round(y + tooth),
            x + HALF,
            round(y + tooth)
        )
    } else {
        let tooth = if next.x > end.x { -TOOTH } else { TOOTH };
        format!(
            r#"<path class="foot" d="M{} {}H{x}V{}H{}"/>"#,
            round(x + tooth),
            y - HALF,
            y + HALF,
            round(x + tooth)
        )
    }
}

fn draw_label(svg: &mut String, edge: &Edge, placement: &Placement) {
    let Some(placed) = placement.edges.get(&edge.id) else { return };
    let rect = placed.label;
    let mut group = format!(
        r#"<g class="label {}{}" data-from="{}" data-to="{}"><rect {} rx="3"/>"#,
        class_of(edge),
        edge.standings.iter().map(Standing::class).collect::<String>(),
        escape(&edge.from),
        escape(&edge.to),
        position(&rect)
    );
    texts(&mut group, &edge.label, rect.x + rect.width / 2.0, rect.y + 2.0);
    let _ = write!(group, "<title>{}</title></g>", escape(&edge.description));
    linked(svg, edge.link.as_deref(), &group);
}

/// How an arrow is drawn, and by which chip it is switched off.
fn class_of(edge: &Edge) -> String {
    let change = match edge.change {
        None => "",
        Some(Change::Added) => " added",
        Some(Change::Changed) => " changed",
        Some(Change::Removed) => " removed",
    };
    let class = match (edge.status, edge.is_async) {
        (Status::Target, _) => "target",
        (Status::Live, true) => "async",
        (Status::Live, false) => "sync",
        (Status::Retiring, true) => "async retiring",
        (Status::Retiring, false) => "sync retiring",
    };
    format!("{class}{change}")
}

fn head_of(edge: &Edge) -> &'static str {
    match (edge.status, edge.is_async) {
        (Status::Target, _) => "target",
        (Status::Live | Status::Retiring, true) => "async",
        (Status::Live | Status::Retiring, false) => "sync",
    }
}

fn draw_node(svg: &mut String, node: &Node, rect: &Rect, is_anchor: bool) {
    let shape = class_of_shape(node.shape);
    let state = match (node.status, node.is_external) {
        (Status::Target, _) => " planned",
        (Status::Live | Status::Retiring, true) => " external",
        (Status::Live | Status::Retiring, false) => "",
    };
    let id = escape(&node.id);
    let anchor = if is_anchor { format!(r#" id="el={id}""#) } else { String::new() };
    let mut group = format!(
        r#"<g class="node {shape}{state}"{anchor} data-id="{id}"{}>"#,
        owned_by(&node.owner)
    );
    group.push_str(&body(node.shape, rect));
    let Rect { width, height, .. } = *rect;
    let (x, y) = (round(rect.x), round(rect.y));
    // A box that was stretched has its text in the middle.
    let spare = (height - node.height) / 2.0;
    let (y, sides) = (y + spare, sides_of(node.shape));
    let middle = x + sides.0 + (width - sides.0 - sides.1) / 2.0;
    texts(&mut group, &node.lines, middle, y + cap_of(node.shape).0 + 12.0);
    for chip in &node.chips {
        let _ = write!(
            group,
            r#"<rect class="chip" x="{}" y="{}" width="{}" height="{}" rx="3"/><text class="chip-text" x="{}" y="{}" textLength="{}" lengthAdjust="spacingAndGlyphs">{}</text>"#,
            round(x + chip.x),
            round(y + chip.y),
            chip.width,
            chip.height,
            tenth(x + chip.x + chip.width / 2.0),
            tenth(y + chip.y + chip.height / 2.0 + chip_text_size() * 0.35),
            tenth(width_pixels(&chip.text, chip_text_size(), Weight::Regular)),
            escape(&chip.text),
        );
    }
    group.push_str("</g>");
    linked(svg, node.link.as_deref(), &group);
}

/// The outline of a box: people are rounded, services rectangles, databases, files and queues have shapes of their own.
pub(crate) fn body(shape: Shape, rect: &Rect) -> String {
    let Rect { width, height, .. } = *rect;
    let (x, y) = (round(rect.x), round(rect.y));
    match shape {
        Shape::Person => {
            format!(r#"<rect class="body" {} rx="22"/>"#, position(rect))
        }
        Shape::Service => {
            format!(r#"<rect class="body" {} rx="4"/>"#, position(rect))
        }
        Shape::Queue => {
            let (cap, radius) = (CAP_PIXELS / 2.0 + 2.0, round(height / 2.0));
            let (left, right, bottom) = (round(x + cap), round(x + width - cap), round(y + height));
            format!(
                r#"<path class="body" d="M{left} {y}H{right}A{cap} {radius} 0 0 1 {right} {bottom}H{left}A{cap} {radius} 0 0 1 {left} {y}Z"/><path class="rim" d="M{right} {y}A{cap} {radius} 0 0 0 {right} {bottom}"/>"#
            )
        }
        Shape::Database | Shape::Bucket => {
            let (cap, radius) = (CAP_PIXELS / 2.0 + 2.0, round(width / 2.0));
            let (top, bottom, right) = (round(y + cap), round(y + height - cap), round(x + width));
            format!(
                r#"<path class="body" d="M{x} {top}A{radius} {cap} 0 0 1 {right} {top}V{bottom}A{radius} {cap} 0 0 1 {x} {bottom}Z"/><path class="rim" d="M{x} {top}A{radius} {cap} 0 0 0 {right} {top}"/>"#
            )
        }
    }
}

/// The class by which a shape is coloured.
pub(crate) const fn class_of_shape(shape: Shape) -> &'static str {
    match shape {
        Shape::Person => "person",
        Shape::Service => "service",
        Shape::Database => "database",
        Shape::Bucket => "bucket",
        Shape::Queue => "queue",
    }
}

fn draw_title(svg: &mut String, boundary: &Boundary, rect: &Rect) {
    let kind = if rect.width < title_width(boundary) {
        String::new()
    } else {
        format!(r#"<tspan class="kind"> [{}]</tspan>"#, boundary.kind)
    };
    let group = format!(
        r#"<g class="tab"><rect {} rx="4"/><text x="{}" y="{}" textLength="{}" lengthAdjust="spacingAndGlyphs"><tspan class="name">{}</tspan>{kind}</text></g>"#,
        position(rect),
        tenth(rect.x + 10.0),
        tenth(rect.y + rect.height / 2.0 + TITLE_SIZE * 0.35),
        tenth(rect.width - 20.0),
        escape(&boundary.title),
    );
    linked(svg, boundary.link.as_deref(), &group);
}

/// The group as a link; its own text is its name for people who cannot see it.
fn linked(svg: &mut String, link: Option<&str>, group: &str) {
    match link {
        Some(link) => line(svg, &format!(r#"<a href="{}">{group}</a>"#, escape(link))),
        None => line(svg, group),
    }
}

fn texts(svg: &mut String, lines: &[Line], middle: f64, top: f64) {
    let mut y = top;
    for line in lines {
        // The width is stated, so that a machine without these fonts squeezes its own into it.
        let _ = write!(
            svg,
            r#"<text class="{}" x="{}" y="{}" textLength="{}" lengthAdjust="spacingAndGlyphs">{}</text> "#,
            line.class,
            tenth(middle),
            tenth(y + line.size),
            tenth(line_width(line)),
            escape(&line.text)
        );
        y += line.size * LINE_HEIGHT;
    }
}

fn position(rect: &Rect) -> String {
    format!(
        r#"x="{}" y="{}" width="{}" height="{}""#,
        round(rect.x),
        round(rect.y),
        round(rect.width),
        round(rect.height)
    )
}

/// The line with its bends rounded.
fn rounded(points: &[Point]) -> String {
    let mut path = String::new();
    for (index, point) in points.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|before| points.get(before));
        match (before, points.get(index + 1)) {
            (None, _) => {
                let _ = write!(path, "M{} {}", round(point.x), round(point.y));
            }
            (Some(_), None) => {
                let _ = write!(path, "L{} {}", round(point.x), round(point.y));
            }
            (Some(before), Some(after)) => {
                let start = towards(point, before);
                let end = towards(point, after);
                let _ = write!(
                    path,
                    "L{} {}Q{} {} {} {}",
                    round(start.x),
                    round(start.y),
                    round(point.x),
                    round(point.y),
                    round(end.x),
                    round(end.y)
                );
            }
        }
    }
    path
}

/// The point a corner's radius away from `from`, at most half way to `to`.
fn towards(from: &Point, to: &Point) -> Point {
    let (x, y) = (to.x - from.x, to.y - from.y);
    let length = x.hypot(y);
    if length < 0.01 {
        return *from;
    }
    let part = (CORNER / length).min(0.5);
    Point { x: from.x + x * part, y: from.y + y * part }
}

/// Tenths of a pixel, for text.
fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// Hundredths of a pixel; Rust prints the shortest decimal that reads back the same.
fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn line(svg: &mut String, text: &str) {
    svg.push_str(text);
    svg.push('\n');
}
