//! Pictures of the graph, drawn from its table.

mod page;
mod svg;

use std::fmt::Write as _;

use super::table::{ENTRY, ON_ERROR, Part, TABLE, after};
use super::{Action, Edge, Handler, Node};

pub use page::html_of;
pub use svg::{svg, svg_of};

/// An edge of a picture.
struct Arrow {
    from: Node,
    to: Node,
    label: String,
}

/// Every edge of the graph, in the order of the table.
fn arrows() -> Vec<Arrow> {
    let mut arrows = Vec::new();
    let mut add = |from: Node, edge: Edge, label: &str| match edge {
        Edge::To(to) => arrows.push(Arrow {
            from,
            to,
            label: label.to_owned(),
        }),
        Edge::ByAction { post, put } => {
            for (to, method) in [(post, "POST"), (put, "PUT")] {
                let label = format!("{label}, {method}");
                arrows.push(Arrow { from, to, label });
            }
        }
    };
    for row in TABLE {
        let from = Node::Decision(row.decision);
        add(from, row.yes, "yes");
        add(from, row.no, "no");
    }
    for &action in Action::ALL {
        add(action.into(), after(action), "");
    }
    arrows
}

/// A name that every format takes: `if_match_star?` is `if_match_star`.
fn id(node: Node) -> String {
    let prefix = if matches!(node, Node::Action(_)) {
        "action_"
    } else {
        ""
    };
    format!("{prefix}{}", node.name().trim_end_matches('?'))
}

/// What stands in a node.
fn text(node: Node) -> String {
    match node {
        Node::Handler(handler) => format!("{} {}", handler.status(), handler.name()),
        node => node.name().to_owned(),
    }
}

/// The colour of an answer, by the class of its status.
fn colour(handler: Handler) -> &'static str {
    match handler.status() / 100 {
        2 => "#c8e6c9",
        3 => "#fff3b0",
        4 => "#ffd3b6",
        _ => "#f8bbd0",
    }
}

/// The graph for Graphviz.
#[must_use]
pub fn dot() -> String {
    let mut out = String::from("digraph resource {\n  node [fontname=\"sans-serif\"];\n");
    for (index, part) in Part::ALL.iter().enumerate() {
        let _ = writeln!(
            out,
            "  subgraph cluster_{index} {{\n    label=\"{}\";",
            part.title()
        );
        for row in TABLE.iter().filter(|row| row.part == *part) {
            let node = Node::Decision(row.decision);
            let asks = row.asks.trim();
            let _ = writeln!(
                out,
                "    {} [shape=box, label=\"{}\", tooltip=\"{asks}\"];",
                id(node),
                text(node)
            );
        }
        out.push_str("  }\n");
    }
    for node in Node::all() {
        let _ = match node {
            Node::Decision(_) => Ok(()),
            Node::Action(_) => {
                writeln!(
                    out,
                    "  {} [shape=ellipse, label=\"{}\"];",
                    id(node),
                    text(node)
                )
            }
            Node::Handler(handler) => writeln!(
                out,
                "  {} [shape=box, style=\"rounded,filled\", fillcolor=\"{}\", label=\"{}\"];",
                id(node),
                colour(handler),
                text(node)
            ),
        };
    }
    let _ = writeln!(out, "  entry [shape=point];\n  entry -> {};", id(ENTRY));
    let _ = writeln!(out, "  error [shape=plaintext, label=\"any error\"];");
    let _ = writeln!(out, "  error -> {} [style=dashed];", id(ON_ERROR));
    for Arrow { from, to, label } in arrows() {
        let _ = writeln!(out, "  {} -> {} [label=\"{label}\"];", id(from), id(to));
    }
    out.push_str("}\n");
    out
}

/// The graph for Mermaid.
#[must_use]
pub fn mermaid() -> String {
    let mut out = String::from("flowchart TD\n");
    for (index, part) in Part::ALL.iter().enumerate() {
        let _ = writeln!(out, "  subgraph part{index}[\"{}\"]", part.title());
        for row in TABLE.iter().filter(|row| row.part == *part) {
            let node = Node::Decision(row.decision);
            let _ = writeln!(out, "    {}{{\"{}\"}}", id(node), text(node));
        }
        out.push_str("  end\n");
    }
    for node in Node::all() {
        let _ = match node {
            Node::Decision(_) => Ok(()),
            Node::Action(_) => writeln!(out, "  {}([\"{}\"])", id(node), text(node)),
            Node::Handler(handler) => {
                let class = handler.status() / 100;
                writeln!(out, "  {}[\"{}\"]:::s{class}", id(node), text(node))
            }
        };
    }
    let _ = writeln!(out, "  entry((\" \")) --> {}", id(ENTRY));
    let _ = writeln!(out, "  error[\"any error\"] -.-> {}", id(ON_ERROR));
    for Arrow { from, to, label } in arrows() {
        let label = if label.is_empty() {
            String::new()
        } else {
            format!("|\"{label}\"|")
        };
        let _ = writeln!(out, "  {} -->{label} {}", id(from), id(to));
    }
    for (class, of) in [
        (2, Handler::Ok),
        (3, Handler::SeeOther),
        (4, Handler::Gone),
        (5, Handler::Exception),
    ] {
        let _ = writeln!(out, "  classDef s{class} fill:{}", colour(of));
    }
    out
}

#[cfg(test)]
mod tests;
