//! Fields of the JSON, with their places for mistakes.

use serde_json::Value;

/// Mistakes of one file.
pub struct Mistaken {
    file: String,
    pub told: Vec<String>,
}

impl Mistaken {
    pub fn new(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            told: Vec::new(),
        }
    }

    pub fn add(&mut self, place: &str, what: &str) {
        let file = &self.file;
        self.told.push(match place {
            "" => format!("{file}: {what}"),
            place => format!("{file}: {place}: {what}"),
        });
    }
}

/// A value and where it stands: `RoleDetailList[3]`.
pub struct At<'v> {
    value: &'v Value,
    place: String,
}

impl<'v> At<'v> {
    pub fn root(value: &'v Value) -> Self {
        Self {
            value,
            place: String::new(),
        }
    }

    pub fn place(&self, name: &str) -> String {
        match self.place.as_str() {
            "" => name.to_owned(),
            place => format!("{place}.{name}"),
        }
    }

    pub fn has(&self, name: &str) -> bool {
        self.value.get(name).is_some()
    }

    pub fn value(&self, name: &str) -> Option<&'v Value> {
        self.value.get(name)
    }

    pub fn text(&self, name: &str) -> Option<&'v str> {
        self.value.get(name).and_then(Value::as_str)
    }

    pub fn required(&self, name: &str, mistaken: &mut Mistaken) -> Option<&'v str> {
        let text = self.text(name);
        if text.is_none() {
            mistaken.add(&self.place(name), "is missing, or no text");
        }
        text
    }

    /// None at all is an empty one.
    pub fn list(&self, name: &str, mistaken: &mut Mistaken) -> Vec<At<'v>> {
        let place = self.place(name);
        match self.value.get(name) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(entries)) => (0_usize..)
                .zip(entries)
                .map(|(number, value)| At {
                    value,
                    place: format!("{place}[{number}]"),
                })
                .collect(),
            Some(_) => {
                mistaken.add(&place, "is no list");
                Vec::new()
            }
        }
    }

    /// An object, or its text, which the API itself sends percent-encoded.
    pub fn document(&self, name: &str, mistaken: &mut Mistaken) -> Option<Value> {
        let read = match self.value.get(name) {
            Some(object @ Value::Object(_)) => return Some(object.clone()),
            Some(Value::String(text)) => parsed(text),
            _ => None,
        };
        if read.is_none() {
            mistaken.add(
                &self.place(name),
                "is no policy document, neither as an object nor percent-encoded",
            );
        }
        read
    }
}

fn parsed(text: &str) -> Option<Value> {
    let plain = match text.trim_start().starts_with('{') {
        true => text.as_bytes().to_vec(),
        false => decoded(text)?,
    };
    let value: Value = serde_json::from_slice(&plain).ok()?;
    value.is_object().then_some(value)
}

/// RFC 3986; a `+` is itself.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            plain.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let value = digit()?.checked_mul(16)?.checked_add(digit()?)?;
        plain.push(u8::try_from(value).ok()?);
    }
    Some(plain)
}
