use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use super::*;
use crate::resource::Decision;

fn next() -> HashMap<Node, Vec<Node>> {
    let mut next: HashMap<Node, Vec<Node>> = HashMap::new();
    for arrow in arrows() {
        next.entry(arrow.from).or_default().push(arrow.to);
    }
    next
}

#[test]
fn rows_stand_at_the_index_of_their_decision() {
    for (index, row) in TABLE.iter().enumerate() {
        assert_eq!(row.decision as usize, index, "{}", row.name);
        assert_eq!(Node::from_name(row.name), Some(row.decision.into()));
    }
    let names: HashSet<_> = Node::all().map(Node::name).collect();
    assert_eq!(names.len(), Node::all().count(), "two nodes share a name");
}

#[test]
fn every_node_is_reachable() {
    let next = next();
    let mut seen = HashSet::from([ENTRY, ON_ERROR]);
    let mut rest = vec![ENTRY];
    while let Some(node) = rest.pop() {
        for &to in next.get(&node).into_iter().flatten() {
            if seen.insert(to) {
                rest.push(to);
            }
        }
    }
    let lost: Vec<_> = Node::all().filter(|node| !seen.contains(node)).collect();
    assert!(lost.is_empty(), "nothing leads to {lost:?}");
}

#[test]
fn every_walk_ends_at_a_handler() {
    fn longest(
        node: Node,
        next: &HashMap<Node, Vec<Node>>,
        path: &mut Vec<Node>,
        known: &mut HashMap<Node, usize>,
    ) -> usize {
        assert!(
            !path.contains(&node),
            "a cycle: {path:?} and {node:?} again"
        );
        if let Some(&length) = known.get(&node) {
            return length;
        }
        let Some(ways) = next.get(&node) else {
            assert!(matches!(node, Node::Handler(_)), "{node} leads nowhere");
            return 0;
        };
        path.push(node);
        let ways = ways.iter().map(|&to| longest(to, next, path, known));
        let length = 1 + ways.max().unwrap();
        path.pop();
        known.insert(node, length);
        length
    }
    let longest = longest(ENTRY, &next(), &mut Vec::new(), &mut HashMap::new());
    assert!(
        (30..100).contains(&longest),
        "the longest walk has {longest} steps"
    );
}

#[test]
fn the_two_answers_of_a_decision_differ() {
    for row in TABLE {
        assert_ne!(row.yes, row.no, "{}", row.name);
    }
}

#[test]
fn pictures_have_every_node_and_edge() {
    let (dot, mermaid, svg) = (dot(), mermaid(), svg());
    for node in Node::all() {
        for (picture, name) in [(&dot, "dot"), (&mermaid, "mermaid"), (&svg, "svg")] {
            assert!(picture.contains(&text(node)), "{node} is not in {name}");
        }
    }
    let count = |picture: &str, what: &str| picture.matches(what).count();
    assert_eq!(count(&dot, " -> "), arrows().len() + 2);
    assert_eq!(count(&mermaid, " -->"), arrows().len() + 1);
    assert_eq!(count(&svg, "<path class=\"e\""), arrows().len());
    for decision in Decision::all() {
        assert_eq!(
            count(&svg, &format!("<g id=\"{}\">", id(decision.into()))),
            1
        );
    }
}

#[tokio::test]
async fn a_visit_is_marked_in_the_picture() {
    let resource = crate::resource::Resource::graph().build().unwrap();
    let request = crate::resource::ResourceRequest::new(http::Method::GET, "/");
    let (_, trace) = resource.trace(request).await;
    let picture = svg_of(&trace);
    let marked =
        picture.matches("class=\"e yes\"").count() + picture.matches("class=\"e no\"").count();
    // Each step leads to the next one by an edge; the handler ends it.
    assert_eq!(marked, trace.steps().len() - 1);
    assert_eq!(
        picture.matches("class=\"d v\"").count(),
        trace.steps().len() - 1
    );
    assert!(picture.contains("<rect class=\"h v\" fill=\"#c8e6c9\""));
    assert_eq!(svg().matches(" v\"").count(), 0);
}

#[test]
fn a_page_shows_the_steps_and_the_picture() {
    let trace =
        crate::resource::Trace::from_header("exists?=no, put, my_plug=respond, handle_created=201");
    let page = html_of(&trace.unwrap());
    assert!(
        page.contains("<code>exists?</code> <b class=\"no\">no</b>"),
        "{page}"
    );
    assert!(page.contains("<code>handle_created</code> <b class=\"other\">201</b>"));
    assert!(page.contains("<svg ") && page.contains("class=\"d v\""));
    assert!(page.ends_with("</body>\n</html>\n"));
}

#[test]
fn the_picture_in_the_docs_is_up_to_date() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/resource-graph.svg");
    let drawn = svg();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &drawn).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == drawn,
        "docs/resource-graph.svg is not what the table says: UPDATE_DOCS=1 draws it again"
    );
}
