//! Changes that find whatever a client of the older version may send: what is valid there is valid
//! after them, and their reverse brings back what they moved.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use sluice_protocol::Payload;
use sluice_protocol::argument::{self, ArgTypes};
use sluice_protocol::change::{Chain, Versions};

/// The type of an arg, and with it which values are valid.
#[derive(Debug, Clone)]
enum Type {
    Number,
    Text,
    Flag,
    /// One of `{letter}0`, `{letter}1`, `{letter}2`.
    Choice(char),
    /// An object with this one field.
    Object(String, Box<Type>),
}

impl Type {
    fn new(which: u8) -> Self {
        [Self::Number, Self::Text, Self::Flag, Self::Choice('a')][usize::from(which % 4)].clone()
    }

    fn to_json(&self) -> Value {
        match self {
            Self::Number => json!("num"),
            Self::Text => json!("string"),
            Self::Flag => json!("boolean"),
            Self::Choice(letter) => {
                let all = [0, 1, 2].map(|i| format!("{letter}{i}"));
                json!({"type": "string", "enum": all})
            }
            Self::Object(field, inner) => {
                json!({"type": "object", "fields": {field: inner.to_json()}})
            }
        }
    }

    fn value(&self, seed: i32) -> Value {
        match self {
            Self::Number => json!(f64::from(seed) / 8.0),
            Self::Text => json!(format!("t{seed}")),
            Self::Flag => json!(seed % 2 == 0),
            Self::Choice(letter) => json!(format!("{letter}{}", seed.rem_euclid(3))),
            Self::Object(field, inner) => json!({field: inner.value(seed)}),
        }
    }
}

/// One arg on its way from the oldest version to today's.
#[derive(Debug)]
struct Arg {
    name: String,
    kind: Type,
    alive: bool,
}

impl Arg {
    /// What one change makes of it: the operation, if there is one.
    fn step(&mut self, step: usize, which: u8) -> Option<Value> {
        let from = self.name.clone();
        let other = format!("{from}x{step}");
        match which % 6 {
            0 => None,
            1 => {
                self.name.clone_from(&other);
                Some(json!({"op": "rename", "from": from, "to": other}))
            }
            2 => {
                self.alive = false;
                Some(json!({"op": "drop", "path": format!("/{from}")}))
            }
            3 => {
                self.kind = Type::Object("id".to_owned(), Box::new(self.kind.clone()));
                Some(json!({"op": "wrap", "path": format!("/{from}"), "key": "id"}))
            }
            4 => {
                self.kind = Type::Object("v".to_owned(), Box::new(self.kind.clone()));
                self.name.clone_from(&other);
                let to = format!("/{other}/v");
                Some(json!({"op": "move", "from": format!("/{from}"), "to": to}))
            }
            _ => {
                let Type::Choice(letter) = self.kind else {
                    return None;
                };
                let next = char::from(u8::try_from(letter).unwrap() + 1);
                self.kind = Type::Choice(next);
                let pairs =
                    [0, 1, 2].map(|i| (format!("{letter}{i}"), json!(format!("{next}{i}"))));
                let values: Map<_, _> = pairs.into_iter().collect();
                Some(json!({"op": "map_values", "path": format!("/{from}"), "values": values}))
            }
        }
    }
}

/// What was drawn, worked out.
struct Case {
    chain: Chain,
    before: ArgTypes,
    today: ArgTypes,
    args: Value,
    /// What the way up and down again leaves of the args.
    kept: Value,
}

fn types<'a>(args: impl Iterator<Item = &'a Arg>) -> ArgTypes {
    let types = args.map(|arg| (arg.name.clone(), arg.kind.to_json()));
    ArgTypes::from_json(&Value::Object(types.collect())).unwrap()
}

fn case(drawn: &[(u8, i32, Vec<u8>)], steps: usize) -> Case {
    let mut all: Vec<Arg> = drawn
        .iter()
        .enumerate()
        .map(|(index, (which, _, _))| Arg {
            name: format!("f{index}"),
            kind: Type::new(*which),
            alive: true,
        })
        .collect();
    let before = types(all.iter());
    let names: Vec<String> = all.iter().map(|arg| arg.name.clone()).collect();
    let values = all
        .iter()
        .zip(drawn)
        .map(|(arg, (_, seed, _))| arg.kind.value(*seed));
    let args: Map<String, Value> = names.iter().cloned().zip(values).collect();
    let mut versions = Vec::new();
    for step in 0..steps {
        let mut operations = vec![];
        for (arg, (_, _, plan)) in all.iter_mut().zip(drawn).filter(|(arg, _)| arg.alive) {
            operations.extend(arg.step(step, plan[step]));
        }
        // What today's shape asks for and older clients do not know of.
        let added = format!("added{step}");
        operations.push(json!({"op": "default", "path": format!("/{added}"), "value": "new"}));
        all.push(Arg {
            name: added,
            kind: Type::Text,
            alive: true,
        });
        // A drop has no reverse, so it is a change of its own.
        let (drops, others): (Vec<Value>, Vec<Value>) =
            operations.into_iter().partition(|o| o["op"] == "drop");
        versions.push(json!({"version": step.to_string(), "changes": [
            {"name": "a", "functions": ["f"], "request": drops, "response": []},
            {"name": "b", "functions": ["f"], "request": others, "response": {"reverse": [""]}},
        ]}));
    }
    versions.push(json!({"version": steps.to_string()}));
    let versions = Versions::from_json(&json!(versions)).unwrap();
    let alive: Vec<bool> = all.iter().map(|arg| arg.alive).collect();
    let kept = names.iter().zip(alive).filter(|(_, alive)| *alive);
    let kept = kept.map(|(name, _)| (name.clone(), args[name].clone()));
    Case {
        chain: versions.chain("0", None, "f").unwrap(),
        before,
        today: types(all.iter().filter(|arg| arg.alive)),
        kept: Value::Object(kept.collect()),
        args: Value::Object(args),
    }
}

fn valid(types: &ArgTypes, args: &Payload) -> Result<(), TestCaseError> {
    let faults = argument::check(Some(types), args.clone()).err();
    let text = String::from_utf8_lossy(&args.bytes);
    prop_assert!(faults.is_none(), "{text}: {faults:?}");
    Ok(())
}

proptest! {
    #[test]
    fn what_was_valid_is_valid_today_and_comes_back(
        drawn in proptest::collection::vec(
            (any::<u8>(), any::<i32>(), proptest::collection::vec(any::<u8>(), 3)), 0..6
        ),
        steps in 1_usize..4,
    ) {
        let case = case(&drawn, steps);
        let args = Payload::json(case.args.to_string());
        valid(&case.before, &args)?;
        let up = case.chain.request(&args).unwrap();
        valid(&case.today, &up)?;
        let down = case.chain.response(&up).unwrap();
        let down: Value = serde_json::from_slice(&down.bytes).unwrap();
        prop_assert_eq!(down, case.kept);
    }
}
