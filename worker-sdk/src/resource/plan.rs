//! The graph as one resource has it: constant decisions folded away.

use std::collections::HashMap;

use super::table::{Rule, TABLE, Test};
use super::trace::{Answer, Step};
use super::{BuildError, Decision, Node, Source, Verdict, Visit};

/// Where a walk lands from each decision: what it passes on the way is constant.
#[derive(Debug)]
pub(crate) struct Plan {
    /// By [`Decision`], for walks that are no POST and that are one.
    landings: [Vec<Landing>; 2],
}

/// The first node that has to be asked, and the constant decisions that lead to it.
#[derive(Debug)]
struct Landing {
    passed: Vec<Step>,
    node: Node,
}

impl Plan {
    /// Folds the constants of the graph and of the resource.
    pub(crate) fn new(
        decisions: &HashMap<Decision, Source<Verdict>>,
        has_etag: bool,
        has_date: bool,
    ) -> Result<Self, BuildError> {
        let constant = |decision: Decision| -> Option<Verdict> {
            if let Some(source) = decisions.get(&decision) {
                return source.constant().cloned();
            }
            let yes = match decision.row().rule {
                Rule::Ask(default) => default,
                // Without the property the answer is known.
                Rule::Test(Test::StrongMatch | Test::WeakMatch) if !has_etag => false,
                Rule::Test(Test::Unmodified | Test::Modified) if !has_date => true,
                Rule::Test(_) => return None,
            };
            Some(if yes { Verdict::Yes } else { Verdict::No })
        };
        let all = |post| -> Result<Vec<_>, BuildError> {
            Decision::all()
                .map(|decision| land(decision, post, constant))
                .collect()
        };
        Ok(Self {
            landings: [all(false)?, all(true)?],
        })
    }

    /// The first node from here that has to be asked; notes in the trace what is passed.
    pub(crate) fn land(&self, visit: &Visit, node: Node, post: bool) -> Node {
        let Node::Decision(decision) = node else {
            return node;
        };
        let landing = &self.landings[usize::from(post)][decision as usize];
        visit.trace(|trace| {
            landing
                .passed
                .iter()
                .for_each(|step| trace.add(step.clone()))
        });
        landing.node
    }
}

fn land(
    from: Decision,
    post: bool,
    constant: impl Fn(Decision) -> Option<Verdict>,
) -> Result<Landing, BuildError> {
    let mut landing = Landing {
        passed: Vec::new(),
        node: Node::Decision(from),
    };
    while let Node::Decision(decision) = landing.node {
        let row = decision.row();
        let (answer, next) = match constant(decision) {
            None | Some(Verdict::Respond(_)) => break,
            Some(Verdict::Yes) => (Answer::Yes, row.yes.end(post)),
            Some(Verdict::No) => (Answer::No, row.no.end(post)),
            Some(Verdict::Go(node)) => (Answer::Go(node.name()), node),
        };
        landing.passed.push(Step::Decision(decision, answer));
        landing.node = next;
        if landing.passed.len() > TABLE.len() {
            return Err(BuildError::Loop(from));
        }
    }
    Ok(landing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::{ENTRY, Handler};

    #[test]
    fn what_is_constant_is_not_asked() {
        let visit = Visit::new(
            crate::resource::ResourceRequest::new(http::Method::GET, "/"),
            true,
        );
        let plan = Plan::new(&HashMap::new(), false, false).unwrap();
        let known = Node::Decision(Decision::KnownMethod);
        assert_eq!(plan.land(&visit, ENTRY, false), known);
        let passed = vec![Step::Decision(Decision::ServiceAvailable, Answer::Yes)];
        assert_eq!(
            visit.state(|state| state.trace.take()).unwrap().steps(),
            passed
        );
        // Without a tag nothing matches; without a date nothing is modified.
        let from = Node::Decision(Decision::EtagMatchesForIfMatch);
        let failed = Node::Handler(Handler::PreconditionFailed);
        assert_eq!(plan.land(&visit, from, false), failed);
        let plan = Plan::new(&HashMap::new(), true, true).unwrap();
        assert_eq!(plan.land(&visit, from, false), from);
        let closed = Source::Constant(Verdict::No);
        let closed = HashMap::from([(Decision::ServiceAvailable, closed)]);
        let plan = Plan::new(&closed, true, true).unwrap();
        let handler = Node::Handler(Handler::ServiceNotAvailable);
        assert_eq!(plan.land(&visit, ENTRY, false), handler);
    }
}
