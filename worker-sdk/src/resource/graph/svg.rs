//! The graph as SVG: a column for each part, decisions from top to bottom, what they lead to beside
//! them. Edges between columns are links, so that no line crosses the picture.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use super::super::table::{ENTRY, ON_ERROR, Part, TABLE};
use super::super::{Action, Node, Step, Trace};
use super::{Arrow, arrows, colour, id, text};

const BOX: (i32, i32) = (230, 26);
const CHIP: (i32, i32) = (272, 22);
/// Between the box of a decision and what stands beside it.
const GAP: i32 = 74;
/// Left of a box, for edges that skip some.
const LANE: i32 = 66;
const COLUMN: i32 = LANE + BOX.0 + GAP + CHIP.0 + 24;
const ROW: i32 = 50;
const TITLE: i32 = 44;
const COLUMNS: usize = 3;

const STYLE: &str = "text{font:12px sans-serif;fill:#222}.title{font:bold 15px sans-serif}\
.label{font-size:10px;fill:#555;paint-order:stroke;stroke:#fafafa;stroke-width:3px}.d{fill:#e3f2fd;stroke:#1565c0}.a{fill:#ede7f6;stroke:#4527a0}\
.h{stroke:#777}.l{fill:#fff;stroke:#1565c0;stroke-dasharray:3 2}\
.e{fill:none;stroke:#555;marker-end:url(#arrow)}.v{stroke-width:3}.yes{stroke:#2e7d32;stroke-width:3}.no{stroke:#c62828;stroke-width:3}\
.part{fill:#fafafa;stroke:#ddd}";

/// One line of a column: a node that has edges.
struct Line {
    node: Node,
    asks: &'static str,
    at: (i32, i32),
    beside: Vec<Arrow>,
    below: Vec<Arrow>,
}

/// The graph as SVG.
#[must_use]
pub fn svg() -> String {
    drawn(&Way::default())
}

/// The graph as SVG, with the way that a visit took: green where the answer was yes, red where no.
///
/// A jump that a decision made by itself is no edge of the graph; the nodes at its ends are marked.
#[must_use]
pub fn svg_of(trace: &Trace) -> String {
    drawn(&Way::of(trace))
}

/// What of the graph is marked.
#[derive(Default)]
struct Way {
    nodes: HashSet<Node>,
    edges: HashSet<(Node, Node)>,
}

impl Way {
    fn of(trace: &Trace) -> Self {
        let steps = trace.steps().iter().filter_map(|step| match step {
            Step::Decision(decision, _) => Some(Node::Decision(*decision)),
            Step::Action(action) => Some(Node::Action(*action)),
            Step::Handler(handler, _) => Some(Node::Handler(*handler)),
            Step::Pipeline(..) => None,
        });
        let steps: Vec<Node> = steps.collect();
        Self {
            edges: steps.windows(2).map(|pair| (pair[0], pair[1])).collect(),
            nodes: steps.into_iter().collect(),
        }
    }

    fn node(&self, node: Node) -> &'static str {
        if self.nodes.contains(&node) { " v" } else { "" }
    }

    fn edge(&self, arrow: &Arrow) -> &'static str {
        let is_on_it = self.edges.contains(&(arrow.from, arrow.to));
        match arrow.label.starts_with("no") {
            true if is_on_it => " no",
            false if is_on_it => " yes",
            _ => "",
        }
    }
}

fn drawn(way: &Way) -> String {
    let (lines, size) = layout();
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" \
         height=\"{1}\">\n<title>How a resource answers</title>\n<style>{STYLE}</style>\n\
         <defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" \
         markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0 8 4 0 8z\" fill=\"#555\"/></marker></defs>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>",
        size.0, size.1
    );
    for (index, part) in Part::ALL.iter().enumerate() {
        draw_part(&mut out, index, *part);
    }
    let places: HashMap<Node, (i32, i32)> = lines.iter().map(|l| (l.node, l.at)).collect();
    for line in &lines {
        draw_line(&mut out, line, &places, way);
    }
    let _ = writeln!(
        out,
        "<text x=\"12\" y=\"{}\">A walk begins at {}. Any error in a function leads to {}. Dashed: \
         continues in another column.</text>\n</svg>",
        size.1 - 12,
        ENTRY.name(),
        text(ON_ERROR)
    );
    out
}

/// The upper left corner and the height of a part.
fn place(index: usize) -> ((i32, i32), i32) {
    let height = |row: usize| {
        let parts = Part::ALL.iter().skip(row * COLUMNS).take(COLUMNS);
        parts.map(|part| nodes(*part).len()).max().unwrap_or(0) as i32 * ROW + TITLE + 36
    };
    let (row, column) = (index / COLUMNS, index % COLUMNS);
    let above: i32 = (0..row).map(|row| height(row) + 16).sum();
    ((8 + column as i32 * COLUMN, 8 + above), height(row))
}

/// What stands in the column of a part.
fn nodes(part: Part) -> Vec<(Node, &'static str)> {
    let actions = Action::ALL.iter().filter(|_| part == Part::Answer);
    let rows = TABLE.iter().filter(|row| row.part == part);
    actions
        .map(|action| (Node::Action(*action), "An action, then:"))
        .chain(rows.map(|row| (Node::Decision(row.decision), row.asks.trim())))
        .collect()
}

fn layout() -> (Vec<Line>, (i32, i32)) {
    let mut lines = Vec::new();
    let mut bottom = 0;
    for (index, part) in Part::ALL.iter().enumerate() {
        let ((x, y), height) = place(index);
        bottom = bottom.max(y + height);
        let nodes = nodes(*part);
        for (row, (node, asks)) in nodes.iter().enumerate() {
            let here = |node: Node| nodes.iter().any(|(n, _)| *n == node);
            let is_skip = |arrow: &Arrow| matches!(arrow.to, Node::Decision(_)) && here(arrow.to);
            let from_here = arrows().into_iter().filter(|arrow| arrow.from == *node);
            let (below, beside) = from_here.partition(is_skip);
            lines.push(Line {
                node: *node,
                asks,
                at: (x + LANE, y + TITLE + row as i32 * ROW),
                beside,
                below,
            });
        }
    }
    (lines, (8 + COLUMNS as i32 * COLUMN, bottom + 36))
}

fn draw_part(out: &mut String, index: usize, part: Part) {
    let ((x, y), height) = place(index);
    let _ = writeln!(
        out,
        "<rect class=\"part\" x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{height}\" rx=\"6\"/>\n\
         <text class=\"title\" x=\"{}\" y=\"{}\">{}</text>",
        COLUMN - 12,
        x + 12,
        y + 24,
        part.title()
    );
}

fn draw_line(out: &mut String, line: &Line, places: &HashMap<Node, (i32, i32)>, way: &Way) {
    let (x, y) = line.at;
    let (class, round) = match line.node {
        Node::Action(_) => ("a", 13),
        _ => ("d", 3),
    };
    let _ = writeln!(
        out,
        "<g id=\"{}\"><title>{}</title><rect class=\"{class}{}\" x=\"{x}\" y=\"{y}\" width=\"{}\" \
         height=\"{}\" rx=\"{round}\"/><text x=\"{}\" y=\"{}\">{}</text></g>",
        id(line.node),
        escaped(line.asks),
        way.node(line.node),
        BOX.0,
        BOX.1,
        x + 8,
        y + 17,
        text(line.node)
    );
    for (index, arrow) in line.beside.iter().enumerate() {
        draw_beside(out, arrow, line.at, index as i32, way);
    }
    for arrow in &line.below {
        draw_below(out, arrow, line.at, places[&arrow.to], way);
    }
}

/// A handler, or a link to a node of another column.
fn draw_beside(out: &mut String, arrow: &Arrow, (x, y): (i32, i32), index: i32, way: &Way) {
    let marked = way.edge(arrow);
    let (left, middle) = (x + BOX.0, y + BOX.1 / 2);
    let (chip, top) = (left + GAP, y + 2 + index * (CHIP.1 + 2));
    let end = top + CHIP.1 / 2;
    let _ = writeln!(
        out,
        "<path class=\"e{marked}\" d=\"M{left} {middle}L{chip} {end}\"/><text class=\"label\" x=\"{}\" \
         y=\"{}\">{}</text>",
        left + 14,
        end - 3,
        arrow.label
    );
    let (class, fill, round) = match arrow.to {
        Node::Handler(handler) => ("h", format!(" fill=\"{}\"", colour(handler)), 10),
        Node::Action(_) => ("a", String::new(), 11),
        Node::Decision(_) => ("l", String::new(), 3),
    };
    // The same node may stand in several places: only the one on the way is marked.
    let chip_mark = if marked.is_empty() { "" } else { " v" };
    let shape = format!(
        "<rect class=\"{class}{}\"{fill} x=\"{chip}\" y=\"{top}\" width=\"{}\" height=\"{}\" \
         rx=\"{round}\"/><text x=\"{}\" y=\"{}\">{}</text>",
        chip_mark,
        CHIP.0,
        CHIP.1,
        chip + 8,
        top + 15,
        text(arrow.to)
    );
    let _ = match arrow.to {
        Node::Handler(_) => writeln!(out, "{shape}"),
        node => writeln!(out, "<a href=\"#{}\">{shape}</a>", id(node)),
    };
}

/// An edge within a column: straight to the next box, in the lane past others.
fn draw_below(out: &mut String, arrow: &Arrow, (x, y): (i32, i32), to: (i32, i32), way: &Way) {
    let marked = way.edge(arrow);
    let skipped = (to.1 - y) / ROW - 1;
    if skipped == 0 {
        let middle = x + BOX.0 / 2;
        let _ = writeln!(
            out,
            "<path class=\"e{marked}\" d=\"M{middle} {}V{}\"/><text class=\"label\" x=\"{}\" \
             y=\"{}\">{}</text>",
            y + BOX.1,
            to.1,
            middle + 5,
            y + BOX.1 + 15,
            arrow.label
        );
        return;
    }
    let (from, end) = (y + BOX.1 / 2 + 4, to.1 + BOX.1 / 2 - 4);
    let lane = x - (18 + 9 * skipped).min(LANE - 8);
    let _ = writeln!(
        out,
        "<path class=\"e{marked}\" d=\"M{x} {from}C{lane} {from} {lane} {end} {x} {end}\"/>\
         <text class=\"label\" x=\"{}\" y=\"{}\">{}</text>",
        x - 22,
        from - 4,
        arrow.label
    );
}

pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
