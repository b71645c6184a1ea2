//! `[[function]]`: functions that plain NATS responders serve.

use serde_json::{Map, Number, Value};
use sluice_protocol::{FunctionSpec, ServiceName};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::kind::Raw;
use super::mistake::{Mistake, Origin};
use super::reader::{File, Reader};
use super::source::entry;

/// The key of the tables in the file.
pub(super) const KEY: &str = "function";
/// Whether messages carry headers.
const HEADERS: &str = "headers";

/// A function of the gateway's own config file.
#[derive(Debug, Clone, PartialEq)]
pub struct FixedFunction {
    /// Of which service.
    pub service: String,
    /// The subject that plain NATS responders listen on.
    pub subject: String,
    /// Whether messages carry headers: request, caller, deadline, trace.
    pub headers: bool,
    /// All fields of a registered function; without those above.
    pub spec: Value,
}

impl FixedFunction {
    /// As `[[function]]` has it.
    pub(crate) fn to_json(&self) -> Value {
        let mut fields = self.spec.clone();
        if let Some(fields) = fields.as_object_mut() {
            fields.insert("service".to_owned(), self.service.as_str().into());
            fields.insert("subject".to_owned(), self.subject.as_str().into());
            if !self.headers {
                fields.insert(HEADERS.to_owned(), false.into());
            }
        }
        fields
    }
}

/// Reads all fixed functions. Those with mistakes are left out.
pub(super) fn read(reader: &mut Reader<'_>) -> Vec<FixedFunction> {
    let Some(file) = reader.file else {
        return Vec::new();
    };
    let Some((offset, value)) = entry(file.table, KEY) else {
        return Vec::new();
    };
    let DeValue::Array(items) = value.get_ref() else {
        let message = "expected tables [[function]], with two brackets";
        let origin = file.text.origin(offset);
        reader.mistakes.push(Mistake::new(origin, KEY, message));
        return Vec::new();
    };
    let mut functions: Vec<FixedFunction> = Vec::new();
    for item in items.iter() {
        let Some(function) = read_one(reader, file, item) else {
            continue;
        };
        if functions.iter().any(|f| is_same(f, &function)) {
            let name = &function.spec["request_type"];
            let message = format!("{name} of {:?} stands here twice", function.service);
            let origin = file.text.origin(item.span().start);
            reader.mistakes.push(Mistake::new(origin, KEY, message));
        }
        functions.push(function);
    }
    functions
}

fn is_same(a: &FixedFunction, b: &FixedFunction) -> bool {
    let named = |f: &FixedFunction| (f.spec["request_type"].clone(), f.spec["version"].clone());
    a.service == b.service && named(a) == named(b)
}

/// The mistakes of one function, each with its place.
struct Faults<'a> {
    file: File<'a>,
    table: &'a DeTable<'a>,
    header: usize,
    label: String,
    found: Vec<Mistake>,
}

impl Faults<'_> {
    fn origin(&self, field: &str) -> Origin {
        // A fault may lie within a field: `arg_types.age`.
        let key = field.split(['.', '[', '/']).next().unwrap_or(field);
        let offset = entry(self.table, key).map_or(self.header, |(offset, _)| offset);
        self.file.text.origin(offset)
    }

    fn add(&mut self, field: &str, message: String) {
        let option = format!("{}.{field}", self.label);
        self.found
            .push(Mistake::new(self.origin(field), option, message));
    }
}

fn read_one<'a>(
    reader: &mut Reader<'a>,
    file: File<'a>,
    item: &'a Spanned<DeValue<'a>>,
) -> Option<FixedFunction> {
    let header = item.span().start;
    let DeValue::Table(table) = item.get_ref() else {
        let message = format!("expected a table, got {}", Raw::Toml(item.get_ref()));
        let origin = file.text.origin(header);
        reader.mistakes.push(Mistake::new(origin, KEY, message));
        return None;
    };
    let mut faults = Faults {
        file,
        table,
        header,
        label: KEY.to_owned(),
        found: Vec::new(),
    };
    let service = required(&mut faults, "service", |name| {
        ServiceName::new(name).map_err(|e| e.to_string())
    });
    let subject = required(&mut faults, "subject", |subject| {
        check_subject(subject).map(|()| subject.to_owned())
    });
    let headers = match entry(table, HEADERS).map(|(_, value)| value.get_ref()) {
        None => true,
        Some(DeValue::Boolean(flag)) => *flag,
        Some(other) => {
            let text = format!("expected true or false, got {}", Raw::Toml(other));
            faults.add(HEADERS, text);
            true
        }
    };
    let spec = spec_of(&mut faults);
    // Checked even if the service is wrong: all mistakes at once.
    let placeholder = || ServiceName::new(KEY).ok();
    if let Some(of) = service.clone().or_else(placeholder)
        && let Err(found) = FunctionSpec::from_json(&of, &spec)
    {
        for fault in found {
            faults.add(&fault.field, fault.message);
        }
    }
    let is_right = faults.found.is_empty();
    reader.mistakes.append(&mut faults.found);
    is_right.then_some(FixedFunction {
        service: service?.to_string(),
        subject: subject?,
        headers,
        spec,
    })
}

fn required<T>(
    faults: &mut Faults<'_>,
    field: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Option<T> {
    let parsed = match entry(faults.table, field).map(|(_, value)| value.get_ref()) {
        None => Err("is missing".to_owned()),
        Some(DeValue::String(text)) => parse(text),
        Some(other) => Err(format!("expected text, got {}", Raw::Toml(other))),
    };
    parsed.map_err(|fault| faults.add(field, fault)).ok()
}

/// A subject to publish to: tokens joined by dots, no wildcards.
fn check_subject(subject: &str) -> Result<(), String> {
    let fail = |why: &str| Err(format!("{subject:?} is no subject to publish to: {why}"));
    if subject.len() > 255 {
        return fail("it is longer than 255 bytes");
    }
    if subject
        .chars()
        .any(|c| c.is_whitespace() || c.is_control() || matches!(c, '*' | '>'))
    {
        return fail("it has a wildcard or white space");
    }
    if subject.split('.').any(str::is_empty) {
        return fail("a part between dots is empty");
    }
    if subject.starts_with('$') || subject.starts_with("_INBOX.") {
        return fail("it belongs to NATS itself");
    }
    Ok(())
}

fn spec_of(faults: &mut Faults<'_>) -> Value {
    let mut spec = Map::new();
    let table = faults.table;
    for (key, value) in table.iter() {
        let key = key.get_ref().as_ref();
        if matches!(key, "service" | "subject" | HEADERS) {
            continue;
        }
        match to_json(value.get_ref()) {
            Ok(value) => {
                spec.insert(key.to_owned(), value);
            }
            Err(fault) => faults.add(key, fault),
        }
    }
    Value::Object(spec)
}

pub(super) fn to_json(value: &DeValue<'_>) -> Result<Value, String> {
    let unsuited = |what: &str| Err(format!("{what} has no form in JSON"));
    Ok(match value {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Boolean(b) => (*b).into(),
        DeValue::Integer(i) => match i64::from_str_radix(i.as_str(), i.radix()) {
            Ok(number) => number.into(),
            Err(_) => return Err(format!("{i} is too large")),
        },
        DeValue::Float(n) => match n.as_str().parse().ok().and_then(Number::from_f64) {
            Some(number) => number.into(),
            None => return unsuited(n.as_str()),
        },
        DeValue::Datetime(_) => return unsuited("a date without quotes"),
        DeValue::Array(items) => items
            .iter()
            .map(|item| to_json(item.get_ref()))
            .collect::<Result<_, _>>()?,
        DeValue::Table(table) => table
            .iter()
            .map(|(key, value)| Ok((key.get_ref().to_string(), to_json(value.get_ref())?)))
            .collect::<Result<Map<_, _>, String>>()?
            .into(),
    })
}

#[cfg(test)]
mod tests {
    use super::check_subject;

    #[test]
    fn subjects_to_publish_to() {
        for good in ["legacy.time", "a", "a.b-c_d.$x"] {
            assert_eq!(check_subject(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "a.*",
            ">",
            "a b",
            "a..b",
            ".a",
            "$SYS.x",
            "_INBOX.x",
            &"x".repeat(256),
        ] {
            assert!(check_subject(bad).is_err(), "{bad}");
        }
    }
}
