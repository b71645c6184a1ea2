//! Errors in the words of a client's version: faults stand where the client wrote what they are
//! about, and texts quote the client's names.

use serde_json::Value;

use super::Chain;

/// Where faults stand in an error, and what their place and text are called. The last is RFC 9457's
/// own example.
const LISTS: [(&str, &str, &str); 3] = [
    ("/details/faults", "path", "message"),
    ("/faults", "path", "message"),
    ("/errors", "pointer", "detail"),
];
/// Texts of an error that may quote its faults.
const TEXTS: [&str; 3] = ["error", "message", "detail"];

/// A fault as it was said, and as it is said in the client's words.
pub type Reworded = (String, String);

/// Faults of an error's `details`, `{"faults": [{"path": …, "message": …}]}`, with their places as
/// the client's version has them: `place` says what a place was called there. Messages that quote a
/// field's name quote the client's. Returns what has changed, as texts quote it: `/name: is missing`.
pub fn faults_before(details: &mut Value, place: impl Fn(&str) -> String) -> Vec<Reworded> {
    match details.get_mut("faults").and_then(Value::as_array_mut) {
        Some(faults) => each(faults, ("path", "message"), &place),
        None => Vec::new(),
    }
}

/// The text, with what has changed in faults that it quotes.
#[must_use]
pub fn text_before(text: &str, reworded: &[Reworded]) -> String {
    let quote = |text: String, (today, before): &Reworded| text.replacen(today.as_str(), before, 1);
    reworded.iter().fold(text.to_owned(), quote)
}

impl Chain {
    /// [`faults_before`] for the client's version of this chain.
    pub fn faults_before(&self, details: &mut Value) -> Vec<Reworded> {
        faults_before(details, |place| self.place_before(place))
    }

    /// The JSON body of an error that a resource made, in the words of the client's version;
    /// `None`: nothing in it is said in others. Understood are lists of faults as
    /// [`faults_before`] has them, at the top or in `details`, and those of problem details,
    /// `{"errors": [{"pointer": "#/…", "detail": …}]}`.
    #[must_use]
    pub fn problem_before(&self, body: &[u8]) -> Option<Vec<u8>> {
        let mut problem: Value = serde_json::from_slice(body).ok()?;
        let mut reworded = Vec::new();
        for (list, path, message) in LISTS {
            if let Some(faults) = problem.pointer_mut(list).and_then(Value::as_array_mut) {
                let place = |place: &str| self.place_before(place);
                reworded.extend(each(faults, (path, message), &place));
            }
        }
        if reworded.is_empty() {
            return None;
        }
        for name in TEXTS {
            if let Some(Value::String(text)) = problem.get_mut(name) {
                *text = text_before(text, &reworded);
            }
        }
        serde_json::to_vec(&problem).ok()
    }
}

fn each(
    faults: &mut [Value],
    (path, message): (&str, &str),
    place: &impl Fn(&str) -> String,
) -> Vec<Reworded> {
    let mut reworded = Vec::new();
    for fault in faults {
        let Some(now) = fault.get(path).and_then(Value::as_str).map(str::to_owned) else {
            continue;
        };
        // A JSON Pointer may be a fragment of a URI (RFC 6901 §6).
        let (hash, pointer) = match now.strip_prefix('#') {
            Some(pointer) => ("#", pointer),
            None => ("", now.as_str()),
        };
        let before = place(pointer);
        if before == pointer {
            continue;
        }
        let said = fault.get(message).and_then(Value::as_str).unwrap_or("");
        let says = renamed(said, pointer, &before);
        reworded.push((format!("{now}: {said}"), format!("{hash}{before}: {says}")));
        if fault.get(message).is_some_and(Value::is_string) {
            fault[message] = says.into();
        }
        fault[path] = format!("{hash}{before}").into();
    }
    reworded
}

/// The message with the last name of `now` replaced by that of `before`, where it stands quoted.
fn renamed(message: &str, now: &str, before: &str) -> String {
    let last = |place: &str| {
        let name = place.rsplit('/').next().unwrap_or_default();
        format!("{:?}", name.replace("~1", "/").replace("~0", "~"))
    };
    message.replace(&last(now), &last(before))
}
