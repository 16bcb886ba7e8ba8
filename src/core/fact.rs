//! What can be told of something, for people and for programs: a tree of facts, written as text or as JSON.

use std::fmt::Write;

/// One fact, or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// There is nothing to tell: `null`.
    Nothing,
    Is(bool),
    Number(i64),
    Text(String),
    List(Vec<Fact>),
    /// Facts by name, in the order in which a reader wants them.
    Named(Vec<(&'static str, Fact)>),
}

/// The longest part of a znode's value that is told, in bytes.
const VALUE_SHOWN: usize = 256;

impl Fact {
    /// A moment as milliseconds since another, which may be later.
    pub fn ms_between(from_ns: u64, to_ns: u64) -> Fact {
        let ns = i128::from(to_ns) - i128::from(from_ns);
        Fact::Number((ns / 1_000_000).clamp(i64::MIN.into(), i64::MAX.into()) as i64)
    }

    /// A session's id as ZooKeeper's own logs write it; `null` for none.
    pub fn session(id: i64) -> Fact {
        match id {
            0 => Fact::Nothing,
            id => Fact::Text(format!("0x{id:x}")),
        }
    }

    /// A znode's value: as text where the beginning of it is UTF-8, else in hexadecimal; and its whole length.
    pub fn value(value: &[u8]) -> [(&'static str, Fact); 3] {
        let shown = &value[..value.len().min(VALUE_SHOWN)];
        let text = match std::str::from_utf8(shown) {
            Ok(text) => Some(text),
            // A character that the limit has cut.
            Err(error) if error.error_len().is_none() && shown.len() < value.len() => {
                std::str::from_utf8(&shown[..error.valid_up_to()]).ok()
            }
            Err(_) => None,
        };
        let hex = || shown.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        [
            ("value", text.into()),
            ("value_hex", if text.is_none() { hex().into() } else { Fact::Nothing }),
            ("value_len", value.len().into()),
        ]
    }

    /// Adds a fact to those by name.
    pub fn with(mut self, name: &'static str, fact: impl Into<Fact>) -> Fact {
        if let Fact::Named(facts) = &mut self {
            facts.push((name, fact.into()));
        }
        self
    }

    /// JSON (RFC 8259) on one line, in ASCII.
    pub fn json(&self) -> String {
        let mut out = String::new();
        self.write_json(&mut out);
        out
    }

    fn write_json(&self, out: &mut String) {
        match self {
            Fact::Nothing => out.push_str("null"),
            Fact::Is(is) => out.push_str(if *is { "true" } else { "false" }),
            Fact::Number(number) => put(out, number),
            Fact::Text(text) => quote(text, true, out),
            Fact::List(facts) => {
                for (i, fact) in facts.iter().enumerate() {
                    out.push_str(if i == 0 { "[" } else { ", " });
                    fact.write_json(out);
                }
                out.push_str(if facts.is_empty() { "[]" } else { "]" });
            }
            Fact::Named(facts) => {
                for (i, (name, fact)) in facts.iter().enumerate() {
                    out.push_str(if i == 0 { "{" } else { ", " });
                    quote(name, true, out);
                    out.push_str(": ");
                    fact.write_json(out);
                }
                out.push_str(if facts.is_empty() { "{}" } else { "}" });
            }
        }
    }

    /// Indented lines, one for each fact and one for each list of plain facts.
    pub fn text(&self) -> String {
        let mut out = String::new();
        self.write_text(0, &mut out);
        out
    }

    fn write_text(&self, depth: usize, out: &mut String) {
        match self {
            Fact::Named(facts) => {
                let width = facts.iter().filter(|(_, fact)| fact.is_plain()).map(|(name, _)| name.len()).max();
                for (name, fact) in facts {
                    indent(depth, out);
                    out.push_str(name);
                    if fact.is_plain() {
                        let blanks = width.unwrap_or_default() - name.len() + 2;
                        put(out, format_args!("{:blanks$}", ""));
                        fact.write_plain(out);
                        out.push('\n');
                    } else {
                        out.push('\n');
                        fact.write_text(depth + 1, out);
                    }
                }
            }
            Fact::List(facts) => {
                for fact in facts {
                    match fact {
                        // One line for each: a table.
                        Fact::Named(facts) if facts.iter().all(|(_, fact)| fact.is_plain()) => {
                            indent(depth, out);
                            for (i, (name, fact)) in facts.iter().enumerate() {
                                put(out, format_args!("{}{name}=", if i == 0 { "- " } else { " " }));
                                fact.write_plain(out);
                            }
                            out.push('\n');
                        }
                        fact => {
                            indent(depth, out);
                            out.push_str("-\n");
                            fact.write_text(depth + 1, out);
                        }
                    }
                }
            }
            plain => {
                indent(depth, out);
                plain.write_plain(out);
                out.push('\n');
            }
        }
    }

    /// Whether it is written on the line of its name.
    fn is_plain(&self) -> bool {
        match self {
            Fact::Named(facts) => facts.is_empty(),
            Fact::List(facts) => !facts.iter().any(|fact| matches!(fact, Fact::List(_) | Fact::Named(_))),
            _ => true,
        }
    }

    fn write_plain(&self, out: &mut String) {
        match self {
            Fact::Nothing => out.push('-'),
            Fact::Is(is) => out.push_str(if *is { "yes" } else { "no" }),
            Fact::Number(number) => put(out, number),
            Fact::Text(text) if is_word(text) => out.push_str(text),
            Fact::Text(text) => quote(text, false, out),
            Fact::List(facts) if facts.is_empty() => out.push('-'),
            Fact::List(facts) => {
                for (i, fact) in facts.iter().enumerate() {
                    out.push_str(if i == 0 { "" } else { ", " });
                    fact.write_plain(out);
                }
            }
            Fact::Named(_) => out.push('-'),
        }
    }
}

fn put(out: &mut String, what: impl std::fmt::Display) {
    // A String takes everything.
    let _ = write!(out, "{what}");
}

fn indent(depth: usize, out: &mut String) {
    put(out, format_args!("{:1$}", "", depth * 2));
}

/// Whether a text needs no quotes to be told from what stands beside it.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text != "-" && text.chars().all(|c| c.is_alphanumeric() || "/._-:,[]+".contains(c))
}

/// As JSON has strings; with `ascii`, what is not ASCII is escaped, too.
fn quote(text: &str, ascii: bool, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || (ascii && !c.is_ascii()) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    put(out, format_args!("\\u{unit:04x}"));
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

impl From<bool> for Fact {
    fn from(is: bool) -> Fact {
        Fact::Is(is)
    }
}

macro_rules! numbers {
    ($($number:ty),+) => {
        $(impl From<$number> for Fact {
            fn from(number: $number) -> Fact {
                i64::try_from(number).map_or(Fact::Number(i64::MAX), Fact::Number)
            }
        })+
    };
}

numbers!(i32, i64, u32, u64, u128, usize);

impl From<&str> for Fact {
    fn from(text: &str) -> Fact {
        Fact::Text(text.to_string())
    }
}

impl From<String> for Fact {
    fn from(text: String) -> Fact {
        Fact::Text(text)
    }
}

impl From<&std::sync::Arc<str>> for Fact {
    fn from(text: &std::sync::Arc<str>) -> Fact {
        Fact::Text(text.to_string())
    }
}

impl<T: Into<Fact>> From<Option<T>> for Fact {
    fn from(fact: Option<T>) -> Fact {
        fact.map_or(Fact::Nothing, T::into)
    }
}

impl<T: Into<Fact>> From<Vec<T>> for Fact {
    fn from(facts: Vec<T>) -> Fact {
        Fact::List(facts.into_iter().map(T::into).collect())
    }
}

impl<const N: usize> From<[(&'static str, Fact); N]> for Fact {
    fn from(facts: [(&'static str, Fact); N]) -> Fact {
        Fact::Named(facts.into())
    }
}

impl FromIterator<(&'static str, Fact)> for Fact {
    fn from_iter<I: IntoIterator<Item = (&'static str, Fact)>>(facts: I) -> Fact {
        Fact::Named(facts.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_of_everything() {
        let fact = Fact::from([
            ("nothing", Fact::Nothing),
            ("is", true.into()),
            ("number", Fact::Number(i64::MIN)),
            ("text", "a\"b\\c\n\u{0}\u{7f}\u{4e3b}\u{1f600}".into()),
            ("list", vec![1, 2].into()),
            ("empty", Vec::<i32>::new().into()),
            ("none", Fact::Named(Vec::new())),
        ]);
        let expected = "{\"nothing\": null, \"is\": true, \"number\": -9223372036854775808, \
            \"text\": \"a\\\"b\\\\c\\n\\u0000\\u007f\\u4e3b\\ud83d\\ude00\", \
            \"list\": [1, 2], \"empty\": [], \"none\": {}}";
        assert_eq!(fact.json(), expected);
    }

    #[test]
    fn text_of_everything() {
        let fact = Fact::from([
            ("path", "/master".into()),
            ("words", "two words\n".into()),
            ("lease", Fact::from([("holds", true.into()), ("left_ms", 7.into())])),
            ("history", vec![Fact::from([("at", 1.into()), ("what", "role".into())])].into()),
            ("deep", vec![Fact::from([("inside", Fact::from([("x", Fact::Nothing)]))])].into()),
        ]);
        let expected = "path   /master\nwords  \"two words\\n\"\nlease\n  holds    yes\n  left_ms  7\n\
            history\n  - at=1 what=role\ndeep\n  -\n    inside\n      x  -\n";
        assert_eq!(fact.text(), expected);
    }

    #[test]
    fn values_are_text_or_hexadecimal() {
        let [text, hex, len] = Fact::value(b"10.0.0.7");
        assert_eq!((text.1, hex.1, len.1), ("10.0.0.7".into(), Fact::Nothing, 8.into()));
        let [text, hex, len] = Fact::value(&[0xff, 0]);
        assert_eq!((text.1, hex.1, len.1), (Fact::Nothing, "ff00".into(), 2.into()));
        let long = "\u{4e3b}".repeat(100);
        let [text, _, len] = Fact::value(long.as_bytes());
        assert_eq!((text.1, len.1), ("\u{4e3b}".repeat(85).into(), 300.into()), "cut before a character");
        let cut = "\u{4e3b}".as_bytes();
        assert_eq!(Fact::value(&cut[..2])[0].1, Fact::Nothing, "a value that ends inside a character is no text");
    }
}
