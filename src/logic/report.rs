//! Diagnostics for people and programs: a tree of reports, written as text or as JSON.

use std::fmt::Write;

/// One report, or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// Nothing to report: `null`.
    Nothing,
    Is(bool),
    Number(i64),
    Text(String),
    List(Vec<Report>),
    /// Reports by name, in the best order for a reader.
    Named(Vec<(&'static str, Report)>),
}

/// The longest part of a znode's value that is shown, in bytes.
const VALUE_SHOWN: usize = 256;

impl Report {
    /// The milliseconds from one moment to another; negative if the second is earlier.
    pub fn ms_between(from_ns: u64, to_ns: u64) -> Report {
        let ns = i128::from(to_ns) - i128::from(from_ns);
        Report::Number((ns / 1_000_000).clamp(i64::MIN.into(), i64::MAX.into()) as i64)
    }

    /// A session's id in the format of ZooKeeper's own logs; `null` for none.
    pub fn session(id: i64) -> Report {
        match id {
            0 => Report::Nothing,
            id => Report::Text(format!("0x{id:x}")),
        }
    }

    /// A znode's value: as text if its shown part is UTF-8, else in hexadecimal; and the whole length.
    pub fn value(value: &[u8]) -> [(&'static str, Report); 3] {
        let shown = &value[..value.len().min(VALUE_SHOWN)];
        let text = match std::str::from_utf8(shown) {
            Ok(text) => Some(text),
            // The limit has cut a character.
            Err(error) if error.error_len().is_none() && shown.len() < value.len() => {
                std::str::from_utf8(&shown[..error.valid_up_to()]).ok()
            }
            Err(_) => None,
        };
        let hex = || shown.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        [
            ("value", text.into()),
            ("value_hex", if text.is_none() { hex().into() } else { Report::Nothing }),
            ("value_len", value.len().into()),
        ]
    }

    /// Adds a named report.
    pub fn with(mut self, name: &'static str, report: impl Into<Report>) -> Report {
        if let Report::Named(reports) = &mut self {
            reports.push((name, report.into()));
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
            Report::Nothing => out.push_str("null"),
            Report::Is(is) => out.push_str(if *is { "true" } else { "false" }),
            Report::Number(number) => put(out, number),
            Report::Text(text) => quote(text, true, out),
            Report::List(reports) => {
                for (i, report) in reports.iter().enumerate() {
                    out.push_str(if i == 0 { "[" } else { ", " });
                    report.write_json(out);
                }
                out.push_str(if reports.is_empty() { "[]" } else { "]" });
            }
            Report::Named(reports) => {
                for (i, (name, report)) in reports.iter().enumerate() {
                    out.push_str(if i == 0 { "{" } else { ", " });
                    quote(name, true, out);
                    out.push_str(": ");
                    report.write_json(out);
                }
                out.push_str(if reports.is_empty() { "{}" } else { "}" });
            }
        }
    }

    /// Indented lines, one for each report and one for each list of plain reports.
    pub fn text(&self) -> String {
        let mut out = String::new();
        self.write_text(0, &mut out);
        out
    }

    fn write_text(&self, depth: usize, out: &mut String) {
        match self {
            Report::Named(reports) => {
                let width =
                    reports.iter().filter(|(_, report)| report.is_plain()).map(|(name, _)| name.len()).max();
                for (name, report) in reports {
                    indent(depth, out);
                    out.push_str(name);
                    if report.is_plain() {
                        let blanks = width.unwrap_or_default() - name.len() + 2;
                        put(out, format_args!("{:blanks$}", ""));
                        report.write_plain(out);
                        out.push('\n');
                    } else {
                        out.push('\n');
                        report.write_text(depth + 1, out);
                    }
                }
            }
            Report::List(reports) => {
                for report in reports {
                    match report {
                        // One line for each: a table.
                        Report::Named(reports) if reports.iter().all(|(_, report)| report.is_plain()) => {
                            indent(depth, out);
                            for (i, (name, report)) in reports.iter().enumerate() {
                                put(out, format_args!("{}{name}=", if i == 0 { "- " } else { " " }));
                                report.write_plain(out);
                            }
                            out.push('\n');
                        }
                        report => {
                            indent(depth, out);
                            out.push_str("-\n");
                            report.write_text(depth + 1, out);
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

    /// Whether the report is written on the line of its name.
    fn is_plain(&self) -> bool {
        match self {
            Report::Named(reports) => reports.is_empty(),
            Report::List(reports) => {
                !reports.iter().any(|report| matches!(report, Report::List(_) | Report::Named(_)))
            }
            _ => true,
        }
    }

    fn write_plain(&self, out: &mut String) {
        match self {
            Report::Nothing => out.push('-'),
            Report::Is(is) => out.push_str(if *is { "yes" } else { "no" }),
            Report::Number(number) => put(out, number),
            Report::Text(text) if is_word(text) => out.push_str(text),
            Report::Text(text) => quote(text, false, out),
            Report::List(reports) if reports.is_empty() => out.push('-'),
            Report::List(reports) => {
                for (i, report) in reports.iter().enumerate() {
                    out.push_str(if i == 0 { "" } else { ", " });
                    report.write_plain(out);
                }
            }
            Report::Named(_) => out.push('-'),
        }
    }
}

fn put(out: &mut String, what: impl std::fmt::Display) {
    // A write to a String cannot fail.
    let _ = write!(out, "{what}");
}

fn indent(depth: usize, out: &mut String) {
    put(out, format_args!("{:1$}", "", depth * 2));
}

/// Whether a text can be told from its neighbours without quotes.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text != "-" && text.chars().all(|c| c.is_alphanumeric() || "/._-:,[]+".contains(c))
}

/// Writes a JSON string. With `ascii`, characters outside ASCII are escaped, too.
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

impl From<bool> for Report {
    fn from(is: bool) -> Report {
        Report::Is(is)
    }
}

macro_rules! numbers {
    ($($number:ty),+) => {
        $(impl From<$number> for Report {
            fn from(number: $number) -> Report {
                i64::try_from(number).map_or(Report::Number(i64::MAX), Report::Number)
            }
        })+
    };
}

numbers!(i32, i64, u32, u64, u128, usize);

impl From<&str> for Report {
    fn from(text: &str) -> Report {
        Report::Text(text.to_string())
    }
}

impl From<String> for Report {
    fn from(text: String) -> Report {
        Report::Text(text)
    }
}

impl From<&std::sync::Arc<str>> for Report {
    fn from(text: &std::sync::Arc<str>) -> Report {
        Report::Text(text.to_string())
    }
}

impl<T: Into<Report>> From<Option<T>> for Report {
    fn from(report: Option<T>) -> Report {
        report.map_or(Report::Nothing, T::into)
    }
}

impl<T: Into<Report>> From<Vec<T>> for Report {
    fn from(reports: Vec<T>) -> Report {
        Report::List(reports.into_iter().map(T::into).collect())
    }
}

impl<const N: usize> From<[(&'static str, Report); N]> for Report {
    fn from(reports: [(&'static str, Report); N]) -> Report {
        Report::Named(reports.into())
    }
}

impl FromIterator<(&'static str, Report)> for Report {
    fn from_iter<I: IntoIterator<Item = (&'static str, Report)>>(reports: I) -> Report {
        Report::Named(reports.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_of_everything() {
        let report = Report::from([
            ("nothing", Report::Nothing),
            ("is", true.into()),
            ("number", Report::Number(i64::MIN)),
            ("text", "a\"b\\c\n\u{0}\u{7f}\u{4e3b}\u{1f600}".into()),
            ("list", vec![1, 2].into()),
            ("empty", Vec::<i32>::new().into()),
            ("none", Report::Named(Vec::new())),
        ]);
        let expected = "{\"nothing\": null, \"is\": true, \"number\": -9223372036854775808, \
            \"text\": \"a\\\"b\\\\c\\n\\u0000\\u007f\\u4e3b\\ud83d\\ude00\", \
            \"list\": [1, 2], \"empty\": [], \"none\": {}}";
        assert_eq!(report.json(), expected);
    }

    #[test]
    fn text_of_everything() {
        let report = Report::from([
            ("path", "/master".into()),
            ("words", "two words\n".into()),
            ("lease", Report::from([("holds", true.into()), ("left_ms", 7.into())])),
            ("history", vec![Report::from([("at", 1.into()), ("what", "role".into())])].into()),
            ("deep", vec![Report::from([("inside", Report::from([("x", Report::Nothing)]))])].into()),
        ]);
        let expected = "path   /master\nwords  \"two words\\n\"\nlease\n  holds    yes\n  left_ms  7\n\
            history\n  - at=1 what=role\ndeep\n  -\n    inside\n      x  -\n";
        assert_eq!(report.text(), expected);
    }

    #[test]
    fn values_are_text_or_hexadecimal() {
        let [text, hex, len] = Report::value(b"10.0.0.7");
        assert_eq!((text.1, hex.1, len.1), ("10.0.0.7".into(), Report::Nothing, 8.into()));
        let [text, hex, len] = Report::value(&[0xff, 0]);
        assert_eq!((text.1, hex.1, len.1), (Report::Nothing, "ff00".into(), 2.into()));
        let long = "\u{4e3b}".repeat(100);
        let [text, _, len] = Report::value(long.as_bytes());
        assert_eq!((text.1, len.1), ("\u{4e3b}".repeat(85).into(), 300.into()), "cut before a character");
        let cut = "\u{4e3b}".as_bytes();
        assert_eq!(
            Report::value(&cut[..2])[0].1,
            Report::Nothing,
            "a value that ends inside a character is no text"
        );
    }
}
