//! Running pipelines.

use http::{Method, StatusCode};

use super::super::facts::{Alternatives, Facts, preconditions};
use super::super::negotiate::Dimension;
use super::super::respond::{respond, without_body};
use super::super::trace::{Answer, Step};
use super::super::{Decision, Handler, Outcome, Reply, ResourceResponse, Source, Visit};
use super::{Built, Filter, MethodRule, PipelineStep, Pipelines, START, SendEntity};
use crate::Error;

/// How often a visit may go on with another pipeline.
const MOST_DECANTS: usize = 32;

impl Pipelines {
    /// Runs a visit to its end.
    pub(crate) async fn run(&self, visit: &Visit) -> Result<ResourceResponse, Error> {
        let mut name = START.to_owned();
        for _ in 0..=MOST_DECANTS {
            let pipeline = self.all.get(&name).ok_or_else(|| {
                Error::new("no_pipeline", format!("there is no pipeline {name:?}"))
            })?;
            for step in &pipeline.steps {
                if let Some(response) = pipeline.step(visit, step).await? {
                    return Ok(response);
                }
            }
            let Some(decant) = &pipeline.decant else {
                return pipeline.dispatch(visit).await;
            };
            name = decant.get(visit).await?.ok_or_else(|| {
                Error::new(
                    "no_pipeline",
                    format!("the pipeline {name} goes on with none"),
                )
            })?;
        }
        let message = format!("the visit did not end after {MOST_DECANTS} pipelines");
        Err(Error::new("resource_loop", message))
    }

    /// Answers that something went wrong.
    pub(crate) async fn exception(&self, visit: &Visit) -> Result<ResourceResponse, Error> {
        let facts = Facts::default();
        Ok(finish(visit, Handler::Exception, Reply::new(), &facts))
    }
}

impl Built {
    /// Runs what comes before the method: a response ends the visit.
    async fn step(
        &self,
        visit: &Visit,
        step: &PipelineStep,
    ) -> Result<Option<ResourceResponse>, Error> {
        Ok(match step {
            PipelineStep::Plug(name, source) => act(visit, name, source).await?,
            PipelineStep::Filter(filter, source) => {
                let passed = self.filter(visit, *filter, source).await?;
                (!passed).then(|| self.answer(visit, filter.handler()))
            }
            PipelineStep::Negotiate(alternatives) => {
                let acceptable = negotiate(visit, alternatives).await?;
                (!acceptable).then(|| self.answer(visit, Handler::NotAcceptable))
            }
        })
    }

    async fn filter(
        &self,
        visit: &Visit,
        filter: Filter,
        source: &Source<bool>,
    ) -> Result<bool, Error> {
        let asked = source.get(visit).await;
        let answer = asked
            .as_ref()
            .map_or(Answer::Failed, |yes| Answer::of(*yes));
        note(visit, filter.name(), answer);
        Ok(asked? == filter.passes())
    }

    async fn dispatch(&self, visit: &Visit) -> Result<ResourceResponse, Error> {
        let method = visit.method();
        if method == Method::OPTIONS {
            return Ok(self.answer(visit, Handler::Options));
        }
        let rule = match method {
            Method::HEAD => self.methods.get(&Method::GET),
            _ => self.methods.get(&method),
        };
        let Some(rule) = rule else {
            return Ok(self.answer(visit, Handler::MethodNotAllowed));
        };
        self.validators.ask(visit).await?;
        if let Some(handler) = preconditions(visit) {
            return Ok(self.answer(visit, handler));
        }
        self.serve(visit, rule).await
    }

    async fn serve(&self, visit: &Visit, rule: &MethodRule) -> Result<ResourceResponse, Error> {
        if let Some(action) = &rule.action {
            let name = visit.method().as_str().to_ascii_lowercase();
            if let Some(response) = act(visit, &name, action).await? {
                return Ok(response);
            }
            if visit.state(|state| state.send_validators) {
                super::Validators::forget(visit);
                self.validators.ask(visit).await?;
            }
        }
        let send = match &rule.send_entity {
            SendEntity::Yes => true,
            SendEntity::No => false,
            SendEntity::If(source) => source.get(visit).await?,
        };
        let entity = self.entity.as_ref().filter(|_| send);
        let Some((name, entity)) = entity else {
            return Ok(self.answer(visit, Handler::NoContent));
        };
        let reply = entity.get(visit).await;
        let answer = if reply.is_ok() {
            Answer::Yes
        } else {
            Answer::Failed
        };
        note(visit, name, answer);
        let reply = reply?.status(StatusCode::OK);
        Ok(finish(visit, Handler::Ok, reply, &self.facts))
    }

    fn answer(&self, visit: &Visit, handler: Handler) -> ResourceResponse {
        finish(visit, handler, Reply::new(), &self.facts)
    }
}

/// Negotiates what is declared, in the order of the dimensions.
async fn negotiate(visit: &Visit, alternatives: &Alternatives) -> Result<bool, Error> {
    for dimension in Dimension::ALL {
        let acceptable = alternatives.settle(visit, dimension).await?;
        if alternatives.declares(dimension) {
            let step = Step::Decision(decision(dimension), Answer::of(acceptable));
            visit.trace(|trace| trace.add(step));
        }
        if !acceptable {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What the graph asks of a dimension.
fn decision(of: Dimension) -> Decision {
    match of {
        Dimension::MediaType => Decision::MediaTypeAvailable,
        Dimension::Language => Decision::LanguageAvailable,
        Dimension::Charset => Decision::CharsetAvailable,
        Dimension::Encoding => Decision::EncodingAvailable,
    }
}

/// Runs a function that may answer by itself.
async fn act(
    visit: &Visit,
    name: &str,
    source: &Source<Outcome>,
) -> Result<Option<ResourceResponse>, Error> {
    let outcome = source.get(visit).await;
    let (answer, response) = match outcome {
        Ok(Outcome::Done) => (Answer::Yes, Ok(None)),
        Ok(Outcome::Respond(response)) => (Answer::Respond, Ok(Some(response))),
        Ok(Outcome::Go(node)) => {
            let message = format!("{name} delegates to {node}, which only the graph style can do");
            (
                Answer::Go(node.name()),
                Err(Error::new("no_graph", message)),
            )
        }
        Err(error) => (Answer::Failed, Err(error)),
    };
    note(visit, name, answer);
    Ok(response?.map(|response| without_body(visit, response)))
}

fn finish(visit: &Visit, handler: Handler, reply: Reply, facts: &Facts) -> ResourceResponse {
    let response = respond(visit, handler, reply, facts, None);
    let status = response.status.as_u16();
    visit.trace(|trace| trace.add(Step::Handler(handler, status)));
    response
}

fn note(visit: &Visit, name: &str, answer: Answer) {
    visit.trace(|trace| trace.add(Step::Pipeline(name.to_owned(), answer)));
}
