//! What the rules see is what Python's json sees: generated documents, sound and odd, read by both.
//!
//! Without a `python3` the test says so and passes, unless `SLUICE_REQUIRE_ALL` is set.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it leaves out"
)]

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Map, Value};
use sluice_protocol::Payload;
use sluice_protocol::argument::{ArgTypes, ArgValue, check, top_level};

const DOCUMENTS: usize = 20_000;
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/canonical.py");

/// Documents from a seed: well-formed ones mostly, with all that JSON allows in odd places.
struct Documents(u64);

impl Documents {
    fn below(&mut self, n: u64) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }

    fn one_of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        let index = self.below(all.len() as u64);
        all[usize::try_from(index).unwrap()]
    }

    fn space(&mut self) -> &'static str {
        self.one_of(&["", "", "", " ", "\t", "  "])
    }

    fn text(&mut self) -> String {
        let mut out = String::from("\"");
        for _ in 0..self.below(5) {
            out.push_str(self.one_of(&[
                "a",
                "b",
                "é",
                "😀",
                "\\u0061",
                "\\u00e9",
                "\\ud83d\\ude00",
                "\\n",
                "\\\"",
                "\\\\",
                "\\/",
                "/",
                " ",
                "\u{7f}",
                "\u{2028}",
                "\\u0000",
                "\\ud800",
                "\\x",
                "{",
                "]",
                "\t",
            ]));
        }
        out + "\""
    }

    fn key(&mut self) -> String {
        if self.below(3) == 0 {
            return self.text();
        }
        self.one_of(&["\"a\"", "\"b\"", "\"c\"", "\"\\u0061\"", "\"d\""])
            .to_owned()
    }

    fn number(&mut self) -> &'static str {
        self.one_of(&[
            "0",
            "-0",
            "1",
            "-1",
            "1.0",
            "1.50",
            "1e2",
            "1E+2",
            "-1.5e-3",
            "0.1",
            "1e-400",
            "1e308",
            "1e400",
            "9007199254740993",
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775808",
            "-9223372036854775809",
            "18446744073709551615",
            "18446744073709551616",
            "123456789012345678901234567890",
            "3.141592653589793238462643",
            "01",
            "1.",
            ".5",
            "+1",
            "NaN",
            "Infinity",
            "-Infinity",
            "0x1",
            "1_0",
            "2.2250738585072011e-308",
            "4.9e-324",
            "1.7976931348623157e308",
        ])
    }

    fn value(&mut self, depth: u32) -> String {
        match self.below(if depth == 0 { 6 } else { 9 }) {
            0 | 1 => self.text(),
            2 | 3 => self.number().to_owned(),
            4 => self.one_of(&["true", "false", "null"]).to_owned(),
            5 => self
                .one_of(&["True", "nul", "", "undefined", "'a'"])
                .to_owned(),
            6 | 7 => {
                let items: Vec<String> =
                    (0..self.below(4)).map(|_| self.value(depth - 1)).collect();
                format!("[{}{}]", self.space(), items.join(","))
            }
            _ => self.object(depth - 1),
        }
    }

    fn object(&mut self, depth: u32) -> String {
        let entries: Vec<String> = (0..self.below(4))
            .map(|_| {
                let (key, before) = (self.key(), self.space());
                let (after, value) = (self.space(), self.value(depth));
                format!("{before}{key}{after}:{value}{after}")
            })
            .collect();
        let tail = self.one_of(&["", "", "", "", "", "", "", "", ",", " x"]);
        format!("{{{}}}{tail}", entries.join(","))
    }
}

/// As the script prints it.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), canonical(value)))
            .collect(),
        Value::Array(items) => items.iter().map(canonical).collect(),
        Value::String(text) => format!("s{text}").into(),
        Value::Number(number) if number.is_f64() => match number.as_f64().unwrap() {
            0.0 => "i0".into(),
            float => format!("f{:016x}", float.to_bits()).into(),
        },
        Value::Number(number) => format!("i{number}").into(),
        plain => plain.clone(),
    }
}

/// Reads all documents with Python; `None` if there is no Python.
fn read_by_python(documents: &[String]) -> Option<Vec<Value>> {
    let mut child = Command::new("python3")
        .arg(SCRIPT)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let mut input = child.stdin.take()?;
    let text = documents.join("\n") + "\n";
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{output:?}");
    let lines = String::from_utf8(output.stdout).unwrap();
    Some(
        lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
    )
}

fn seed() -> u64 {
    let given = std::env::var("SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    given.unwrap_or_else(|| u64::try_from(now.unwrap().as_nanos()).unwrap_or(1) | 1)
}

#[test]
fn what_is_taken_is_what_python_sees() {
    let seed = seed();
    println!("SEED={seed}");
    let mut generator = Documents(seed);
    let documents: Vec<String> = (0..DOCUMENTS).map(|_| generator.object(3)).collect();
    let Some(seen) = read_by_python(&documents) else {
        assert!(
            std::env::var_os("SLUICE_REQUIRE_ALL").is_none(),
            "no python3"
        );
        eprintln!("skipped: no python3");
        return;
    };
    assert_eq!(seen.len(), documents.len());
    let types = serde_json::json!({
        "a": {"type": "any", "allow_nil": true}, "b": {"type": "num", "allow_nil": true},
        "c": {"type": "string", "allow_nil": true}, "d": {"type": "list", "allow_nil": true},
    });
    let types = ArgTypes::from_json(&types).unwrap();
    let (mut taken, mut typed) = (0, 0);
    for (document, python) in documents.iter().zip(&seen) {
        let args = Payload::json(document.clone());
        typed += usize::from(check(Some(&types), args.clone()).is_ok());
        let Ok(checked) = check(None, args) else {
            continue;
        };
        taken += 1;
        let ours: Map<String, Value> = serde_json::from_str(document).unwrap();
        assert_eq!(&canonical(&ours.clone().into()), python, "{document}");
        for (key, value) in &ours {
            let found = match top_level(checked.payload(), key).unwrap() {
                ArgValue::Str(text) => Value::String(text.into_owned()),
                ArgValue::Other(raw) => serde_json::from_str(&raw).unwrap(),
            };
            assert_eq!(&found, value, "{document}");
            assert_eq!(canonical(&found), python[key], "{document}");
        }
    }
    // The generator is neither all sound nor all broken.
    assert!(taken > DOCUMENTS / 20 && taken < DOCUMENTS, "{taken}");
    assert!(typed > DOCUMENTS / 100 && typed < taken, "{typed}");
}
