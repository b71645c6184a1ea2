//! The walk through the graph, from the entry to a handler.

use std::collections::HashMap;

use http::Method;

use super::facts::{Alternatives, Facts, Validators, precondition};
use super::negotiate::says_something;
use super::plan::Plan;
use super::respond::{respond, without_body};
use super::table::{Part, Rule, Test, after};
use super::trace::{Answer, Step};
use super::{
    Action, Decision, Handler, Node, Outcome, Reply, ResourceResponse, Source, Verdict, Visit,
};
use crate::Error;

/// Steps after which a walk must be going in circles: far more than the graph has nodes.
const MOST_STEPS: usize = 256;

/// A resource in graph style.
#[derive(Debug)]
pub(crate) struct Graph {
    pub(crate) entry: Node,
    pub(crate) plan: Plan,
    pub(crate) decisions: HashMap<Decision, Source<Verdict>>,
    pub(crate) actions: HashMap<Action, Source<Outcome>>,
    pub(crate) handlers: HashMap<Handler, Source<Reply>>,
    pub(crate) known_methods: Vec<Method>,
    pub(crate) facts: Facts,
    pub(crate) alternatives: Alternatives,
    pub(crate) validators: Validators,
    pub(crate) location: Option<Source<Option<String>>>,
}

/// Where a step leads.
enum Next {
    Node(Node),
    Response(ResourceResponse),
}

impl Graph {
    /// Walks to the end.
    pub(crate) async fn walk(&self, visit: &Visit) -> Result<ResourceResponse, Error> {
        let mut node = self.land(visit, self.entry);
        for _ in 0..MOST_STEPS {
            let next = match node {
                Node::Decision(decision) => self.decide(visit, decision).await?,
                Node::Action(action) => self.act(visit, action).await?,
                Node::Handler(handler) => return self.answer(visit, handler).await,
            };
            node = match next {
                Next::Node(next) => self.land(visit, next),
                Next::Response(response) => return Ok(without_body(visit, response)),
            };
        }
        let message = format!("the walk did not end after {MOST_STEPS} steps, at {node}");
        Err(Error::new("resource_loop", message))
    }

    fn land(&self, visit: &Visit, node: Node) -> Node {
        self.plan.land(visit, node, is_post(visit))
    }

    async fn decide(&self, visit: &Visit, decision: Decision) -> Result<Next, Error> {
        let verdict = match (self.decisions.get(&decision), decision.row().rule) {
            (Some(source), _) => source.get(visit).await,
            (None, Rule::Ask(default)) => Ok(yes_or_no(default)),
            (None, Rule::Test(test)) => self.test(visit, decision, test).await.map(yes_or_no),
        };
        let row = decision.row();
        let (answer, next) = match verdict {
            Ok(Verdict::Yes) => (Answer::Yes, Ok(Next::Node(row.yes.end(is_post(visit))))),
            Ok(Verdict::No) => (Answer::No, Ok(Next::Node(row.no.end(is_post(visit))))),
            Ok(Verdict::Go(node)) => (Answer::Go(node.name()), Ok(Next::Node(node))),
            Ok(Verdict::Respond(response)) => (Answer::Respond, Ok(Next::Response(response))),
            Err(error) => (Answer::Failed, Err(error)),
        };
        visit.trace(|trace| trace.add(Step::Decision(decision, answer)));
        next
    }

    async fn test(&self, visit: &Visit, asked: Decision, test: Test) -> Result<bool, Error> {
        match test {
            Test::KnownMethod => Ok(self.known_methods.contains(&visit.method())),
            Test::AllowedMethod => Ok(self.facts.allowed_methods.contains(&visit.method())),
            Test::PatchType => Ok(self.facts.patch_type(visit)),
            Test::Accepts(of) => {
                let says = says_something(visit.joined(of.header()).as_deref());
                if !says {
                    self.alternatives.settle(visit, of).await?;
                }
                Ok(says)
            }
            Test::Negotiates(of) => self.alternatives.settle(visit, of).await,
            other => {
                let reads = matches!(
                    other,
                    Test::StrongMatch | Test::WeakMatch | Test::Unmodified | Test::Modified
                );
                if reads && asked.row().part == Part::Preconditions {
                    self.validators.ask(visit).await?;
                }
                Ok(precondition(visit, other))
            }
        }
    }

    async fn act(&self, visit: &Visit, action: Action) -> Result<Next, Error> {
        // Only a walk that skips `method_allowed?` comes here without an action.
        let Some(source) = self.actions.get(&action) else {
            return Ok(Next::Node(Handler::NotImplemented.into()));
        };
        visit.trace(|trace| trace.add(Step::Action(action)));
        let outcome = source.get(visit).await?;
        Validators::forget(visit);
        visit.state(|state| state.acted = Some(action.into()));
        Ok(match outcome {
            Outcome::Done => Next::Node(after(action).end(is_post(visit))),
            Outcome::Go(node) => Next::Node(node),
            Outcome::Respond(response) => Next::Response(response),
        })
    }

    async fn answer(&self, visit: &Visit, handler: Handler) -> Result<ResourceResponse, Error> {
        let location = self.location(visit, handler).await?;
        if handler == Handler::SeeOther && location.is_none() {
            let message = "303 needs a location: set the property or Visit::set_location";
            return Err(Error::new("no_location", message));
        }
        let shows = matches!(handler.status(), 200 | 300 | 304) && visit.is_read();
        let changed = handler.status() < 300 && visit.state(|state| state.send_validators);
        if shows || changed {
            self.validators.ask(visit).await?;
        }
        let reply = match self.handlers.get(&handler) {
            Some(source) => source.get(visit).await?,
            None => Reply::new(),
        };
        let response = respond(visit, handler, reply, &self.facts, location.as_deref());
        let status = response.status.as_u16();
        visit.trace(|trace| trace.add(Step::Handler(handler, status)));
        Ok(response)
    }

    async fn location(&self, visit: &Visit, handler: Handler) -> Result<Option<String>, Error> {
        if !matches!(handler.status(), 201 | 301 | 303 | 307) {
            return Ok(None);
        }
        let set = visit.state(|state| state.location.clone());
        match (set, &self.location) {
            (None, Some(source)) => source.get(visit).await,
            (set, _) => Ok(set),
        }
    }

    /// Answers that something went wrong, in the way of the application if that works.
    pub(crate) async fn exception(&self, visit: &Visit) -> Result<ResourceResponse, Error> {
        self.answer(visit, Handler::Exception).await
    }
}

fn yes_or_no(yes: bool) -> Verdict {
    if yes { Verdict::Yes } else { Verdict::No }
}

/// Whether the walk is that of a POST: by the action that ran, else by the method.
fn is_post(visit: &Visit) -> bool {
    match visit.state(|state| state.acted) {
        Some(acted) => acted == Node::Action(Action::Post),
        None => visit.method() == Method::POST,
    }
}
